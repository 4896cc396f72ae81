"""Arrow columns in canonical form as numpy arrays and pandas columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from batchml.core.backend import ColumnInfo

__all__ = [
    "codes_of",
    "features_of",
    "floats_of",
    "frame_of",
    "labels_of",
    "level_array",
    "matrix_of",
    "missing_of",
    "part_of",
    "series_of",
]

#: Feature types that go into a matrix of floats.
NUMERIC = frozenset({"logical", "integer", "numeric"})
_BLOCK = 4096  # rows of a matrix that are written together: of each column they stay in the processor's cache


def _one(column: Any) -> pa.Array:
    chunks = getattr(column, "num_chunks", None)
    if chunks is None:
        return column
    return column.chunk(0) if chunks == 1 else column.combine_chunks()


def missing_of(column: Any) -> NDArray[np.bool_]:
    """Return which values are missing (null or NaN)."""
    import pyarrow.compute as pc

    return np.asarray(pc.is_null(_one(column), nan_is_null=True).to_numpy(zero_copy_only=False), dtype=bool)


def floats_of(column: Any, info: ColumnInfo) -> NDArray[np.float64]:
    """Return a numeric, integer or logical column as floats, missing as NaN; may be a read-only view."""
    import pyarrow as pa

    array = _one(column)
    if info.type == "logical":
        array = array.cast(pa.int8())
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def level_array(levels: tuple[Any, ...]) -> NDArray[Any]:
    """Return labels as an array of their own kind (strings, integers, booleans, floats)."""
    return np.array(levels) if levels else np.array([], dtype=str)


def codes_of(column: Any, info: ColumnInfo) -> tuple[NDArray[np.int64], tuple[Any, ...]]:
    """Return a column as codes into sorted labels (or its own levels); -1 where it is missing."""
    array = _one(column)
    if info.levels is not None:
        codes = array.indices.fill_null(-1) if array.null_count else array.indices
        return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64), info.levels
    missing = missing_of(array)
    known = array.filter(~missing)
    found, inverse = np.unique(known.to_numpy(zero_copy_only=False), return_inverse=True)
    codes = np.full(len(array), -1, dtype=np.int64)
    codes[~missing] = inverse
    return codes, tuple(found.tolist())


def labels_of(codes: NDArray[np.int64], labels: tuple[Any, ...]) -> NDArray[Any]:
    """Return the labels that codes stand for; None for -1, then as objects."""
    found = level_array(labels)
    if codes.size and codes.min() < 0:
        result = np.empty(len(codes), dtype=object)
        known = codes >= 0
        result[known] = found[codes[known]]
        return result
    return found[codes]


def series_of(column: Any, info: ColumnInfo) -> Any:
    """Return a column as a data frame holds it: categories with all levels, NaN for missing."""
    import pandas as pd

    array = _one(column)
    if info.type == "logical":
        truths: Any = [False, True]
        codes = array.cast("int8").fill_null(-1).to_numpy(zero_copy_only=False)
        return pd.Categorical.from_codes(codes, categories=truths)
    if info.levels is not None:
        levels: Any = list(info.levels)
        codes = np.asarray(array.indices.fill_null(-1).to_numpy(zero_copy_only=False))
        return pd.Categorical.from_codes(codes, categories=levels, ordered=info.type == "ordered")
    if info.type in {"numeric", "integer"}:
        return np.asarray(array.to_numpy(zero_copy_only=False))
    return array.to_pandas()


def frame_of(table: pa.Table, schema: Any) -> pd.DataFrame:
    """Return an Arrow table as a pandas frame of its own memory."""
    import pandas as pd

    columns = {name: series_of(table.column(name), schema[name]) for name in table.column_names}
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows), copy=True)


def part_of(column: Any, places: NDArray[np.int64] | None) -> pa.Array:
    """Return a column at places (None: all of it) as one array."""
    import pyarrow as pa

    array = _one(column)
    return array if places is None else array.take(pa.array(places))


def _views(column: Any, places: Any, info: ColumnInfo) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    """Return the numbers of a column and where to take them: as they lie in memory if they lie there as numbers."""
    array = _one(column)
    if info.type == "logical" or array.null_count:
        return floats_of(part_of(array, places), info), None
    return array.to_numpy(zero_copy_only=len(array) > 0), places


def matrix_of(table: pa.Table, places: NDArray[np.int64] | None, names: list[str], schema: Any) -> NDArray[np.float64]:
    """Return numeric columns at places (None: all) as a matrix in C order, copied once; missing as NaN."""
    n = table.num_rows if places is None else len(places)
    matrix = np.empty((n, len(names)))
    sources = [_views(table.column(name), places, schema[name]) for name in names]
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        for i, (values, where) in enumerate(sources):
            matrix[block, i] = values[block] if where is None else values[where[block]]
    return matrix


def features_of(
    table: pa.Table, places: NDArray[np.int64] | None, names: list[str], schema: Any, floating: frozenset[str]
) -> pd.DataFrame:
    """Return columns at places (None: all) as a frame of its own memory, copied once.

    Parameters
    ----------
    floating
        Columns of whole numbers that are floats, since a value is missing somewhere.
    """
    import pandas as pd

    n = table.num_rows if places is None else len(places)
    found: dict[str, Any] = {}
    for name in names:
        info = schema[name]
        if info.type not in {"integer", "numeric"}:
            found[name] = series_of(part_of(table.column(name), places), info)
            continue
        values, where = _views(table.column(name), places, info)
        taken = values if where is None else values[where]
        kind = np.float64 if name in floating or info.type == "numeric" else taken.dtype
        found[name] = np.array(taken, dtype=kind, copy=None if taken.flags.owndata and taken.flags.writeable else True)
    return pd.DataFrame(found, index=pd.RangeIndex(n), columns=pd.Index(names), copy=False)
