"""Taking in what workers without a database have left in their folders; see `batchml.worker.spool_folder`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchml.registry.rescue import reconcile
from batchml.worker.spool_plan import Spool, Synced, spools_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchml.registry.rescue import Evidence
    from batchml.registry.store import Store

__all__ = ["Synced", "last_words", "sync"]


def sync(store: Store, evidence: Evidence | None = None, *, thorough: bool = True, bury: bool = True) -> Synced:
    """Take in what came, give what dead workers had not begun to others, and write down what workers are asked to do.

    Any number of processes may do it at once, and any may die of it: doing it again does the rest.

    Parameters
    ----------
    evidence
        A scheduler's word on a worker.
    thorough
        Also see whether bundles that nobody has claimed are still to be run as they were written down.
    bury
        Look for dead workers.
    """
    spools = spools_of(store)
    if not spools:
        return Synced()
    delivered = sum(each.ingest() for each in spools)
    if bury:
        reconcile(store, evidence=evidence, before=last_words(store))
    return sum((each.refresh(thorough=thorough) for each in spools), Synced(delivered=delivered))


def last_words(store: Store) -> Callable[[Any], None]:
    """Return what is to be done before a worker is declared dead: what it wrote until its end is taken in."""
    spools: list[Spool] = []

    def read(row: Any) -> None:
        if row.segment is None:
            return
        spools.extend(() if spools else spools_of(store))
        for each in spools:
            if (each.folder.segments / row.segment).exists():
                each.ingest(row.segment)

    return read
