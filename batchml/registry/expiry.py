"""Which running jobs will not come back: a question that is asked, not a state that is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from batchml.registry.dialects import among, lease_seconds, up_since
from batchml.registry.rescue import Verdict, judge
from batchml.registry.tables import attempt, job, worker

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["EXPIRED", "expired_jobs"]

EXPIRED = "expired"


def expired_jobs(connection: Connection) -> list[int]:
    """Return running jobs whose worker is dead, or silent for longer than its lease; `resume` queues them again."""
    live = connection.execute(select(worker).where(worker.c.stopped_at.is_(None))).all()
    now, up = lease_seconds(connection), up_since(connection)
    fine = [row.id for row in live if judge(row, now, up_s=up).verdict is Verdict.ALIVE]
    held = (
        select(job.c.id)
        .join_from(attempt, job, job.c.id == attempt.c.job_id)
        .where(attempt.c.ended_at.is_(None), job.c.state == "running", ~among(attempt.c.worker_id, "alive"))
        .order_by(job.c.id)
    )
    return list(connection.execute(held, {"alive": fine}).scalars())
