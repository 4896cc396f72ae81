"""What resuming would find where workers have written what nobody has taken in yet: counted, nothing changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Select, select

from batchml.core.attempt import Ending
from batchml.registry import close_queries
from batchml.registry.again import RETRIED, granted
from batchml.registry.close import fate, is_late_result
from batchml.registry.dialects import among
from batchml.registry.processes import Process, is_gone
from batchml.registry.tables import attempt

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from batchml.registry.rescue import Reconciliation
    from batchml.registry.store import Store

__all__ = ["Outlook", "Unread", "outlook"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """What a worker has written since it was read last.

    Attributes
    ----------
    worker
        Its row; None if the registry has not heard of it.
    resource_id
        Whose jobs it runs.
    process
        The worker itself.
    begun, released
        Attempts that it began, and that it will not begin.
    ended
        Attempts with how they ended.
    bye
        Why it left; None if it did not say so.
    """

    worker: int | None
    resource_id: int
    process: Process
    begun: frozenset[int] = frozenset()
    released: frozenset[int] = frozenset()
    ended: Mapping[int, Ending] = field(default_factory=dict)
    bye: str | None = None

    @property
    def parting(self) -> Ending:
        """How attempts end that it left open."""
        broken = self.bye is not None and self.bye.startswith("infrastructure")
        return Ending.INFRASTRUCTURE if broken else Ending.PREEMPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What there would be if all had been taken in.

    Attributes
    ----------
    found
        Dead workers, and jobs by state.
    delivered
        Outcomes that would be taken in.
    over
        Jobs that would have ended.
    gone
        Workers that have left, or are dead.
    served
        Resource classes of living workers that the registry has not heard of.
    """

    found: Reconciliation
    delivered: int = 0
    over: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()
    served: frozenset[int] = frozenset()


def outlook(store: Store, found: Reconciliation, unread: Sequence[Unread]) -> Outlook:
    """Return what a dry run would have found had what is unread been taken in before."""
    if not unread:
        return Outlook(found=found, gone=frozenset(found.dead))
    left = {each.worker: each.parting for each in unread if each.worker is not None and each.bye is not None}
    dead = {key: reason for key, reason in found.dead.items() if key not in left}
    said, lost = _sayings(unread, dead)
    with store.read() as connection:
        for row in connection.execute(_held(), {"ids": [*dead, *left]}):
            if row.id not in said and row.worker_id in left:
                said[row.id] = _Saying(row.worker_id, left[row.worker_id])
            elif row.id not in said:
                lost.add(row.id)
        known = connection.execute(close_queries.delivered(), {"ids": list({*said, *lost})}).all()
        moved = _moved(connection, {row.id: row for row in known}, said)
    buried = Counter(_state(row, Ending.LOST) for row in known if row.id in lost and row.outcome is None)
    counts = Counter({"queued": found.queued, "running": found.running, "error": found.errors})
    for row in known:
        if row.id in moved:
            counts[row.state] -= 1
            counts[moved[row.id]] += 1
    after = replace(
        found,
        dead=dead,
        alive=tuple(key for key in found.alive if key not in left),
        silent=tuple(key for key in found.silent if key not in left),
        requeued=buried["queued"],
        failed=buried["error"],
        queued=counts["queued"],
        running=counts["running"],
        errors=counts["error"],
    )
    return Outlook(
        found=after,
        delivered=sum(key in moved for each in unread for key in each.ended),
        over=frozenset(row.job_id for row in known if moved.get(row.id, "queued") not in {"queued", "running"}),
        gone=frozenset({*dead, *left}),
        served=frozenset(each.resource_id for each in unread if each.worker is None and _lives(each)),
    )


class _Saying(NamedTuple):
    """What a worker says of an attempt; without an ending it runs."""

    worker: int | None
    ending: Ending | None = None


def _sayings(unread: Sequence[Unread], dead: Collection[int]) -> tuple[dict[int, _Saying], set[int]]:
    """Return what is said of attempts, and which of them dead workers had begun."""
    said: dict[int, _Saying] = {}
    lost: set[int] = set()
    for each in unread:
        opened = each.begun - each.ended.keys() - each.released
        said |= dict.fromkeys(opened, _Saying(each.worker, None if each.bye is None else each.parting))
        said |= dict.fromkeys(each.released, _Saying(each.worker, Ending.RELEASED))
        said |= {key: _Saying(each.worker, ending) for key, ending in each.ended.items()}
        if each.bye is None and (each.worker in dead if each.worker is not None else not _lives(each)):
            lost |= opened
    return said, lost


def _lives(each: Unread) -> bool:
    return each.bye is None and is_gone(each.process) is not True


@cache
def _held() -> Select[Any]:
    """The open attempts of the workers `ids`."""
    return select(attempt.c.id, attempt.c.worker_id).where(among(attempt.c.worker_id), attempt.c.ended_at.is_(None))


def _moved(connection: Connection, rows: Mapping[int, Any], said: Mapping[int, _Saying]) -> dict[int, str]:
    """Return the state of its job after what is said of each attempt, of those of which it would be believed."""
    believed = {
        key: said[key].ending
        for key, row in rows.items()
        if key in said and row.worker_id in {None, said[key].worker} and _is_news(row, said[key].ending)
    }
    failed = {rows[key].job_id: ending for key, ending in believed.items() if ending in RETRIED}
    again = granted(connection, failed, pending=True) if failed else {}
    return {key: _state(rows[key], ending, again=rows[key].job_id in again) for key, ending in believed.items()}


def _is_news(row: Any, ending: Ending | None) -> bool:
    return row.outcome is None or (ending is not None and is_late_result(row, ending))


def _state(row: Any, ending: Ending | None, *, again: bool = False) -> str:
    if ending is None:
        return "running"
    if ending is Ending.DONE:
        return "done"
    history = {name: getattr(row, name) for name in ("hiccups", "lost_alone", "suspect")}
    return fate(ending, alone=bool(row.alone), again=again, **history).state
