"""Connections to databases with data: read-only, opened for one reading, and errors told apart."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.pool import NullPool

from batchml.errors import ConfigError, DataError, DataUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "absolute_source",
    "among",
    "check_query",
    "connected",
    "database_file",
    "engine_for",
    "has_password",
    "quoted",
    "shown",
]

_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_DRIVERS |= {"mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
_PIECES = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$""", re.DOTALL)
_ACTIONS = {
    *(sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_TRANSACTION),
    getattr(sqlite3, "SQLITE_RECURSIVE", 33),
}
_FUNCTIONS = {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"}
#: What SQLAlchemy asks; `read_uncommitted` without a value only tells.
_LOOKING = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list", "database_list"}
_ASKED = {"read_uncommitted", "encoding", "schema_version"}
#: MySQL's numbers for a connection that cannot be had or was lost, too many of them, locks, and a server that ends.
_MYSQL_PASSING = {1040, 1045, 1053, 1077, 1152, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1969, 3024}


def engine_for(url: str) -> sa.Engine:
    """Return an engine that keeps no connection.

    Raises
    ------
    ConfigError
        The URL is none, or its driver is not installed.
    """
    try:
        parsed = sa.make_url(url)
        driver = _DRIVERS.get(parsed.drivername)
        parsed = parsed.set(drivername=driver) if driver else parsed
        if parsed.get_backend_name() == "sqlite":
            path = str(Path(parsed.database or "").absolute())
            return sa.create_engine("sqlite://", creator=lambda: _open_sqlite(path), poolclass=NullPool)
        return sa.create_engine(parsed, poolclass=NullPool)
    except (exc.ArgumentError, ImportError) as problem:
        raise ConfigError(f"{shown(url)} is no database that can be opened: {_first_line(problem)}") from None


def _open_sqlite(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=30.0)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("SELECT value FROM json_each('[]')").fetchall()  # makes it known before nothing more may be made
    connection.set_authorizer(_authorize)
    return connection


def _authorize(action: int, first: str | None, second: str | None, *_rest: Any) -> int:
    if action == sqlite3.SQLITE_PRAGMA:
        name = (first or "").lower()
        return sqlite3.SQLITE_OK if name in _LOOKING or (name in _ASKED and second is None) else sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _FUNCTIONS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ACTIONS else sqlite3.SQLITE_DENY


@contextlib.contextmanager
def connected(engine: sa.Engine, about: str, remedy: str = "") -> Iterator[sa.Connection]:
    """Give a connection in a read-only transaction, one view of the data, that is closed at the end.

    Parameters
    ----------
    about
        What the database is called in messages.
    remedy
        What else is said of a query that is wrong.

    Raises
    ------
    DataError
        The query is wrong, or does more than to read.
    DataUnavailableError
        The database cannot be reached, or went away.
    """
    with contextlib.ExitStack() as stack:
        try:
            connection = stack.enter_context(engine.connect())
            name = engine.dialect.name
            if name == "postgresql":
                connection = connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True, stream_results=True
                )
            elif name in {"mysql", "mariadb"}:
                connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
                connection.commit()
            stack.enter_context(connection.begin())
            yield connection.execution_options(no_parameters=True)
        except exc.DBAPIError as problem:
            raise _meaning(problem, engine, about, remedy) from None
        except exc.SQLAlchemyError as problem:
            raise DataError(f"{about} cannot be read: {_first_line(problem)}{remedy}") from None


def _meaning(problem: exc.DBAPIError, engine: sa.Engine, about: str, remedy: str) -> Exception:
    cause = problem.orig
    said = _scrubbed(_first_line(cause or problem), engine)
    if problem.connection_invalidated or _passes(cause):
        return DataUnavailableError(f"{about} cannot be reached: {said}")
    if "not authorized" in said or "read-only" in said or "READ ONLY" in said:
        return DataError(f"{about}: a query of data may only read: {said}")
    return DataError(f"{about} cannot be read: {said}{remedy}")


def _passes(cause: BaseException | None) -> bool:
    """Whether it may be better later: no connection, a lock, a server that ends; not a query that is wrong."""
    if isinstance(cause, sqlite3.Error):
        code = (getattr(cause, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF
        passing = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
        return code in passing | {sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_FULL}
    number = cause.args[0] if cause is not None and cause.args else None
    if isinstance(number, int):  # MySQL calls a wrong column an OperationalError, too
        return number in _MYSQL_PASSING or number >= 2000 or number == 0
    return any(kind.__name__ in {"OperationalError", "InterfaceError"} for kind in type(cause).__mro__)


def _first_line(problem: BaseException) -> str:
    if isinstance(problem, exc.DBAPIError | exc.SQLAlchemyError):
        return str(problem.args[0] if problem.args else problem).strip().splitlines()[0]
    if len(problem.args) == 2 and isinstance(problem.args[0], int):  # pymysql: number and words
        return str(problem.args[1])
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]


def _scrubbed(text: str, engine: sa.Engine) -> str:
    password = engine.url.password
    return text.replace(str(password), "***") if password else text


def shown(url: str) -> str:
    """Return a URL without its password."""
    try:
        parsed = sa.make_url(url)
        hidden = [name for name in parsed.query if "passw" in name.lower()]
        return parsed.difference_update_query(hidden).render_as_string(hide_password=True)
    except exc.ArgumentError:
        return url.partition("://")[0] + "://..."


def has_password(url: str) -> bool:
    """Whether a URL holds a password, in its place or among its options."""
    parsed = sa.make_url(url)
    return bool(parsed.password) or any("password" in name.lower() or name == "passwd" for name in parsed.query)


def absolute_source(source: str) -> str:
    """Return a source as any process can use it: the URL of a SQLite file names its absolute path."""
    file = database_file(source) if "://" in source else None
    return source if file is None else f"sqlite:///{file}"


def database_file(url: str) -> Path | None:
    """Return the absolute path of a SQLite database, None for servers."""
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError:
        raise ConfigError(f"{url.partition('://')[0]}://... is no database URL") from None
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigError("a SQLite database in memory is seen by this process alone: write it to a file")
    return Path(parsed.database).absolute()


def check_query(query: str) -> str:
    """Return a query without a semicolon at its end, if it looks like one SELECT.

    Raises
    ------
    DataError
        It is another statement, or several. What slips through meets a read-only transaction.
    """
    bare = _PIECES.sub(" '' ", query).strip().rstrip(";").strip()
    first = re.match(r"\(*\s*([a-zA-Z]+)", bare)
    if first is None or first[1].lower() not in {"select", "with", "values", "table"} or ";" in bare:
        raise DataError("a query of data is one SELECT or WITH statement, which changes nothing")
    query = query.strip()
    return query.rstrip(";").rstrip() if query.endswith(";") else query


def quoted(dialect: sa.Dialect, name: str) -> str:
    """Return an identifier as SQL, for statements without parameters: SQLAlchemy would double a percent sign."""
    mark = "`" if dialect.name in {"mysql", "mariadb"} else '"'
    return mark + name.replace(mark, 2 * mark) + mark


def among(dialect: sa.Dialect, column: str, ids: NDArray[Any]) -> str:
    """Return the condition that a column (quoted) is one of sorted whole numbers; one statement, however many."""
    if len(ids) and int(ids[-1]) - int(ids[0]) + 1 == len(ids):
        return f"{column} BETWEEN {ids[0]} AND {ids[-1]}"
    listed = ",".join(map(str, ids.tolist()))
    if dialect.name == "postgresql":
        return f"{column} = ANY('{{{listed}}}'::bigint[])"
    if dialect.name == "sqlite":
        return f"{column} IN (SELECT value FROM json_each('[{listed}]'))"
    if dialect.name in {"mysql", "mariadb"}:
        source = f"JSON_TABLE('[{listed}]', '$[*]' COLUMNS (id BIGINT PATH '$')) AS batchml_ids"
        return f"{column} IN (SELECT id FROM {source})"
    return f"{column} IN ({listed or 'NULL'})"
