"""Arrow columns in canonical form as numpy arrays and pandas columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from batchml.core.backend import ColumnInfo

__all__ = ["codes_of", "floats_of", "frame_of", "labels_of", "level_array", "missing_of", "series_of"]

#: Feature types that go into a matrix of floats.
NUMERIC = frozenset({"logical", "integer", "numeric"})


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
