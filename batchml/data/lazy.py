"""What all backends share that read values when they are asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from batchml.core.rows import RowIndex
from batchml.data.frame import distinct_values, infinite_values, known_names, missing_values
from batchml.data.pins import fitted
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from batchml.core.backend import ColumnInfo
    from batchml.data.pins import Pins

__all__ = ["LazyBackend"]

_MOST_CELLS = 1 << 22
"""So many values are read at once to be counted."""

_PART_CELLS = 1 << 20
"""So many values are read at once when all are read in parts."""

_PARTS_AHEAD = 4
"""So many times as many are read at once where reading takes a query."""

_Ids = NDArray[np.int64]


class LazyBackend:
    """A table that stays where it lies. Nothing is held open between two calls, so it survives forks and pickles.

    Subclasses say how rows are read (`_read`, `_whole`) and where the table lies (`_place`).

    Parameters
    ----------
    pins
        What the table was like when it was opened first; whatever does not fit later is refused.
    """

    lazy = True

    def __init__(self, pins: Pins) -> None:
        self._pins = pins

    # what subclasses do

    def _read(self, ids: _Ids, names: list[str]) -> tuple[_Ids, pa.Table]:
        """Return the rows with these ids (sorted, each once) that exist, in any order, and their ids."""
        raise NotImplementedError

    def _whole(self, names: list[str]) -> pa.Table:
        """Return all rows, in the order of `row_ids`."""
        raise NotImplementedError

    def parts(self, names: list[str]) -> Iterator[pa.Table]:
        """Read all rows in the order of `row_ids`, some at a time."""
        size, ids = self.part_rows(names), self.row_ids
        for start in range(0, self.n_rows, size):
            yield self.data(ids[start : start + size], names)

    def blocks(self, ids: _Ids, names: list[str], size: int) -> Iterator[tuple[pa.Table, _Ids | None]]:
        """Look up so many rows at a time, and read more of them at once if each reading takes a query."""
        ahead = max(1, _PART_CELLS * _PARTS_AHEAD // max(1, size * len(names))) * size
        for first in range(0, len(ids), ahead):
            table, places = self.lookup(ids[first : first + ahead], names)
            n = table.num_rows if places is None else len(places)
            for start in range(0, n, size):
                stop = min(start + size, n)
                yield table, np.arange(start, stop, dtype=np.int64) if places is None else places[start:stop]

    def groups(self, names: list[str]) -> list[list[str]]:
        """Return columns that are read together when all rows are read in parts."""
        return [names]

    def part_rows(self, names: list[str]) -> int:
        """Return how many rows are read at once when all are, a multiple of 8."""
        return max(8, _PART_CELLS // max(1, len(names)) // 8 * 8)

    def _place(self) -> dict[str, Any]:
        """Return where the table lies, as plain data with its ``kind``."""
        raise NotImplementedError

    @property
    def pins(self) -> Pins:
        """What the table was like when it was opened first."""
        return self._pins

    @property
    def logical(self) -> bool:
        """Whether the digest is that of the content."""
        return True

    # the protocol

    @property
    def primary_key(self) -> str | None:
        """The column that holds the row ids; None where positions are the ids."""
        return self._pins.primary_key

    @property
    def columns(self) -> tuple[str, ...]:
        """All column names, the primary key among them."""
        return tuple(self._pins.columns)

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return self._pins.n_rows

    @property
    def n_cols(self) -> int:
        """The number of columns, the primary key among them."""
        return len(self._pins.columns)

    @cached_property
    def schema(self) -> Mapping[str, ColumnInfo]:
        """Feature type and levels of each column."""
        return {name: pin.info for name, pin in self._pins.columns.items()}

    @property
    def row_ids(self) -> _Ids:
        """The ids of all rows, in order; those that can be counted are not kept."""
        start = self._pins.start
        if start is None:
            return self._keys
        ids = np.arange(start, start + self.n_rows, dtype=np.int64)
        ids.flags.writeable = False
        return ids

    @cached_property
    def _index(self) -> RowIndex:
        return RowIndex(self.row_ids)

    @cached_property
    def _keys(self) -> _Ids:
        key = self._pins.primary_key
        assert key is not None
        ids = np.ascontiguousarray(self._whole([key]).column(key).to_numpy(), dtype=np.int64)
        if len(ids) != self.n_rows:
            raise DataError(f"{self!r} has {len(ids)} rows now: the data have changed since the design was added")
        ids.flags.writeable = False
        return ids

    @property
    def digest(self) -> str:
        """The digest of the content; see `DataBackend.digest`."""
        return self._pins.digest

    def source(self) -> dict[str, Any] | None:
        """Return where the table lies and what it was like, as plain data."""
        return self._place() | self._pins.as_json()

    def data(self, rows: Any = None, cols: Sequence[str] | None = None) -> pa.Table:
        """Return the rows (None: all) and columns (None: all) as an Arrow table.

        Unknown rows and columns are left out; rows come in the order and as often as asked for.
        """
        table, places = self.lookup(rows, cols)
        return table if places is None else table.take(pa.array(places))

    def lookup(self, rows: Any = None, cols: Sequence[str] | None = None) -> tuple[pa.Table, _Ids | None]:
        """Read the rows, each once, and say where they are in what was read."""
        names = list(self.columns) if cols is None else known_names(cols, self.schema)
        if rows is None:
            return self._whole(names), None
        wanted = np.asarray(rows, dtype=np.int64)
        found, table = self._read(_each_once(wanted), names)
        positions, known = RowIndex(found).find(wanted)
        return table, positions if known.all() else positions[known]

    def head(self, n: int = 6) -> pa.Table:
        """Return the first `n` rows."""
        return self.data(self.row_ids[:n])

    def distinct(
        self, rows: Any = None, cols: Sequence[str] | None = None, *, drop_missing: bool = True
    ) -> dict[str, list[Any]]:
        """Return the distinct values of each column in order of appearance."""
        return distinct_values(self.data(rows, cols), drop_missing=drop_missing)

    def missings(self, rows: Any = None, cols: Sequence[str] | None = None) -> dict[str, int]:
        """Return the number of missing values of each column."""
        if rows is not None:
            return self._counted(missing_values, rows, self._names(cols))
        return {name: self._pins.columns[name].missing for name in self._names(cols)}

    def infinite(self, rows: Any = None, cols: Sequence[str] | None = None) -> dict[str, int]:
        """Return the number of infinite values of each numeric column among `cols`."""
        numeric = [name for name in self._names(cols) if self.schema[name].type == "numeric"]
        if rows is not None:
            return self._counted(infinite_values, rows, numeric)
        return {name: self._pins.columns[name].infinite for name in numeric}

    # for subclasses

    def _counted(self, count: Callable[[pa.Table], dict[str, int]], rows: Any, names: list[str]) -> dict[str, int]:
        """Count something of columns: of all at once, of one after another where they are large."""
        found: dict[str, int] = {}
        size = max(1, _MOST_CELLS // max(1, len(rows)))
        for start in range(0, len(names), size):
            found |= count(self.data(rows, names[start : start + size]))
        return found

    def _names(self, cols: Sequence[str] | None) -> list[str]:
        return list(self.columns) if cols is None else known_names(cols, self.schema)

    def _fitted(self, names: list[str], columns: Sequence[Any], n_rows: int) -> pa.Table:
        """Return columns as read, in canonical form."""
        arrays = [fitted(name, column, self._pins.columns[name]) for name, column in zip(names, columns, strict=True)]
        if not names:  # a table without columns still has rows
            return pa.table({"": pa.nulls(n_rows)}).select([])
        return pa.table(arrays, names=names)

    def _about(self) -> str:
        """Return what the table is called in messages."""
        raise NotImplementedError

    def __repr__(self) -> str:
        key = f", primary key {self.primary_key}" if self.primary_key else ""
        names = ", ".join(f"{name} <{info.type}>" for name, info in self.schema.items())
        return f"<{type(self).__name__}> {self._about()} ({self.n_rows} x {self.n_cols}{key})\n* Columns: {names}"


def _each_once(ids: _Ids) -> _Ids:
    """Return ids sorted and each once; those that are already are not copied."""
    if len(ids) < 2 or bool((ids[1:] > ids[:-1]).all()):
        return ids
    return np.unique(ids)
