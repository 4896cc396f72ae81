"""The backend over files that DuckDB reads: Parquet, CSV, and tables of a DuckDB database."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import pyarrow as pa

from batchml.data.fence import fenced, quoted
from batchml.data.files import is_url, still_there, unmoved
from batchml.data.frame import FrameBackend
from batchml.data.lazy import LazyBackend
from batchml.data.pins import Pins
from batchml.data.relation import ROW, Relation
from batchml.data.tables import cached_table
from batchml.errors import ArtifactError, DataError, DataUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from batchml.data.files import PinnedFile

__all__ = ["CsvBackend", "DuckBackend"]

_T = TypeVar("_T")

_KEPT_BYTES = 1 << 22
"""A table that takes less is read once and kept: finding rows in a file costs as much as reading it."""
_CHECKED_S = 1.0
"""Files whose time stamps were looked at less than this ago are not looked at again."""
_SCANNED_CELLS = 1 << 24
"""Of a table with more values, a few columns at a time are looked through."""
_COLUMNS = 5
_COLUMNS_OF_LARGE_GROUPS = 3
_COLUMNS_OF_PARTS = 10
_LARGE_GROUP = 1 << 19
_FRUGAL = "192MB"
"""What DuckDB may hold to begin with: left alone, it hoards on a busy machine. Where that fails, all it wants."""
_IDS = "..ids"
_TRIES = 3
_DENSE = 1.25
_SPARSE = 8
_MANY = 1 << 16
"""So many rows, of at least every eighth of a file, are read while all of it is: looking for them takes longer."""


class DuckBackend(LazyBackend):
    """A table in files, read where it lies: only the columns and rows that are asked for.

    Each reading opens a DuckDB of its own, inside a fence, and closes it; nothing is open in between. Made by
    `as_data_backend`.

    Parameters
    ----------
    relation
        The files, and how rows are found in them.
    pins
        What the table was like at first.
    """

    def __init__(self, relation: Relation, pins: Pins) -> None:
        super().__init__(pins)
        self._relation = relation
        self._seen: dict[str, tuple[int, ...]] = {}
        self._looked = -1.0
        self._kept = pa.table({})

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Return the backend that `source` wrote down; the files are looked at when they are read."""
        return cls(Relation.from_json(spec), Pins.from_json(spec))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was read."""
        return {"_relation": self._relation, "_pins": self._pins}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start as one that was just opened."""
        self.__init__(state["_relation"], state["_pins"])  # type: ignore[misc]

    def _place(self) -> dict[str, Any]:
        return self._relation.as_json()

    def _about(self) -> str:
        first, *others = self._relation.files
        more = f" and {len(others)} more" if others and not self._relation.database else ""
        return f"{first.path}{more}"

    def lookup(self, rows: Any = None, cols: Sequence[str] | None = None) -> tuple[pa.Table, NDArray[np.int64] | None]:
        """Read the rows, each once, and say where they are in what was read."""
        if 8 * self.n_rows * self.n_cols > _KEPT_BYTES:
            if rows is not None and self._nearly_all(rows):
                start = self._pins.start
                assert start is not None
                places = np.asarray(rows, dtype=np.int64)
                places = places - start if start else places  # ten million more are 80 MB
                known = (places >= 0) & (places < self.n_rows)
                return self._whole(self._names(cols)), places if known.all() else places[known]
            return super().lookup(rows, cols)
        table = self._kept_columns(self._names(cols))
        if rows is None:
            return table, None
        positions, known = self._index.find(np.asarray(rows, dtype=np.int64))
        return table, positions if known.all() else positions[known]

    def _nearly_all(self, rows: Any) -> bool:
        """Whether it is better to read all rows, in whose order their ids are, than to look for these."""
        return self._relation.kind == "parquet" and self._pins.start is not None and 2 * len(rows) > self.n_rows

    def _kept_columns(self, names: list[str]) -> pa.Table:
        self._ready()  # what is kept counts only as long as the files are the same
        fresh = [name for name in names if name not in self._kept.column_names]
        if fresh:
            read = self._whole(fresh)
            columns = {name: self._kept.column(name) for name in self._kept.column_names}
            self._kept = pa.table(columns | {name: read.column(name) for name in fresh})
        return self._kept.select(names)

    def _ready(self) -> list[str]:
        """Return the paths of the files on this machine, after making sure that they hold what they held."""
        now = time.monotonic()
        if now - self._looked > _CHECKED_S or self._looked < 0:
            for file in self._local:
                still_there(file, self._seen)
            self._looked = now
        return self._relation.local_paths()

    @property
    def _local(self) -> list[PinnedFile]:
        return [file for file in self._relation.files if not is_url(file.path)]

    def _steadily(self, read: Callable[[list[str]], _T]) -> _T:
        """Read files; what was read while one of them was written does not count.

        Raises
        ------
        DataError
            They have changed.
        DataUnavailableError
            They are gone, or written all the time.
        """
        for _ in range(_TRIES):
            paths = self._ready()
            try:
                found = read(paths)
            except (DataError, DataUnavailableError):
                if self._settled():
                    raise
            else:
                if unmoved(self._local, self._seen):
                    return found
                self._settled()
        raise DataUnavailableError(f"{self._about()} is being written all the time: its rows cannot be read")

    def _settled(self) -> bool:
        """Look closely whether the files hold what they held, and return whether they have been left alone.

        One that changed, or went away this moment, raises what `_ready` raises.
        """
        still = unmoved(self._local, self._seen)
        self._looked = -1.0
        self._seen.clear()
        self._ready()
        return still

    @contextlib.contextmanager
    def _open(self, paths: list[str], **settings: Any) -> Iterator[Any]:
        first, others = (paths[0], paths[1:]) if self._relation.database else (None, paths)
        with fenced(others, first, **settings) as connection:
            yield connection

    def _whole(self, names: list[str]) -> pa.Table:
        order = f" ORDER BY {quoted(self.primary_key or ROW)}" if self._relation.database else ""

        def read(paths: list[str]) -> pa.Table:
            with self._open(paths) as connection:
                return connection.sql(self._all(paths, names) + order).to_arrow_table()

        table = self._steadily(read)
        return self._fitted(names, table.columns[: len(names)], table.num_rows)

    def _all(self, paths: list[str], names: list[str]) -> str:
        listed = ", ".join(map(quoted, names)) or "1"
        return f"SELECT {listed} FROM {self._relation.sql(paths, self.primary_key)} AS t"

    def parts(self, names: list[str]) -> Iterator[pa.Table]:
        """Read all rows in the order of `row_ids`, some at a time."""
        if self._relation.database:  # whose rows would have to be sorted first
            yield from super().parts(names)
        else:
            yield from self._streamed(names)

    def blocks(self, ids: NDArray[np.int64], names: list[str], size: int) -> Iterator[tuple[pa.Table, Any]]:
        """Look up so many rows at a time; many of them, in the order of the file, while it is read once."""
        if not self._worth_all(ids):
            yield from super().blocks(ids, names, size)
            return
        start, taken, waiting = int(ids[0]), [], 0
        condition = f" WHERE {quoted(ROW)} BETWEEN {start} AND {int(ids[-1])}"
        for table in self._streamed(names, condition):
            first, end = np.searchsorted(ids, (start, start + table.num_rows))
            start += table.num_rows
            chosen = ids[first:end] - (start - table.num_rows)
            while len(chosen):
                part, chosen = chosen[: size - waiting], chosen[size - waiting :]
                taken.append(table if len(part) == table.num_rows else table.take(pa.array(part)))
                waiting += len(part)
                if waiting == size:
                    yield pa.concat_tables(taken), None
                    taken, waiting = [], 0
        if waiting:
            yield pa.concat_tables(taken), None

    def _worth_all(self, ids: NDArray[np.int64]) -> bool:
        """Whether all rows between the first and the last of these are read as fast as these."""
        if self._relation.kind != "parquet" or self._pins.start is None or len(ids) < _MANY:
            return False
        low, high = int(ids[0]), int(ids[-1])
        inside = low >= self._pins.start and high < self._pins.start + self.n_rows
        return inside and high - low < _SPARSE * len(ids) and bool((ids[1:] > ids[:-1]).all())

    def _streamed(self, names: list[str], condition: str = "") -> Iterator[pa.Table]:
        """Read rows in their order, some at a time, in one query."""
        paths = self._ready()
        try:
            with self._open(paths, threads=1, memory_limit=_FRUGAL) as connection:
                reader = connection.sql(self._all(paths, names) + condition).to_arrow_reader(self.part_rows(names))
                for batch in reader:
                    yield self._fitted(names, batch.columns[: len(names)], batch.num_rows)
        except (DataError, DataUnavailableError):
            self._settled()  # which says so if the file is another one now
            raise
        if not unmoved(self._local, self._seen) and not self._settled():
            raise DataUnavailableError(f"{self._about()} was written while it was read")

    def groups(self, names: list[str]) -> list[list[str]]:
        """Return columns that are read together: of Parquet files a few, since DuckDB holds pages of each."""
        size = _COLUMNS_OF_PARTS if self._relation.kind == "parquet" else len(names)
        return [names[start : start + size] for start in range(0, len(names), max(1, size))]

    def _read(self, ids: NDArray[np.int64], names: list[str]) -> tuple[NDArray[np.int64], pa.Table]:
        if not len(ids):
            return ids, self._nothing(names)
        return self._steadily(lambda paths: self._found(paths, ids, names))

    def _found(self, paths: list[str], ids: NDArray[np.int64], names: list[str]) -> tuple[NDArray[np.int64], pa.Table]:
        key = self.primary_key or ROW
        chosen = self._files_of(ids)
        low, high = int(ids[0]), int(ids[-1])
        alone = high - low + 1 <= _DENSE * len(ids)  # with the few between them, which nobody will look for
        join = "" if alone else f" SEMI JOIN {quoted(_IDS)} AS i ON t.{quoted(key)} = i.id"
        source = self._relation.sql(paths, self.primary_key, chosen)
        rest = f"FROM {source} AS t{join} WHERE t.{quoted(key)} BETWEEN {low} AND {high}"
        others = [name for name in names if name != key]
        block = alone and (high - low + 1) * len(others) <= _SCANNED_CELLS  # nothing else is looked through
        parts = [others] if block else self._groups(others)
        settings: dict[str, Any] = {"preserve_insertion_order": False}
        if block or self._relation.group > _LARGE_GROUP:
            settings["threads"] = 1
        queries = [f"SELECT {self._listed([key, *part])} {rest}" for part in parts]
        try:
            found = self._selected(paths, queries, None if alone else ids, {**settings, "memory_limit": _FRUGAL})
        except MemoryError:
            found = self._selected(paths, queries, None if alone else ids, settings)
        keys, tables = _aligned(found, key)
        columns = {name: table.column(name) for part, table in zip(parts, tables, strict=True) for name in part}
        columns[key] = pa.chunked_array([pa.array(keys)])
        return keys, self._fitted(names, [columns[name] for name in names], len(keys))

    def _selected(
        self, paths: list[str], queries: list[str], ids: NDArray[np.int64] | None, settings: Mapping[str, Any]
    ) -> list[pa.Table]:
        with self._open(paths, **settings) as connection:
            if ids is not None:
                connection.register(_IDS, pa.table({"id": pa.array(ids)}))
            return [connection.sql(query).to_arrow_table() for query in queries]

    def _listed(self, names: Sequence[str]) -> str:
        return ", ".join(f"t.{quoted(name)}" for name in names)

    def _groups(self, names: list[str]) -> list[list[str]]:
        """Return columns that are read together.

        DuckDB holds a row group of each of them for each thread. Five columns at a time take as long as twenty at once
        and a third of the memory [measured on 10 000 000 x 20].
        """
        size = len(names)
        if self.n_rows * size > _SCANNED_CELLS:
            size = _COLUMNS_OF_LARGE_GROUPS if self._relation.group > _LARGE_GROUP else _COLUMNS
        return [names[start : start + size] for start in range(0, len(names), max(1, size))] or [[]]

    def _files_of(self, ids: NDArray[np.int64]) -> list[int] | None:
        """Return the files that hold these positions; None for all."""
        relation = self._relation
        if relation.kind != "parquet" or self.primary_key or not relation.alike:
            return None
        ends = np.cumsum(relation.rows)
        places = np.unique(np.searchsorted(ends, ids, side="right"))
        return [int(place) for place in places if place < len(ends)] or [0]

    def _nothing(self, names: list[str]) -> pa.Table:
        return self._fitted(names, [pa.nulls(0) for _ in names], 0)


class CsvBackend(DuckBackend):
    """CSV files, parsed once on each machine: what came of that is kept in its cache, and mapped by all processes.

    It is used as long as the files hold what they held.
    """

    _table: FrameBackend | None = None

    def _parsed(self) -> FrameBackend:
        self._ready()
        if self._table is None:
            try:
                self._table = cached_table(self)
            except ArtifactError:  # no cache: each process for itself
                whole = super()._whole(list(self.columns))
                self._table = FrameBackend(whole, primary_key=self.primary_key, canonical=True)
        return self._table

    def _whole(self, names: list[str]) -> pa.Table:
        return self._parsed().data(None, names)

    def lookup(self, rows: Any = None, cols: Sequence[str] | None = None) -> tuple[pa.Table, NDArray[np.int64] | None]:
        """Return the whole table, and where the rows are in it."""
        return self._parsed().lookup(rows, cols)


def _aligned(found: list[pa.Table], key: str) -> tuple[NDArray[np.int64], list[pa.Table]]:
    """Return the keys of tables that were read one after another, and the tables with their rows in one order."""
    all_keys = [np.ascontiguousarray(table.column(key).to_numpy(), dtype=np.int64) for table in found]
    if len(found) == 1:
        return all_keys[0], found
    orders = [np.argsort(keys, kind="stable") for keys in all_keys]
    keys = all_keys[0][orders[0]]
    for order, each in zip(orders, all_keys, strict=True):
        if not np.array_equal(each[order], keys):
            raise DataError("the data changed while they were read")
    return keys, [table.take(pa.array(order)) for table, order in zip(found, orders, strict=True)]
