"""The thread that talks to a Dask cluster: it sends bundles, brings outcomes, and sees Dask's workers come and go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Ending
from batchml.worker.dask_carrier import Carrier
from batchml.worker.dask_places import Places
from batchml.worker.endings import ended_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from batchml.core.attempt import Assignment, Outcome
    from batchml.worker.dask_bundle import Setup
    from batchml.worker.dask_link import Link

__all__ = ["Feeder"]

_LOOK_S = 2.0
"""How often the feeder counts Dask's workers, besides what it is told."""
_FIRST_S = 600.0
"""So long may the first Dask workers take to start what iterations need."""
_LEAVE_S = 5.0
_log = logging.getLogger(__name__)


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
    unfit_s
        So long it waits for a fit Dask worker when only unfit ones have come.

    Attributes
    ----------
    gone
        Why the cluster is of no use any more, "" as long as it is.
    """

    def __init__(
        self,
        link: Link,
        setup: Setup,
        deliver: Callable[[Iterable[Outcome]], None],
        news: Callable[[], None],
        unfit_s: float,
    ) -> None:
        self.gone = ""
        self._link = link
        self._deliver = deliver
        self._news = news
        self._unfit_s = unfit_s
        self._topic = f"batchml-{secrets.token_hex(8)}"
        self._lobby: deque[tuple[Assignment, ...]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._client: Any = None
        self._comm: Any = None
        self._cut_at: float | None = None
        self._closing: asyncio.Event
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="batchml-dask", daemon=True)
        self.places = Places(link, setup, self._start, news)
        self.carrier = Carrier(link, setup.as_text(), self._topic, self.places, self._start, deliver)

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
        self._call(lambda: self.carrier.end(attempt_id, ending))

    def recall(self) -> None:
        """Give back what has not begun."""
        self._call(self.carrier.recall)

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
            self._client = self.places.client = self.carrier.client = client
            try:
                await self._first_look()
                self._ready.set()
                await self._watch()
            finally:
                await self._leave()

    async def _watch(self) -> None:
        """Look at the cluster again and again; who wants to leave does not wait for a scheduler out of reach."""
        closing = self._start(self._closing.wait())
        while not closing.done() and not self.gone:
            await asyncio.wait({closing}, timeout=_LOOK_S)
            look = self._start(self._look())
            await asyncio.wait({closing, look}, return_when=asyncio.FIRST_COMPLETED)
            if look.done():
                look.result()
            if self.places.hopeless(self._unfit_s):
                self._lose(f"no Dask worker is fit: {self.places.causes}")

    async def _leave(self) -> None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.carrier.leave(), _LEAVE_S)
        if reruns := self.carrier.reruns:
            _log.warning("Dask has begun %d tasks a second time; what the second runs brought was dropped", reruns)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._comm is not None:
            for topic in (self._topic, "all"):
                self._unsubscribe(topic)

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _send_lobby(self) -> None:
        while self._lobby:
            self.carrier.send(self._lobby.popleft())

    # -- Dask's workers ------------------------------------------------------------------------------------------

    async def _first_look(self) -> None:
        from batchml.worker.dask_calls import versions
        from batchml.worker.fitness import UnfitError

        try:
            await self._client.run_on_scheduler(versions)
        except ImportError as error:
            raise UnfitError(f"the Dask scheduler at {self._link.address} cannot run batchml: {error}") from error
        await self._look()
        places = self.places
        end = time.monotonic() + _FIRST_S
        while list(places) and not places.some_fit:
            if places.none_fit or time.monotonic() > end:
                raise UnfitError(places.causes)
            await asyncio.sleep(0.02)

    async def _look(self) -> None:
        """Count Dask's workers and examine new ones."""
        scheduler = self._client.scheduler
        if scheduler is None:  # Dask's client has given up
            self._miss("closed")
            return
        try:
            about = await asyncio.wait_for(scheduler.identity(n_workers=-1), self._link.patience_s)
        except (OSError, TimeoutError) as error:
            self._miss(type(error).__name__)
            return
        self._mended()
        self._listen()
        found = about["workers"]
        for address in self.places:
            if address not in found:
                self._missed(address)
        for address, words in found.items():
            if self.places.note(address, words):
                self._client.subscribe_topic(address, partial(self._on_leaving, address))
        self.places.count()

    def _missed(self, address: str) -> None:
        """The scheduler does not know a Dask worker; the word that it was removed, and how, may be on its way."""
        place, now = self.places[address], time.monotonic()
        if place.missed_at is None:
            place.missed_at = now
        elif now - place.missed_at >= _LOOK_S / 2:
            self._lost(address, expected=False)

    def _miss(self, cause: str) -> None:
        """The scheduler did not answer. If the connection is cut for too long it is gone; else it may be busy."""
        client = self._client.status
        if client == "running" or self._closing.is_set() or self.gone:
            self._mended()
            return
        now = time.monotonic()
        if self._cut_at is None:
            self._cut_at = now
            _log.warning("the connection to the Dask scheduler is cut (%s)", cause)
        if client != "connecting" or now - self._cut_at >= self._link.patience_s:
            where = f"at {self._link.address} " if self._link.address else ""
            self._lose(f"the Dask scheduler {where}is gone ({cause})")

    def _mended(self) -> None:
        if self._cut_at is not None:
            self._cut_at = None
            _log.info("the connection to the Dask scheduler is there again")

    def _listen(self) -> None:
        """Have the scheduler tell what happens; one that was lost and found again has forgotten that it should."""
        comm = self._client.scheduler_comm
        if comm is not self._comm:
            self._comm = comm
            self._client.subscribe_topic(self._topic, self._on_begin)
            self._client.subscribe_topic("all", self._on_event)
            for address in self.places:
                self._client.subscribe_topic(address, partial(self._on_leaving, address))

    def _unsubscribe(self, topic: str) -> None:
        if self._client.status == "running":  # Dask's client raises what it cannot send
            self._client.unsubscribe_topic(topic)

    def _on_begin(self, event: tuple[float, Any]) -> None:
        self.carrier.began(event[1]["key"], event[1]["worker"])

    def _on_leaving(self, address: str, event: tuple[float, Any]) -> None:
        """A Dask worker that was asked to end says so first: nobody is to be suspected of its death."""
        if isinstance(event[1], dict) and event[1].get("action") == "closing-worker" and address in self.places:
            self.places[address].leaves = True

    def _on_event(self, event: tuple[float, Any]) -> None:
        words = event[1]
        if not isinstance(words, dict):
            return
        if words.get("action") == "remove-worker" and words.get("worker") in self.places:
            self._lost(words["worker"], expected=bool(words.get("expected")))
        elif words.get("action") == "add-worker":
            self._start(self._look())

    def _lost(self, address: str, *, expected: bool) -> None:
        """End what ran on a Dask worker that is gone."""
        place = self.places.remove(address)
        if place is not None:
            self._unsubscribe(address)
        expected |= place is not None and place.leaves
        ending = Ending.PREEMPTED if expected else Ending.LOST
        self.carrier.lost(address, ending, f"the Dask worker {address} has {'left' if expected else 'died'}")

    def _lose(self, words: str) -> None:
        """The cluster is gone."""
        if self.gone:
            return
        self.gone = words
        _log.error("%s", words)
        self.carrier.lose_all(words)
        while self._lobby:
            self._deliver([ended_outcome(one, Ending.RELEASED) for one in self._lobby.popleft()])
        self._news()
