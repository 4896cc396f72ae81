"""A worker whose iterations run on a Dask cluster: its pool, its environment, and what its death is charged to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Order
from batchml.worker.ledger import LocalLedger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.core.resources import Resources
    from batchml.registry.store import Store
    from batchml.worker.dask import DaskPool
    from batchml.worker.dask_link import Link
    from batchml.worker.signals import StopSource

__all__ = ["BlamelessLedger", "ClusterProbe", "start_dask"]


def start_dask(
    store: Store,
    link: Link,
    resources: Resources,
    *,
    paths: tuple[str, ...],
    trust: tuple[str, ...],
    needs: Mapping[str, Any],
    stop: StopSource,
) -> DaskPool:
    """Connect to the cluster and see that one of its workers, if there are any, is fit for the work.

    Raises
    ------
    UnfitError
        None is: names hosts and causes.
    ConfigError
        No scheduler answers.
    """
    from batchml.worker.dask import DaskPool
    from batchml.worker.dask_bundle import Setup
    from batchml.worker.dask_calls import versions

    setup = Setup(
        registry=store.uuid,
        artifacts=str(store.artifact_path),
        trust=trust,
        paths=paths,
        needs=dict(needs),
        memory_mb=resources.memory_mb,
        timeout_s=resources.timeout_s,
        versions=versions(),
    )
    pool = DaskPool(link, setup)
    try:
        pool.open(lambda: stop.order is not Order.GO_ON)
    except BaseException:
        pool.close()
        raise
    return pool


class BlamelessLedger(LocalLedger):
    """Nothing that this worker starts runs on its machine, so none of it can have killed the worker."""

    def start(self, attempt_id: int) -> None:
        """Leave it out: should the worker die, the job is queued again without suspicion."""


class ClusterProbe:
    """The environments of Dask's workers, as they become known: the supervisor's own matters to no result."""

    def __init__(self, pool: DaskPool) -> None:
        self._pool = pool
        self._told: set[tuple[str, str]] = set()

    def news(self, patience_s: float = 0.0) -> list[tuple[dict[str, Any], str, str]]:  # noqa: ARG002 - part of the seam
        """Return environments that were not known the last time, each with host and address of the Dask worker."""
        fresh = {where: found for where, found in self._pool.environments.items() if where not in self._told}
        self._told.update(fresh)
        return [(found, *where) for where, found in fresh.items()]

    def close(self) -> None:
        """There is nothing to close."""
