"""The user's own SQL: one SELECT on a fresh read-only connection, with bounds on time and memory."""

from __future__ import annotations

import math
import re
import sqlite3
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from batchml import arguments
from batchml.errors import ConfigError, RegistryError
from batchml.registry.engine import translated
from batchml.registry.fence import check_names
from batchml.registry.frames import as_frame

if TYPE_CHECKING:
    import pandas as pd

    from batchml.registry.store import Store

__all__ = ["sql"]

_TIMEOUT_S = 60.0
_CELLS = 20_000_000
"""Rows times columns of a result: every value takes some 50 bytes here."""

_BYTES = 1 << 30
_VALUE = 1 << 26
_BATCH = 1000
_FOREVER_S = 1e6
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*([a-zA-Z]+)", re.DOTALL)
_ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, getattr(sqlite3, "SQLITE_RECURSIVE", 33)}
)
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})


def sql(
    store: Store, query: str, timeout_s: float = _TIMEOUT_S, max_cells: int = _CELLS, /, **params: Any
) -> pd.DataFrame:
    """Return the rows of one SELECT (or WITH ... SELECT) statement.

    Parameters
    ----------
    query
        The statement; ``:name`` stands for the parameter of that name.
    timeout_s
        Seconds after which it is ended.
    max_cells
        Rows times columns that a result may have.

    Raises
    ------
    ConfigError
        It is no such statement, or a wrong one.
    RegistryError
        It took too long, or gave too much.
    """
    timeout_s = arguments.fraction(timeout_s, "the time-out of a query")
    if not 0 < timeout_s < _FOREVER_S:
        raise ConfigError(f"the time-out of a query is a number of seconds above 0, not {timeout_s!r}")
    first = _FIRST_WORD.match(arguments.text(query, "a query"))
    if "\0" in query:
        raise ConfigError("the query holds a NUL character")  # a server would see its beginning only
    if first is None or first[1].lower() not in {"select", "with", "values"}:
        raise ConfigError("only one SELECT or WITH statement can be asked; changes are made by batchml's own commands")
    if store.place.path is not None:
        return _ask_sqlite(store, query, timeout_s, max_cells, params)
    return _ask_server(store, query, timeout_s, max_cells, params)


def _ask_sqlite(store: Store, query: str, timeout_s: float, max_cells: int, params: dict[str, Any]) -> pd.DataFrame:
    path = store.place.path
    assert path is not None
    deadline = time.monotonic() + timeout_s
    with translated(store.place):
        connection = _connect(str(path))
        try:
            # One value, made by zeroblob() or printf(), must not fill the memory.
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE)
            connection.set_authorizer(_authorize)
            connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            found = connection.execute(query, params)
            names = [about[0] for about in found.description]
            return as_frame(_unique(names), _fetched(found, len(names), max_cells, deadline, timeout_s))
        except sqlite3.Warning as error:  # more than one statement, before Python 3.12
            raise ConfigError(f"one statement at a time: {error}") from None
        except (sqlite3.ProgrammingError, sqlite3.InterfaceError, OverflowError) as error:
            raise ConfigError(f"the query cannot be run: {error}") from None
        except sqlite3.DatabaseError as error:
            raise _meaning(error, timeout_s) from None
        finally:
            connection.close()


def _connect(path: str) -> sqlite3.Connection:
    from batchml.registry.engine import add_root

    uri = f"file:{urllib.parse.quote(path)}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=30.0)
    try:
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        connection = sqlite3.connect(f"{uri}&immutable=1", uri=True)
    connection.execute("PRAGMA query_only = ON")
    add_root(connection)
    return connection


def _authorize(action: int, _table: str | None, name: str | None, *_rest: Any) -> int:
    if action == sqlite3.SQLITE_FUNCTION and (name or "").lower() in _FORBIDDEN_FUNCTIONS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _fetched(cursor: Any, columns: int, max_cells: int, deadline: float, timeout_s: float) -> list[tuple[Any, ...]]:
    """Return all rows, if they are not too many."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    while batch := cursor.fetchmany(_BATCH):
        rows += batch
        size += sum(len(value) for row in batch for value in row if value.__class__ in (str, bytes))
        if len(rows) * columns > max_cells or size > _BYTES:
            raise RegistryError(
                f"the result is too large: more than {len(rows) - len(batch):,} rows; aggregate them in the query, "
                "or write everything to files by `batchml export`"
            )
        if time.monotonic() > deadline:
            raise _too_long(timeout_s)
    return rows


def _too_long(timeout_s: float) -> RegistryError:
    return RegistryError(
        f"the query took longer than {timeout_s:g} s and was ended; ask for less, or give it more time (--timeout)"
    )


def _meaning(error: sqlite3.DatabaseError, timeout_s: float) -> Exception:
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_INTERRUPT or "interrupted" in str(error):
        return _too_long(timeout_s)
    if code == sqlite3.SQLITE_AUTH:
        return ConfigError(f"the query may only read: {error}")
    if code == sqlite3.SQLITE_ERROR:
        return ConfigError(
            f"the query cannot be run: {error}; `batchml sql` reads the views documented in docs/reference/sql.md"
        )
    return error


def _ask_server(store: Store, query: str, timeout_s: float, max_cells: int, params: dict[str, Any]) -> pd.DataFrame:
    import psycopg

    prepared = str(text(query).compile(dialect=store.engine.dialect))
    deadline = time.monotonic() + timeout_s
    with translated(store.place), store.engine.connect() as connection, connection.begin() as transaction:
        driver: Any = connection.connection.driver_connection
        connection.detach()  # closed at the end: what a query may have left in its session goes with it
        try:
            with driver.cursor() as cursor:
                _fence(cursor, timeout_s)
                check_names(cursor, prepared)
            # A cursor on the server is declared for one query that changes nothing, and is read in batches.
            with driver.cursor(name="batchml_sql") as cursor:
                cursor.execute(prepared.rstrip().rstrip(";"), params)
                names = [about.name for about in cursor.description or ()]
                return as_frame(_unique(names), _fetched(cursor, len(names), max_cells, deadline, timeout_s))
        except psycopg.errors.QueryCanceled:
            raise _too_long(timeout_s) from None
        except (psycopg.ProgrammingError, psycopg.InternalError, psycopg.DataError, psycopg.NotSupportedError) as error:
            said = store.place.scrub(str(error)).strip().splitlines()[0]
            raise ConfigError(f"the query cannot be run: {said}") from None
        finally:
            transaction.rollback()


def _fence(cursor: Any, timeout_s: float) -> None:
    """Take from the transaction what reading does not need."""
    cursor.execute("SET TRANSACTION READ ONLY")
    cursor.execute(f"SET LOCAL statement_timeout = {math.ceil(timeout_s * 1000)}")
    cursor.execute("SET LOCAL standard_conforming_strings = on")
    cursor.execute("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")
    (superuser,) = cursor.fetchone()
    if superuser:  # a server of one's own: its superuser could read the server's files
        cursor.execute("SET LOCAL ROLE pg_read_all_data")


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return unique
