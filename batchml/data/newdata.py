"""New data in the shape of a training task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from batchml.core.backend import ColumnInfo
from batchml.core.task import Task, TaskClassif, TaskRegr
from batchml.data.canonical import canonical_column, column_info
from batchml.data.frame import FrameBackend
from batchml.data.sources import arrow_table
from batchml.errors import DataError, nearest

if TYPE_CHECKING:
    from batchml.core.learner_state import Schema

__all__ = ["as_newdata_task"]

_NUMBERS = ("logical", "integer", "numeric")


def as_newdata_task(data: Any, schema: Schema, where: str) -> Task:
    """Return a table as a task with a training task's features, target and classes; rows are positions.

    Levels that training did not know are appended to a column's levels; other columns are left out; without the target
    the truth is missing.

    Parameters
    ----------
    where
        The learner's id, for messages.

    Raises
    ------
    DataError
        A feature is missing, there twice, infinite or of another type.
    """
    if hasattr(data, "reset_index"):
        data = data.reset_index(drop=True)
    table = arrow_table(data)
    _check_shape(table, schema, where)
    columns: dict[str, pa.Array] = {}
    for name, info in schema.columns.items():
        columns[name] = _fitted(name, table.column(name), info, where)
    target = table.column(schema.target) if schema.target in table.column_names else None
    columns[schema.target] = _target(target, schema, table.num_rows)
    backend = FrameBackend(pa.table(columns), canonical=True)
    roles = {"feature": list(schema.columns)}
    if schema.task_type == "classif":
        return TaskClassif("newdata", backend, schema.target, roles=roles, positive=schema.positive)
    return TaskRegr("newdata", backend, schema.target, roles=roles)


def _check_shape(table: pa.Table, schema: Schema, where: str) -> None:
    names = table.column_names
    for name in (*schema.columns, schema.target):
        if names.count(name) > 1:
            raise DataError(f"new data for learner '{where}' has {names.count(name)} columns '{name}': keep one")
    for name in schema.columns:
        if name not in names:
            hint = nearest(name, names)
            raise DataError(f"new data for learner '{where}' has no column '{name}'{hint}, which it was trained on")


def _fitted(name: str, column: pa.ChunkedArray, info: ColumnInfo, where: str) -> pa.Array:
    """Return a column in canonical form with the type it had in training."""
    if column.null_count == len(column):
        return _nothing(len(column), info)
    array = canonical_column(name, column, text=info.type == "text")
    found = column_info(array)
    if info.levels is not None and found.levels is not None:
        return _recoded(array.to_pylist(), (*info.levels, *(x for x in found.levels if x not in info.levels)), info)
    if found.type == info.type:
        return _finite(name, array, where)
    if info.type in _NUMBERS and found.type in _NUMBERS:
        return _finite(name, (array.cast(pa.int8()) if found.type == "logical" else array).cast(pa.float64()), where)
    raise DataError(
        f"column '{name}' of the new data is {found.type}, but learner '{where}' was trained with {info.type} values"
    )


def _finite(name: str, array: pa.Array, where: str) -> pa.Array:
    if pa.types.is_floating(array.type) and np.isinf(array.to_numpy(zero_copy_only=False)).any():
        raise DataError(
            f"column '{name}' of the new data for learner '{where}' has infinite values, as no training data may have"
        )
    return array


def _nothing(n: int, info: ColumnInfo) -> pa.Array:
    if info.levels is not None:
        return _recoded([None] * n, info.levels, info)
    simple = {"logical": pa.bool_(), "datetime": pa.timestamp("ns"), "text": pa.large_string()}
    if info.type in simple:
        return pa.nulls(n, simple[info.type])
    return pa.array(np.full(n, np.nan))


def _recoded(values: list[Any], levels: tuple[Any, ...], info: ColumnInfo) -> pa.Array:
    place = {level: i for i, level in enumerate(levels)}
    codes = pa.array([place.get(value) for value in values], type=pa.int32())
    return pa.DictionaryArray.from_arrays(codes, pa.array(levels), ordered=info.type == "ordered")


def _target(column: pa.ChunkedArray | None, schema: Schema, n: int) -> pa.Array:
    if schema.task_type == "classif":
        values = [None] * n if column is None else column.to_pylist()
        return _recoded(values, schema.classes, ColumnInfo(type="categorical", levels=schema.classes))
    if column is None:
        return pa.array(np.full(n, np.nan))
    return canonical_column(schema.target, column.cast(pa.float64()))
