"""Within a Dask worker: the sandbox that runs what the supervisor sends, whatever becomes of the processes in it.

User code never runs in the Dask worker's own process, so a learner that crashes costs one job. A thread owns the
pool of slots; each of Dask's threads brings a bundle to it and waits. Processes are started without `multiprocessing`,
so that daemonic workers, those below a nanny, may have them.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import select
import socket
import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Ending
from batchml.worker.dask_bundle import Reply, Setup
from batchml.worker.dask_door import DOOR
from batchml.worker.dask_slots import start_slots
from batchml.worker.dask_tables import Tables
from batchml.worker.endings import ended_outcome

if TYPE_CHECKING:
    from batchml.core.attempt import Assignment, Outcome
    from batchml.worker.dask_bundle import Bundle
    from batchml.worker.slots import SandboxPool

__all__ = ["Host"]

_IDLE_S = 60.0
"""After so long without work the processes go; the next bundle starts others."""
_LOOK_S = 0.25
"""How often a thread looks whether Dask still wants what runs."""
_CLOSING = frozenset({"closing", "closed", "failed"})
_log = logging.getLogger(__name__)


class _Run:
    """A bundle that runs: what is open, what has ended, Dask's word for it, and whether all know that it begins."""

    def __init__(self, bundle: Bundle, key: str) -> None:
        self.bundle = bundle
        self.key = key
        self.alone = any(one.alone for one in bundle.assignments)
        self.open = len(bundle.assignments)
        self.outcomes: list[Outcome] = []
        self.announcing = False
        self.announced = False
        self.abandoned = False
        self.over = threading.Event()

    def end(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.open -= 1
        if not self.open:
            self.over.set()


class Host:
    """A pool of slots and the thread that owns it, which lives as long as they do: they would die with it.

    Parameters
    ----------
    worker
        The Dask worker.
    text
        See `Setup.as_text`.
    blind
        It is known that the supervisor's artifacts are not seen here.

    Attributes
    ----------
    tables
        The data of tasks.
    """

    def __init__(self, worker: Any, text: str, *, blind: bool) -> None:
        self._setup = Setup.from_text(text)
        self._lock = threading.Lock()
        self._touched = self._born = time.monotonic()
        self._left = False
        self._worker = worker
        self._unfit: str | None = None
        self._judged = threading.Event()
        self._arrivals: deque[_Run] = deque()
        self._waiting: deque[tuple[_Run, Assignment]] = deque()
        self._running: dict[int, tuple[_Run, Assignment]] = {}
        self._serials = itertools.count(1)
        self._looked = 0.0
        self.tables = Tables(self._setup, worker.local_directory, blind=blind)
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        threading.Thread(target=self._work, name="batchml-sandbox", daemon=True).start()

    # -- called by Dask's threads --------------------------------------------------------------------------------

    def touch(self) -> bool:
        """Stay for another while; return whether another one has to be started instead.

        This one has left, or what was amiss may have been mended since.
        """
        with self._lock:
            self._touched = time.monotonic()
            return self._left and (not self._unfit or self._touched - self._born > _IDLE_S)

    def verdict(self) -> str:
        """Wait until it is known whether iterations can run here; return why not, "" if they can."""
        self._judged.wait()
        return self._unfit or ""

    def run(self, bundle: Bundle, key: str) -> Reply:
        """Run a bundle; returns when it has ended, or when Dask does not want it any more."""
        where = {"worker": self._worker.address, "host": socket.gethostname()}
        if self.tables.are_copies and (missing := self.tables.missing(bundle)):
            return Reply(**where, missing=missing)
        if unfit := self.verdict():
            return Reply(**where, unfit=unfit)
        run = _Run(bundle, key)
        if not DOOR.enter(run, alone=run.alone):
            return Reply(**where, busy=True)
        try:
            self._arrivals.append(run)
            self._wake()
            while not run.over.wait(1.0) and not self._left:
                pass
        finally:
            DOOR.leave(run)
            self._wake()
        return Reply(**where, outcomes=run.outcomes)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b".")

    # -- the thread ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        pool = None
        try:
            pool = self._start()
            if pool is not None:
                self._serve(pool)
        except BaseException as error:  # noqa: BLE001 - whoever waits for it has to be told
            self._unfit = self._words(f"the sandbox failed: {type(error).__name__}: {error}")
            _log.exception("the sandbox of batchml failed")
        finally:
            self._leave(pool)

    def _start(self) -> SandboxPool | None:
        from batchml.errors import BatchmlError

        try:
            pool = start_slots(self._setup, self.tables.folder, int(self._worker.state.nthreads))
        except BatchmlError as error:
            self._unfit = self._words(str(error))
            return None
        self._judged.set()
        return pool

    def _words(self, cause: str) -> str:
        """Return why nothing can run here, naming host and Dask worker."""
        where = f"{socket.gethostname()} ({self._worker.address})"
        return f"{where}: {cause.removeprefix(f'infrastructure: {socket.gethostname()}: ')}"

    def _serve(self, pool: SandboxPool) -> None:
        poll = select.poll()
        poll.register(pool.fileno(), select.POLLIN)
        poll.register(self._read, select.POLLIN)
        while True:
            busy = bool(self._running or self._waiting)
            poll.poll((_LOOK_S if busy else 1.0) * 1000)
            with contextlib.suppress(BlockingIOError):
                os.read(self._read, 4096)
            while self._arrivals:
                run = self._arrivals.popleft()
                self._waiting.extend((run, assignment) for assignment in run.bundle.assignments)
            self._collect(pool.wait(0))
            self._drop_unwanted(pool)
            while pool.room and (found := self._next()) is not None:
                self._begin(pool, *found)
            self._announce_next(pool.room)
            if self._may_leave():
                return

    def _next(self) -> tuple[_Run, Assignment] | None:
        """Take the first that may begin."""
        for place, (run, assignment) in enumerate(self._waiting):
            if run.abandoned or run.announced:
                del self._waiting[place]
                return run, assignment
        return None

    def _begin(self, pool: SandboxPool, run: _Run, assignment: Assignment) -> None:
        if run.abandoned:
            run.end(ended_outcome(assignment, Ending.RELEASED))
            return
        serial = next(self._serials)  # Dask may run the same attempt again while the first run is being ended
        self._running[serial] = (run, assignment)
        pool.submit(replace(assignment, attempt_id=serial))

    def _announce_next(self, room: int) -> None:
        """Announce bundles for which there is room; a suspect waits until nothing else is in this process."""
        runs = list(dict.fromkeys(run for run, _ in self._waiting))
        room -= sum(run.announcing for run in runs)
        for run in [run for run in runs if not run.announcing and DOOR.is_ready(run)][: max(0, room)]:
            run.announcing = True
            self._worker.loop.add_callback(self._announce, run)

    async def _announce(self, run: _Run) -> None:
        """Have it known where a bundle begins, and that it begins nowhere else: nothing of it begins before.

        Should it kill this process, the supervisor knows whom to suspect, and Dask, which runs again at once what
        was lost, does not let it kill the next Dask worker, too. The first comes first: else nobody would cancel it.
        """
        scheduler, address = self._worker.scheduler, self._worker.address
        try:
            await scheduler.log_event(topic=run.bundle.topic, msg={"key": str(run.key), "worker": address})
            run.abandoned |= self._is_unwanted(run)
            if not run.abandoned:
                await scheduler.set_restrictions(worker={run.key: [address]})
        except Exception as error:  # noqa: BLE001 - the scheduler has just forgotten it, or is gone: not wanted soon
            _log.debug("could not announce %s: %s", run.key, error)
        finally:  # whatever became of it: nothing waits for ever
            run.announced = True
            self._wake()

    def _collect(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            run, assignment = self._running.pop(outcome.attempt_id)
            run.end(replace(outcome, attempt_id=assignment.attempt_id))

    def _drop_unwanted(self, pool: SandboxPool) -> None:
        """End what was cancelled, or whose supervisor is gone: Dask cannot stop threads, but it forgets their tasks."""
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        for run in {id(run): run for run, _ in (*self._running.values(), *self._waiting)}.values():
            run.abandoned |= self._is_unwanted(run)
        for serial, (run, _) in self._running.items():
            if run.abandoned:
                pool.cancel(serial, Ending.PREEMPTED)
        for run, assignment in [entry for entry in self._waiting if entry[0].abandoned]:
            self._waiting.remove((run, assignment))
            run.end(ended_outcome(assignment, Ending.RELEASED))

    def _is_unwanted(self, run: _Run) -> bool:
        task = self._worker.state.tasks.get(run.key)
        closing = self._worker.status.name in _CLOSING
        return closing or task is None or task.state not in {"executing", "long-running"}

    def _may_leave(self) -> bool:
        if self._running or self._waiting or self._arrivals:
            return False
        with self._lock:
            idle = time.monotonic() - self._touched
            if self._arrivals or (idle < _IDLE_S and self._worker.status.name not in _CLOSING):
                return False
            self._left = True
            return True

    def _leave(self, pool: SandboxPool | None) -> None:
        with self._lock:
            self._left = True
        self._judged.set()
        if pool is not None:
            self._collect(pool.close())
        while self._arrivals or self._waiting:
            runs = [(run, one) for run in self._arrivals for one in run.bundle.assignments]
            self._arrivals.clear()
            for run, assignment in (*self._waiting, *runs):
                run.end(ended_outcome(assignment, Ending.RELEASED))
            self._waiting.clear()
