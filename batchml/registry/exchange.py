"""The one call between a worker and the registry: deliver, release, beat and claim, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import exc

from batchml.core.attempt import Assignment, Exchange, Order, Outcome
from batchml.data.models import mark_model, put_model
from batchml.errors import ArtifactError, PoisonedError, WorkerStoppedError
from batchml.registry import queries
from batchml.registry.claim import Post, claim, read_open
from batchml.registry.close import StoredModel, close_outcomes, locked, release
from batchml.registry.dialects import own_seconds
from batchml.registry.ranking import rerank, watch
from batchml.registry.trips import by_index, once, together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from batchml.registry.store import Store

__all__ = ["PoisonedError", "close_checked", "deliver_late", "exchange", "open_attempts", "store_models"]


def exchange(
    store: Store,
    worker_id: int,
    outcomes: Sequence[Outcome],
    released: Sequence[int],
    want: int,
    *,
    left_s: float | None = None,
    solos: int = 0,
) -> Exchange:
    """Deliver outcomes, give attempts back unstarted, renew the lease and claim up to `want` jobs, in one transaction.

    With `left_s` seconds of its walltime left the worker gets no job that is expected to take longer. A worker that can
    run so many suspects apart from all others (`solos`) gets them beside others, too.

    Raises
    ------
    PoisonedError
        An outcome cannot be stored; nothing was committed. Deliver it alone to find it.
    WorkerStoppedError
        The worker is unknown or has said that it stopped.
    RegistryError
        The database failed; the transaction may or may not have been committed.
    """
    models = store_models(store, outcomes)
    with store.write() as connection:
        order, now, held = _beat(connection, worker_id, [outcome.attempt_id for outcome in outcomes])
        lost = close_checked(connection, worker_id, outcomes, models, held)
        release(connection, worker_id, released)
        rerank(store, connection, outcomes, released)
        post = _post(store, connection, worker_id, now, left_s, solos)
        claimed = claim(store, connection, post, want if order is Order.GO_ON else 0)
    watch(store, claimed.assignments)
    return Exchange(
        assignments=claimed.assignments,
        lost=lost,
        order=order,
        cancel=claimed.cancel,
        waiting=claimed.waiting,
        next_s=claimed.next_s,
    )


def deliver_late(store: Store, worker_id: int, outcomes: Sequence[Outcome]) -> tuple[int, ...]:
    """Deliver what a worker that is gone left on its disk, without a beat; return the attempts that were refused.

    Raises
    ------
    PoisonedError, RegistryError
        As in `exchange`.
    """
    models = store_models(store, outcomes)
    with store.write() as connection:
        return close_checked(connection, worker_id, outcomes, models)


def open_attempts(store: Store, worker_id: int) -> tuple[Assignment, ...]:
    """Return the attempts of a worker that the registry holds open."""
    with store.read() as connection:
        revision = connection.execute(queries.revision()).scalar_one()
        return read_open(store, connection, worker_id, revision)


def close_checked(
    connection: Connection,
    worker_id: int,
    outcomes: Sequence[Outcome],
    models: Mapping[int, StoredModel],
    held: Sequence[Any] | None = None,
) -> tuple[int, ...]:
    """Close attempts; what the database refuses is told from a database that fails."""
    try:
        return close_outcomes(connection, worker_id, outcomes, models, held)
    except (exc.DataError, exc.IntegrityError, exc.InterfaceError, exc.ProgrammingError) as error:
        if error.connection_invalidated:
            raise
        raise PoisonedError(f"the database refused an outcome: {error.orig}") from None
    except (UnicodeError, OverflowError, ValueError, TypeError) as error:
        raise PoisonedError(f"an outcome cannot be stored: {error}") from None


def _beat(connection: Connection, worker_id: int, attempts: Sequence[int]) -> tuple[Order, float, Sequence[Any]]:
    """Renew the lease; return what the worker is asked to do, the moment by the clock of leases, and rows of
    `read_locked`.
    """
    beat = once(queries.beat(), worker=worker_id, beat=own_seconds(connection))
    _, found, *read = together(connection, by_index(), beat, *(locked(attempts) if attempts else ()))
    if not found.rows:
        raise WorkerStoppedError(f"worker {worker_id} is unknown here or has said that it stopped; start another")
    wanted, now_s = found.rows[0]
    return Order(wanted), now_s, read[1].rows if read else ()


def _post(store: Store, connection: Connection, worker_id: int, now_s: float, left_s: float | None, solos: int) -> Post:
    key = ("post", worker_id)
    if key not in store.memo:
        store.memo[key] = tuple(connection.execute(queries.post(), {"worker": worker_id}).one())
    resource_id, slots = store.memo[key]
    return Post(worker_id=worker_id, resource_id=resource_id, slots=slots, now_s=now_s, left_s=left_s, solos=solos)


def store_models(store: Store, outcomes: Sequence[Outcome]) -> dict[int, StoredModel]:
    """Put models beside the registry, before the transaction that names them; return names and marks by attempt."""
    stored: dict[int, StoredModel] = {}
    for outcome in outcomes:
        data = None if outcome.result is None else outcome.result.model
        if data is not None:
            try:
                name = put_model(store.artifacts, data)
            except ArtifactError as error:
                raise PoisonedError(f"the model of attempt {outcome.attempt_id} cannot be stored: {error}") from None
            stored[outcome.attempt_id] = name, mark_model(store.uuid, outcome.job_id, data)
    return stored
