"""The backend over a table in memory, or in a memory-mapped file."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchml.core.backend import no_column
from batchml.core.rows import RowIndex
from batchml.data.canonical import canonical_table, column_info
from batchml.data.fingerprint import column_digests, table_digest
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from batchml.core.backend import ColumnInfo

__all__ = ["FrameBackend", "distinct_values", "infinite_values", "known_names", "missing_values"]


class FrameBackend:
    """A table in memory, immutable, in canonical form.

    Parameters
    ----------
    table
        Any Arrow table.
    primary_key
        The column of row ids: whole numbers, each once, none missing. None: positions are the ids.
    text
        The string columns that are free text.
    canonical
        The table is in canonical form already (it was read from an artifact); nothing is checked or copied.
    digest
        The logical digest if it is known.
    file
        The artifact that the table is mapped from.
    """

    def __init__(
        self,
        table: pa.Table,
        *,
        primary_key: str | None = None,
        text: Sequence[str] = (),
        canonical: bool = False,
        digest: str | None = None,
        file: Path | None = None,
    ) -> None:
        unknown = [name for name in (*text, *([primary_key] if primary_key else [])) if name not in table.column_names]
        if unknown:
            raise no_column(unknown[0], table.column_names)
        self.table: pa.Table = table if canonical else canonical_table(table, text=frozenset(text))
        self._primary_key = primary_key
        self.file = file
        if digest is not None:
            self.__dict__["digest"] = digest
        if primary_key is not None and not canonical:
            self._check_key(primary_key)

    def _check_key(self, name: str) -> None:
        column = self.table.column(name)
        if self.schema[name].type != "integer":
            raise DataError(f"primary key {name!r} is {self.schema[name].type}: row ids are whole numbers")
        if column.null_count:
            raise DataError(f"primary key {name!r} has {column.null_count} missing values: each row needs an id")
        ids = np.sort(self.row_ids)
        twice = ids[1:][ids[1:] == ids[:-1]]
        if twice.size:
            raise DataError(f"primary key {name!r} has duplicated row ids, the first of them {twice[0]}")

    @property
    def primary_key(self) -> str | None:
        """The column that holds the row ids; None where positions are the ids."""
        return self._primary_key

    @property
    def columns(self) -> tuple[str, ...]:
        """All column names, the primary key among them."""
        return tuple(self.table.column_names)

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return int(self.table.num_rows)

    @property
    def n_cols(self) -> int:
        """The number of columns, the primary key among them."""
        return int(self.table.num_columns)

    @cached_property
    def schema(self) -> Mapping[str, ColumnInfo]:
        """Feature type and levels of each column."""
        return {name: column_info(self.table.column(name)) for name in self.table.column_names}

    @cached_property
    def row_ids(self) -> NDArray[np.int64]:
        """The ids of all rows, in order."""
        if self._primary_key is None:
            ids = np.arange(self.n_rows, dtype=np.int64)
        else:
            ids = np.ascontiguousarray(self.table.column(self._primary_key).to_numpy(), dtype=np.int64)
        ids.flags.writeable = False
        return ids

    @cached_property
    def digest(self) -> str:
        """The logical digest of the content, the same wherever an equal table came from."""
        return table_digest(self.table, self._primary_key)

    lazy = False

    def source(self) -> dict[str, Any] | None:
        """Return None: a table in memory is shipped."""
        return None

    @property
    def column_digests(self) -> dict[str, str]:
        """A digest of each column's content."""
        return column_digests(self.table)

    @cached_property
    def _index(self) -> RowIndex:
        return RowIndex(self.row_ids)

    def data(self, rows: Any = None, cols: Sequence[str] | None = None) -> pa.Table:
        """Return the rows (None: all) and columns (None: all) as an Arrow table.

        Unknown rows and columns are left out; rows come in the order and as often as asked for.
        """
        table, places = self.lookup(rows, cols)
        return table if places is None else table.take(pa.array(places))

    def lookup(self, rows: Any = None, cols: Sequence[str] | None = None) -> tuple[pa.Table, NDArray[np.int64] | None]:
        """Return the whole table, and where the rows are in it."""
        table = self.table if cols is None else self.table.select(known_names(cols, self.schema))
        if rows is None:
            return table, None
        positions, known = self._index.find(np.asarray(rows, dtype=np.int64))
        return table, positions if known.all() else positions[known]

    def head(self, n: int = 6) -> pa.Table:
        """Return the first `n` rows."""
        return self.table.slice(0, n)

    def distinct(
        self, rows: Any = None, cols: Sequence[str] | None = None, *, drop_missing: bool = True
    ) -> dict[str, list[Any]]:
        """Return the distinct values of each column in order of appearance."""
        return distinct_values(self.data(rows, cols), drop_missing=drop_missing)

    def missings(self, rows: Any = None, cols: Sequence[str] | None = None) -> dict[str, int]:
        """Return the number of missing values of each column."""
        return missing_values(self.data(rows, cols))

    def infinite(self, rows: Any = None, cols: Sequence[str] | None = None) -> dict[str, int]:
        """Return the number of infinite values of each numeric column among `cols`."""
        return infinite_values(self.data(rows, cols))

    def __repr__(self) -> str:
        key = f", primary key {self._primary_key}" if self._primary_key else ""
        names = ", ".join(f"{name} <{info.type}>" for name, info in self.schema.items())
        return f"<FrameBackend> ({self.n_rows} x {self.n_cols}{key})\n* Columns: {names}"


def known_names(cols: Sequence[str], known: Mapping[str, Any]) -> list[str]:
    """Return the columns that exist, in the order asked for.

    Raises
    ------
    DataError
        One is asked for twice.
    """
    names = list(cols)
    if len(set(names)) < len(names):
        raise DataError("a column was asked for twice")
    return [name for name in names if name in known]


def distinct_values(table: pa.Table, *, drop_missing: bool) -> dict[str, list[Any]]:
    """Return the distinct values of each column in order of appearance."""
    found = {}
    for name in table.column_names:
        values = _with_nulls(table.column(name)).unique()
        found[name] = (values.drop_null() if drop_missing else values).to_pylist()
    return found


def missing_values(table: pa.Table) -> dict[str, int]:
    """Return the number of missing values of each column; no column is copied for it."""
    return {name: _count_missing(table.column(name)) for name in table.column_names}


def _count_missing(column: pa.ChunkedArray) -> int:
    nan = pc.sum(pc.is_nan(column)).as_py() if pa.types.is_floating(column.type) else 0
    return int(column.null_count) + (nan or 0)


def infinite_values(table: pa.Table) -> dict[str, int]:
    """Return the number of infinite values of each numeric column."""
    numeric = [name for name in table.column_names if pa.types.is_floating(table.column(name).type)]
    return {name: pc.sum(pc.is_inf(table.column(name))).as_py() or 0 for name in numeric}


def _with_nulls(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Turn the NaN of numeric columns into nulls."""
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
