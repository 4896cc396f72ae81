"""Iterations on a Dask cluster: a pool whose slots are the threads of Dask's workers, however many there are."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Ending
from batchml.errors import PoolError
from batchml.execution.sandbox.proc import readable
from batchml.worker.dask_feeder import Feeder
from batchml.worker.endings import ended_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from batchml.core.attempt import Assignment, Outcome
    from batchml.worker.dask_bundle import Setup
    from batchml.worker.dask_link import Link

__all__ = ["DaskPool"]

_BUNDLE_S = 0.05
"""Iterations of milliseconds go together, as one task of Dask's that takes about so long."""
_LARGEST = 64
_LEAST = 8
"""Bundles in flight even where nothing runs yet: from what waits an adaptive cluster sees that it has to grow."""
_MOST = 8192
_EXPERIMENTS = 4096


class DaskPool:
    """Run iterations in the sandboxes of Dask's workers (see `batchml.worker.pool.Pool`).

    In flight are twice as many bundles as there are threads: what waits is there when a thread gets free. Whatever
    Dask does with them, each attempt comes back once.

    Parameters
    ----------
    link
        Which cluster.
    setup
        What Dask's workers are told.
    unfit_s
        After so long without a fit Dask worker, where unfit ones have come, the cluster is of no use.
    """

    def __init__(self, link: Link, setup: Setup, *, unfit_s: float = 60.0) -> None:
        self._link = link
        self._setup = setup
        self._unfit_s = unfit_s
        self._held: dict[int, Assignment] = {}
        self._lobby: deque[Assignment] = deque()
        self._seconds: dict[int, float] = {}
        self._latest: int | None = None
        self._arrived: deque[Outcome] = deque()
        self._feeder: Feeder | None = None
        self._closed = False
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def open(self, give_up: Callable[[], bool] = lambda: False) -> None:
        """Connect; see `Feeder.open`."""
        self._feeder = Feeder(self._link, self._setup, self._deliver, self._wake, self._unfit_s)
        self._feeder.open(give_up)

    @property
    def environments(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Those of Dask's workers, by their hosts and addresses, as far as they are known."""
        return {} if self._feeder is None else self._feeder.places.environments.copy()

    @property
    def gone(self) -> str:
        """Why the cluster is of no use any more, "" as long as it is."""
        return "" if self._feeder is None else self._feeder.gone

    # -- the protocol --------------------------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """How many iterations run at once, at present; at least 1, for what is not there yet may come."""
        return max(1, 0 if self._feeder is None else self._feeder.places.slots)

    @property
    def solos(self) -> int:
        """How many suspects run at once, each with a Dask worker for itself: at least 1, as with slots."""
        return max(1, 0 if self._feeder is None else self._feeder.places.solos)

    @property
    def free(self) -> int:
        """How many more assignments can be taken: bounded, whatever waits in the registry."""
        if self._closed or self.gone:
            return 0
        size = self._size(self._latest)
        bundles = max(2 * self.slots, _LEAST, self._ahead(size))
        return max(0, min(bundles * size, _MOST) - len(self._held))

    @property
    def room(self) -> int:
        """As many."""
        return self.free

    def _ahead(self, size: int) -> int:
        """Return how many bundles it takes to have the wished time of work in flight."""
        seconds = self._seconds.get(self._latest, 1.0) if self._latest is not None else 1.0
        return int(self._link.ahead_s * self.slots / max(seconds * size, _BUNDLE_S))

    @property
    def running(self) -> Collection[int]:
        """Attempt ids that were submitted and have not come back."""
        return self._held.keys()

    def submit(self, assignment: Assignment) -> None:
        """Start an assignment. Raises RuntimeError if nothing is free."""
        if not self.free:
            raise RuntimeError("no slot is free")
        self._held[assignment.attempt_id] = assignment
        self._latest = assignment.experiment.id
        if assignment.expected_s is not None:
            self._seconds.setdefault(self._latest, assignment.expected_s)
        size = 1 if assignment.alone else self._size(self._latest)
        if assignment.alone or (self._lobby and self._lobby[-1].experiment.id != self._latest):
            self._flush()
        self._lobby.append(assignment)
        if len(self._lobby) >= size:
            self._flush()
        else:
            self._wake()  # `wait` sends what does not fill a bundle

    def fileno(self) -> int:
        """A descriptor that becomes readable when `wait(0)` may have news."""
        return self._read

    def wait(self, timeout: float) -> list[Outcome]:
        """Return what has ended, waiting at most `timeout` seconds for the first.

        Raises
        ------
        PoolError
            The cluster is gone; all that was submitted has been returned before.
        """
        self._flush()
        if timeout > 0 and not self._arrived:
            readable([self._read], timeout)
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 65536)
        done = self._take()
        if self.gone and not done and not self._held:
            raise PoolError(f"infrastructure: {self.gone}")
        return done

    def cancel(self, attempt_id: int, ending: Ending) -> None:
        """End one attempt; its outcome, with that ending, comes by `wait`. Unknown ids are ignored."""
        self._flush()
        if attempt_id in self._held and self._feeder is not None:
            self._feeder.end(attempt_id, ending)

    def recall(self) -> None:
        """Give back what has not begun."""
        self._flush()
        if self._feeder is not None:
            self._feeder.recall()

    def close(self) -> list[Outcome]:
        """End everything at once and leave the cluster; return the outcomes (`preempted`) of what ran."""
        if self._closed:
            return []
        self._closed = True
        if self._feeder is not None:
            self._feeder.close()
        done = self._take()
        done += [ended_outcome(assignment, Ending.PREEMPTED) for assignment in self._held.values()]
        self._held.clear()
        os.close(self._read)
        os.close(self._write)
        return done

    # -- bundles -------------------------------------------------------------------------------------------------

    def _size(self, experiment: int | None) -> int:
        """Return how many iterations of an experiment go together."""
        seconds = None if experiment is None else self._seconds.get(experiment)
        return 1 if seconds is None else max(1, min(_LARGEST, int(_BUNDLE_S / max(seconds, 1e-4))))

    def _flush(self) -> None:
        if self._lobby and self._feeder is not None:
            bundle = tuple(self._lobby)
            self._lobby.clear()
            self._feeder.put(bundle)

    def _take(self) -> list[Outcome]:
        done = []
        while self._arrived:
            outcome = self._arrived.popleft()
            assignment = self._held.pop(outcome.attempt_id, None)
            if assignment is None:  # it has come back before
                continue
            done.append(outcome)
            if outcome.ending is Ending.DONE and outcome.wall_s is not None:
                self._measure(assignment.experiment.id, outcome.wall_s)
        return done

    def _measure(self, experiment: int, seconds: float) -> None:
        if len(self._seconds) > _EXPERIMENTS:
            self._seconds.clear()
        # The last one decides, but an unusually short one does not make a bundle of hours.
        self._seconds[experiment] = max(seconds, self._seconds.get(experiment, 0.0) / 2)

    # -- called in the feeder's thread ---------------------------------------------------------------------------

    def _deliver(self, outcomes: Iterable[Outcome]) -> None:
        self._arrived.extend(outcomes)
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._write, b".")
