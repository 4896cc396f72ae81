"""The order in which queued jobs are claimed: the user's priority first, then what is expected to take longest.

Both are one number, `job.priority`, so that claiming reads one index: 64 for each step of the user's priority, plus a
rank. A rank is the logarithm of the expected seconds (what ends within a second leaves no slot idle for long, so it has
none and costs no write). The first iteration of a cell that nobody has measured goes before all others: it tells how
long the rest will take, and whether the cell runs at all.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Executable, Select, bindparam, case, select, update

from batchml.errors import ConfigError
from batchml.registry.dialects import among
from batchml.registry.runtimes import expected_seconds
from batchml.registry.tables import job

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from batchml.core.attempt import Assignment, Outcome
    from batchml.registry.store import Store

__all__ = ["PROBE", "STEP", "by_rank", "check_priority", "rank", "ranks", "rerank", "urgency", "watch"]

STEP = 64
PROBE = STEP - 1
_HIGHEST = 500
_LONGEST = 40  # 2**39 s
_ROWS = 2000  # moved in one exchange
_HELD = 5000


def check_priority(priority: Any) -> int:
    """Return a user's priority.

    Raises
    ------
    ConfigError
        It is no whole number from -500 to 500.
    """
    if isinstance(priority, bool) or not isinstance(priority, int) or abs(priority) > _HIGHEST:
        raise ConfigError(f"a priority is a whole number from -{_HIGHEST} to {_HIGHEST}, not {priority!r:.40}")
    return priority


def rank(seconds: float) -> int:
    """Return the place of an iteration by its expected seconds: 0 for less than one, then one more for each doubling.

    Examples
    --------
    >>> [rank(seconds) for seconds in (0.2, 1.0, 1.9, 2.0, 3600.0)]
    [0, 1, 1, 2, 12]
    """
    return 0 if seconds < 1.0 else min(_LONGEST, math.frexp(seconds)[1])


def ranks(store: Store, connection: Connection, experiments: Iterable[int]) -> dict[int, int]:
    """Return the ranks of experiments of which something is known."""
    found = expected_seconds(store, connection, experiments)
    return {key: rank(seconds) for key, seconds in found.items()}


def urgency(priority: int, place: int | None) -> ColumnElement[int]:
    """Return what `job.priority` becomes for jobs of a rank; None: nothing is known, so the first iteration probes."""
    base = bindparam(None, STEP * priority, type_=job.c.priority.type)
    if place is None:
        return base + case((job.c.iteration == 0, PROBE), else_=0)
    return base + place


def watch(store: Store, assignments: Sequence[Assignment]) -> None:
    """Remember since when a worker holds attempts."""
    held = _held(store)
    if len(held) > _HELD:
        held.clear()
    now = time.monotonic()
    held.update({one.attempt_id: (one.experiment.id, now) for one in assignments})


def rerank(store: Store, connection: Connection, outcomes: Iterable[Outcome], released: Iterable[int]) -> None:
    """Move the queued jobs of experiments of which these outcomes, or the age of what still runs, tell that they are
    long.
    """
    held = _held(store)
    ended: defaultdict[int, list[float]] = defaultdict(list)
    for outcome in outcomes:
        experiment_id, _ = held.pop(outcome.attempt_id, (None, 0.0))
        if experiment_id is not None and outcome.wall_s is not None:
            ended[experiment_id].append(outcome.wall_s)
    for attempt_id in released:
        held.pop(attempt_id, None)
    now = time.monotonic()
    seconds = {key: sum(times) / len(times) for key, times in ended.items()}
    for key, since in held.values():
        if key not in seconds or now - since > seconds[key]:
            seconds[key] = now - since
    known: dict[int, int] = store.memo.setdefault("ranks", {})
    for key, place in {key: rank(value) for key, value in seconds.items()}.items():
        # Times scatter: a neighbouring rank is no news.
        if place and abs(place - known.get(key, 0)) > (key in known) and _move(connection, key, place):
            known[key] = place


def _held(store: Store) -> dict[int, tuple[int, float]]:
    held: dict[int, tuple[int, float]] = store.memo.setdefault("held", {})
    return held


def _move(connection: Connection, experiment_id: int, place: int) -> bool:
    """Give the queued jobs of an experiment their rank, some thousands at a time; return whether that is done."""
    ids = list(connection.execute(_misplaced(), {"experiment": experiment_id, "place": place}).scalars())
    if ids:
        connection.execute(_place(), {"ids": ids, "place": place})
    return len(ids) < _ROWS


@cache
def _misplaced() -> Select[int]:
    own = job.c.priority.bitwise_and(STEP - 1)
    return (
        select(job.c.id)
        .where(
            job.c.experiment_id == bindparam("experiment"),
            job.c.state == "queued",
            own != bindparam("place", type_=job.c.priority.type),
        )
        .order_by(job.c.id)
        .limit(_ROWS)
        .with_for_update(skip_locked=True)
    )


@cache
def _place() -> Executable:
    own = job.c.priority.bitwise_and(STEP - 1)
    return (
        update(job)
        .where(among(job.c.id))
        .values(priority=job.c.priority - own + bindparam("place", type_=job.c.priority.type))
    )


def by_rank(places: Mapping[int, int], jobs: Iterable[tuple[int, int]]) -> dict[int | None, list[int]]:
    """Return jobs, given as pairs (job, experiment), by the rank of their experiment."""
    groups: defaultdict[int | None, list[int]] = defaultdict(list)
    for job_id, experiment_id in jobs:
        groups[places.get(experiment_id)].append(job_id)
    return groups
