"""Several statements in one trip to the server, and one statement for many rows.

What runs once per job is said here rather than to SQLAlchemy: statements are compiled once, values go to the driver as
they are. On PostgreSQL the steps of a trip are sent together and their answers read together; many rows are arrays of
one statement. SQLite is no trip away: there each step is executed.
"""

from __future__ import annotations

import contextlib
import operator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Executable,
    Insert,
    Integer,
    bindparam,
    column,
    exc,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.visitors import replacement_traverse

from batchml.registry.dialects import Listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Dialect
    from sqlalchemy.types import TypeEngine

__all__ = ["Answer", "Step", "by_index", "each", "lock", "once", "run_many", "together"]

_PIECE = 2**20  # bytes of a blob at once
_ARRAYS = 2**22  # bytes of text and blobs that are sent as arrays; more go row by row, as a message ends at 1 GB


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A statement with its values, or with a tuple of values per row in the order of `names`."""

    statement: Executable
    values: Mapping[str, Any] | None = None
    names: tuple[str, ...] = ()
    rows: Sequence[tuple[Any, ...]] = ()
    server: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.values is None and not self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The rows that a step returned, and how many it touched; -1: the driver does not say."""

    rows: Sequence[Any] = ()
    count: int = 0


def once(statement: Executable, **values: Any) -> Step:
    """Return the step that runs a statement once; it must be the same object at each call."""
    return Step(statement=statement, values=values)


def each(statement: Executable, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> Step:
    """Return the step that runs a statement, an INSERT or an UPDATE, for each row of plain values.

    `statement` must be the same object at each call and name its parameters in the order of `names`.
    """
    return Step(statement=statement, names=names, rows=rows)


def lock(statement: Any, **values: Any) -> Step:
    """Return the step that locks rows in the order of the statement, where several write at once; SQLite has one
    writer.

    What is read after this, by a step of its own, is what those who held the locks before have left.
    """
    return Step(statement=_locking(statement), values=values, server=True)


@lru_cache(maxsize=64)
def _locking(statement: Any) -> Executable:
    locking: Executable = statement.with_for_update()
    return locking


def by_index() -> Step:
    """Return the step after which this transaction looks up rows by index only.

    A server keeps the plan it made when a table was small, and would go on to read all of it when it is large.
    """
    return Step(statement=_BY_INDEX, values={}, server=True)


_BY_INDEX = select(func.set_config("enable_seqscan", "off", literal_column("true")))


def run_many(
    connection: Connection, statement: Executable, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> int:
    """Run a statement for each row of plain values and return the number of rows it touched; see `each`."""
    return together(connection, each(statement, names, rows))[0].count


def together(connection: Connection, *steps: Step) -> list[Answer]:
    """Run steps one after the other, in one trip, and return their answers.

    Raises
    ------
    sqlalchemy.exc.DBAPIError
        As if SQLAlchemy had run them.
    """
    if connection.dialect.name != "postgresql":
        return [Answer() if step.is_empty or step.server else _run(connection, step) for step in steps]
    if all(step.is_empty for step in steps):
        return [Answer() for _ in steps]
    driver: Any = connection.connection.driver_connection
    with _wrapped(connection), driver.pipeline():
        cursors = [None if step.is_empty else _send(driver, step) for step in steps]
    return [Answer() if cursor is None else _read(cursor) for cursor in cursors]


def _run(connection: Connection, step: Step) -> Answer:
    if type(step.statement) is Insert and _size(step.rows) >= _ARRAYS:
        return _in_pieces(connection, step)
    if step.rows:
        result = connection.exec_driver_sql(_row_by_row(step.statement, step.names), list(step.rows))
        return Answer(count=result.rowcount)
    result = connection.execute(step.statement, step.values)
    return Answer(rows=result.all()) if result.returns_rows else Answer(count=result.rowcount)


def _in_pieces(connection: Connection, step: Step) -> Answer:
    """Write large blobs of new rows of SQLite piece by piece: its driver copies, and its cache keeps, what is whole."""
    assert isinstance(step.statement, Insert)
    driver: Any = connection.connection.driver_connection
    pages = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    connection.exec_driver_sql("PRAGMA cache_size = -2048")  # kB; the rest is given back at once
    try:
        for row in step.rows:
            given = dict(zip(step.names, row, strict=True))
            large = {name: memoryview(value) for name, value in given.items() if _is_large(value)}
            query = _row_by_row(_with_room(step.statement, tuple(large)), step.names)
            values = tuple(large[name].nbytes if name in large else value for name, value in given.items())
            number = connection.exec_driver_sql(query, values).lastrowid
            for name, view in large.items():
                with _wrapped(connection), driver.blobopen(step.statement.table.name, name, number) as blob:
                    for begin in range(0, view.nbytes, _PIECE):
                        blob.write(view[begin : begin + _PIECE])
    finally:
        connection.exec_driver_sql(f"PRAGMA cache_size = {pages}")
    return Answer(count=len(step.rows))


def _is_large(value: Any) -> bool:
    return isinstance(value, bytes | memoryview) and len(value) >= _PIECE


@lru_cache(maxsize=64)
def _with_room(statement: Insert, names: tuple[str, ...]) -> Insert:
    """Return an INSERT of one row whose blobs `names` are given as their sizes, to be written afterwards."""
    return statement.values({name: func.zeroblob(bindparam(name, type_=Integer)) for name in names})


@lru_cache(maxsize=256)
def _row_by_row(statement: Executable, names: tuple[str, ...]) -> str:
    compiled = _compiled(statement, sqlite.dialect())
    assert tuple(compiled.positiontup) == names, (compiled.positiontup, names)
    return str(compiled)


def _compiled(statement: Any, dialect: Dialect) -> Any:
    return statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})


# -- PostgreSQL ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _wrapped(connection: Connection) -> Iterator[None]:
    """Turn the driver's errors into those that SQLAlchemy makes of them."""
    dialect = connection.dialect
    base: type[Exception] = dialect.loaded_dbapi.Error
    try:
        yield
    except base as error:
        gone = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)  # type: ignore[arg-type]
        if gone:
            connection.invalidate(error)
        wrapped = exc.DBAPIError.instance(
            "", {}, error, base, hide_parameters=True, connection_invalidated=gone, dialect=dialect
        )
        raise wrapped from error


def _psycopg() -> Dialect:
    dialect: Any = postgresql.psycopg.dialect
    made: Dialect = dialect()
    return made


def _send(driver: Any, step: Step) -> Any:
    from psycopg.rows import namedtuple_row

    cursor = driver.cursor(binary=True, row_factory=namedtuple_row)
    if not step.rows:
        query, constants = _query(step.statement)
        cursor.execute(query, {**constants, **(step.values or {})})
    elif len(step.rows) > 1 and _size(step.rows) < _ARRAYS:
        query, kinds = _of_arrays(step.statement, step.names)
        columns = zip(step.names, kinds, zip(*step.rows, strict=True), strict=True)
        cursor.execute(query, {name: [_plain(kind, value) for value in values] for name, kind, values in columns})
    else:
        query, _ = _query(step.statement)
        cursor.executemany(query, [dict(zip(step.names, row, strict=True)) for row in step.rows])
    return cursor


def _read(cursor: Any) -> Answer:
    with cursor:
        if cursor.description is None:
            return Answer(count=cursor.rowcount)
        return Answer(rows=cursor.fetchall(), count=cursor.rowcount)


def _size(rows: Sequence[tuple[Any, ...]]) -> int:
    return sum(len(value) for row in rows for value in row if isinstance(value, str | bytes | memoryview))


@lru_cache(maxsize=256)
def _query(statement: Any) -> tuple[str, Mapping[str, Any]]:
    """Return a statement as the driver takes it, and the constants in it."""
    compiled = _compiled(statement, _psycopg())
    lists = [name for name, bound in compiled.binds.items() if isinstance(bound.type, Listing)]
    return _in_binary(str(compiled), lists), {
        name: value for name, value in compiled.params.items() if value is not None
    }


@lru_cache(maxsize=256)
def _of_arrays(statement: Any, names: tuple[str, ...]) -> tuple[str, tuple[type, ...]]:
    """Return an INSERT or UPDATE of one row as one of many rows, and the types of the members of its arrays."""
    dialect = _psycopg()
    one = _compiled(statement, dialect)
    assert "ON CONFLICT" not in str(one), "its INSERT is built anew, without that"
    bound = one.binds
    types: dict[str, TypeEngine[Any]] = {name: bound[name].type for name in names}
    arrays = (bindparam(name, type_=postgresql.ARRAY(kind)) for name, kind in types.items())
    members = (column(name, kind) for name, kind in types.items())
    given = func.unnest(*arrays).table_valued(*members, name="given").render_derived()

    def member(element: Any, **_options: Any) -> Any:
        return given.c[element.key] if isinstance(element, BindParameter) and element.key in types else None

    if isinstance(statement, Insert):
        many: Any = insert(statement.table).from_select(list(names), select(*(given.c[name] for name in names)))
    else:
        many = replacement_traverse(statement, {}, member)
    query = str(_compiled(many, dialect))
    return _in_binary(query, names), tuple(kind.python_type for kind in types.values())


def _in_binary(query: str, lists: Iterable[str]) -> str:
    """Have lists sent as they are: as text they take five times the time, and blobs three times the space."""
    for name in lists:
        query = query.replace(f"%({name})s", f"%({name})b")
    return query


def _plain(kind: type, value: Any) -> Any:
    """Return a value as a member of an array, whose members are of one type."""
    if value is None or type(value) is kind:
        return value
    if kind is int:
        return operator.index(value)
    if kind is float:
        return float(value)
    if kind is bytes:
        return bytes(memoryview(value))
    return str.__str__(value)
