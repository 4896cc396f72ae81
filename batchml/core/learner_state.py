"""What training left in a learner, and training and predicting in a session."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.core.catalog import resolve_name
from batchml.core.learner_check import check_missings
from batchml.core.learner_policy import warn_of_limits
from batchml.core.seed import root_of
from batchml.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from batchml.core.backend import ColumnInfo
    from batchml.core.conditions import Condition
    from batchml.core.learner import Learner
    from batchml.core.prediction import Prediction
    from batchml.core.task import Task

__all__ = [
    "LearnerState",
    "Schema",
    "Trained",
    "all_missing",
    "newdata_task",
    "predict_in_session",
    "train_in_session",
    "with_state",
]

_logger = logging.getLogger("batchml.learner")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What the stage train leaves: one or two models and what was recorded.

    Attributes
    ----------
    ok
        False if the learner failed and the failure was encapsulated; then `model` is None.
    fallback_ok
        True if there is a fallback and it was trained.
    """

    ok: bool
    model: Any = None
    fallback_ok: bool = False
    fallback_model: Any = None
    conditions: tuple[Condition, ...] = ()
    elapsed: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What a training task looked like, so that new data can be brought into the same shape.

    Attributes
    ----------
    columns
        Feature name to its type and levels, in order.
    target, classes, positive
        Of the task; no classes for regression.
    """

    task_type: str
    columns: Mapping[str, ColumnInfo]
    target: str
    classes: tuple[Any, ...] = ()
    positive: Any = None

    @classmethod
    def of(cls, task: Task) -> Schema:
        """Return the schema of a task."""
        return cls(
            task_type=task.task_type,
            columns={name: task.schema[name] for name in task.feature_names},
            target=task.target,
            classes=tuple(getattr(task, "classes", ())),
            positive=task.positive,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerState:
    """What training left: plain values that survive pickling.

    Attributes
    ----------
    trained
        The model, and the fallback's.
    log
        Conditions of the last training and all predictions since.
    timings
        Seconds per stage.
    """

    trained: Trained
    schema: Schema
    seed: int
    log: tuple[Condition, ...]
    timings: dict[str, float]


def train_in_session(learner: Learner, task: Task, row_ids: Any, *, seed: int | None) -> LearnerState:
    """Train as a worker would, and return the state."""
    seed = root_of(seed)
    warn_of_limits(learner)
    rows = _rows(task, row_ids)
    if not len(rows):
        msg = f"learner '{learner.id}' cannot be trained on no rows of task '{task.id}'"
        raise DataError(msg)
    trained = _unwrapped("train", learner, task, rows, seed=seed, threads=learner.threads)
    _tell(trained.conditions, learner)
    return LearnerState(
        trained=trained,
        schema=Schema.of(task),
        seed=seed,
        log=trained.conditions,
        timings={"train": trained.elapsed},
    )


def predict_in_session(learner: Learner, task: Task, row_ids: Any) -> Prediction:
    """Predict as a worker would; the learner's log and timings grow."""
    trained = learner.trained
    state = learner.state
    assert state is not None
    _check_shape(learner, task, state.schema)
    predicted = _unwrapped(
        "predict", learner, task, _rows(task, row_ids), trained, seed=state.seed, threads=learner.threads
    )
    _tell(predicted.conditions, learner)
    learner.state = replace(
        state,
        log=(*state.log, *predicted.conditions),
        timings={**state.timings, "predict": predicted.elapsed},
    )
    if predicted.prediction is None:
        return all_missing(task, _rows(task, row_ids), learner.predict_type)
    prediction: Prediction = predicted.prediction
    return prediction


def with_state(
    learner: Learner,
    task: Task,
    trained: Trained,
    *,
    seed: int,
    timings: Mapping[str, float],
    log: tuple[Condition, ...] = (),
) -> Learner:
    """Return a copy of the learner as it was after an iteration: with its model, and that of its fallback."""
    twin = learner.clone()
    twin.state = LearnerState(trained=trained, schema=Schema.of(task), seed=seed, log=log, timings=dict(timings))
    return twin


def all_missing(task: Task, row_ids: NDArray[np.int64], predict_type: str) -> Prediction:
    """Return a prediction that says nothing about any of the rows."""
    from batchml.core.prediction import as_prediction

    n = len(row_ids)
    raw: dict[str, Any] = {"response": np.full(n, np.nan)}
    if predict_type == "se":
        raw["se"] = raw["response"]
    if task.task_type == "classif":
        raw = {"codes": np.full(n, -1)}
        if predict_type == "prob":
            raw["prob"] = np.full((n, len(task.classes)), np.nan)  # type: ignore[attr-defined]  # a TaskClassif
    return as_prediction(task, row_ids, raw)


def _unwrapped(stage: str, learner: Learner, *args: Any, **kwargs: Any) -> Any:
    failed: type[Exception] = resolve_name("execution.stages:IterationFailed")
    # What runs in another process leaves this one's random numbers alone, and keeping them takes 0.08 ms.
    elsewhere = learner.encapsulate[stage] == "process" and learner.fallback is None
    try:
        with nullcontext() if elsewhere else resolve_name("execution.execute:kept_random_state")():
            return resolve_name(f"execution.stages:{stage}")(learner, *args, **kwargs)
    except failed as carrier:
        # The user's own traceback, not the carrier's.
        cause: BaseException = carrier.cause  # type: ignore[attr-defined]
    raise cause


def _rows(task: Task, row_ids: Any) -> NDArray[np.int64]:
    if row_ids is None:
        return task.row_ids
    rows = np.asarray(row_ids)
    if rows.size and (rows.dtype.kind not in "iu" or rows.ndim != 1):
        what = "a mask: give task.row_ids[mask]" if rows.dtype.kind == "b" else f"{rows.ndim}-d {rows.dtype}"
        msg = f"task '{task.id}': row ids are a list of whole numbers, not {what}"
        raise DataError(msg)
    return rows.astype(np.int64, copy=False)


def _tell(conditions: tuple[Condition, ...], learner: Learner) -> None:
    """Pass captured warnings and errors to the logger: kept in, but not hushed up."""
    for condition in conditions:
        if condition.level != "output":
            level = logging.ERROR if condition.level == "error" else logging.WARNING
            _logger.log(level, "%s: %s: %s", learner.id, condition.stage, condition.message)


def _check_shape(learner: Learner, task: Task, schema: Schema) -> None:
    if task.task_type != schema.task_type:
        msg = f"learner '{learner.id}' was trained on a {schema.task_type} task, '{task.id}' is {task.task_type}"
        raise ConfigError(msg)
    if tuple(task.feature_names) != tuple(schema.columns):
        lacking = [name for name in schema.columns if name not in task.feature_names]
        extra = [name for name in task.feature_names if name not in schema.columns]
        what = (
            f"column '{lacking[0]}' is missing" if lacking else f"column '{extra[0]}' is new" if extra else "the order"
        )
        msg = f"task '{task.id}' has other features than learner '{learner.id}' was trained on: {what}"
        raise DataError(msg)
    check_missings(learner, task)
    if tuple(getattr(task, "classes", ())) != schema.classes:
        msg = f"task '{task.id}' has other classes than learner '{learner.id}' was trained on"
        raise DataError(msg)


def newdata_task(learner: Learner, frame: Any) -> Task:
    """Return a table as a task of the shape that the learner was trained on."""
    learner.trained  # noqa: B018 - raises for an untrained learner
    assert learner.state is not None
    found: Task = resolve_name("data.newdata:as_newdata_task")(frame, learner.state.schema, learner.id)
    return found
