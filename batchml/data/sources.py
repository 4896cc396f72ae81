"""Tables from pandas, polars, pyarrow and Parquet files, as backends."""

from __future__ import annotations

import os
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from batchml.data.frame import FrameBackend
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchml.core.backend import DataBackend

__all__ = ["arrow_table", "as_data_backend"]

_INDEX = re.compile(r"__index_level_\d+__")


def as_data_backend(obj: Any, primary_key: str | None = None, *, text: Sequence[str] = ()) -> DataBackend:
    """Return a backend over a table.

    Parameters
    ----------
    obj
        A pandas or polars DataFrame, a pyarrow Table or RecordBatch, a mapping of columns, the path of a Parquet file
        or of a folder of them, a list of such paths, or a backend (returned as it is).
    primary_key
        The column of row ids; None: positions from 0.
    text
        The string columns that are free text; all other strings are categorical.

    Raises
    ------
    DataError
        A table that cannot be used, or is none.

    Examples
    --------
    >>> as_data_backend({"x": [1, 2], "g": ["a", "b"]}).n_rows
    2
    """
    if _is_backend(obj):
        backend: DataBackend = obj
        return backend
    return FrameBackend(arrow_table(obj), primary_key=primary_key, text=text)


def _is_backend(obj: Any) -> bool:
    """Look at the class: isinstance with a protocol computes all properties on Python 3.11, the digest too."""
    return all(hasattr(type(obj), name) for name in ("data", "digest", "missings", "primary_key", "row_ids"))


def arrow_table(obj: Any) -> pa.Table:
    """Return any kind of table as an Arrow table, not yet canonical."""
    if isinstance(obj, pa.Table):
        return _without_index(obj)
    if isinstance(obj, pa.RecordBatch):
        return pa.Table.from_batches([obj])
    if isinstance(obj, (str, os.PathLike)):
        return _read_parquet([Path(obj)])
    if isinstance(obj, (list, tuple)) and obj and all(isinstance(one, (str, os.PathLike)) for one in obj):
        return _read_parquet([Path(one) for one in obj])
    kind = f"{type(obj).__module__.partition('.')[0]}.{type(obj).__name__}"
    if kind == "pandas.DataFrame":
        return _from_pandas(obj)
    if kind == "polars.DataFrame":
        return _from_polars(obj)
    if kind == "polars.LazyFrame":
        return _from_polars(obj.collect())
    if isinstance(obj, dict):
        return _from_pandas(_pandas().DataFrame(obj))
    if hasattr(obj, "__arrow_c_stream__"):
        return pa.table(obj)
    raise DataError(f"{type(obj).__name__} is no table: give a pandas, polars or pyarrow table or Parquet paths")


def _outside() -> int:
    """Return the stack level of the first caller outside of batchml, for warnings that point at the user's line."""
    frame, level = sys._getframe(1), 1  # noqa: SLF001
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "batchml":
        frame, level = frame.f_back, level + 1
    return level


def _pandas() -> Any:
    import pandas as pd

    return pd


def _from_pandas(frame: Any) -> pa.Table:
    index = frame.index
    positional = len(index) == 0 or (index.dtype.kind in "iu" and bool((index == np.arange(len(index))).all()))
    if not positional:
        warnings.warn(
            "the index of the data frame is not 0..n-1 and is ignored: row ids are positions; "
            "use reset_index() and primary_key= to keep it",
            UserWarning,
            stacklevel=_outside(),
        )
    names = [str(name) for name in frame.columns]
    columns = [_pandas_column(name, frame.iloc[:, i]) for i, name in enumerate(names)]
    return pa.Table.from_arrays(columns, names=names)


def _without_index(table: pa.Table) -> pa.Table:
    """Leave out what pandas stored of an index without a name: as a feature it would tell rows apart."""
    stored = [name for name in table.column_names if _INDEX.fullmatch(name)]
    if stored:
        warnings.warn(
            "the index that pandas stored with the table is ignored: row ids are positions; "
            "use reset_index() before to_parquet(), and primary_key=, to keep it",
            UserWarning,
            stacklevel=_outside(),
        )
    return table.drop_columns(stored)


def _pandas_column(name: str, series: Any) -> pa.Array:
    if series.dtype == object:
        kinds = {type(value) for value in series.dropna()}
        mixed = len(kinds) > 1 and str in kinds
        if mixed:
            words = " and ".join(sorted(kind.__name__ for kind in kinds))
            raise DataError(f"column {name!r} mixes {words}: convert it, e.g. with .astype(str)")
    if hasattr(series, "sparse"):
        series = series.sparse.to_dense()
    try:
        return pa.Array.from_pandas(series)
    except UnicodeEncodeError as problem:
        raise DataError(f"column {name!r} holds text that is no Unicode (a lone surrogate)") from problem
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as problem:
        message = f"column {name!r} cannot be used: {str(problem).splitlines()[0]}; convert it or drop it"
        raise DataError(message) from problem


def _from_polars(frame: Any) -> pa.Table:
    """Polars' Categorical numbers its strings in a pool of its own, so it becomes strings; an Enum keeps its order."""
    import polars as pl

    pooled = [name for name, kind in frame.schema.items() if kind.base_type() is pl.Categorical]
    table = frame.with_columns(pl.col(pooled).cast(pl.String)).to_arrow() if pooled else frame.to_arrow()
    for i, (name, kind) in enumerate(frame.schema.items()):
        if kind.base_type() is pl.Enum:
            levels = pa.dictionary(pa.int32(), pa.string(), ordered=False)
            table = table.set_column(i, name, _plain_levels(table.column(name), levels))
    return table


def _plain_levels(column: pa.ChunkedArray, kind: pa.DictionaryType) -> pa.ChunkedArray:
    """Take the order from levels: Arrow calls an Enum ordered, but its order means as much as a category's."""
    parts = [
        pa.DictionaryArray.from_arrays(chunk.indices.cast(kind.index_type), chunk.dictionary.cast(kind.value_type))
        for chunk in column.chunks
    ]
    return pa.chunked_array(parts, type=kind)


def _read_parquet(paths: list[Path]) -> pa.Table:
    import pyarrow.parquet as pq

    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"there is no file {str(path)!r}")
        files += sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"the folder {str(paths[0])!r} holds no .parquet file")
    try:
        tables = [pq.read_table(file, partitioning=None) for file in files]
        return _without_index(tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive"))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as problem:
        message = f"{str(files[0])!r} cannot be read as Parquet: {str(problem).splitlines()[0]}"
        raise DataError(message) from problem
