"""Tables in memory, in files and in databases, as backends."""

from __future__ import annotations

import os
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from batchml.data.frame import FrameBackend
from batchml.data.lazy import LazyBackend
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchml.core.backend import DataBackend

__all__ = ["arrow_table", "as_data_backend", "is_backend", "warn_of_index"]

_INDEX = re.compile(r"__index_level_\d+__")
_DATABASES = frozenset({"duckdb", "ddb"})
_ARROW = frozenset({"arrow", "arrows", "feather", "ipc"})
_CSV = frozenset({"csv", "tsv"})
_SMALL_BYTES = 1 << 26


def as_data_backend(
    obj: Any,
    primary_key: str | None = None,
    *,
    text: Sequence[str] = (),
    source: str | None = None,
    table: str | None = None,
    query: str | None = None,
    files: Sequence[str | os.PathLike[str]] = (),
    snapshot: bool = False,
    check: str = "cheap",
) -> DataBackend:
    """Return a backend over a table.

    A table in memory is held; one in files or a database stays where it lies, and only the rows and columns that are
    asked for are read.

    Parameters
    ----------
    obj
        A pandas or polars DataFrame, a pyarrow Table or RecordBatch, a mapping of columns; the path, glob or fsspec URL
        of Parquet, CSV or Arrow IPC files, a folder of Parquet files (``year=2020`` in names of folders makes a
        column), or a list of those; the path of a DuckDB database; with `source` a SQLAlchemy table or select, the text
        of a SELECT or the name of a table; or a backend (returned as it is).
    primary_key
        The column of row ids; None: positions from 0. A SELECT needs one.
    text
        The string columns that are free text; all other strings are categorical.
    source
        The database: its name below ``[sources]`` in the configuration, or a URL without a password.
    table, query
        Of a DuckDB database: which table or view, or a SELECT.
    files
        Files that a query of a DuckDB database may read besides; all others are refused.
    snapshot
        Read the whole table now, so that it is shipped with designs and nothing that happens to the source matters.
    check
        Of a database: whether later changes are looked for by row count and checksum (``cheap``), or by reading all of
        it once in each process (``exact``).

    Raises
    ------
    DataError
        A table that cannot be used, or is none.
    DataUnavailableError
        A database or remote file that cannot be reached.

    Examples
    --------
    >>> as_data_backend({"x": [1, 2], "g": ["a", "b"]}).n_rows
    2
    """
    if is_backend(obj):
        backend: DataBackend = obj
    else:
        backend = _opened(obj, primary_key, text, source, table, query, files, check)
    if snapshot and backend.lazy:
        return _taken(backend)
    return backend


def _taken(backend: DataBackend) -> FrameBackend:
    """Return the whole table: a small one in memory, a large one as a file in this machine's cache."""
    from batchml.data.tables import cached_table

    if isinstance(backend, LazyBackend) and 8 * backend.n_rows * backend.n_cols > _SMALL_BYTES:
        return cached_table(backend)
    return FrameBackend(backend.data(), primary_key=backend.primary_key, canonical=True)


def _opened(
    obj: Any,
    primary_key: str | None,
    text: Sequence[str],
    source: str | None,
    table: str | None,
    query: str | None,
    files: Sequence[str | os.PathLike[str]],
    check: str,
) -> DataBackend:
    if source is not None:
        from batchml.data.sql_open import open_sql

        return open_sql(obj, source, primary_key, text, check=check)
    if table is not None or query is not None or files or _ending(obj) in _DATABASES:
        from batchml.data.duck_open import open_duckdb

        if not isinstance(obj, (str, os.PathLike)):
            raise DataError("table=, query= and files= are of a DuckDB database: give its path, or name a source=")
        return open_duckdb(obj, table=table, query=query, files=files, primary_key=primary_key, text=text)
    paths = _paths(obj)
    if paths:
        return _open_files(paths, primary_key, text)
    if type(obj).__module__.partition(".")[0] == "sqlalchemy":
        raise DataError("a SQLAlchemy select needs source=, the name of a configured source or the URL of a database")
    return FrameBackend(arrow_table(obj), primary_key=primary_key, text=text)


def _paths(obj: Any) -> list[str]:
    """Return what names files; nothing for a table."""
    several = isinstance(obj, (list, tuple)) and obj and all(isinstance(one, (str, os.PathLike)) for one in obj)
    listed = list(obj) if several else [obj] if isinstance(obj, (str, os.PathLike)) else []
    return [os.fspath(one) for one in listed]


def _ending(obj: Any) -> str:
    paths = _paths(obj)
    return re.sub(r"\.(gz|zst)$", "", paths[0].lower()).rpartition(".")[2] if paths else ""


def _open_files(paths: list[str], primary_key: str | None, text: Sequence[str]) -> DataBackend:
    from batchml.data import duck_open

    ending = _ending(paths)
    if any(_ending(path) != ending for path in paths):
        raise DataError(f"{paths[0]!r} and the others are files of different kinds: give one kind")
    if re.match(r"\s*(select|with)\s", paths[0], re.IGNORECASE):
        raise DataError("a SELECT needs source=, the name of a configured source or the URL of a database")
    if ending in _ARROW:
        from batchml.data.ipc import open_ipc

        return open_ipc(paths, primary_key, text)
    if ending in _CSV:
        return duck_open.open_csv(paths, primary_key, text)
    return duck_open.open_parquet(paths, primary_key, text)


def is_backend(obj: Any) -> bool:
    """Look at the class: isinstance with a protocol computes all properties on Python 3.11, the digest too."""
    return all(hasattr(type(obj), name) for name in ("data", "digest", "missings", "primary_key", "row_ids"))


def arrow_table(obj: Any) -> pa.Table:
    """Return any kind of table as an Arrow table, not yet canonical."""
    if isinstance(obj, pa.Table):
        return _without_index(obj)
    if isinstance(obj, pa.RecordBatch):
        return pa.Table.from_batches([obj])
    if paths := _paths(obj):
        return _open_files(paths, None, ()).data()
    kind = f"{type(obj).__module__.partition('.')[0]}.{type(obj).__name__}"
    if kind == "pandas.DataFrame":
        return _from_pandas(obj)
    if kind == "polars.DataFrame":
        return _from_polars(obj)
    if kind == "polars.LazyFrame":
        return _from_polars(obj.collect())
    if isinstance(obj, dict):
        try:
            return _from_pandas(_pandas().DataFrame(obj))
        except ValueError as error:  # columns of several lengths, or single values
            raise DataError(f"a mapping is a table if it holds columns of one length: {error}") from error
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
        warn_of_index()
    return table.drop_columns(stored)


def warn_of_index() -> None:
    """Say that what pandas stored of an index is no column."""
    warnings.warn(
        "the index that pandas stored with the table is ignored: row ids are positions; "
        "use reset_index() before to_parquet(), and primary_key=, to keep it",
        UserWarning,
        stacklevel=_outside(),
    )


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
