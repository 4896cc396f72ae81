"""Train and predict as stages: encapsulated, limited in time, with a fallback where the learner has one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from batchml.core.conditions import Condition
from batchml.core.learner_state import Trained, all_missing
from batchml.core.seed import derive
from batchml.errors import LearnerError
from batchml.execution import progress
from batchml.execution.call import (
    Failure,
    IterationFailed,
    Partner,
    StageCall,
    StageName,
    StageReply,
    died_reply,
    timeout_reply,
)
from batchml.execution.execute import execute, run_stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchml.core.learner import Learner
    from batchml.core.prediction import Prediction
    from batchml.core.task import Task

__all__ = [
    "Failure",
    "IterationFailed",
    "Partner",
    "Predicted",
    "StageCall",
    "StageReply",
    "Trained",
    "died_reply",
    "execute",
    "predict",
    "run_stage",
    "timeout_reply",
    "train",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What the stage predict leaves; `prediction` is None if the learner failed and nothing stood in for it."""

    prediction: Prediction | None = None
    conditions: tuple[Condition, ...] = ()
    elapsed: float = 0.0


def train(
    learner: Learner,
    task: Task,
    row_ids: NDArray[np.int64],
    *,
    seed: int,
    threads: int = 1,
    partner: Partner | None = None,
    record: bool = False,
) -> Trained:
    """Train a learner on some rows of a task, and its fallback on the same rows, whether or not it is needed later.

    Parameters
    ----------
    seed
        Of the job; every random number of the stage comes from it.
    partner
        Runs stages that are encapsulated in a process; None: the session's own.
    record
        Record conditions whatever the encapsulation says, as workers do.

    Raises
    ------
    IterationFailed
        An error escaped: it is not encapsulated, `when` refuses it, the configuration is wrong, or learner and
        fallback both failed.
    """
    call = StageCall(
        stage="train",
        learner=learner,
        task=task,
        row_ids=row_ids,
        seed=derive(seed, "stage", "train"),
        threads=threads,
    )
    reply = _main_stage(call, partner=partner, record=record)
    trained = Trained(ok=reply.failure is None, model=reply.value, conditions=reply.conditions, elapsed=reply.elapsed)
    fallback = learner.fallback_for_stages()
    if fallback is None:
        return trained
    call = replace(call, learner=fallback, seed=derive(seed, "stage", "train", "fallback"))
    stand_in = _fallback_stage(call, learner, record=record)
    trained = replace(trained, conditions=(*trained.conditions, *stand_in.conditions))
    if stand_in.failure is None:
        return replace(trained, fallback_ok=True, fallback_model=stand_in.value)
    if not trained.ok:
        _raise_fallback_failure(call, stand_in, trained.conditions, {"train": trained.elapsed})
    return trained


def predict(
    learner: Learner,
    task: Task,
    row_ids: NDArray[np.int64],
    trained: Trained,
    *,
    seed: int,
    threads: int = 1,
    partner: Partner | None = None,
    record: bool = False,
) -> Predicted:
    """Predict some rows; where the learner failed or left rows out, its fallback predicts them.

    Rows keep their order; those that the fallback predicted are marked as imputed. Of no rows (a bootstrap may leave
    none out) there is an empty prediction, whatever the method makes of empty tables.

    Raises
    ------
    IterationFailed
        As for `train`.
    """
    if not len(row_ids) and (trained.ok or trained.fallback_ok):
        return Predicted(prediction=all_missing(task, row_ids, learner.predict_type))
    call = StageCall(
        stage="predict",
        learner=learner,
        task=task,
        row_ids=row_ids,
        seed=derive(seed, "stage", "predict"),
        threads=threads,
        model=trained.model,
    )
    reply = _main_stage(call, partner=partner, record=record) if trained.ok else StageReply()
    predicted = Predicted(prediction=reply.value, conditions=reply.conditions, elapsed=reply.elapsed)
    if not trained.fallback_ok:
        return predicted
    missing = None if predicted.prediction is None else predicted.prediction.missing
    if missing is not None and not missing.any():
        return predicted
    return _impute(call, trained, predicted, missing, record=record)


def _impute(
    call: StageCall, trained: Trained, predicted: Predicted, missing: NDArray[np.bool_] | None, *, record: bool
) -> Predicted:
    """Fill the whole prediction, or its missing rows, from the fallback."""
    learner, fallback = call.learner, call.learner.fallback_for_stages()
    assert fallback is not None
    # A row that was drawn several times (bootstrap) is predicted once.
    rows = call.row_ids if missing is None else np.unique(call.row_ids[missing])
    seed = derive(call.seed, "fallback")
    stand_in = _fallback_stage(
        replace(call, learner=fallback, row_ids=rows, model=trained.fallback_model, seed=seed), learner, record=record
    )
    conditions = (*predicted.conditions, *stand_in.conditions)
    if stand_in.failure is not None:
        _raise_fallback_failure(call, stand_in, conditions, {"predict": predicted.elapsed})
    filled: Prediction = stand_in.value
    if predicted.prediction is None:
        text = "Using fallback learner for predictions"
        filled._imputed = ~filled.missing  # noqa: SLF001 - nobody else has seen this prediction yet
    else:
        text = f"Using fallback learner for {len(rows)} of {len(call.row_ids)} predictions"
        filled = predicted.prediction.replace_missing(filled)
    conditions = (*conditions, Condition(stage="predict", level="output", message=text))
    return replace(predicted, prediction=filled, conditions=conditions)


def _main_stage(call: StageCall, *, partner: Partner | None, record: bool) -> StageReply:
    """Run a stage of the learner itself; raise what is not to be lived with."""
    learner, stage = call.learner, call.stage
    method = learner.encapsulate[stage]
    progress.tell(stage)
    try:
        reply = run_stage(call, method, timeout=learner.timeout[stage], partner=partner, record=record)
    finally:
        progress.tell(None)
    if reply.failure is not None and _escapes(learner, stage, method, reply.failure):
        error = reply.failure.exception()
        raise IterationFailed(stage, error, reply.conditions, {stage: reply.elapsed}) from error
    return reply


def _escapes(learner: Learner, stage: StageName, method: str, failure: Failure) -> bool:
    if method == "none" or failure.kind in {"config", "data"}:
        return True
    return learner.when is not None and not learner.when(failure.condition, stage)


def _fallback_stage(call: StageCall, learner: Learner, *, record: bool) -> StageReply:
    """Run a stage of the fallback, in this process; its conditions say that they are the fallback's."""
    captured = record or learner.encapsulate[call.stage] != "none"
    reply = execute(call, record=captured, output=captured, interrupts=record)
    name = f"fallback learner '{call.learner.id}'"
    conditions = tuple(replace(c, message=f"{name}: {c.message}") for c in reply.conditions)
    return replace(reply, conditions=conditions)


def _raise_fallback_failure(
    call: StageCall, reply: StageReply, conditions: tuple[Condition, ...], timings: dict[str, float]
) -> NoReturn:
    assert reply.failure is not None
    cause = reply.failure.exception()
    error: BaseException = cause
    if reply.failure.kind not in {"config", "data"}:
        error = LearnerError(
            f"learner '{call.learner.id}' failed in {call.stage}, and its fallback failed too: "
            f"{reply.failure.condition.message}"
        )
    raise IterationFailed(call.stage, error, conditions, timings) from cause
