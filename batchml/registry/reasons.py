"""Why a job is in its state."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, bindparam, select

from batchml.registry.changes import differences, why_not_reused
from batchml.registry.dialects import epoch_now, lease_seconds, up_since
from batchml.registry.history import job_row
from batchml.registry.places import HOST
from batchml.registry.rescue import Verdict, judge
from batchml.registry.specs import spec_bodies
from batchml.registry.tables import (
    attempt,
    benchmark_experiment,
    experiment,
    place,
    resource,
    result,
    submission,
    worker,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from batchml.registry.store import Store

__all__ = ["why"]


def why(store: Store, job_id: int) -> str:
    """Say in one sentence why a job is in its state, and what to do if something is amiss.

    Raises
    ------
    UnknownKeyError
        There is no such job.
    """
    with store.read() as connection:
        row = job_row(connection, job_id, store)
        member = select(benchmark_experiment.c.experiment_id).where(
            benchmark_experiment.c.experiment_id == row.experiment_id,
            benchmark_experiment.c.n_iterations > row.iteration,
        )
        outside = "" if connection.execute(member.limit(1)).first() else " (its cell is in no current benchmark)"
        state = "in error" if row.state == "error" else row.state
        return f"job {job_id} is {state}{outside}: {_reason(connection, row)}"


def _reason(connection: Connection, row: Any) -> str:
    if row.state == "defined":
        return f"it has not been submitted yet{_again(connection, row)}"
    if row.state == "cancelled":
        return "a user cancelled it; retry queues it again"
    last = connection.execute(_last_attempt(), {"which": row.id}).one_or_none()
    if row.state == "queued":
        return _waiting(connection, row, last)
    if last is None:
        return "no attempt is recorded"
    if row.state == "running":
        held = f"worker {last.worker_id} on {last.host} holds it since {last.started_at}"
        return held + _verdict_on(connection, last.worker_id)
    if row.state == "done":
        kind = connection.execute(select(result.c.completeness).where(result.c.job_id == row.id)).scalar()
        lack = "" if kind != "none" else " without a prediction: the learner failed and has no fallback, see its log"
        return f"attempt {last.id} on {last.host} brought a result at {last.ended_at}{lack}"
    what = f"attempt {last.id} on {last.host} ended as {last.outcome}"
    remedy = {
        "config_error": "mend the cause, then retry",
        "learner_error": "the method failed on this split: a fallback learner would impute it",
        "infrastructure": "it was retried by itself in vain: mend the cause, then retry",
        "lost": "it has killed its worker twice while running alone",
        "crashed": "its log may say where; encapsulate='process' and a fallback learner would impute it",
    }.get(last.outcome, "raise its limits, or retry")
    return f"{what}{': ' + last.message if last.message else ''}; {remedy}"


def _again(connection: Connection, row: Any) -> str:
    """Say why a job that has run is defined again, or why one that is new does not use what its like have left."""
    last = connection.execute(_last_attempt(), {"which": row.id}).one_or_none()
    if last is None:
        kept = why_not_reused(connection, row.experiment_id)
        return f"; results of the cell that was called the same are not reused: {kept}" if kept else ""
    policy = connection.execute(select(experiment.c.policy_id).where(experiment.c.id == row.experiment_id)).scalar_one()
    if policy == last.policy_id:
        return f"; it runs again since a user reset it after attempt {last.id}, which ended as {last.outcome}"
    bodies = spec_bodies(connection, (last.policy_id, policy))
    said = ", ".join(differences(bodies[last.policy_id], bodies[policy]))
    return f"; it runs again since the policy changed ({said}) after attempt {last.id}, which ended as {last.outcome}"


def _verdict_on(connection: Connection, worker_id: int) -> str:
    """Say what is wrong with the worker that holds a job."""
    row = connection.execute(select(worker).where(worker.c.id == worker_id)).one()
    if row.stopped_at is not None:
        return ", but it has stopped; resume queues the job again"
    said = judge(row, lease_seconds(connection), up_s=up_since(connection))
    if said.verdict is Verdict.ALIVE:
        return ""
    remedy = (
        "resume queues the job again"
        if said.verdict is Verdict.DEAD
        else f"if it is dead: resume --assume-dead {row.id}"
    )
    return f", but {said.reason}; {remedy}"


def _waiting(connection: Connection, row: Any, last: Any) -> str:
    classes = _served(connection)
    workers = classes.get(row.resource_id, 0)
    words = _needs(connection, row.resource_id)
    if not workers:
        others = " or ".join(sorted({_needs(connection, key) for key in classes}))
        there = f" (those alive take jobs with {others})" if others else ""
        return f"no live worker takes jobs with {words}{there}; resume starts one{_after(last)}"
    if row.not_before is not None:
        rest = connection.execute(select(row.not_before - epoch_now())).scalar_one()
        if rest > 0:
            return f"it is held back for {rest:.0f} s after {last.outcome if last else 'a failure'}{_said(last)}"
    if row.suspect:
        return "its last worker died while it held it, so it waits for a worker that runs nothing else"
    return f"it waits for its turn; {workers} live worker{'' if workers == 1 else 's'} for {words}{_after(last)}"


def _served(connection: Connection) -> dict[int, int]:
    """Return the number of workers that are not dead and take new jobs, by resource class."""
    live = (
        select(worker, submission.c.resource_id)
        .join_from(worker, submission)
        .where(worker.c.stopped_at.is_(None), worker.c.wanted == "go_on")
    )
    now, up = lease_seconds(connection), up_since(connection)
    rows = connection.execute(live).all()
    return Counter(row.resource_id for row in rows if judge(row, now, up_s=up).verdict is not Verdict.DEAD)


def _needs(connection: Connection, resource_id: int) -> str:
    needs = connection.execute(select(resource.c.body).where(resource.c.id == resource_id)).scalar()
    return ", ".join(f"{name}={value}" for name, value in sorted((needs or {}).items())) or "no special resources"


def _after(last: Any) -> str:
    """Say how the last attempt ended, of a job that is tried again."""
    if last is None or last.outcome is None:
        return ""
    return f"; it was tried before: attempt {last.id} ended as {last.outcome}{_said(last)}"


def _said(last: Any) -> str:
    return f" ({last.message})" if last is not None and last.message else ""


def _last_attempt() -> Select[Any]:
    return (
        select(attempt, HOST)
        .join_from(attempt, worker)
        .outerjoin(place, place.c.id == attempt.c.place_id)
        .where(attempt.c.job_id == bindparam("which"), attempt.c.outcome.is_distinct_from("released"))
        .order_by(attempt.c.id.desc())
        .limit(1)
    )
