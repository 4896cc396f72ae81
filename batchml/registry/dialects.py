"""What SQLite and PostgreSQL spell differently: types, clocks, sets of ids, inserts that skip what is there.

Nothing outside this module asks for a dialect's name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Connection,
    DateTime,
    Dialect,
    Double,
    Insert,
    Integer,
    Table,
    Text,
    bindparam,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement, FunctionElement
from sqlalchemy.types import TypeDecorator

from batchml.registry.processes import boot_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Select, TextualSelect
    from sqlalchemy.sql.compiler import SQLCompiler

__all__ = [
    "CLEANED_OFTEN",
    "MANY",
    "Id",
    "Json",
    "Listing",
    "Time",
    "among",
    "among_words",
    "clean_often",
    "epoch_now",
    "insert_new",
    "lease_seconds",
    "lock_rows",
    "moment",
    "one_at_a_time",
    "own_seconds",
    "refresh_statistics",
    "series",
    "unindexed",
    "up_since",
    "utc_now",
]

Id = BigInteger().with_variant(Integer(), "sqlite")
"""Row ids: 64 bits on both; SQLite makes only ``INTEGER PRIMARY KEY`` an alias of its row id."""

Time = DateTime(timezone=True).with_variant(Text(), "sqlite")
"""Moments in UTC; text with milliseconds on SQLite."""

Json = JSON()
"""Plain data. Not JSONB: that one rewrites numbers."""


_SCHEMA_LOCK = 0x6261746368_6D6C  # "batchml": locks of other programs in the same database have other numbers


class utc_now(FunctionElement[Any]):  # noqa: N801 - reads as the SQL function it is
    """The database's clock, for display."""

    type = Time
    inherit_cache = True


@compiles(utc_now, "sqlite")
def _utc_now_sqlite(_element: utc_now, _compiler: SQLCompiler, **_options: Any) -> str:
    # CURRENT_TIMESTAMP has whole seconds, and 'subsec' is NULL before 3.42.
    return "strftime('%Y-%m-%d %H:%M:%f', 'now')"


@compiles(utc_now, "postgresql")
def _utc_now_postgresql(_element: utc_now, _compiler: SQLCompiler, **_options: Any) -> str:
    return "now()"


class epoch_now(FunctionElement[float]):  # noqa: N801 - reads as the SQL function it is
    """Seconds since 1970 by the database's clock, for back-off."""

    type = Double()
    inherit_cache = True


@compiles(epoch_now, "sqlite")
def _epoch_now_sqlite(_element: epoch_now, _compiler: SQLCompiler, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(epoch_now, "postgresql")
def _epoch_now_postgresql(_element: epoch_now, _compiler: SQLCompiler, **_options: Any) -> str:
    return "extract(epoch FROM now())::double precision"


class moment(FunctionElement[Any]):  # noqa: N801 - reads as the SQL function it is
    """Seconds since 1970, by whatever clock, as a time of the database."""

    type = Time
    inherit_cache = True


@compiles(moment, "sqlite")
def _moment_sqlite(element: moment, compiler: SQLCompiler, **options: Any) -> str:
    return f"strftime('%Y-%m-%d %H:%M:%f', {compiler.process(element.clauses, **options)}, 'unixepoch')"


@compiles(moment, "postgresql")
def _moment_postgresql(element: moment, compiler: SQLCompiler, **options: Any) -> str:
    return f"to_timestamp({compiler.process(element.clauses, **options)})"


def lease_seconds(connection: Connection) -> float:
    """Return now, in seconds by the clock that leases are reckoned by: the server's, or this host's time since boot.

    SQLite is one host, whose wall clock may be set.
    """
    if connection.dialect.name == "postgresql":
        return float(connection.execute(select(epoch_now())).scalar_one())
    return boot_seconds()


def own_seconds(connection: Connection) -> float | None:
    """Return what `lease_seconds` does where this host's clock says it, None where the server's does."""
    return None if connection.dialect.name == "postgresql" else boot_seconds()


def up_since(connection: Connection) -> float:
    """Return when the database began to answer, by the clock of `lease_seconds`; 0 where it is a file."""
    if connection.dialect.name != "postgresql":
        return 0.0
    started: Select[Any] = select(literal_column("extract(epoch FROM pg_postmaster_start_time())::double precision"))
    return float(connection.execute(started).scalar_one())


def lock_rows(connection: Connection, statement: Select[Any], values: Mapping[str, Any]) -> None:
    """Lock rows in the order of the statement, where several write at once; SQLite has one writer.

    What is read after this, by a statement of its own, is what those who held the locks before have left.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(statement.with_for_update(), values)


class Listing(TypeDecorator[Sequence[Any]]):
    """One bound value that holds any number of ids or words, so that the number of statements never grows with them."""

    impl = Text
    cache_ok = True

    def __init__(self, element: type[BigInteger | Text]) -> None:
        super().__init__()
        self.element = element

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Return an array, or text that holds JSON."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.ARRAY(self.element()))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        """Return a list as the driver takes it."""
        if value is None or dialect.name == "postgresql":
            return None if value is None else list(value)
        return json.dumps(list(value))


class _among(FunctionElement[bool]):  # noqa: N801 - reads as the SQL operator it is
    type = Boolean()
    inherit_cache = True
    _is_implicitly_boolean = True  # else SQLite is asked "(... IN ...) = 1", which no index answers


@compiles(_among, "sqlite")
def _among_sqlite(element: _among, compiler: SQLCompiler, **options: Any) -> str:
    column, listing = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({column} IN (SELECT value FROM json_each({listing})))"  # noqa: S608 - compiled parts, no values


@compiles(_among, "postgresql")
def _among_postgresql(element: _among, compiler: SQLCompiler, **options: Any) -> str:
    column, listing = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({column} = ANY ({listing}))"


def among(column: ColumnElement[Any], name: str = "ids") -> ColumnElement[bool]:
    """Return `column` IN the list of ids that the parameter `name` holds, of any length."""
    return _among(column, bindparam(name, type_=Listing(BigInteger)))


def among_words(column: ColumnElement[Any], name: str = "words") -> ColumnElement[bool]:
    """Return `column` IN the list of words that the parameter `name` holds, of any length."""
    return _among(column, bindparam(name, type_=Listing(Text)))


class unindexed(FunctionElement[Any]):  # noqa: N801 - reads as the SQL it becomes
    """A column whose index is not to be used.

    For guards beside a list of ids: SQLite would read all jobs of a state rather than look up the ids.
    """

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        self.type = column.type
        super().__init__(column)


@compiles(unindexed, "sqlite")
def _unindexed_sqlite(element: unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return "+" + compiler.process(next(iter(element.clauses)), **options)


@compiles(unindexed, "postgresql")
def _unindexed_postgresql(element: unindexed, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(next(iter(element.clauses)), **options)


MANY = 10_000
"""Rows whose change makes a server's statistics of them worthless."""


def refresh_statistics(connection: Connection) -> None:
    """Tell a server's planner how many jobs of which state there are now; by itself it looks once in a minute."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE job, experiment, benchmark_experiment"))


CLEANED_OFTEN = {"autovacuum_vacuum_scale_factor": "0.02", "vacuum_index_cleanup": "on"}
"""Settings of a table on a server, to clear away soon what done jobs leave at the front of the queue's index.

By itself it does so after a fifth of all jobs, and leaves the index out: with 900 000 of 1 000 000 jobs done at once
each claim read past them for 15 ms.
"""


def clean_often(connection: Connection, *, often: bool = True) -> None:
    """Give a server's jobs these settings, or take them away."""
    if connection.dialect.name == "postgresql":
        settings = ", ".join(f"{name} = {value}" if often else name for name, value in CLEANED_OFTEN.items())
        connection.execute(text(f"ALTER TABLE job {'SET' if often else 'RESET'} ({settings})"))


def one_at_a_time(connection: Connection) -> None:
    """Have other transactions that say the same wait until this one ends: for what changes the schema.

    SQLite has the writers' lock for it.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})


def insert_new(dialect: Dialect, table: Table) -> Insert:
    """Return an INSERT that skips rows that are there."""
    if dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


_SERIES_SQLITE = """
WITH RECURSIVE span(key, number, past) AS (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(:spans)
    UNION ALL
    SELECT key, number + 1, past FROM span WHERE number + 1 < past
)
SELECT key, number FROM span WHERE true ORDER BY key, number
"""
_SERIES_POSTGRESQL = """
SELECT (value ->> 0)::bigint AS key, generate_series((value ->> 1)::int, (value ->> 2)::int - 1) AS number
FROM json_array_elements(CAST(:spans AS json)) ORDER BY key, number
"""


def series(dialect: Dialect) -> TextualSelect:
    """Return a SELECT of (key, number) for the numbers first, ..., past - 1 of each span.

    The parameter `spans` is a JSON list of [key, first, past] with first < past. One INSERT from it is twice as fast on
    SQLite as one a row, since AUTOINCREMENT keeps its books by statement. On a server COPY would save a tenth (2.07
    against 2.35 s of its time for 300 000 jobs: indexes and foreign keys are what takes it), and cannot pass over jobs
    that are there.
    """
    body = _SERIES_POSTGRESQL if dialect.name == "postgresql" else _SERIES_SQLITE
    return text(body).bindparams(bindparam("spans", type_=Text)).columns(key=Id, number=Integer)
