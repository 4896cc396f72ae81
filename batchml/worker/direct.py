"""The channel of workers that reach the database."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from batchml.errors import (
    NotARegistryError,
    PoisonedError,
    RegistryError,
    SchemaError,
    WorkerStoppedError,
)
from batchml.worker.channel import ChannelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchml.core.attempt import Assignment, Exchange, Outcome
    from batchml.registry.store import Store
    from batchml.worker.allocation import Allocation
    from batchml.worker.dask_start import ClusterProbe
    from batchml.worker.pool import Pool
    from batchml.worker.probe import Probe

__all__ = ["DirectChannel"]

_PATIENCE_S = 3.0
"""How long a worker that is leaving waits to know its environment."""

_log = logging.getLogger(__name__)
_FINAL = (PoisonedError, WorkerStoppedError, NotARegistryError, SchemaError)


class DirectChannel:
    """Exchange with the registry's database itself.

    Parameters
    ----------
    store
        Used by the worker's channel thread; the channel closes it.
    worker_id
        The worker's row, see `register_worker`.
    probe
        Finds out in which environment it runs; None where the registry shall not know.
    allocation
        Where it runs: jobs that would outlast it are left to others.
    pool
        Whose slots the registry is to know, should their number change; None if it does not.
    """

    def __init__(
        self,
        store: Store,
        worker_id: int,
        probe: Probe | ClusterProbe | None = None,
        allocation: Allocation | None = None,
        pool: Pool | None = None,
    ) -> None:
        self._store = store
        self._pool = pool
        self._slots = None if pool is None else pool.slots
        self._allocation = allocation
        self.worker_id = worker_id
        self._probe = probe

    def exchange(self, outcomes: Sequence[Outcome], released: Sequence[int], want: int) -> Exchange:
        """See `Channel.exchange`."""
        from batchml.registry.exchange import exchange

        with _outages():
            left = None if self._allocation is None else self._allocation.left_s
            self._note_slots()
            solos = 0 if self._pool is None else self._pool.solos
            answer = exchange(self._store, self.worker_id, outcomes, released, want, left_s=left, solos=solos)
        self._note_environment()  # by now jobs run, or are on their way
        return answer

    def open_attempts(self) -> Sequence[Assignment]:
        """See `Channel.open_attempts`."""
        from batchml.registry.exchange import open_attempts

        with _outages():
            return open_attempts(self._store, self.worker_id)

    def close(self, reason: str) -> None:
        """See `Channel.close`."""
        from batchml.registry.workers import stop_worker

        self._note_environment(_PATIENCE_S)
        if self._probe is not None:
            self._probe.close()
        try:
            stop_worker(self._store, self.worker_id, reason)
        except Exception as error:  # noqa: BLE001 - the registry will find out by itself that this process is gone
            _log.warning("could not take leave of the registry: %s", error)
        with contextlib.suppress(RegistryError):
            self._store.close()

    def _note_slots(self) -> None:
        """Tell the registry when the pool has grown or shrunk: claims are shared out by that."""
        from batchml.registry.workers import set_slots

        if self._pool is not None and self._pool.slots != self._slots:
            self._slots = self._pool.slots
            set_slots(self._store, self.worker_id, self._slots)

    def _note_environment(self, patience_s: float = 0.0) -> None:
        from batchml.registry.environments import put_environment

        for found, host, name in () if self._probe is None else self._probe.news(patience_s):
            try:
                put_environment(self._store, self.worker_id, found, host=host, name=name)
            except Exception as error:  # noqa: BLE001 - jobs matter more than where they ran
                _log.warning("the environment of this worker is not recorded: %s", error)


@contextlib.contextmanager
def _outages() -> Iterator[None]:
    """Turn a database that fails for now into a ChannelError; what will not pass by waiting stays what it is."""
    try:
        yield
    except _FINAL:
        raise
    except (RegistryError, OSError) as error:
        raise ChannelError(str(error)) from error
