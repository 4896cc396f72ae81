"""New tables from old ones: rows or columns more, other names, other levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchml.core.rows import RowIndex
from batchml.data.canonical import canonical_column, canonical_table
from batchml.data.frame import FrameBackend
from batchml.data.sources import arrow_table
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from batchml.core.backend import DataBackend

__all__ = ["bind_columns", "bind_rows", "rename_columns", "set_levels", "with_columns"]


def bind_rows(backend: DataBackend, data: Any, *, where: str) -> FrameBackend:
    """Return the table with the rows of another one below; its ids go on from the largest.

    Raises
    ------
    DataError
        A column that the table lacks, or of another type.
    """
    key = backend.primary_key
    text = frozenset(name for name, info in backend.schema.items() if info.type == "text")
    new = canonical_table(arrow_table(data), text=text)
    unknown = [name for name in new.column_names if name not in backend.schema]
    if unknown:
        raise DataError(f"{where} has no column {unknown[0]!r}: cbind() adds columns, rbind() rows")
    if key is not None and key not in new.column_names:
        ids = backend.row_ids.max(initial=-1) + 1 + np.arange(new.num_rows)
        new = new.append_column(key, pa.array(ids))
    old = backend.data()
    columns = [_stack(name, old.column(name), new, where) for name in backend.columns]
    return FrameBackend(pa.table(columns, names=list(backend.columns)), primary_key=key, text=sorted(text))


def _stack(name: str, above: pa.ChunkedArray, new: pa.Table, where: str) -> pa.ChunkedArray:
    if name not in new.column_names:
        below = pa.nulls(new.num_rows, above.type)
        return pa.chunked_array([*above.chunks, below], type=above.type)
    below = new.column(name).combine_chunks()
    if pa.types.is_dictionary(above.type):
        return _stack_levels(name, above.combine_chunks(), below, where)
    if below.type == above.type or below.null_count == len(below):
        return pa.chunked_array([*above.chunks, below.cast(above.type)])
    if {above.type, below.type} == {pa.int64(), pa.float64()}:
        return pa.chunked_array([above.combine_chunks().cast(pa.float64()), below.cast(pa.float64())])
    raise DataError(f"{where}: column {name!r} is {above.type} and cannot take rows of {below.type}")


def _stack_levels(name: str, above: pa.DictionaryArray, below: pa.Array, where: str) -> pa.ChunkedArray:
    """Put levels that are new behind the old ones."""
    kind = above.dictionary.type
    if pa.types.is_dictionary(below.type):
        below = below.dictionary.take(below.indices)
    if below.null_count < len(below) and below.type != kind and not pa.types.is_integer(below.type):
        raise DataError(f"{where}: column {name!r} holds categories of {kind} and cannot take rows of {below.type}")
    below = below.cast(kind)
    fresh = [one for one in below.unique().drop_null().to_pylist() if one not in set(above.dictionary.to_pylist())]
    levels = pa.concat_arrays([above.dictionary, pa.array(fresh, type=kind)])
    codes = pc.index_in(below, levels)
    joined = pa.concat_arrays([above.indices, codes.cast(above.indices.type)])
    return pa.chunked_array([pa.DictionaryArray.from_arrays(joined, levels, ordered=above.type.ordered)])


def bind_columns(backend: DataBackend, use: NDArray[np.int64] | None, data: Any, *, where: str) -> FrameBackend:
    """Return the table with the columns of another one, which has a row for each row in use; missing elsewhere.

    Raises
    ------
    DataError
        Another number of rows, or a column that is there already.
    """
    new = canonical_table(arrow_table(data))
    n = backend.n_rows if use is None else len(use)
    if new.num_rows != n:
        raise DataError(f"{where} has {n} rows in use, the columns to bind have {new.num_rows}")
    there = [name for name in new.column_names if name in backend.schema]
    if there:
        raise DataError(f"{where} has a column {there[0]!r} already: rename one of them")
    if use is not None:
        positions, _ = RowIndex(backend.row_ids).find(use)
        place = np.full(backend.n_rows, -1, dtype=np.int64)
        place[positions] = np.arange(n)
        new = new.take(pa.array(place, mask=place < 0))
    return with_columns(backend, {name: new.column(name) for name in new.column_names})


def with_columns(backend: DataBackend, columns: Mapping[str, Any]) -> FrameBackend:
    """Return the table with these columns too; a column of that name is replaced."""
    table = backend.data()
    for name, values in columns.items():
        column = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([pa.array(values)])
        column = pa.chunked_array([canonical_column(name, column)])
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    return FrameBackend(table, primary_key=backend.primary_key, canonical=True)


def rename_columns(backend: DataBackend, names: Mapping[str, str]) -> FrameBackend:
    """Return the table with other column names.

    Raises
    ------
    DataError
        Two columns would have one name.
    """
    renamed = [names.get(name, name) for name in backend.columns]
    twice = [name for name in renamed if renamed.count(name) > 1]
    if twice:
        raise DataError(f"two columns would be called {twice[0]!r}")
    key = backend.primary_key
    return FrameBackend(
        backend.data().rename_columns(renamed), primary_key=None if key is None else names.get(key, key), canonical=True
    )


def set_levels(backend: DataBackend, levels: Mapping[str, Sequence[Any]]) -> FrameBackend:
    """Return the table with these levels of categorical columns; values of other levels become missing.

    Raises
    ------
    DataError
        A column that is not categorical, or a level that is named twice.
    """
    changed = {}
    table = backend.data()
    for name, wanted in levels.items():
        held = backend.schema[name].levels
        if held is None:
            raise DataError(f"column {name!r} is {backend.schema[name].type} and has no levels")
        if len(set(wanted)) < len(wanted):
            raise DataError(f"column {name!r}: a level is named twice among {list(wanted)}")
        column = table.column(name).combine_chunks()
        kind = column.dictionary.type
        values = column.dictionary.take(column.indices)
        fresh = pa.array(list(wanted), type=kind)
        codes = pc.index_in(values, fresh, skip_nulls=True)
        changed[name] = pa.chunked_array(
            [pa.DictionaryArray.from_arrays(codes.cast(pa.int32()), fresh, ordered=column.type.ordered)]
        )
    return with_columns(backend, changed)
