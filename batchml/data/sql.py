"""The backend over a table or SELECT of a database, through SQLAlchemy."""

from __future__ import annotations

import datetime as dt
import textwrap
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchml.data import database
from batchml.data.fingerprint import column_digest, joined_digest
from batchml.data.frame import distinct_values
from batchml.data.lazy import LazyBackend
from batchml.data.named import source_url
from batchml.data.pins import Pins
from batchml.data.sql_checksum import checksum
from batchml.errors import DataError, DataUnavailableError, SpecError

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator, Mapping, Sequence

    import sqlalchemy as sa
    from numpy.typing import NDArray

    from batchml.data.pins import ColumnPin

__all__ = ["SqlBackend", "as_array"]

_BATCH = 20_000
_SHOWN = 200
_CHECKED_S = 30.0
"""A server's table is looked at again after this time; a file when its time stamp is another one."""


class SqlBackend(LazyBackend):
    """A table or SELECT of a database: filters, joins and computed columns are the user's SQL.

    Each reading connects, reads in a read-only transaction what is asked for, and closes. Made by `as_data_backend`.

    Parameters
    ----------
    source
        The name of a configured source, or a URL.
    query
        A SELECT.
    pins
        What the table was like at first.
    checked
        The checksum of that time.
    exact
        Compare the whole content, not only row count and checksum, when it is first read in a process.
    """

    def __init__(self, source: str, query: str, pins: Pins, checked: Sequence[str], *, exact: bool = False) -> None:
        super().__init__(pins)
        self._source = source
        self._query = query
        self._checked = tuple(checked)
        self._exact = exact
        self._looked: tuple[float, Any] | None = None

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Return the backend that `source` wrote down; the database is looked at when it is read."""
        pins = Pins.from_json(spec)
        return cls(spec["source"], spec["query"], pins, spec["checksum"], exact=spec.get("exact", False))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was read, and refuse to carry a password."""
        self._refuse_password()
        names = ("_source", "_query", "_pins", "_checked", "_exact")
        return {name: self.__dict__[name] for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start as one that was just opened."""
        self.__dict__.update(state, _looked=None)

    def _place(self) -> dict[str, Any]:
        self._refuse_password()
        about = {"kind": "sql", "source": self._source, "query": self._query, "checksum": list(self._checked)}
        return about | ({"exact": True} if self._exact else {})

    def _refuse_password(self) -> None:
        if "://" in self._source and database.has_password(self._source):
            raise SpecError(
                f"the data source {database.shown(self._source)} has a password, which nobody shall find in a registry "
                "or a pickle: give the URL a name below [sources] in batchml.toml, and use that name as source"
            )

    def _about(self) -> str:
        return database.shown(self._source) if "://" in self._source else f"data source {self._source!r}"

    @cached_property
    def _engine(self) -> sa.Engine:
        return database.engine_for(source_url(self._source))

    def distinct(
        self, rows: Any = None, cols: Sequence[str] | None = None, *, drop_missing: bool = True
    ) -> dict[str, list[Any]]:
        """Return the distinct values of each column in order of appearance."""
        if rows is not None:
            return super().distinct(rows, cols, drop_missing=drop_missing)
        found: dict[str, list[Any]] = {}
        for name in self._names(cols):
            column, key = self._sql(name), self._sql(str(self.primary_key))
            query = f"SELECT {column} FROM {self._from} GROUP BY {column} ORDER BY min({key})"
            found |= distinct_values(self._ask([name], query), drop_missing=drop_missing)
        return found

    def _read(self, ids: NDArray[np.int64], names: list[str]) -> tuple[NDArray[np.int64], pa.Table]:
        key = str(self.primary_key)
        if not len(ids):
            return ids, self._fitted(names, [pa.nulls(0) for _ in names], 0)
        asked = [key, *(name for name in names if name != key)]
        where = database.among(self._engine.dialect, self._sql(key), ids)
        table = self._ask(asked, f"SELECT {self._list(asked)} FROM {self._from} WHERE {where}")
        return np.ascontiguousarray(table.column(key).to_numpy(), dtype=np.int64), table.select(names)

    def _whole(self, names: list[str]) -> pa.Table:
        key = self._sql(str(self.primary_key))
        return self._ask(names, f"SELECT {self._list(names) or '1'} FROM {self._from} ORDER BY {key}")

    def parts(self, names: list[str]) -> Iterator[pa.Table]:
        """Read all rows in the order of `row_ids`, some at a time, in one transaction."""
        query = f"SELECT {self._list(names) or '1'} FROM {self._from} ORDER BY {self._sql(str(self.primary_key))}"
        with self._connected() as connection:
            self._look(connection)
            result = connection.exec_driver_sql(query)
            while rows := result.fetchmany(_BATCH):
                values = zip(*rows, strict=True)
                arrays = [as_array(name, v, self._pins.columns[name]) for name, v in zip(names, values, strict=False)]
                yield self._fitted(names, arrays, len(rows))

    @property
    def logical(self) -> bool:
        """Whether the digest is that of the content, rather than of the query and a checksum."""
        return self._exact

    # -- how it is read ------------------------------------------------------------------------------------------

    def _sql(self, name: str) -> str:
        return "q." + database.quoted(self._engine.dialect, name)

    def _list(self, names: Sequence[str]) -> str:
        return ", ".join(self._sql(name) for name in names)

    @property
    def _from(self) -> str:
        return f"(\n{self._query}\n) AS q"

    def _ask(self, names: list[str], query: str) -> pa.Table:
        """Run a query whose columns are `names` and return them in canonical form."""
        with self._connected() as connection:
            self._look(connection)
            return self._answer(connection, names, query)

    def _connected(self) -> contextlib.AbstractContextManager[sa.Connection]:
        query = textwrap.shorten(self._query, _SHOWN, placeholder=" ...")
        remedy = (
            f"; the query ({query}) could be answered when the design was added: if a table or column has been "
            "dropped or renamed since, or the right to read it taken away, undo that, or add the design again"
        )
        return database.connected(self._engine, self._about(), remedy)

    def _answer(self, connection: sa.Connection, names: list[str], query: str) -> pa.Table:
        result = connection.exec_driver_sql(query)
        parts: list[list[pa.Array]] = [[] for _ in names]
        n_rows = 0
        while rows := result.fetchmany(_BATCH):
            n_rows += len(rows)
            for part, values, name in zip(parts, zip(*rows, strict=True), names, strict=False):
                part.append(as_array(name, values, self._pins.columns[name]))
        return self._fitted(names, [pa.chunked_array(part) if part else pa.nulls(0) for part in parts], n_rows)

    # -- whether it is still what it was -------------------------------------------------------------------------

    def _look(self, connection: sa.Connection) -> None:
        """Refuse a table that has changed since the design was added."""
        first = self._looked is None
        stamp = self._stamp()
        now = time.monotonic()
        if self._looked is not None:
            when, before = self._looked
            if before == stamp if stamp is not None else now - when < _CHECKED_S:
                return
        found = checksum(connection, self._from, self._pins.columns)
        if found != self._checked:
            raise DataError(self._changed(found))
        if self._exact and (first or stamp is not None):
            self._compare(connection)
        self._looked = now, stamp

    def _stamp(self) -> Any:
        """Return the time stamps of a SQLite file and its log; None for servers."""
        file = database.database_file(source_url(self._source))
        if file is None:
            return None
        found: list[tuple[int, ...]] = []
        for path in (file, file.with_name(f"{file.name}-wal")):
            try:
                status = path.stat()
            except OSError:
                found.append(())
                continue
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(found)

    def _compare(self, connection: sa.Connection) -> None:
        key = self._sql(str(self.primary_key))
        digests = {}
        for name in self.columns:
            query = f"SELECT {self._list([name])} FROM {self._from} ORDER BY {key}"
            digests[name] = column_digest(self._answer(connection, [name], query).column(name))
        if joined_digest(digests, self.n_rows, self.primary_key) != self.digest:
            raise DataError(self._changed(()))

    def _changed(self, found: Sequence[str]) -> str:
        what = "its content is another one"
        if found and found[0] != self._checked[0]:
            what = f"it has {found[0]} rows, not {self._checked[0]}"
        return (
            f"the data of {self._about()} have changed since the design was added: {what}; put the old data back, or "
            "add the design again"
        )

    def reopened(self) -> Self:
        """Return itself after looking whether a file is there, whose absence is nobody's mistake by now.

        Raises
        ------
        DataUnavailableError
            It is gone, for now.
        """
        file = database.database_file(source_url(self._source))
        if file is not None and not file.exists():
            raise DataUnavailableError(f"the database file '{file}' is not there, or not on this machine")
        return self


def as_array(name: str, values: Sequence[Any], pin: ColumnPin) -> pa.Array:
    """Return what a driver returned as an Arrow array of about the right type.

    Raises
    ------
    DataError
        The values are not what the column held.
    """
    kind = pin.info.type
    try:
        if kind == "numeric":
            return pa.array(np.array(values, dtype=np.float64))
        if kind == "integer":
            plain = all(type(value) is int for value in values)  # quick, and true of nearly all
            whole = values if plain else [None if value is None else _whole(value) for value in values]
            return pa.array(whole, pa.int64())
        if kind == "logical":
            return pa.array([None if value is None else _truth(value) for value in values], pa.bool_())
        if kind == "datetime":
            return _times(values, pin)
        if pin.info.levels and not isinstance(pin.info.levels[0], str):
            return pa.array(values)
        return pa.array([value if value is None or isinstance(value, str) else str(value) for value in values])
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as problem:
        message = f"column {name!r} is not {kind} any more: the data have changed ({problem})"
        raise DataError(message) from problem


def _whole(value: Any) -> int:
    if int(value) != value:
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def _truth(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError(f"{value!r} is neither true nor false")
    return bool(value)


def _times(values: Sequence[Any], pin: ColumnPin) -> pa.Array:
    """Return dates and times; texts are as SQLite keeps them, in UTC if there is a time zone."""
    sample = next((value for value in values if value is not None), None)
    target = pa.timestamp(pin.unit, tz=pin.zone)
    if isinstance(sample, str):
        plain = pa.array(values, pa.string()).cast(pa.timestamp(pin.unit))
        return pc.assume_timezone(plain, "UTC").cast(target) if pin.zone else plain
    if sample is None or isinstance(sample, dt.date):
        return pa.array(values) if sample is not None else pa.nulls(len(values), target)
    raise TypeError(f"{sample!r} is no date")
