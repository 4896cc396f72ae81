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

__all__ = ["BlamelessLedger", "ClusterProbe", "merged", "start_dask"]


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
    from batchml.worker.dask_host import versions

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
        self._seen = 0

    def look(self, patience_s: float = 0.0) -> dict[str, Any] | None:  # noqa: ARG002 - part of the seam
        """Return what is known if it is more than the last time."""
        known = self._pool.environments
        if len(known) == self._seen:
            return None
        self._seen = len(known)
        return merged(known)

    def close(self) -> None:
        """There is nothing to close."""


def merged(environments: list[dict[str, Any]]) -> dict[str, Any]:
    """Return several environments as one: where they differ it names all that there are.

    Examples
    --------
    >>> merged([{"python": "3.11", "packages": {"numpy": "2.4"}}, {"python": "3.11", "packages": {"numpy": "2.5"}}])
    {'python': '3.11', 'packages': {'numpy': '2.4 | 2.5'}}
    """
    names = dict.fromkeys(name for one in environments for name in one)
    return {name: _merged([one.get(name) for one in environments]) for name in names}


def _merged(values: list[Any]) -> Any:
    first = values[0]
    if all(value == first for value in values):
        return first
    if all(isinstance(value, dict) for value in values):
        return merged(values)
    if all(isinstance(value, list) for value in values):
        every = [one for value in values for one in value]
        return [one for place, one in enumerate(every) if one not in every[:place]]
    return " | ".join(dict.fromkeys("none" if value is None else str(value) for value in values))
