"""Workers for jobs that get more memory than they were submitted with: the others cannot run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchml.errors import TrustError
from batchml.executors import spooled
from batchml.executors.retold import require_told, retold
from batchml.executors.submission import Submission, launch, require_consent
from batchml.registry.backlog import adopt, orphaned
from batchml.registry.submissions import submit

if TYPE_CHECKING:
    from collections.abc import Collection

    from batchml.executors.base import Executor
    from batchml.executors.consent import Consent
    from batchml.registry.store import Store

__all__ = ["serve_grown"]


def serve_grown(store: Store, consent: Consent, served: Collection[int]) -> tuple[Submission, ...]:
    """Start workers, as the jobs' own submission did, for each class that only jobs with grown memory wait in.

    Nothing is started for jobs whose modules or executor this user has not trusted, nor for others that nobody serves:
    their workers have died or were stopped, which is for the user to know.

    Parameters
    ----------
    served
        Resource classes for which a scheduler will still start workers.
    """
    grown = [row for row in orphaned(store, served=lambda: served) if row.grown]
    try:
        if grown:
            require_consent(store, consent, "queued")
        executors = [_executor(row, consent) for row in grown]
    except TrustError:
        return ()
    started = []
    for row, how in zip(grown, executors, strict=True):
        needs = spooled.served(store, how, row.body)
        number, _ = submit(store, [], needs, how.name, how.settings)
        queued = adopt(store, row.resource_id, number)
        started.append(launch(store, how, number, queued, needs, consent))
    return tuple(started)


def _executor(row: Any, consent: Consent) -> Executor:
    require_told(row.executor, {}, row.body, consent)
    return retold(row, {}, consent)
