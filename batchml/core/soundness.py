"""Whether a task can be learned from; every refusal names task and column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchml.core import columns
from batchml.errors import DataError

if TYPE_CHECKING:
    from batchml.core.task_types import Task

__all__ = ["check"]


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
    if task.weights is not None:
        name = task.col_roles["weight"][0]
        if np.isnan(task.weights).any() or (task.weights < 0).any():
            raise DataError(f"{where}: weight column {name!r} has negative or missing values")


def _check_target(task: Task, where: str) -> None:
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
        values = columns.floats_of(task.backend.data(task.row_ids, [name]).column(name), task.schema[name])
        if (values != np.floor(values)).any():
            raise DataError(f"{where}: target {name!r} holds fractions, no classes (use as_task_regr, or strings)")
    unsafe = [one for one in getattr(task, "classes", ()) if isinstance(one, str) and "\0" in one]
    if unsafe:  # no database can hold it
        raise DataError(f"{where}: target {name!r} has a class with a NUL character, {unsafe[0]!r}: rename it")
    present = [label for label, count in getattr(task, "class_counts", {}).items() if count]
    if len(present) < 2:
        only = f"only the class {present[0]!r}" if present else "no class"
        raise DataError(f"{where}: target {name!r} has {only}: classification needs at least two")


def _check_finite(task: Task, name: str, role: str, where: str) -> None:
    info = task.schema[name]
    if info.type != "numeric":
        return
    values = columns.floats_of(task.backend.data(task._use, [name]).column(name), info)  # noqa: SLF001
    infinite = np.isinf(values)
    if infinite.any():
        row = int(task.row_ids[np.flatnonzero(infinite)[0]])
        raise DataError(
            f"{where}: {role} {name!r} has {int(infinite.sum())} infinite values (first at row {row}): "
            "replace them, or make them missing"
        )
