"""Where attempts run that are not on their worker's own machine: the workers of a Dask cluster."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Executable, bindparam, case, func, select, update

from batchml.registry.dialects import among, insert_new
from batchml.registry.tables import attempt, place, worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from batchml.core.attempt import Outcome

__all__ = ["ENVIRONMENT", "HOST", "note_places", "put_place"]

HOST = func.coalesce(place.c.host, worker.c.host).label("host")
"""The machine of an attempt, in a statement that joins its worker and, outer, its place."""

ENVIRONMENT = case((place.c.id.is_(None), worker.c.environment_id), else_=place.c.environment_id)
"""The environment of an attempt: that of its place, even where it is not known, rather than that of its worker."""


def note_places(connection: Connection, worker_id: int, outcomes: Sequence[Outcome]) -> None:
    """Say of attempts where they ran, if not where their worker is."""
    found: dict[tuple[str, str], list[int]] = {}
    for outcome in outcomes:
        if outcome.place:
            found.setdefault((outcome.host, outcome.place), []).append(outcome.attempt_id)
    for (host, name), attempts in found.items():
        put_place(connection, worker_id, host=host, name=name)
        connection.execute(_set_place(), {"ids": attempts, "which": worker_id, "there": name})


def put_place(connection: Connection, worker_id: int, *, host: str, name: str) -> None:
    """Add a place of a worker unless it is there."""
    connection.execute(insert_new(connection.dialect, place), {"worker_id": worker_id, "host": host, "name": name})


@cache
def _set_place() -> Executable:
    """Say that the attempts `ids` of worker `which` ran `there`."""
    this = select(place.c.id).where(place.c.worker_id == bindparam("which"), place.c.name == bindparam("there"))
    return update(attempt).where(among(attempt.c.id)).values(place_id=this.scalar_subquery())
