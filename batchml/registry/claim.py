"""Taking work: which queued jobs a worker gets, and the attempts opened for them."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Assignment
from batchml.registry import queries
from batchml.registry.experiments import cached_experiments, keep_experiments, reading, unknown_experiments
from batchml.registry.trips import once, together

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Row

    from batchml.registry.store import Store

__all__ = ["Claimed", "Post", "claim", "read_open"]

_STALE_S = 10.0
_PLENTY_S = 1.0  # for so long what was plenty is not counted again
_CAUTION = 1.2  # times the median: half of the jobs take longer than that
_MOST_HELD = 5000
_SOLOS_HELD = 2  # one runs, and one waits to be the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A worker as claiming sees it.

    Attributes
    ----------
    worker_id, resource_id, slots
        Its row, its resource class, its slots.
    now_s
        The moment, by the clock of leases.
    left_s
        Seconds that it may go on for; None for no end.
    solos
        How many suspects it runs at once apart from all others; 0 if a suspect needs the whole worker.
    """

    worker_id: int
    resource_id: int
    slots: int
    now_s: float
    left_s: float | None = None
    solos: int = 0

    def suspects(self, held: int, alone: int) -> int:
        """Return how many suspects it may get while it holds so many attempts, so many of them suspects."""
        if not self.solos:
            return 0 if held else 1
        return max(0, _SOLOS_HELD * self.solos - alone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """New assignments, what is left to wait for, and attempts to end; see `Exchange`."""

    waiting: int
    assignments: tuple[Assignment, ...] = ()
    cancel: tuple[int, ...] = ()
    next_s: float = 0.0


def claim(store: Store, connection: Connection, post: Post, want: int) -> Claimed:
    """Open attempts for up to `want` queued jobs of the worker's resource class, and see what was recalled.

    Jobs of one rank come as they were added, and so task by task: the slots of a machine work on one table, which they
    share. Near the end of the queue a worker takes at most its part of what is left; an experiment without a finished
    job gives at most one job a slot. A suspect, whose last worker died, is given alone, to a worker that holds nothing
    else or keeps it apart from all else. A job that is expected to outlast the worker is left to others; if there are
    only such, nothing waits.
    """
    most = _count_to(store, post, want)
    asked = {
        "worker": post.worker_id,
        "resource": post.resource_id,
        "now": post.now_s,
        "slots": post.slots,
        "most": most,
    }
    now, first = _look(store, connection, post, want, asked)
    cancel: tuple[int, ...] = ()
    if now.recalled:
        cancel = tuple(connection.execute(queries.recalled(), asked).scalars())
    held_alone = int(now.alone or 0)
    if want <= 0 or now.waiting == 0 or (held_alone and not post.solos):
        return Claimed(waiting=now.waiting, cancel=cancel)
    share = _share(store, post, want, most, now)
    chosen, expected = _choose(store, connection, post, share, first)
    alone = False
    if not chosen and (suspects := min(want, post.suspects(now.held, held_alone))):
        chosen = _fitting(store, connection, post, suspects, suspect=1)
        expected = _expected(store, connection, {row.experiment_id for row in chosen})
        alone = bool(chosen)
    if not chosen and _too_long(store, post):
        return Claimed(waiting=0, cancel=cancel)
    if not chosen:
        due = connection.execute(queries.next_due(), {"resource": post.resource_id}).scalar()
        return Claimed(waiting=now.waiting, cancel=cancel, next_s=max(0.0, float(due)) if due is not None else 0.0)
    return Claimed(
        assignments=_open(store, connection, post, chosen, now.revision, expected, alone=alone),
        waiting=now.waiting - len(chosen),
        cancel=cancel,
    )


def _count_to(store: Store, post: Post, want: int) -> int:
    """Return up to how many queued jobs for each slot of all workers are to be counted.

    Where there was plenty a moment ago it is enough to see that the end is not near: counting would touch thousands of
    jobs at each exchange, of many workers millions.
    """
    least, enough = 2 + math.ceil(want / post.slots), 2 * max(want, 1)
    left, until = store.memo.get(("plenty", post.resource_id), (0, 0.0))
    return min(least, enough) if left > 0 and time.monotonic() < until else enough


def _share(store: Store, post: Post, want: int, counted_to: int, now: Any) -> int:
    """Return how many jobs a worker gets: near the end of the queue its part of what is left.

    Of a queue that has twice what all workers could ask for, half is left when each has claimed once a slot.
    """
    waiting, crowd = int(now.waiting), max(int(now.live), post.slots)
    key = "plenty", post.resource_id
    left, until = store.memo.get(key, (0, 0.0))
    if counted_to < 2 * want and waiting >= counted_to * crowd:
        store.memo[key] = left - 1, until
        return want
    share = min(want, math.ceil(waiting / (2 * crowd)))
    store.memo.pop(key, None)
    if share == want:
        store.memo[key] = post.slots, time.monotonic() + _PLENTY_S
    return share


def _look(
    store: Store, connection: Connection, post: Post, want: int, asked: dict[str, Any]
) -> tuple[Any, Sequence[Row[int, int, int]] | None]:
    """Return the situation; where there was plenty to do a moment ago, also the jobs to choose from, in one trip."""
    steps = [once(queries.situation(), **asked)]
    if want > 0 and post.left_s is None and ("plenty", post.resource_id) in store.memo:
        steps.append(once(queries.claimable(0), resource=post.resource_id, want=want))
    situation, *found = together(connection, *steps)
    return situation.rows[0], found[0].rows if found else None


def _choose(
    store: Store, connection: Connection, post: Post, want: int, first: Sequence[Row[int, int, int]] | None
) -> tuple[Sequence[Row[int, int, int]], dict[int, float]]:
    """Return jobs to start, and what is expected of their experiments; `first` are the first of them, if looked up."""
    rows = _fitting(store, connection, post, want, suspect=0) if first is None else first[:want]
    expected = _expected(store, connection, {row.experiment_id for row in rows})
    given: Counter[int] = Counter()
    chosen = []
    for row in rows:
        experiment_id = row.experiment_id
        given[experiment_id] += 1
        # Nobody knows how long these take: a batch of them could keep one slot busy for a day while others starve.
        if given[experiment_id] <= post.slots or experiment_id in expected:
            chosen.append(row)
    return chosen, expected


def _fitting(
    store: Store, connection: Connection, post: Post, want: int, *, suspect: int
) -> Sequence[Row[int, int, int]]:
    """Return claimable jobs that will be done before the worker has to leave."""
    while True:
        asked: dict[str, Any] = {"resource": post.resource_id, "want": want}
        if post.left_s is None:
            return together(connection, once(queries.claimable(suspect), **asked))[0].rows
        long = _too_long(store, post)
        if long:
            asked["ids"] = sorted(long)
        rows = connection.execute(queries.claimable(suspect, spare=bool(long)), asked).all()
        expected = _expected(store, connection, {row.experiment_id for row in rows})
        found = {key for key, seconds in expected.items() if seconds * _CAUTION > post.left_s}
        if not found:
            return rows
        # What is too long now will be so later on, too: the end only comes nearer.
        long |= found


def _too_long(store: Store, post: Post) -> set[int]:
    """The experiments that a worker has no time for."""
    found: set[int] = store.memo.setdefault(("too long", post.worker_id), set())
    return found


def _open(
    store: Store,
    connection: Connection,
    post: Post,
    chosen: Sequence[Row[int, int, int]],
    revision: int,
    expected: dict[int, float],
    *,
    alone: bool,
) -> tuple[Assignment, ...]:
    jobs = {job_id: (experiment_id, iteration) for job_id, experiment_id, iteration in chosen}
    ids = list(jobs)
    unknown = unknown_experiments(store, revision, {row.experiment_id for row in chosen})
    _, opened, *read = together(
        connection,
        once(queries.start_jobs(), ids=ids),
        once(queries.open_attempts_for(), ids=ids, worker=post.worker_id, alone=int(alone)),
        *(reading(unknown) if unknown else ()),
    )
    if read:
        keep_experiments(store, connection, read)
    rows = [(attempt_id, job_id, jobs[job_id][1], jobs[job_id][0], alone) for attempt_id, job_id in sorted(opened.rows)]
    return _assignments(store, connection, rows, revision, expected)


def read_open(store: Store, connection: Connection, worker_id: int, revision: int) -> tuple[Assignment, ...]:
    """Return the open attempts of a worker as assignments."""
    rows = connection.execute(queries.assigned(), {"worker": worker_id}).all()
    expected = _expected(store, connection, {row[3] for row in rows})
    return _assignments(store, connection, rows, revision, expected)


def _assignments(
    store: Store, connection: Connection, rows: Sequence[Sequence[Any]], revision: int, expected: dict[int, float]
) -> tuple[Assignment, ...]:
    ids = {row[3] for row in rows}
    experiments = cached_experiments(store, connection, revision, ids)
    return tuple(
        Assignment(
            attempt_id=attempt_id,
            job_id=job_id,
            iteration=iteration,
            experiment=experiments[experiment_id],
            alone=bool(alone),
            expected_s=expected.get(experiment_id),
        )
        for attempt_id, job_id, iteration, experiment_id, alone in rows
    )


def _expected(store: Store, connection: Connection, ids: Iterable[int]) -> dict[int, float]:
    """Return median wall times of experiments that have finished jobs; read again now and then."""
    now_s = time.monotonic()
    held: dict[int, tuple[float, float]] = store.memo.setdefault("expected", {})
    wanted = set(ids)
    old = [key for key in wanted if key not in held or now_s - held[key][1] > _STALE_S]
    if old:
        if len(held) > _MOST_HELD:
            held.clear()
            old = list(wanted)
        times: dict[int, list[float]] = {}
        for key, wall_s in together(connection, once(queries.wall_times(), ids=old))[0].rows:
            times.setdefault(key, []).append(wall_s)
        held.update({key: (statistics.median(values), now_s) for key, values in times.items()})
    return {key: held[key][0] for key in wanted if key in held}
