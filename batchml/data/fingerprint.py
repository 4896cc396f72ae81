"""The logical digest of a table: equal content gives equal digests, whichever library wrote it.

Hashed are column names and order, feature types, levels and their order, values, missing values and the order of rows.
Not hashed are chunks, buffers under missing values, index widths, time units, file formats and library versions.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchml.core.digest import digest
from batchml.data.canonical import column_info

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["column_digest", "column_digests", "joined_digest", "table_digest"]

_FORMAT = 1


def table_digest(table: pa.Table, primary_key: str | None) -> str:
    """Return the digest of a table in canonical form."""
    return joined_digest(column_digests(table), table.num_rows, primary_key)


def joined_digest(columns: Mapping[str, str], n_rows: int, primary_key: str | None) -> str:
    """Return the digest of a table whose columns were digested one after another."""
    pairs = [[name, value] for name, value in columns.items()]
    return digest({"format": _FORMAT, "n_rows": n_rows, "primary_key": primary_key, "columns": pairs})


def column_digests(table: pa.Table) -> dict[str, str]:
    """Return a digest for each column, name and row count apart."""
    return {name: column_digest(table.column(name)) for name in table.column_names}


def column_digest(column: pa.ChunkedArray | pa.Array) -> str:
    """Return the digest of a column in canonical form."""
    if isinstance(column, pa.Array):
        column = pa.chunked_array([column])
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    info = column_info(array)
    kind: list[Any] = [info.type]
    if info.levels is not None:
        kind.append([[type(level).__name__, repr(level)] for level in info.levels])
    if info.type == "datetime":
        kind.append(array.type.tz)
    state = hashlib.sha256(digest(kind).encode())
    if array.null_count:
        state.update(np.packbits(pc.is_null(array).to_numpy(zero_copy_only=False)).data)
    for buffer in _values(array, info.type):
        state.update(buffer)
    return state.hexdigest()


def _values(array: pa.Array, kind: str) -> list[Any]:
    """Return the values as contiguous buffers; what lies under a missing value is set to zero."""
    if kind in {"categorical", "ordered"}:
        return [_plain(array.indices.fill_null(0))]
    if kind == "logical":
        return [np.packbits(array.fill_null(False).to_numpy(zero_copy_only=False))]
    if kind == "datetime":
        return _instants(array)
    if kind == "text":
        lengths = pc.binary_length(array).fill_null(0)
        return [_plain(lengths), _characters(array)]
    return [_plain(array.fill_null(0) if array.null_count else array)]


def _plain(array: pa.Array) -> Any:
    return np.ascontiguousarray(array.to_numpy(zero_copy_only=False))


def _instants(array: pa.Array) -> list[Any]:
    """Return whole seconds and nanoseconds, so that the unit does not matter."""
    per_second = {"us": 10**6, "ns": 10**9}[array.type.unit]
    ticks = _plain(array.cast(pa.int64()).fill_null(0))
    seconds = np.floor_divide(ticks, per_second)
    rest = (ticks - seconds * per_second) * (10**9 // per_second)
    return [seconds, rest.astype(np.int32)]


def _characters(array: pa.Array) -> Any:
    filled = array.fill_null("") if array.null_count else array
    _, offsets, characters = filled.buffers()
    if characters is None:
        return b""
    ends = np.frombuffer(offsets, dtype=np.int64)[filled.offset : filled.offset + len(filled) + 1]
    return memoryview(characters)[ends[0] : ends[-1]]
