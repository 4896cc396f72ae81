"""Within a Dask worker: the sandbox that runs what the supervisor sends, whatever becomes of the processes in it.

User code never runs in the Dask worker's own process, so a learner that crashes costs one job. A thread owns the
pool of slots; each of Dask's threads brings a bundle to it and waits. Processes are started without `multiprocessing`,
so that daemonic workers, those below a nanny, may have them.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import itertools
import logging
import os
import platform
import select
import socket
import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Ending
from batchml.worker.dask_bundle import Bundle, Reply, Setup, tables_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.core.attempt import Assignment, Outcome
    from batchml.worker.slots import SandboxPool

__all__ = ["environment", "examine", "run_bundle", "store_piece", "versions"]

_IDLE_S = 60.0
"""After so long without work the processes go; the next bundle starts others."""
_LOOK_S = 0.25
"""How often a thread looks whether Dask still wants what runs."""
_CLOSING = frozenset({"closing", "closed", "failed"})
_log = logging.getLogger(__name__)


def versions() -> dict[str, str]:
    """Return what must have the same version in the supervisor and in Dask's workers: of Python, the minor one."""
    return {"python": ".".join(platform.python_version_tuple()[:2]), "batchml": importlib.metadata.version("batchml")}


# What Dask calls -----------------------------------------------------------------------------------------------------


def run_bundle(content: bytes) -> bytes:
    """Run a bundle's iterations and return a `Reply`: a task of Dask's."""
    from distributed import get_worker

    worker = get_worker()
    bundle = Bundle.decode(content)
    host = _host(worker, bundle.setup)
    if not host.keeps_copies and host.missing(bundle):
        # There is a folder of that name, but it is another one.
        _blind.add((worker.id, bundle.setup))
        host = _host(worker, bundle.setup)
    return host.run(bundle, worker.get_current_task()).encode()


async def examine(setup: str, dask_worker: Any) -> dict[str, Any]:
    """Start what iterations need and return whether they can run here, and in which environment."""
    import asyncio

    host = _host(dask_worker, setup)
    unfit = await asyncio.get_running_loop().run_in_executor(None, host.verdict)
    return {"host": socket.gethostname(), "unfit": unfit}


async def environment(folders: list[str]) -> dict[str, Any] | None:
    """Return what results depend on here, see `batchml.execution.environment`."""
    import asyncio

    from batchml.worker.probe import Probe

    probe = Probe(folders)
    probe.look()
    return await asyncio.get_running_loop().run_in_executor(None, probe.look, 60.0)


def store_piece(setup: str, name: tuple[str, str], begin: int, content: bytes, total: int, dask_worker: Any) -> None:
    """Write a piece of a file of the artifacts to this Dask worker's own disk; the last one gives it its name."""
    _host(dask_worker, setup).store(*name, begin, content, total)


# The sandbox ---------------------------------------------------------------------------------------------------------

_hosts: dict[tuple[str, str], Host] = {}
_blind: set[tuple[str, str]] = set()
_lock = threading.Lock()


def _host(worker: Any, setup: str) -> Host:
    """Return the sandbox of a Dask worker for a setup; several workers may live in one process."""
    with _lock:
        blind = (worker.id, setup) in _blind
        host = _hosts.get((worker.id, setup))
        if host is None or host.stale or (blind and not host.keeps_copies):
            host = _hosts[worker.id, setup] = Host(worker, setup, blind=blind)
        host.touched = time.monotonic()
        return host


class _Run:
    """A bundle that runs: what is open, what has ended, and Dask's word for it."""

    def __init__(self, bundle: Bundle, key: str) -> None:
        self.bundle = bundle
        self.key = key
        self.open = len(bundle.assignments)
        self.outcomes: list[Outcome] = []
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
    keeps_copies
        Tables are on this worker's own disk, to which they have to be sent.
    """

    def __init__(self, worker: Any, text: str, *, blind: bool) -> None:
        self.setup = Setup.from_text(text)
        self.touched = self._born = time.monotonic()
        self._left = False
        self._worker = worker
        self._name = (worker.id, text)
        self._unfit: str | None = None
        self._judged = threading.Event()
        self._arrivals: deque[_Run] = deque()
        self._waiting: deque[tuple[_Run, Assignment]] = deque()
        self._running: dict[int, tuple[_Run, Assignment]] = {}
        self._serials = itertools.count(1)
        self._looked = 0.0
        self._seen: set[str] = set()
        self._artifacts, self.keeps_copies = self._find_artifacts(blind=blind)
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        threading.Thread(target=self._work, name="batchml-sandbox", daemon=True).start()

    def _find_artifacts(self, *, blind: bool) -> tuple[str, bool]:
        """Return where tables are read here: the supervisor's folder if it is seen, else one for copies."""
        from batchml.data.artifacts import artifact_folder
        from batchml.errors import ArtifactError

        with contextlib.suppress(ArtifactError):
            if not blind:
                artifact_folder(self.setup.artifacts).check()
                return self.setup.artifacts, False
        copies = Path(self._worker.local_directory) / f"batchml-{self.setup.registry}"
        copies.mkdir(parents=True, exist_ok=True, mode=0o700)
        return str(copies), True

    # -- called by Dask's threads --------------------------------------------------------------------------------

    @property
    def stale(self) -> bool:
        """Whether another one has to be started: it has left, or what was amiss may have been mended since."""
        return self._left and (not self._unfit or time.monotonic() - self._born > _IDLE_S)

    def verdict(self) -> str:
        """Wait until it is known whether iterations can run here; return why not, "" if they can."""
        self._judged.wait()
        return self._unfit or ""

    def run(self, bundle: Bundle, key: str) -> Reply:
        """Run a bundle; returns when it has ended, or when Dask does not want it any more."""
        address = self._worker.address
        if self.keeps_copies and (missing := self.missing(bundle)):
            return Reply(worker=address, missing=missing)
        if unfit := self.verdict():
            return Reply(worker=address, unfit=unfit)
        run = _Run(bundle, key)
        self._arrivals.append(run)
        self._wake()
        while not run.over.wait(1.0) and not self._left:
            pass
        return Reply(worker=address, outcomes=run.outcomes)

    def missing(self, bundle: Bundle) -> tuple[str, ...]:
        """Return the tables of a bundle that are not where they would be read."""
        from batchml.data.artifacts import artifact_folder

        folder = artifact_folder(self._artifacts)
        tables = [
            digest for digest in tables_of(one.experiment for one in bundle.assignments) if digest not in self._seen
        ]
        missing = tuple(digest for digest in tables if not folder.has("table", digest))
        self._seen.update(set(tables).difference(missing))
        return missing

    def store(self, kind: str, digest: str, begin: int, content: bytes, total: int) -> None:
        """Add a piece to a file. That it is whole, and what its name says, is verified when it is first mapped."""
        from batchml.data.artifacts import ArtifactFolder

        path = ArtifactFolder(self._artifacts).path(kind, digest)
        if not self.keeps_copies or path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        with aside.open("r+b" if begin else "wb") as file:
            file.seek(begin)
            file.write(content)
            file.flush()
        if begin + len(content) == total:
            aside.rename(path)

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
        """Start the slots, and try the imports meanwhile."""
        from batchml.core.trust import Trust
        from batchml.data.snapshots import check_snapshots
        from batchml.errors import BatchmlError
        from batchml.worker.fitness import Trial
        from batchml.worker.slots import SandboxPool

        setup = self.setup
        trial = None
        try:
            if words := _differences(setup.versions):
                self._unfit = self._words(words)
                return None
            trial = Trial(setup.trust, setup.paths)
            check_snapshots(setup.paths)
            slots, devices = self._places()
            trust = Trust.default().with_modules(setup.trust)
            pool = SandboxPool(
                slots,
                self._artifacts,
                trust,
                setup.paths,
                memory_mb=setup.memory_mb,
                timeout_s=setup.timeout_s,
                devices=devices,
            )
            try:
                trial.require()
            except BatchmlError:
                pool.close()
                raise
        except BatchmlError as error:
            self._unfit = self._words(str(error))
            return None
        finally:
            if trial is not None:
                trial.close()
        self._judged.set()
        return pool

    def _words(self, cause: str) -> str:
        """Return why nothing can run here, naming host and Dask worker."""
        where = f"{socket.gethostname()} ({self._worker.address})"
        return f"infrastructure: {where}: {cause.removeprefix(f'infrastructure: {socket.gethostname()}: ')}"

    def _places(self) -> tuple[int, Any]:
        """Return how many iterations run at once, and which devices each sees, if this worker has been given any."""
        from batchml.worker.places import DEVICES, places

        cpus = int(self.setup.needs.get("cpus") or 1)
        slots = max(1, int(self._worker.state.nthreads) // cpus)
        if self.setup.needs.get("gpus") and os.environ.get(DEVICES):
            return places(slots, self.setup.needs)
        return slots, ()

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
            while self._waiting and pool.room:
                self._begin(pool, *self._waiting.popleft())
            if self._may_leave():
                return

    def _begin(self, pool: SandboxPool, run: _Run, assignment: Assignment) -> None:
        if run.abandoned:
            run.end(_ended(assignment, Ending.RELEASED))
            return
        if not run.announced:
            # Before the first of them begins: should this process not outlive it, the supervisor knows whom to suspect.
            run.announced = True
            told = {"key": str(run.key), "worker": self._worker.address}
            self._worker.log_event(run.bundle.topic, told)
        serial = next(self._serials)  # Dask may run the same attempt again while the first run is being ended
        self._running[serial] = (run, assignment)
        pool.submit(replace(assignment, attempt_id=serial))

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
        closing = self._worker.status.name in _CLOSING
        for run in {id(run): run for run, _ in (*self._running.values(), *self._waiting)}.values():
            task = self._worker.state.tasks.get(run.key)
            run.abandoned |= closing or task is None or task.state not in {"executing", "long-running"}
        for serial, (run, _) in self._running.items():
            if run.abandoned:
                pool.cancel(serial, Ending.PREEMPTED)
        for run, assignment in [entry for entry in self._waiting if entry[0].abandoned]:
            self._waiting.remove((run, assignment))
            run.end(_ended(assignment, Ending.RELEASED))

    def _may_leave(self) -> bool:
        if self._running or self._waiting or self._arrivals:
            return False
        gone = self._worker.status.name in _CLOSING
        if not gone and time.monotonic() - self.touched < _IDLE_S:
            return False
        with _lock:
            if self._arrivals or (not gone and time.monotonic() - self.touched < _IDLE_S):
                return False
            self._left = True
            return True

    def _leave(self, pool: SandboxPool | None) -> None:
        with _lock:
            self._left = True
            if self._unfit is None and _hosts.get(self._name) is self:
                del _hosts[self._name]
        self._judged.set()
        if pool is not None:
            self._collect(pool.close())
        while self._arrivals or self._waiting:
            runs = [(run, one) for run in self._arrivals for one in run.bundle.assignments]
            self._arrivals.clear()
            for run, assignment in (*self._waiting, *runs):
                run.end(_ended(assignment, Ending.RELEASED))
            self._waiting.clear()


def _ended(assignment: Assignment, ending: Ending) -> Outcome:
    from batchml.worker.endings import ended_outcome

    return ended_outcome(assignment, ending)


def _differences(wanted: Mapping[str, str]) -> str:
    found = versions()
    differ = [name for name in wanted if found.get(name) != wanted[name]]
    return "; ".join(
        f"{name} is {found.get(name)} there and {wanted[name]} for the supervisor: install the same" for name in differ
    )
