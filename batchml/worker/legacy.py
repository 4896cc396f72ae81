"""What dead workers of this machine left: results on its disk, and claims that they never started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchml.worker.ledger import give_back_unstarted
from batchml.worker.undelivered import ingest

if TYPE_CHECKING:
    from batchml.registry.store import Store

__all__ = ["Legacy", "take_over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Legacy:
    """What was taken over.

    Attributes
    ----------
    delivered
        Results that the workers could not deliver.
    unstarted
        Jobs that they had claimed and not started: queued again, no try, nothing to be suspected.
    """

    delivered: int = 0
    unstarted: int = 0


def take_over(store: Store, *, dry_run: bool = False) -> Legacy:
    """Deliver what dead workers of this machine could not, and give back what they had not started.

    To be called before workers are declared dead: what is left is charged to their deaths. Doing it twice does no harm.

    Parameters
    ----------
    dry_run
        Change nothing, only count.
    """
    return Legacy(delivered=ingest(store, dry_run=dry_run), unstarted=give_back_unstarted(store, dry_run=dry_run))
