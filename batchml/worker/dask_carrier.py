"""Bundles of iterations on their way through a Dask cluster: whatever it makes of them, each comes back once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Ending
from batchml.worker.dask_bundle import Bundle, Reply
from batchml.worker.endings import ended_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from batchml.core.attempt import Assignment, Outcome
    from batchml.worker.dask_link import Link
    from batchml.worker.dask_places import Places

__all__ = ["Carrier"]

_TRIES = 5
_PAUSE_S = 1.0
_REMEMBERED = 10_000
_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Sent:
    """A bundle on its way.

    Attributes
    ----------
    assignments
        What has not come back.
    alone
        It is a suspect.
    key, future
        Dask's task.
    where
        To which Dask workers it was restricted.
    worker, host, begun
        Where and when it has begun.
    """

    assignments: dict[int, Assignment]
    alone: bool
    key: str = ""
    future: Any = None
    where: list[str] | None = None
    worker: str = ""
    host: str = ""
    begun: float = 0.0


class Carrier:
    """Sends bundles and brings outcomes. Lives in the feeder's thread.

    Parameters
    ----------
    link, text, topic
        What tasks take of what Dask's workers offer; the setup as text; of which events the beginnings are.
    places
        Dask's workers.
    start
        Starts a coroutine as a task of the feeder's.
    deliver
        Takes outcomes.

    Attributes
    ----------
    reruns
        How often Dask has begun a bundle again that counted as lost: what that brings is dropped.
    """

    def __init__(
        self,
        link: Link,
        text: str,
        topic: str,
        places: Places,
        start: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
        deliver: Callable[[Iterable[Outcome]], None],
    ) -> None:
        self.client: Any = None
        self.reruns = 0
        self._link = link
        self._text = text
        self._topic = topic
        self._places = places
        self._start = start
        self._deliver = deliver
        self._serial = 0
        self._over = False
        self._open: set[_Sent] = set()
        self._keys: dict[str, _Sent] = {}
        self._lost_keys: deque[str] = deque(maxlen=_REMEMBERED)

    def send(self, assignments: Iterable[Assignment]) -> None:
        """Send what has one task of Dask's together."""
        held = {one.attempt_id: one for one in assignments}
        sent = _Sent(held, any(one.alone for one in held.values()))
        self._open.add(sent)
        if self._over:
            self._close(sent, Ending.RELEASED)
        else:
            self._start(self._carry(sent))

    def recall(self) -> None:
        """Give back what has not begun."""
        for sent in list(self._open):
            if not sent.worker:
                self._close(sent, Ending.RELEASED)

    def end(self, attempt_id: int, ending: Ending) -> None:
        """End one attempt."""
        for sent in list(self._open):
            assignment = sent.assignments.pop(attempt_id, None)
            if assignment is not None:
                self._deliver([self._ended(sent, assignment, ending)])
                # Dask can only end the whole bundle: what is left of it goes again.
                self._again(sent)

    def lost(self, address: str, ending: Ending, words: str) -> None:
        """End what ran on a Dask worker that is gone; what waited there, Dask or we send elsewhere."""
        for sent in [sent for sent in self._open if sent.worker == address]:
            self._lost_keys.append(sent.key)
            self._close(sent, ending, words)
        for sent in list(self._open):
            if not sent.worker and sent.where and not any(place in self._places for place in sent.where):
                self._again(sent)

    def lose_all(self, words: str) -> None:
        """The cluster is gone, and with it everything that is there: nobody's failure."""
        self._over = True
        for sent in list(self._open):
            self._close(sent, Ending.PREEMPTED if sent.worker else Ending.RELEASED, words)

    async def leave(self) -> None:
        """Cancel everything."""
        futures = [sent.future for sent in self._open if sent.future is not None]
        if futures and not self._over:
            await self.client.cancel(futures, force=True)

    def began(self, key: str, address: str) -> None:
        """A bundle begins: noted before anything of it can harm the Dask worker."""
        sent = self._keys.get(key)
        again = sent is not None and bool(sent.worker)
        if again or key in self._lost_keys:
            self.reruns += 1
            _log.warning("Dask runs %s again, on %s: what that brings is dropped", key, address)
        if sent is None:
            return
        if again:
            self._close(sent, Ending.LOST, f"the Dask worker {sent.worker} was lost")
            return
        sent.worker, sent.host, sent.begun = address, self._places.host(address), time.monotonic()
        if sent.alone:
            self._places.keep(sent, address)

    # -- a bundle ------------------------------------------------------------------------------------------------

    async def _carry(self, sent: _Sent) -> None:
        """See a bundle through."""
        tries = 0
        try:
            while sent.assignments and tries < _TRIES:
                tries += await self._try(sent)
            self._close(sent, Ending.INFRASTRUCTURE, f"Dask has returned this {_TRIES} times without having run it")
        except Exception as error:  # noqa: BLE001 - the job must not be forgotten
            self._fail(sent, error)
        finally:
            self._open.discard(sent)
            if sent.alone:
                self._places.give_up(sent)

    async def _try(self, sent: _Sent) -> bool:
        """Send a bundle once; return whether that counts as a try."""
        if (where := self._where(sent)) == []:
            await self._places.change()
            return False
        try:
            reply = await self._ask(sent, where)
        except ImportError as error:
            # It came to a worker that had not been examined yet, or is not wanted any more.
            _log.warning("Dask could not run an iteration: %s", error)
            await asyncio.sleep(_PAUSE_S)
            return True
        back = [one for one in reply.outcomes if sent.assignments.pop(one.attempt_id, None) is not None]
        if back:
            self._deliver([replace(one, host=reply.host, place=reply.worker) for one in back])
        for digest in reply.missing:
            await self._places.ship(reply.worker, digest)
        if reply.unfit:
            self._places.exclude(reply.worker, reply.unfit)
        if reply.busy:
            self._places.give_up(sent)
            self._places.shun(reply.worker)
        # An unfit one is not asked again; should all be unfit, this waits for a fit one as long as the feeder does.
        return not (reply.busy or reply.unfit)

    def _where(self, sent: _Sent) -> list[str] | None:
        """Return where a bundle may go, None for anywhere, nothing for nowhere yet."""
        return self._places.find(sent, self._crowd) if sent.alone else self._places.open()

    async def _ask(self, sent: _Sent, where: list[str] | None) -> Reply:
        from batchml.worker.dask_calls import run_bundle

        assignments = tuple(sent.assignments.values())
        self._serial += 1
        # Dask estimates durations by the first word of a key.
        sent.key = f"batchml_{assignments[0].experiment.id}-{self._topic}-{self._serial}"
        sent.worker, sent.where = "", where
        self._keys[sent.key] = sent
        try:
            sent.future = self.client.submit(
                run_bundle,
                Bundle(setup=self._text, topic=self._topic, assignments=assignments).encode(),
                key=sent.key,
                pure=False,
                retries=0,
                resources=dict(self._link.resources) or None,
                workers=where,
            )
            return Reply.decode(await sent.future)
        finally:
            self._keys.pop(sent.key, None)

    def _crowd(self, address: str) -> int:
        """Return how many bundles have begun on a Dask worker."""
        return sum(sent.worker == address for sent in self._open)

    def _again(self, sent: _Sent) -> None:
        """Take back a bundle and send what is left of it anew."""
        left = tuple(sent.assignments.values())
        sent.assignments.clear()
        self._cancel(sent)
        if left:
            self.send(left)

    def _fail(self, sent: _Sent, error: Exception) -> None:
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            self._close(sent, Ending.LOST, f"Dask workers died again and again while they ran this: {error}")
        elif isinstance(error, CancelledError) or self.client.status != "running":
            ending = Ending.PREEMPTED if sent.worker else Ending.RELEASED
            self._close(sent, ending, f"cancelled in Dask, or cut off from it: {error}")
        else:
            where = f" on the Dask worker {sent.worker}" if sent.worker else ""
            self._close(sent, Ending.INFRASTRUCTURE, f"Dask failed{where}: {type(error).__name__}: {error}")

    def _close(self, sent: _Sent, ending: Ending, words: str = "") -> None:
        """End what is left of a bundle."""
        left = list(sent.assignments.values())
        sent.assignments.clear()
        if left:
            self._deliver([self._ended(sent, one, ending, words) for one in left])
        self._cancel(sent)

    def _ended(self, sent: _Sent, assignment: Assignment, ending: Ending, words: str = "") -> Outcome:
        if not sent.worker:
            return ended_outcome(assignment, ending, words)
        outcome = ended_outcome(assignment, ending, words, wall_s=time.monotonic() - sent.begun)
        return replace(outcome, host=sent.host, place=sent.worker)

    def _cancel(self, sent: _Sent) -> None:
        if sent.future is not None and not sent.future.done() and not self._over:
            self._start(self.client.cancel([sent.future], force=True))
