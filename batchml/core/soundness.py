"""Whether a task can be learned from; every refusal names task and column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchml.core import columns
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection

    from batchml.core.task_types import Task

__all__ = ["check", "check_new"]


def check(task: Task) -> None:
    """Refuse what no learner could use.

    Raises
    ------
    DataError
        No rows or features, infinite values, a target of the wrong type, with missing values or with one class;
        weights that are negative, infinite or missing.
    """
    where = f"task {task.id!r}"
    if task.n_rows == 0:
        raise DataError(f"{where} has no rows")
    if task.n_features == 0:
        raise DataError(
            f"{where} has no features: the table has only the target {task.target!r} and columns of other roles"
        )
    _check_target(task, where)
    for role in ("feature", "weight", "offset"):
        for name in task.col_roles[role]:
            _check_finite(task, name, role, where)
    _check_weights(task, where)


def check_new(task: Task, columns: Collection[str]) -> None:
    """Refuse infinite values, missing targets and impossible weights in columns that have come to a task.

    Raises
    ------
    DataError
        Names task and column.
    """
    where = f"task {task.id!r}"
    if task.target in columns:
        _check_target_column(task, where)
    for role in ("feature", "offset"):
        for name in task.col_roles[role]:
            if name in columns:
                _check_finite(task, name, role, where)
    if set(task.col_roles["weight"]) & set(columns):
        _check_finite(task, task.col_roles["weight"][0], "weight", where)
        _check_weights(task, where)


def _check_weights(task: Task, where: str) -> None:
    weights = task.weights
    if weights is not None and (np.isnan(weights).any() or (weights < 0).any()):
        raise DataError(f"{where}: weight column {task.col_roles['weight'][0]!r} has negative or missing values")


def _check_target(task: Task, where: str) -> None:
    _check_target_column(task, where)
    if task.task_type == "classif":
        present = [label for label, count in getattr(task, "class_counts", {}).items() if count]
        if len(present) < 2:
            only = f"only the class {present[0]!r}" if present else "no class"
            raise DataError(f"{where}: target {task.target!r} has {only}: classification needs at least two")


def _check_target_column(task: Task, where: str) -> None:
    name = task.target
    kind = task.schema[name].type
    missing = task.missings([name])[name]
    if missing:
        remedy = "drop those rows"
        raise DataError(f"{where}: target {name!r} has {missing} missing values: {remedy}")
    if task.task_type == "regr":
        if kind not in {"numeric", "integer"}:
            raise DataError(f"{where}: target {name!r} is {kind}; regression needs numbers (or use as_task_classif)")
        _check_finite(task, name, "target", where)
        return
    if kind in {"datetime", "text"}:
        raise DataError(f"{where}: target {name!r} is {kind}; classification needs classes")
    if kind == "numeric":
        values = np.array(task.backend.distinct(task._use, [name])[name])  # noqa: SLF001
        if (values != np.floor(values)).any():
            raise DataError(f"{where}: target {name!r} holds fractions, no classes (use as_task_regr, or strings)")
    unsafe = [one for one in getattr(task, "classes", ()) if isinstance(one, str) and "\0" in one]
    if unsafe:  # no database can hold it
        raise DataError(f"{where}: target {name!r} has a class with a NUL character, {unsafe[0]!r}: rename it")


def _check_finite(task: Task, name: str, role: str, where: str) -> None:
    info = task.schema[name]
    if info.type != "numeric":
        return
    infinite = task.backend.infinite(task._use, [name])[name]  # noqa: SLF001
    if infinite:
        values = columns.floats_of(task.backend.data(task._use, [name]).column(name), info)  # noqa: SLF001
        row = int(task.row_ids[np.flatnonzero(np.isinf(values))[0]])
        raise DataError(
            f"{where}: {role} {name!r} has {infinite} infinite values (first at row {row}): "
            "replace them, or make them missing"
        )
