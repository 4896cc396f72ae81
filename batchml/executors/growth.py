"""Workers for jobs that get more memory than they were submitted with: the others cannot run them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchml.errors import TrustError
from batchml.executors import spooled
from batchml.executors.submission import Submission, executor_of, launch, require_consent
from batchml.registry.backlog import adopt, orphaned
from batchml.registry.submissions import submit

if TYPE_CHECKING:
    from collections.abc import Collection

    from batchml.executors.consent import Consent
    from batchml.registry.store import Store

__all__ = ["serve_grown"]


def serve_grown(store: Store, consent: Consent, served: Collection[int]) -> tuple[Submission, ...]:
    """Start workers, as the jobs' own submission did, for each class that only jobs with grown memory wait in.

    Nothing is started for jobs whose modules this user has not trusted, nor for others that nobody serves: their
    workers have died or were stopped, which is for the user to know.

    Parameters
    ----------
    served
        Resource classes for which a scheduler will still start workers.
    """
    grown = [row for row in orphaned(store, served=lambda: served) if row.grown]
    try:
        if grown:
            require_consent(store, consent, "queued")
    except TrustError:
        return ()
    started = []
    for row in grown:
        how = executor_of(row.executor, row.settings)
        needs = spooled.served(store, how, row.body)
        number, _ = submit(store, [], needs, how.name, how.settings)
        queued = adopt(store, row.resource_id, number)
        started.append(launch(store, how, number, queued, needs, consent))
    return tuple(started)
