"""One form for equal columns: whatever library a table came from, its columns end up the same here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchml.core.backend import ColumnInfo, FeatureType
from batchml.errors import DataError

__all__ = ["canonical_column", "canonical_table", "column_info"]

_NAN_BITS = np.float64(np.nan).view(np.int64)
_MINUS_ZERO_BITS = np.float64(-0.0).view(np.int64)
_UTC = frozenset({"utc", "etc/utc", "gmt", "etc/gmt", "z", "zulu", "+00:00", "-00:00", "utc+0"})


def canonical_table(table: pa.Table, *, text: frozenset[str] = frozenset()) -> pa.Table:
    """Return the table with each column in its canonical type and one chunk.

    Parameters
    ----------
    table
        Any Arrow table.
    text
        The string columns that are free text; all others are categorical.

    Raises
    ------
    DataError
        Duplicated or empty column names; a column whose type no learner can use.
    """
    names = table.column_names
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DataError(f"the table has several columns called {twice[0]!r}: rename all but one of them")
    unsafe = [name for name in names if "\0" in name]
    if unsafe:  # no database can hold it
        raise DataError(f"the column name {unsafe[0]!r} holds a NUL character: rename it")
    columns = [canonical_column(name, table.column(name), text=name in text) for name in names]
    return pa.table(columns, names=names) if columns else table


def canonical_column(name: str, column: pa.ChunkedArray, *, text: bool = False) -> pa.Array:
    """Return one column in canonical form; `name` is for messages."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _factor(name, column, text=text)
    array = _one_chunk(column)
    if pa.types.is_null(kind):
        return pa.array(np.full(len(array), np.nan))
    if pa.types.is_boolean(kind):
        return array
    if pa.types.is_integer(kind):
        return _integer(name, array)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _numeric(array)
    if _is_string(kind):
        return _clean_text(array) if text else _levels_sorted(array)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _datetime(name, array)
    remedy = "convert it to numbers, strings or dates, or drop it"
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        remedy = "convert it to a number of seconds, or drop it"
    raise DataError(f"column {name!r} has the type {kind}, which no learner can use: {remedy}")


def column_info(array: pa.Array) -> ColumnInfo:
    """Return feature type and levels of a column in canonical form."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        dictionary = array.chunk(0).dictionary if isinstance(array, pa.ChunkedArray) else array.dictionary
        return ColumnInfo(type="ordered" if kind.ordered else "categorical", levels=tuple(dictionary.to_pylist()))
    simple: dict[Any, FeatureType] = {pa.bool_(): "logical", pa.int64(): "integer", pa.float64(): "numeric"}
    if kind in simple:
        return ColumnInfo(type=simple[kind])
    return ColumnInfo(type="datetime" if pa.types.is_timestamp(kind) else "text")


def _is_string(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    if column.num_chunks == 0:
        return pa.array([], type=column.type)
    if pa.types.is_string(column.type):  # 32-bit offsets may not hold all chunks together
        column = column.cast(pa.large_string())
    return pa.concat_arrays(column.chunks)


def _integer(name: str, array: pa.Array) -> pa.Array:
    try:
        return array.cast(pa.int64())
    except pa.ArrowInvalid as problem:
        message = f"column {name!r} holds integers above 2**63: convert it to floating point or to strings"
        raise DataError(message) from problem


def _numeric(array: pa.Array) -> pa.Array:
    values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)  # nulls become NaN
    bits = values.view(np.int64)
    odd = (bits == _MINUS_ZERO_BITS) | (np.isnan(values) & (bits != _NAN_BITS))
    if odd.any():  # equal values get equal bits, else a method could tell them apart
        values = values.copy()
        values[values == 0] = 0.0
        values[np.isnan(values)] = np.nan
    return pa.array(values)


def _clean_text(array: pa.Array) -> pa.Array:
    return array.cast(pa.large_string())


def _levels_sorted(array: pa.Array) -> pa.Array:
    """Encode strings; UTF-8 sorts by bytes as by code points."""
    encoded = array.cast(pa.large_string()).dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    codes = pc.take(pa.array(rank), encoded.indices)
    return _dictionary(codes, encoded.dictionary.take(pa.array(order)), ordered=False)


def _factor(name: str, column: pa.ChunkedArray, *, text: bool) -> pa.Array:
    kind = column.type
    values = kind.value_type
    if column.num_chunks == 0:
        column = pa.chunked_array([pa.array([], type=kind)])
    if text and _is_string(values):
        return _clean_text(_one_chunk(column.cast(values)))
    array = pa.concat_arrays(column.unify_dictionaries().chunks) if column.num_chunks > 1 else column.chunk(0)
    levels = array.dictionary
    if pa.types.is_integer(values):
        levels = _integer(name, levels)
    elif pa.types.is_floating(values):
        levels = _numeric(levels)
    elif not (_is_string(values) or pa.types.is_boolean(values)):
        raise DataError(f"column {name!r} has categories of the type {values}: use strings, integers or booleans")
    codes = array.indices
    if levels.null_count or (pa.types.is_float64(levels.type) and pc.any(pc.is_nan(levels)).as_py()):
        missing = (
            pc.or_(pc.is_null(levels), pc.is_nan(levels)) if pa.types.is_float64(levels.type) else levels.is_null()
        )
        keep = np.flatnonzero(~missing.fill_null(True).to_numpy(zero_copy_only=False))
        codes = _recode(codes, keep, len(levels))
        levels = levels.take(pa.array(keep))
    return _dictionary(codes, levels, ordered=bool(kind.ordered))


def _recode(codes: pa.Array, keep: Any, n_levels: int) -> pa.Array:
    """Renumber codes after some levels are gone; codes of those become null."""
    new = np.full(n_levels, -1, dtype=np.int32)
    new[keep] = np.arange(len(keep), dtype=np.int32)
    return pc.take(pa.array(new, mask=new < 0), codes)


def _dictionary(codes: pa.Array, levels: pa.Array, *, ordered: bool) -> pa.Array:
    if _is_string(levels.type):
        levels = levels.cast(pa.string())
    return pa.DictionaryArray.from_arrays(codes.cast(pa.int32()), levels, ordered=ordered)


def _datetime(name: str, array: pa.Array) -> pa.Array:
    """Microseconds where they are exact, else nanoseconds; one name for UTC."""
    zone = getattr(array.type, "tz", None)
    if zone is not None and zone.lower() in _UTC:
        zone = "UTC"
    try:
        return array.cast(pa.timestamp("us", tz=zone))
    except pa.ArrowInvalid:
        pass
    try:
        return array.cast(pa.timestamp("ns", tz=zone))
    except pa.ArrowInvalid as problem:
        raise DataError(f"column {name!r} holds times that no 64-bit timestamp can hold: {problem}") from problem
