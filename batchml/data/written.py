"""Tables written into databases of one file, as backends: for data that outgrow memory, and to look at with SQL."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from batchml.core.aside import written_aside
from batchml.data.duck import DuckBackend
from batchml.data.fence import quoted, translated
from batchml.data.files import pinned
from batchml.data.fingerprint import column_digest, joined_digest
from batchml.data.pins import ColumnPin, Pins, pin_column
from batchml.data.relation import Relation
from batchml.data.sources import as_data_backend
from batchml.errors import DataError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from batchml.core.backend import DataBackend
    from batchml.data.sql import SqlBackend

__all__ = ["as_duckdb_backend", "as_sqlite_backend"]

_TABLE = "data"
_ROW_ID = "row_id"
_BATCH = 10_000


def as_duckdb_backend(
    frame: Any, path: str | os.PathLike[str], primary_key: str | None = None, *, text: Sequence[str] = ()
) -> DuckBackend:
    """Write a table to a DuckDB database and return a backend that reads it there.

    Parameters
    ----------
    frame
        Whatever `as_data_backend` takes.
    path
        The file; or a folder, where the file is named by the table's digest and used again if it is there.
    primary_key, text
        As for `as_data_backend`.

    Raises
    ------
    DataError
        The table cannot be used, or the file is there already.
    """
    table, key = _canonical(frame, primary_key, text)
    pins = _pins(table, key, text)
    target = _target(path, pins.digest, ".duckdb")

    def write(aside: Path) -> None:
        import duckdb

        with translated(), contextlib.closing(duckdb.connect(str(aside))) as connection:
            connection.register("..frame", _plain(table))
            connection.execute(f"CREATE TABLE {quoted(_TABLE)} AS SELECT * FROM {quoted('..frame')}")

    _write(target, write)
    relation = Relation(kind="duckdb", files=(pinned(str(target)),), table=f"{quoted('main')}.{quoted(_TABLE)}")
    return DuckBackend(relation, pins)


def as_sqlite_backend(
    frame: Any, path: str | os.PathLike[str], primary_key: str | None = None, *, text: Sequence[str] = ()
) -> SqlBackend:
    """Write a table to a SQLite database and return a backend that reads it there.

    Without a primary key a column ``row_id`` with positions is added, which is one. The parameters are those of
    `as_duckdb_backend`.
    """
    from batchml.data.sql_open import written_backend

    table, key = _canonical(frame, primary_key, text)
    if key is None:
        if _ROW_ID in table.column_names:
            raise DataError(f"the table has a column {_ROW_ID!r}: name it as primary_key=, or rename it")
        key = _ROW_ID
        table = table.add_column(0, key, pa.array(np.arange(table.num_rows)))
    pins = _pins(table, key, text)
    target = _target(path, pins.digest, ".sqlite")
    _write(target, lambda aside: _write_sqlite(aside, table, str(key)))
    return written_backend(f"sqlite:///{target}", f"SELECT * FROM {quoted(_TABLE)}", pins)


def _canonical(frame: Any, primary_key: str | None, text: Sequence[str]) -> tuple[pa.Table, str | None]:
    backend: DataBackend = as_data_backend(frame, primary_key, text=text)
    return backend.data(), backend.primary_key


def _pins(table: pa.Table, key: str | None, text: Sequence[str]) -> Pins:
    pins: dict[str, ColumnPin] = {}
    digests = {}
    for name in table.column_names:
        pins[name], array = pin_column(name, table.column(name), text=name in text)
        digests[name] = column_digest(array)
    ids = None if key is None else table.column(key).to_numpy()
    run = ids is not None and len(ids) > 0 and bool((np.diff(ids) == 1).all())
    start = 0 if ids is None else int(ids[0]) if run else None
    digest = joined_digest(digests, table.num_rows, key)
    return Pins(n_rows=table.num_rows, digest=digest, columns=pins, primary_key=key, start=start)


def _target(path: str | os.PathLike[str], digest: str, ending: str) -> Path:
    target = Path(path).absolute()
    return target / f"{digest[:32]}{ending}" if target.is_dir() else target


def _write(target: Path, write: Callable[[Path], None]) -> None:
    """Write aside and move into place; a file named by its content is used again."""
    if target.exists():
        if len(target.stem) == 32:
            return
        raise DataError(f"there is a file '{target}' already: remove it, or give a folder")
    try:
        with written_aside(target) as aside:
            write(aside)
    except OSError as problem:
        raise DataError(f"'{target}' cannot be written: {problem.strerror or problem}") from problem


def _plain(table: pa.Table) -> pa.Table:
    """Return a table without dictionaries: the pins know levels and their order, the database holds their values."""
    for i, name in enumerate(table.column_names):
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            table = table.set_column(i, name, column.cast(column.type.value_type))
        elif pa.types.is_floating(column.type):
            values = column.to_numpy()
            table = table.set_column(i, name, pa.array(values, mask=np.isnan(values)))
    return table


def _write_sqlite(path: Path, table: pa.Table, key: str) -> None:
    kinds = {pa.int64(): "INTEGER", pa.bool_(): "BOOLEAN", pa.float64(): "REAL"}
    plain = _plain(table)
    columns = []
    for field in plain.schema:
        kind = kinds.get(field.type, "TIMESTAMP" if pa.types.is_timestamp(field.type) else "TEXT")
        columns.append(f"{quoted(field.name)} {kind}{' PRIMARY KEY' if field.name == key else ''}")
    marks = ", ".join("?" * plain.num_columns)
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"CREATE TABLE {quoted(_TABLE)} ({', '.join(columns)})")
            connection.executemany(f"INSERT INTO {quoted(_TABLE)} VALUES ({marks})", _rows(plain))
    except sqlite3.Error as problem:
        raise DataError(f"the table cannot be written to SQLite, {str(path.parent)!r}: {problem}") from problem


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in table.to_batches(max_chunksize=_BATCH):
        columns = []
        for column in batch.columns:
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.timestamp(column.type.unit)).cast(pa.string())  # noqa: PLW2901 - in UTC
            columns.append(column.to_pylist())
        yield from zip(*columns, strict=True)
