"""The thread that talks to a Dask cluster: it sends bundles, brings replies, and sees Dask's workers come and go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Ending
from batchml.worker.dask_bundle import Bundle, Reply, Setup
from batchml.worker.dask_ship import ship
from batchml.worker.endings import ended_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from batchml.core.attempt import Assignment, Outcome
    from batchml.worker.dask_link import Link

__all__ = ["Feeder"]

_LOOK_S = 2.0
"""How often the feeder counts Dask's workers, besides what it is told."""
_GONE_S = 8.0
"""A scheduler to which the connection is cut for so long is gone. One that only does not answer is busy."""
_FIRST_S = 600.0
"""So long may the first Dask workers take to start what iterations need."""
_TRIES = 5
_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Sent:
    """A bundle on its way through Dask."""

    assignments: dict[int, Assignment]
    key: str = ""
    future: Any = None
    worker: str = ""  # where it has begun
    begun: float = 0.0


@dataclass(slots=True)
class _Place:
    """A Dask worker."""

    slots: int = 0
    fit: bool | None = None  # None: not known yet
    unfit: str = ""
    leaves: bool = False  # it has said so
    missed: bool = False
    shipped: dict[str, asyncio.Task[None]] = field(default_factory=dict)


class Feeder:
    """A thread with an event loop and Dask's client in it.

    Parameters
    ----------
    link
        Which cluster, and how to reach it.
    setup
        What Dask workers are told.
    deliver
        Takes outcomes; called in the feeder's thread.
    news
        Called in the feeder's thread when there are more or fewer slots, or the cluster is gone.
    """

    def __init__(
        self, link: Link, setup: Setup, deliver: Callable[[Iterable[Outcome]], None], news: Callable[[], None]
    ) -> None:
        self.slots = 0
        self.gone = ""  # why the cluster is of no use any more
        self.reruns = 0
        self.environments: list[dict[str, Any]] = []
        self._link = link
        self._setup = setup
        self._text = setup.as_text()
        self._deliver = deliver
        self._news = news
        self._topic = f"batchml-{secrets.token_hex(8)}"
        self._serial = 0
        self._lobby: deque[tuple[Assignment, ...]] = deque()
        self._open: set[_Sent] = set()
        self._keys: dict[str, _Sent] = {}
        self._places: dict[str, _Place] = {}
        self._hosts: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._client: Any = None
        self._comm: Any = None
        self._closing: asyncio.Event
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="batchml-dask", daemon=True)

    # -- for the main thread -------------------------------------------------------------------------------------

    def open(self, give_up: Callable[[], bool] = lambda: False) -> None:
        """Connect, and wait until one of Dask's workers is fit for the work, if there are any, or nobody wants it.

        Raises
        ------
        UnfitError
            None of them is; names hosts and causes.
        ConfigError
            No scheduler answers.
        """
        self._thread.start()
        while not self._ready.wait(0.1) and not give_up():
            pass
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def put(self, bundle: tuple[Assignment, ...]) -> None:
        """Send assignments that have one Dask task for them together."""
        self._lobby.append(bundle)
        self._call(self._send_lobby)

    def end(self, attempt_id: int, ending: Ending) -> None:
        """End one attempt; its outcome is delivered at once, its processes end a moment later."""
        self._call(lambda: self._end(attempt_id, ending))

    def recall(self) -> None:
        """Give back what has not begun."""
        self._call(self._recall)

    def close(self) -> None:
        """Cancel everything and leave the cluster."""
        if self._thread.is_alive():
            self._call(lambda: self._closing.set())  # noqa: PLW0108 - it is made in the thread
            self._thread.join(30.0)

    def _call(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the cluster is gone
            self._loop.call_soon_threadsafe(function)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._main())
        except BaseException as error:  # noqa: BLE001 - the main thread raises it, or is told
            self._failure = error
            if self._ready.is_set():
                _log.exception("the connection to Dask failed")
                self._lose(f"the connection to Dask failed: {error}")
        finally:
            self._ready.set()
            self._loop.close()

    async def _main(self) -> None:
        self._closing = asyncio.Event()
        async with self._link.connect() as client:
            self._client = client
            try:
                await self._first_look()
                self._ready.set()
                while not self._closing.is_set() and not self.gone:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._closing.wait(), _LOOK_S)
                    await self._look()
            finally:
                await self._leave()
                if self._comm is not None:
                    for topic in (self._topic, "all"):
                        client.unsubscribe_topic(topic)

    async def _leave(self) -> None:
        futures = [sent.future for sent in self._open if sent.future is not None]
        if futures and not self.gone:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._client.cancel(futures, force=True), 5.0)
        if self.reruns:
            _log.warning("Dask has begun %d tasks a second time; what the second runs brought was dropped", self.reruns)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- Dask's workers ------------------------------------------------------------------------------------------

    async def _first_look(self) -> None:
        from batchml.worker.dask_host import versions
        from batchml.worker.fitness import UnfitError

        try:
            await self._client.run_on_scheduler(versions)
        except ImportError as error:
            raise UnfitError(f"the Dask scheduler at {self._link.address} cannot run batchml: {error}") from error
        await self._look()
        end = time.monotonic() + _FIRST_S
        while self._places and not any(place.fit for place in self._places.values()):
            if all(place.fit is False for place in self._places.values()) or time.monotonic() > end:
                causes = [place.unfit or "no answer" for place in self._places.values()]
                raise UnfitError("; ".join(dict.fromkeys(causes)))
            await asyncio.sleep(0.02)

    async def _look(self) -> None:
        """Count Dask's workers and examine new ones."""
        try:
            about = await asyncio.wait_for(self._client.scheduler.identity(n_workers=-1), _GONE_S)
        except (OSError, TimeoutError) as error:
            if self._client.status != "running" and not self._closing.is_set():
                self._lose(f"the Dask scheduler at {self._link.address} is gone ({type(error).__name__})")
            return
        self._listen()
        found = about["workers"]
        for address in set(self._places) - set(found):
            # The word that it was removed, and how, may be on its way.
            if self._places[address].missed:
                self._lost(address, expected=False)
            else:
                self._places[address].missed = True
        for address, words in found.items():
            if address not in self._places:
                self._places[address] = _Place()
                self._client.subscribe_topic(address, partial(self._on_leaving, address))
                self._start(self._examine(address))
            self._places[address].slots = self._room(words)
        self._count()

    def _listen(self) -> None:
        """Have the scheduler tell what happens; one that was lost and found again has forgotten that it should."""
        comm = self._client.scheduler_comm
        if comm is not self._comm:
            self._comm = comm
            self._client.subscribe_topic(self._topic, self._on_begin)
            self._client.subscribe_topic("all", self._on_event)
            for address in self._places:
                self._client.subscribe_topic(address, partial(self._on_leaving, address))

    def _on_leaving(self, address: str, event: tuple[float, Any]) -> None:
        """A Dask worker that was asked to end says so first: nobody is to be suspected of its death."""
        if isinstance(event[1], dict) and event[1].get("action") == "closing-worker" and address in self._places:
            self._places[address].leaves = True

    def _room(self, words: Mapping[str, Any]) -> int:
        """Return how many iterations run at once on a Dask worker."""
        room = int(words["nthreads"]) // int(self._setup.needs.get("cpus") or 1)
        for name, amount in self._link.resources.items():
            room = min(room, int(float(words.get("resources", {}).get(name, 0)) // amount))
        return room if self._link.resources else max(1, room)

    def _count(self) -> None:
        slots = sum(place.slots for place in self._places.values() if place.fit)
        if slots != self.slots:
            self.slots = slots
            self._news()

    async def _examine(self, address: str) -> None:
        from batchml.worker import dask_host

        answer = await self._client.run(dask_host.examine, self._text, workers=[address], on_error="return")
        found = answer.get(address)
        place = self._places.get(address)
        if place is None or found is None:
            return
        if isinstance(found, BaseException):
            self._exclude(address, f"infrastructure: {address}: {type(found).__name__}: {found}")
        elif found["unfit"]:
            self._exclude(address, found["unfit"])
        else:
            place.fit = True
            _log.info("Dask worker %s on %s: %d slots", address, found["host"], place.slots)
        self._count()
        if place.fit and found["host"] not in self._hosts:
            self._hosts.add(found["host"])
            known = (await self._client.run(dask_host.environment, list(self._setup.paths), workers=[address])).get(
                address
            )
            if known:
                self.environments.append(known)

    def _exclude(self, address: str, words: str) -> None:
        place = self._places.get(address)
        if place is not None and place.fit is not False:
            place.fit, place.unfit = False, words
            _log.warning("not used: %s", words)
            self._count()

    def _fit(self) -> list[str] | None:
        """Return where to send bundles: None for wherever Dask likes, unless that might be where nothing can run."""
        unfit = [address for address, place in self._places.items() if place.fit is False]
        if not unfit:
            return None
        return [address for address in self._places if address not in unfit] or unfit

    def _on_event(self, event: tuple[float, Any]) -> None:
        words = event[1]
        if isinstance(words, dict) and words.get("action") == "remove-worker" and words.get("worker") in self._places:
            self._lost(words["worker"], expected=bool(words.get("expected")))
            self._count()
        elif isinstance(words, dict) and words.get("action") == "add-worker":
            self._start(self._look())

    def _lost(self, address: str, *, expected: bool) -> None:
        """End what ran on a Dask worker that is gone; what waited there is Dask's to send elsewhere."""
        place = self._places.pop(address, None)
        if place is not None:
            self._client.unsubscribe_topic(address)
        expected |= place is not None and place.leaves
        ending = Ending.PREEMPTED if expected else Ending.LOST
        words = f"the Dask worker {address} has {'left' if expected else 'died'}"
        for sent in [sent for sent in self._open if sent.worker == address]:
            self._close(sent, ending, words)

    def _lose(self, words: str) -> None:
        """The cluster is gone, and with it everything that is there: nobody's failure."""
        self.gone = words
        _log.error("%s", words)
        for sent in list(self._open):
            self._close(sent, Ending.PREEMPTED, words)
        while self._lobby:
            self._deliver(ended_outcome(one, Ending.RELEASED) for one in self._lobby.popleft())
        self._news()

    # -- bundles -------------------------------------------------------------------------------------------------

    def _send_lobby(self) -> None:
        while self._lobby:
            sent = _Sent({one.attempt_id: one for one in self._lobby.popleft()})
            self._open.add(sent)
            if self.gone:
                self._close(sent, Ending.RELEASED)
            else:
                self._start(self._carry(sent))

    async def _carry(self, sent: _Sent) -> None:
        """See a bundle through, whatever Dask makes of it."""
        try:
            for _ in range(_TRIES):
                if not sent.assignments:
                    return
                await self._try(sent)
            self._close(sent, Ending.INFRASTRUCTURE, f"Dask has returned this {_TRIES} times without having run it")
        except Exception as error:  # noqa: BLE001 - the job must not be forgotten
            self._fail(sent, error)
        finally:
            self._open.discard(sent)

    async def _try(self, sent: _Sent) -> None:
        try:
            reply = await self._ask(sent)
        except ImportError as error:
            # It came to a worker that had not been examined yet, or is not wanted any more.
            _log.warning("Dask could not run an iteration: %s", error)
            await asyncio.sleep(1.0)
            return
        for outcome in reply.outcomes:
            if sent.assignments.pop(outcome.attempt_id, None) is not None:
                self._deliver([outcome])
        for digest in reply.missing:
            await self._ship(reply.worker, digest)
        if reply.unfit:
            self._exclude(reply.worker, reply.unfit)
            if all(place.fit is False for place in self._places.values()):
                self._close(sent, Ending.INFRASTRUCTURE, reply.unfit)

    async def _ask(self, sent: _Sent) -> Reply:
        from batchml.worker.dask_host import run_bundle

        assignments = tuple(sent.assignments.values())
        self._serial += 1
        # Dask estimates durations by the first word of a key.
        sent.key = f"batchml_{assignments[0].experiment.id}-{self._topic}-{self._serial}"
        sent.worker = ""
        self._keys[sent.key] = sent
        try:
            sent.future = self._client.submit(
                run_bundle,
                Bundle(setup=self._text, topic=self._topic, assignments=assignments).encode(),
                key=sent.key,
                pure=False,
                retries=0,
                resources=dict(self._link.resources) or None,
                workers=self._fit(),
            )
            return Reply.decode(await sent.future)
        finally:
            self._keys.pop(sent.key, None)

    def _fail(self, sent: _Sent, error: Exception) -> None:
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            self._close(sent, Ending.LOST, f"Dask workers died again and again while they ran this: {error}")
        elif isinstance(error, CancelledError):
            self._close(sent, Ending.PREEMPTED, f"cancelled in Dask: {error}")
        else:
            where = f" on the Dask worker {sent.worker}" if sent.worker else ""
            self._close(sent, Ending.INFRASTRUCTURE, f"Dask failed{where}: {type(error).__name__}: {error}")

    def _close(self, sent: _Sent, ending: Ending, words: str = "") -> None:
        """End what is left of a bundle."""
        wall = time.monotonic() - sent.begun if sent.worker else 0.0
        left = list(sent.assignments.values())
        sent.assignments.clear()
        self._deliver([ended_outcome(one, ending, words, wall_s=wall) for one in left])
        self._cancel(sent)

    def _cancel(self, sent: _Sent) -> None:
        if sent.future is not None and not sent.future.done() and not self.gone:
            self._start(self._client.cancel([sent.future], force=True))

    def _on_begin(self, event: tuple[float, Any]) -> None:
        """A bundle begins: noted before anything of it can harm the Dask worker."""
        sent = self._keys.get(event[1]["key"])
        if sent is None or not sent.assignments:
            return
        if sent.worker:
            self.reruns += 1
            _log.warning("Dask runs %s again, on %s after %s", event[1]["key"], event[1]["worker"], sent.worker)
            self._close(sent, Ending.LOST, f"the Dask worker {sent.worker} was lost")
            return
        sent.worker, sent.begun = event[1]["worker"], time.monotonic()

    def _end(self, attempt_id: int, ending: Ending) -> None:
        for sent in list(self._open):
            assignment = sent.assignments.pop(attempt_id, None)
            if assignment is None:
                continue
            wall = time.monotonic() - sent.begun if sent.worker else 0.0
            self._deliver([ended_outcome(assignment, ending, wall_s=wall)])
            # Dask can only end the whole bundle: what is left of it goes again.
            left = tuple(sent.assignments.values())
            sent.assignments.clear()
            self._cancel(sent)
            if left:
                self._lobby.append(left)
                self._send_lobby()

    def _recall(self) -> None:
        for sent in list(self._open):
            if not sent.worker:
                self._close(sent, Ending.RELEASED)

    async def _ship(self, address: str, digest: str) -> None:
        """Send a table to a Dask worker, once."""
        place = self._places.get(address)
        if place is None:
            return
        if digest not in place.shipped:
            place.shipped[digest] = self._start(ship(self._client, address, self._setup, digest))
        try:
            await asyncio.shield(place.shipped[digest])
        except BaseException:
            place.shipped.pop(digest, None)
            raise
