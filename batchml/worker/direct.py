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

__all__ = ["DirectChannel"]

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
    """

    def __init__(self, store: Store, worker_id: int) -> None:
        self._store = store
        self.worker_id = worker_id

    def exchange(self, outcomes: Sequence[Outcome], released: Sequence[int], want: int) -> Exchange:
        """See `Channel.exchange`."""
        from batchml.registry.exchange import exchange

        with _outages():
            return exchange(self._store, self.worker_id, outcomes, released, want)

    def open_attempts(self) -> Sequence[Assignment]:
        """See `Channel.open_attempts`."""
        from batchml.registry.exchange import open_attempts

        with _outages():
            return open_attempts(self._store, self.worker_id)

    def close(self, reason: str) -> None:
        """See `Channel.close`."""
        from batchml.registry.workers import stop_worker

        try:
            stop_worker(self._store, self.worker_id, reason)
        except Exception as error:  # noqa: BLE001 - the registry will find out by itself that this process is gone
            _log.warning("could not take leave of the registry: %s", error)
        with contextlib.suppress(RegistryError):
            self._store.close()


@contextlib.contextmanager
def _outages() -> Iterator[None]:
    """Turn a database that fails for now into a ChannelError; what will not pass by waiting stays what it is."""
    try:
        yield
    except _FINAL:
        raise
    except (RegistryError, OSError) as error:
        raise ChannelError(str(error)) from error
