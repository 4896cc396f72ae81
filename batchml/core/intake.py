"""From tables to tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchml.arguments import shown
from batchml.arguments import text as text_of
from batchml.core.catalog import resolve_name
from batchml.core.roles import as_names, known_columns
from batchml.core.soundness import check
from batchml.core.task_types import Task, TaskClassif, TaskRegr
from batchml.errors import ConfigError, DataError, UnknownKeyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchml.core.backend import DataBackend, Label

__all__ = ["as_task", "as_task_classif", "as_task_regr"]


def as_task_classif(
    data: Any,
    target: str,
    *,
    id: str | None = None,
    positive: Label | None = None,
    group: str | None = None,
    stratify: str | Iterable[str] | bool | None = None,
    weights: str | None = None,
    drop: str | Iterable[str] | None = None,
    text: str | Iterable[str] | None = None,
    primary_key: str | None = None,
) -> TaskClassif:
    """Return a classification task over a table.

    Parameters
    ----------
    data
        Whatever `as_data_backend` takes: pandas, polars, pyarrow, Parquet paths, a backend.
    target
        The column of classes: strings, booleans or whole numbers.
    id
        The label, by default the target's name.
    positive
        The positive class of two; by default True or 1 of logical, {0, 1} and {-1, 1} targets, else the first class.
    group
        The column whose rows of equal value are never split between training and test.
    stratify
        True: by the target; or columns.
    weights
        The column of row weights: not negative, none missing.
    drop
        Columns to leave out.
    text
        String columns that are free text; all other strings are categorical.
    primary_key
        The column of row ids; None: positions from 0.

    Raises
    ------
    DataError
        A table, column or value that does not fit; names task and column.

    Examples
    --------
    >>> task = as_task_classif({"x": [1.0, 2.0, 3.0], "y": ["no", "yes", "no"]}, "y", id="toy", positive="yes")
    >>> print(task)
    <TaskClassif:toy> (3 x 2)
    * Target: y
    * Classes (2): no (66.7%), yes (33.3%)
    * Positive class: yes
    * Properties: twoclass
    * Features (1):
      - numeric (1): x
    """
    strata = [target] if stratify is True else as_names(None if isinstance(stratify, bool) else stratify)
    backend, roles = _intake(data, target, id, group, strata, weights, drop, text, primary_key)
    task = TaskClassif(target if id is None else id, backend, target, roles=roles)
    check(task)
    if positive is not None:
        task.positive = positive
    return task


def as_task_regr(
    data: Any,
    target: str,
    *,
    id: str | None = None,
    group: str | None = None,
    stratify: str | Iterable[str] | None = None,
    weights: str | None = None,
    drop: str | Iterable[str] | None = None,
    text: str | Iterable[str] | None = None,
    primary_key: str | None = None,
) -> TaskRegr:
    """Return a regression task over a table; the parameters are those of `as_task_classif`.

    Examples
    --------
    >>> as_task_regr({"x": [1.0, 2.0], "y": [1, 2]}, "y").feature_names
    ('x',)
    """
    strata = as_names(stratify)
    backend, roles = _intake(data, target, id, group, strata, weights, drop, text, primary_key)
    task = TaskRegr(target if id is None else id, backend, target, roles=roles)
    check(task)
    return task


def as_task(obj: Any) -> Task:
    """Return a task, or the one of a key.

    Raises
    ------
    ConfigError
        Neither a task nor a key: a table needs `as_task_classif` or `as_task_regr`, which name the target.
    """
    if isinstance(obj, Task):
        return obj
    if isinstance(obj, str):
        task = resolve_name("core.catalog:tsk")(obj)
        assert isinstance(task, Task)
        return task
    kind = type(obj).__name__
    raise ConfigError(f"{kind} is no task: make one with as_task_classif(data, target) or as_task_regr(data, target)")


def _intake(
    data: Any,
    target: str,
    id: str | None,
    group: str | None,
    strata: list[str],
    weights: str | None,
    drop: str | Iterable[str] | None,
    text: str | Iterable[str] | None,
    primary_key: str | None,
) -> tuple[DataBackend, dict[str, list[str]]]:
    if not isinstance(target, str):
        raise ConfigError(
            f"target is the name of a column, not a {type(target).__name__}: put the labels into the table, "
            "data.assign(y=labels), and name them"
        )
    where = f"task {shown(target if id is None else id)}"
    text_of(target, f"{where}: target")
    if id is not None:
        text_of(id, "the id of a task")
    single = {name: _one(column, f"{where}: {name}") for name, column in (("group", group), ("weights", weights))}
    key = _one(primary_key, f"{where}: primary_key")
    try:
        backend = resolve_name("data.sources:as_data_backend")(data, key[0] if key else None, text=as_names(text))
    except (DataError, UnknownKeyError) as problem:
        raise type(problem)(f"{where}: {problem}") from problem
    known_columns([target], backend.columns, where=f"{where}: the table")
    known_columns([*single["group"], *single["weights"], *strata, *as_names(drop)], backend.columns, where=where)
    if target in as_names(drop):
        raise ConfigError(f"{where}: column {target!r} is the target and cannot be dropped: leave it out of drop")
    roles = {"group": single["group"], "weight": single["weights"], "stratum": strata}
    out = {target, backend.primary_key, *single["group"], *single["weights"], *as_names(drop)}
    roles["feature"] = [name for name in backend.columns if name not in out]
    return backend, roles


def _one(column: Any, name: str) -> list[str]:
    """Return one column or none as a list."""
    return [] if column is None else [text_of(column, name)]
