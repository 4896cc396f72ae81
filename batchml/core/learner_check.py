"""Does a learner fit a task? Asked before anything is stored or run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchml.errors import ConfigError, DataError

if TYPE_CHECKING:
    from batchml.core.learner import Learner
    from batchml.core.task import Task

__all__ = ["check", "check_missings", "check_task_type"]


def check(learner: Learner, task: Task) -> None:
    """Refuse another task type, feature types, missing values, classes or weights that the learner does not take.

    Raises
    ------
    ConfigError
        Naming task, learner and, where there is one, the column.
    """
    check_task_type(learner, task)
    if not task.feature_names and "featureless" not in learner.properties:
        msg = f"learner '{learner.id}' cannot take task '{task.id}': it has no features; give columns the role feature"
        raise DataError(msg)
    _check_feature_types(learner, task)
    check_missings(learner, task)
    _check_classes(learner, task)
    if "weights" in task.properties and "weights" not in learner.properties:
        msg = (
            f"learner '{learner.id}' cannot use the weights of task '{task.id}': "
            "take one whose fit() has sample_weight, or a task without weights"
        )
        raise DataError(msg)


def check_task_type(learner: Learner, task: Task) -> None:
    """Refuse a learner for another type of task.

    Raises
    ------
    ConfigError
        Naming task and learner.
    """
    if learner.task_type != task.task_type:
        msg = (
            f"learner '{learner.id}' is for {learner.task_type} tasks, task '{task.id}' is {task.task_type}: "
            f"take a {task.task_type} learner"
        )
        raise ConfigError(msg)


def _check_feature_types(learner: Learner, task: Task) -> None:
    for column, kind in task.feature_types.items():
        if kind not in learner.feature_types:
            accepted = ", ".join(learner.feature_types)
            msg = (
                f"learner '{learner.id}' cannot take column '{column}' of task '{task.id}': it is {kind}, the learner "
                f"accepts {accepted}; {_remedy(learner, kind)}"
            )
            raise DataError(msg)


def _remedy(learner: Learner, kind: str) -> str:
    plain = getattr(learner, "preprocess", None) == "none"
    encodable = kind in {"categorical", "ordered", "logical"}
    return "drop or convert it" + (", or use preprocess='auto'" if plain and encodable else "")


def check_missings(learner: Learner, task: Task) -> None:
    """Refuse missing values that the learner does not take.

    Raises
    ------
    DataError
        Naming task, learner and column.
    """
    if "missings" in learner.properties:
        return
    for column, count in task.missings(task.feature_names).items():
        if count:
            msg = (
                f"learner '{learner.id}' cannot take missing values, but column '{column}' of task '{task.id}' has "
                f"{count}: impute them, or use preprocess='auto'"
            )
            raise DataError(msg)


def _check_classes(learner: Learner, task: Task) -> None:
    if task.task_type != "classif":
        return
    classes = task.classes  # type: ignore[attr-defined]  # a TaskClassif
    present = [label for label, count in task.class_counts.items() if count]  # type: ignore[attr-defined]  # as above
    if len(present) < 2:
        what = f"only the class {present[0]!r}" if present else "no rows"
        msg = f"learner '{learner.id}' cannot be trained on task '{task.id}': its target '{task.target}' has {what}"
        raise DataError(msg)
    needed = "twoclass" if len(classes) <= 2 else "multiclass"
    if needed not in learner.properties:
        msg = f"learner '{learner.id}' cannot take task '{task.id}': it has {len(classes)} classes ({needed})"
        raise DataError(msg)
