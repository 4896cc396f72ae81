"""The part of `Registry` that speaks with workers without a database: it takes in what they did, and tells them what to
do.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from batchml.study.reading import Reading

if TYPE_CHECKING:
    from batchml.core.attempt import Order
    from batchml.core.trust import Trust
    from batchml.executors.slurm_watch import SlurmWatch
    from batchml.reduce.sync import Synced
    from batchml.registry.store import Store

__all__ = ["Syncing"]

_SYNC_S = 0.5


class Syncing(Reading):
    """What looks first takes in what is new, if the registry was not opened for reading only."""

    def __init__(self, store: Store, trust: Trust | None = None) -> None:
        super().__init__(store, trust)
        self._sync_due = 0.0
        self._slurm: SlurmWatch | None = None

    def sync(self) -> Synced:
        """Take in what workers without a database have left in their folders, and return what came.

        `wait`, `resume`, `reduce` and whatever shows jobs do it, too. Any number of processes may do it at once.
        """
        from batchml.reduce.sync import sync

        return sync(self._store, self._watch().evidence)

    def _fresh(self) -> Store:
        """Return the store after what workers without a database have left was taken in."""
        self._sync_now_and_then()
        return self._store

    @property
    def spooled(self) -> bool:
        """Whether there are workers without a database, so that what is known here may be old."""
        from batchml.registry.spool import spools

        return bool(spools(self._store))

    def _sync_now_and_then(self) -> None:
        from batchml.reduce.sync import sync

        now = time.monotonic()
        if not self._store.readonly and now >= self._sync_due:
            sync(self._store, thorough=False, bury=False)
            self._sync_due = time.monotonic() + _SYNC_S

    def _sync_changes(self) -> Synced:
        """Have changes of jobs reach workers without a database."""
        from batchml.reduce.sync import sync

        return sync(self._store, bury=False)

    def _tell_spools(self, everybody: Order | None) -> None:
        """Write down what workers without a database are to do, also for those that were not heard of yet."""
        from batchml.worker.spool_plan import spools_of

        for each in spools_of(self._store):
            if everybody is not None:
                each.tell_everybody(everybody)
            each.tell()

    def _watch(self) -> SlurmWatch:
        if self._slurm is None:
            from batchml.executors.slurm_watch import SlurmWatch

            self._slurm = SlurmWatch(self._store)
        return self._slurm
