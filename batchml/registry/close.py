"""Giving work back: what an ending makes of its attempt and its job (the table of outcomes in ARCHITECTURE.md)."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Ending, Outcome
from batchml.core.conditions import fingerprint
from batchml.registry import close_queries as queries
from batchml.registry.again import RETRIED, granted, grow
from batchml.registry.places import note_places
from batchml.registry.trips import each, lock, once, run_many, together

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from batchml.registry.trips import Step

__all__ = ["FAILURES", "Fate", "StoredModel", "close_outcomes", "fate", "release", "score_columns"]

FAILURES = frozenset(
    {
        Ending.LEARNER_ERROR,
        Ending.CONFIG_ERROR,
        Ending.TIMEOUT,
        Ending.OUT_OF_MEMORY,
        Ending.CRASHED,
        Ending.LOST,
        Ending.INFRASTRUCTURE,
    }
)
"""Endings that a user wants to see among the errors; the others are nobody's failure."""

_BACK_OFF_S = (2.0, 15.0, 60.0)  # one for each retry after the system's hiccup
_LOSSES_ALONE = 2
_MESSAGE = 2000
_TRACEBACK = 20_000
_log = logging.getLogger("batchml.registry")


StoredModel = tuple[str, str | None]
"""The name of a stored model and its mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a job when an attempt at it ends."""

    state: str
    charged: int = 0
    hiccups: int = 0
    lost_alone: int = 0
    suspect: int = 0
    delay_s: float | None = None
    attempts: int = 0


def fate(ending: Ending, *, alone: bool, hiccups: int, lost_alone: int, suspect: int, again: bool = False) -> Fate:
    """Look an ending up in the table of outcomes.

    Parameters
    ----------
    alone
        The attempt ran while nothing else ran in its worker.
    hiccups, lost_alone, suspect
        The job's history: `infrastructure` endings in a row, losses while alone, and whether its last worker died.
    again
        The benchmark's policy gives the job another try after its own failure.
    """
    if again:
        return Fate(state="queued", charged=1)
    if ending is Ending.LOST:
        losses = lost_alone + alone
        if losses >= _LOSSES_ALONE:
            return Fate(state="error", charged=1, lost_alone=losses, suspect=1)
        return Fate(state="queued", charged=int(alone), hiccups=hiccups, lost_alone=losses, suspect=1)
    if ending is Ending.INFRASTRUCTURE:
        if hiccups >= len(_BACK_OFF_S):
            return Fate(state="error", hiccups=hiccups + 1, lost_alone=lost_alone, suspect=suspect)
        delay = _BACK_OFF_S[hiccups]
        return Fate(state="queued", hiccups=hiccups + 1, lost_alone=lost_alone, suspect=suspect, delay_s=delay)
    if ending in {Ending.PREEMPTED, Ending.RELEASED, Ending.SUPERSEDED}:
        # A claim that never started was no try.
        tries = -1 if ending is Ending.RELEASED else 0
        return Fate(state="queued", hiccups=hiccups, lost_alone=lost_alone, suspect=suspect, attempts=tries)
    if ending is Ending.CANCELLED:
        return Fate(state="cancelled", lost_alone=lost_alone, suspect=suspect)
    if ending is Ending.CONFIG_ERROR:
        return Fate(state="error")
    assert ending in FAILURES, ending
    return Fate(state="error", charged=1)


def close_outcomes(
    connection: Connection,
    worker_id: int,
    outcomes: Sequence[Outcome],
    models: Mapping[int, StoredModel] | None = None,
    held: Sequence[Any] | None = None,
) -> tuple[int, ...]:
    """Close attempts, store what they bring, move their jobs; return the attempts that were refused.

    `models` has names and marks of the stored models by attempt, `held` what `read_locked` returns of the attempts if
    that was read already. An outcome that is there already (its reply was
    lost) is accepted again. A result of an attempt taken for lost is accepted if nobody has reset or cancelled its job
    and no other result is there; a successor's open attempt is then superseded.
    """
    if not outcomes:
        return ()
    rows = read_locked(connection, [o.attempt_id for o in outcomes]) if held is None else held
    known = {row.id: row for row in rows}
    lost: list[int] = []
    accepted: list[Outcome] = []
    late: list[Outcome] = []
    answered: list[int] = []
    for outcome in {o.attempt_id: o for o in outcomes}.values():
        row = known.get(outcome.attempt_id)
        if row is None or row.worker_id != worker_id:
            lost.append(outcome.attempt_id)
        elif row.outcome is None:
            accepted.append(outcome)
        elif row.outcome == outcome.ending.value:
            answered.append(outcome.attempt_id)
        elif is_late_result(row, outcome.ending):
            late.append(outcome)
        else:
            lost.append(outcome.attempt_id)
            answered.append(outcome.attempt_id)
            _log.warning(
                "attempt %d at job %d came back as %s, after it was closed as %s: dropped",
                outcome.attempt_id,
                row.job_id,
                outcome.ending.value,
                row.outcome,
            )
    if late:
        _supersede(connection, [known[o.attempt_id].job_id for o in late])
    _write(connection, [*accepted, *late], known, models or {})
    note_places(connection, worker_id, [*accepted, *late])
    recalled = [key for key in answered if known[key].recalled]
    if recalled:
        connection.execute(queries.forget_recall(), {"ids": recalled})
    return tuple(lost)


def read_locked(connection: Connection, attempts: Sequence[int]) -> Sequence[Any]:
    """Return rows of `close_queries.delivered`, which nobody else changes before the end of this transaction."""
    return together(connection, *locked(attempts))[1].rows


def locked(attempts: Sequence[int]) -> tuple[Step, Step]:
    """Return the steps of `read_locked`, of which the second one gives the rows."""
    ids = list(attempts)
    return lock(queries.jobs_of(), ids=ids), once(queries.delivered(), ids=ids)


def is_late_result(row: Any, ending: Ending) -> bool:
    """Whether an attempt that was closed over its worker's head has been finished by it after all."""
    return (
        row.outcome in queries.CLOSED_BY_OTHERS
        and ending is Ending.DONE
        and row.generation == row.job_generation
        and row.result_of is None
        and row.state in {"queued", "running", "error"}
    )


def _supersede(connection: Connection, jobs: Sequence[int]) -> None:
    """Close the open attempts of jobs that are about to be done by a late result."""
    ids = [row.id for row in connection.execute(queries.successors(), {"ids": jobs})]
    if ids:
        values = {"ids": ids, "outcome": Ending.SUPERSEDED.value, "recall": 1, "note": None, "mark": None}
        connection.execute(queries.close_plainly(), values)


def _write(
    connection: Connection, outcomes: Sequence[Outcome], known: Mapping[int, Any], models: Mapping[int, StoredModel]
) -> None:
    if not outcomes:
        return
    done = [o for o in outcomes if o.ending is Ending.DONE]
    finished = [known[o.attempt_id].job_id for o in done]
    closed, *_ = together(
        connection,
        each(queries.close_attempt(), queries.CLOSE_NAMES, [_closing(o) for o in outcomes]),
        *_results(done, known, models),
        *([once(queries.finish_jobs(), ids=finished)] if finished else []),
        each(queries.add_condition(), queries.CONDITION_NAMES, [row for o in outcomes for row in _conditions(o)]),
        each(queries.add_log(), queries.LOG_NAMES, [(o.attempt_id, o.log) for o in outcomes if o.log]),
    )
    assert closed.count in {len(outcomes), -1}, (closed.count, len(outcomes))
    ended = [(known[o.attempt_id], o.ending) for o in outcomes if o.ending is not Ending.DONE]
    failed = {row.job_id: ending for row, ending in ended if ending in RETRIED}
    again = granted(connection, failed) if failed else {}
    moves = [_move(ending, row, again=row.job_id in again) for row, ending in ended]
    run_many(connection, queries.move_job(), queries.MOVE_NAMES, moves)
    grow(connection, again)


def _move(ending: Ending, row: Any, *, again: bool = False, crowd: bool = False) -> tuple[Any, ...]:
    new = fate(
        ending,
        alone=bool(row.alone) and not crowd,
        hiccups=row.hiccups,
        lost_alone=row.lost_alone,
        suspect=row.suspect,
        again=again,
    )
    return (
        new.state,
        new.attempts,
        new.charged,
        new.hiccups,
        new.lost_alone,
        new.suspect,
        new.delay_s,
        row.job_id,
    )


def mark_of(ending: Ending, error_type: str | None, message: str | None) -> str | None:
    """Return the fingerprint of a failure, None for what is none."""
    return fingerprint(error_type or ending.value, message or "") if ending in FAILURES else None


def _closing(outcome: Outcome) -> tuple[Any, ...]:
    return (
        outcome.ending.value,
        outcome.signal,
        outcome.error_type,
        _cut(outcome.message, _MESSAGE),
        _cut(outcome.traceback, _TRACEBACK),
        mark_of(outcome.ending, outcome.error_type, outcome.message),
        outcome.fit_s,
        outcome.predict_s,
        outcome.wall_s,
        outcome.cpu_s,
        outcome.peak_mb,
        outcome.threads,
        " ".join(outcome.dirty) or None,
        outcome.attempt_id,
    )


def _cut(text: str | None, limit: int) -> str | None:
    """Shorten a text in its middle: the cause of an error stands at its end, the place at its beginning."""
    if text is None or len(text) <= limit:
        return text
    half = (limit - 40) // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters cut ...\n{text[-half:]}"


def _conditions(outcome: Outcome) -> Iterable[tuple[Any, ...]]:
    for number, event in enumerate(outcome.conditions):
        yield (
            outcome.attempt_id,
            number,
            event.stage,
            event.level,
            event.kind,
            _cut(event.message, _MESSAGE),
            _cut(event.traceback, _TRACEBACK),
            fingerprint(event.kind, event.message),
        )


def _results(
    outcomes: Sequence[Outcome], known: Mapping[int, Any], models: Mapping[int, StoredModel]
) -> tuple[Step, ...]:
    """Return what stores results, with scores and predictions."""
    results: list[tuple[Any, ...]] = []
    scores: list[tuple[Any, ...]] = []
    predictions: list[tuple[Any, ...]] = []
    for outcome in outcomes:
        found = outcome.result
        if found is None:
            raise ValueError(f"attempt {outcome.attempt_id} says that it is done but brings no result")
        job_id = known[outcome.attempt_id].job_id
        results.append(
            (
                job_id,
                outcome.attempt_id,
                found.completeness,
                found.n,
                found.n_missing,
                found.n_imputed,
                *models.get(outcome.attempt_id, (None, None)),
            )
        )
        scores.extend((job_id, measure, *score_columns(value)) for measure, value in found.scores if value is not None)
        predictions.extend((job_id, name, data) for name, data in found.predictions.items())
    return (
        each(queries.add_result(), queries.RESULT_NAMES, results),
        each(queries.add_score(), queries.SCORE_NAMES, scores),
        each(queries.add_prediction(), queries.PREDICTION_NAMES, predictions),
    )


def score_columns(value: float) -> tuple[str, float | None]:
    """Return kind and value of a score as they are stored."""
    if math.isfinite(value):
        return "finite", float(value)
    if math.isnan(value):
        return "nan", None
    return ("pos_inf" if value > 0 else "neg_inf"), None


def release(connection: Connection, worker_id: int, attempts: Sequence[int]) -> None:
    """Take back attempts that their worker never started."""
    if not attempts:
        return
    rows = read_locked(connection, attempts)
    mine = [row for row in rows if row.worker_id == worker_id]
    close_rows(connection, [row for row in mine if row.outcome is None], Ending.RELEASED)
    recalled = [row.id for row in mine if row.recalled]
    if recalled:
        connection.execute(queries.forget_recall(), {"ids": recalled})


def close_rows(
    connection: Connection, rows: Sequence[Any], ending: Ending, note: str | None = None, *, recall: bool = False
) -> None:
    """Close open attempts (rows of `read_locked`) with one ending for all, and move their jobs."""
    if not rows:
        return
    values = {
        "ids": [row.id for row in rows],
        "outcome": ending.value,
        "recall": int(recall),
        "note": note,
        "mark": mark_of(ending, None, note),
    }
    connection.execute(queries.close_plainly(), values)
    crowd = len(rows) > 1  # a worker that kept suspects apart died with all of them: nobody knows of which
    run_many(connection, queries.move_job(), queries.MOVE_NAMES, [_move(ending, row, crowd=crowd) for row in rows])
