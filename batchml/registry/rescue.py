"""Reconciling: which workers are dead, by proof or by presumption, and what becomes of the jobs they held."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, bindparam, func, select

from batchml.core.attempt import Ending
from batchml.errors import UnknownKeyError
from batchml.registry import queries
from batchml.registry.close import release
from batchml.registry.dialects import among, lease_seconds, up_since
from batchml.registry.processes import Process, is_gone
from batchml.registry.tables import attempt, job, worker
from batchml.registry.workers import end_worker

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from batchml.registry.store import Store

__all__ = ["Evidence", "Reconciliation", "Verdict", "Word", "judge", "reconcile", "release_unstarted"]

_NOBODY_TO_ASK = 10  # leases without a beat after which a worker that nobody can ask about is presumed dead


class Verdict(enum.StrEnum):
    """What is known about a worker that has not said it ended."""

    ALIVE = "alive"
    DEAD = "dead"
    SILENT = "silent"
    MISSING = "missing"  # to its scheduler: dead, if its lease has expired, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What is said about a worker.

    Attributes
    ----------
    verdict
        Whether it lives.
    reason
        Why it is taken for that.
    ending
        What becomes of the attempts it held, if it is dead: by default nobody knows which of them did it.
    """

    verdict: Verdict
    reason: str = ""
    ending: Ending = Ending.LOST


Evidence = Callable[[Any], Word | None]
"""What a scheduler says about a worker's row; None if it was not asked, or did not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What was found, and done unless it was a dry run.

    Attributes
    ----------
    dead
        Worker id to the reason why it is taken for dead.
    alive, silent
        Workers that live, and those that have missed their lease without a proof that they are dead.
    requeued, failed
        Jobs of dead workers that wait again, and that ended as errors since they killed their worker twice alone.
    queued, running, errors
        Jobs after that.
    """

    dry_run: bool
    dead: Mapping[int, str] = field(default_factory=dict)
    alive: tuple[int, ...] = ()
    silent: tuple[int, ...] = ()
    requeued: int = 0
    failed: int = 0
    queued: int = 0
    running: int = 0
    errors: int = 0

    def __or__(self, earlier: Reconciliation) -> Reconciliation:
        """Return both, as of the later one."""
        return replace(
            self,
            dead={**earlier.dead, **self.dead},
            requeued=earlier.requeued + self.requeued,
            failed=earlier.failed + self.failed,
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        names = ("dry_run", "requeued", "queued", "running", "errors")
        return {
            "dead": {str(key): reason for key, reason in self.dead.items()},
            "alive": list(self.alive),
            "silent": list(self.silent),
            "given_up": self.failed,
            **{name: getattr(self, name) for name in names},
        }

    def __str__(self) -> str:
        """Return a few lines for people."""
        would = "would be " if self.dry_run else ""
        lines = [f"worker {key} is dead: {reason}" for key, reason in self.dead.items()]
        if not self.dead:
            lines.append("no dead worker was found")
        if self.requeued:
            lines.append(f"{self.requeued} of their jobs {would}queued again")
        if self.failed:
            jobs = "job" if self.failed == 1 else "jobs"
            lines.append(f"{self.failed} {jobs} {would}given up: its worker died twice while running nothing else")
        lines += [
            f"worker {key} is silent, but nothing proves it dead; if you know that it is: --assume-dead {key}"
            for key in self.silent
        ]
        if self.alive:
            lines.append(f"{len(self.alive)} {'worker is' if len(self.alive) == 1 else 'workers are'} alive")
        jobs = "job" if self.queued == 1 else "jobs"
        lines.append(f"{self.queued} {jobs} queued, {self.running} running, {self.errors} failed")
        return "\n".join(lines)


def judge(
    row: Any,
    now_s: float,
    *,
    up_s: float = 0.0,
    evidence: Evidence | None = None,
    gone: Callable[[Process], bool | None] = is_gone,
) -> Word:
    """Say whether a worker is dead, and by what.

    A proof needs no lease: its scheduler says so (and why), the process is seen to be gone, or its host has booted
    since. A process seen alive is never presumed dead, however long it has been stopped.

    Parameters
    ----------
    row
        Of the table `worker`.
    now_s
        By the clock that beats are written with.
    up_s
        When the database was started, by that clock.
    """
    process = Process.of(row)
    told = None if evidence is None or row.scheduler_id is None else evidence(row)
    if told is not None and told.verdict is Verdict.DEAD:
        return told
    ended = gone(process)
    if ended:
        return Word(verdict=Verdict.DEAD, reason=f"process {row.pid} on {row.host} is gone")
    # While the database was away nobody could beat: a lease runs anew from when it came back.
    silence = now_s - max(row.beat_s, up_s)
    if silence <= row.lease_s:
        return Word(verdict=Verdict.ALIVE)
    words = f"no beat for {silence:.0f} s"
    if ended is None and told is None and silence > _NOBODY_TO_ASK * row.lease_s:
        return Word(verdict=Verdict.DEAD, reason=f"{words} and nobody to ask")
    if ended is None and told is not None and told.verdict is Verdict.MISSING:
        return Word(verdict=Verdict.DEAD, reason=f"{words}, and {told.reason}", ending=told.ending)
    return Word(verdict=Verdict.SILENT, reason=words)


def reconcile(
    store: Store,
    *,
    dry_run: bool = False,
    assume_dead: Sequence[int] = (),
    evidence: Evidence | None = None,
    before: Callable[[Any], None] | None = None,
) -> Reconciliation:
    """Close what dead workers held, and say what was found. Doing it twice does no more.

    Parameters
    ----------
    dry_run
        Change nothing.
    assume_dead
        Workers that the user knows to be dead.
    evidence
        A scheduler's word on a worker.
    before
        Called with the row of each worker that is about to be declared dead: it may have left something.

    Raises
    ------
    UnknownKeyError
        `assume_dead` names a worker that there is none of.
    """
    with store.read() as connection:
        rows = connection.execute(select(worker).where(worker.c.stopped_at.is_(None)).order_by(worker.c.id)).all()
        _refuse_unknown(connection, assume_dead, store)
        now, up = lease_seconds(connection), up_since(connection)
    dead: dict[int, Word] = {}
    seen: dict[Verdict, list[int]] = {Verdict.ALIVE: [], Verdict.SILENT: []}
    for row in rows:
        word = judge(row, now, up_s=up, evidence=evidence)
        if row.id in assume_dead:
            word = Word(verdict=Verdict.DEAD, reason="you say so")
        if word.verdict is Verdict.DEAD:
            dead[row.id] = word
        else:
            seen[word.verdict].append(row.id)
    for row in rows:
        if before is not None and row.id in dead and not dry_run:
            before(row)
    moved = _would_move(store, dead) if dry_run else _bury(store, dead)
    with store.read() as connection:
        counts = _counts(connection)
    return Reconciliation(
        dry_run=dry_run,
        dead={key: word.reason for key, word in dead.items()},
        alive=tuple(seen[Verdict.ALIVE]),
        silent=tuple(seen[Verdict.SILENT]),
        requeued=moved["queued"],
        failed=moved["error"],
        queued=counts["queued"],
        running=counts["running"],
        errors=counts["error"],
    )


def release_unstarted(
    store: Store, worker_id: int, process: Process, started: Collection[int], *, dry_run: bool = False
) -> int:
    """Queue again what a dead worker had claimed and not started, by the list of what it had; return how many.

    Parameters
    ----------
    process
        Who wrote the list: worker ids begin anew in a registry that was restored from a copy.
    started
        The list; may also name attempts that are closed.
    dry_run
        Only count.
    """
    with store.read() if dry_run else store.write() as connection:
        which = select(worker).where(worker.c.id == worker_id) if dry_run else _locked_worker()
        row = connection.execute(which, {"worker": worker_id}).one_or_none()
        if row is None or (row.boot_id, row.pid, row.pid_start) != (process.boot_id, process.pid, process.pid_start):
            return 0
        held = [row.id for row in connection.execute(queries.open_attempts(), {"worker": worker_id})]
        unstarted = [attempt_id for attempt_id in held if attempt_id not in started]
        if not dry_run:
            release(connection, worker_id, unstarted)
    return len(unstarted)


@cache
def _locked_worker() -> Select[Any]:
    """The row of `worker`, locked: it is locked before its attempts, as in an exchange."""
    return select(worker).where(worker.c.id == bindparam("worker")).with_for_update()


def _refuse_unknown(connection: Connection, ids: Collection[int], store: Store) -> None:
    known = set(connection.execute(select(worker.c.id).where(among(worker.c.id)), {"ids": list(ids)}).scalars())
    unknown = sorted(set(ids) - known)
    if unknown:
        raise UnknownKeyError(f"there is no worker {unknown[0]} in {store.place}; `batchml status` lists them")


def _bury(store: Store, dead: Mapping[int, Word]) -> Counter[str]:
    moved: Counter[str] = Counter()
    for worker_id, word in dead.items():
        # One worker a transaction: it holds a batch, no more.
        with store.write() as connection:
            row = connection.execute(_locked_worker(), {"worker": worker_id}).one_or_none()
            if row is None or row.stopped_at is not None:
                continue
            ending = word.ending
            if ending is Ending.OUT_OF_MEMORY and len(_held(connection, worker_id)) > 1:
                ending = Ending.LOST  # nobody knows which of them took too much: each runs alone next
            rows = end_worker(connection, worker_id, "lost", word.reason, ending)
            states = select(job.c.state).where(among(job.c.id))
            moved.update(connection.execute(states, {"ids": [row.job_id for row in rows]}).scalars())
    return moved


def _held(connection: Connection, worker_id: int) -> Sequence[Any]:
    return connection.execute(queries.open_attempts(), {"worker": worker_id}).all()


def _would_move(store: Store, dead: Mapping[int, Word]) -> Counter[str]:
    held = (
        select(job.c.lost_alone, attempt.c.alone, attempt.c.worker_id)
        .join_from(attempt, job, job.c.id == attempt.c.job_id)
        .where(among(attempt.c.worker_id), attempt.c.ended_at.is_(None))
    )
    with store.read() as connection:
        rows = connection.execute(held, {"ids": list(dead)}).all()
    crowd = Counter(row.worker_id for row in rows)
    alone = [row.lost_alone + (row.alone and crowd[row.worker_id] == 1) for row in rows]
    return Counter("error" if losses >= 2 else "queued" for losses in alone)


def _counts(connection: Connection) -> Counter[str]:
    counted = (
        select(job.c.state, func.count()).where(job.c.state.in_(["queued", "running", "error"])).group_by(job.c.state)
    )
    return Counter({state: int(n) for state, n in connection.execute(counted)})
