"""The user's own SQL: one SELECT on a fresh read-only connection, with a time-out."""

from __future__ import annotations

import re
import sqlite3
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from batchml.errors import ConfigError, RegistryError
from batchml.registry.engine import translated
from batchml.registry.frames import as_frame

if TYPE_CHECKING:
    import pandas as pd

    from batchml.registry.store import Store

__all__ = ["sql"]

_TIMEOUT_S = 60.0
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*([a-zA-Z]+)", re.DOTALL)
_ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, getattr(sqlite3, "SQLITE_RECURSIVE", 33)}
)
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})


def sql(store: Store, query: str, timeout_s: float = _TIMEOUT_S, /, **params: Any) -> pd.DataFrame:
    """Return the rows of one SELECT (or WITH ... SELECT) statement.

    Parameters
    ----------
    query
        The statement; ``:name`` stands for the parameter of that name.
    timeout_s
        Seconds after which it is ended.

    Raises
    ------
    ConfigError
        It is no such statement, or a wrong one.
    RegistryError
        It took too long.
    """
    first = _FIRST_WORD.match(query)
    if first is None or first[1].lower() not in {"select", "with", "values"}:
        raise ConfigError("only one SELECT or WITH statement can be asked; changes are made by batchml's own commands")
    if store.place.path is not None:
        return _ask_sqlite(store, query, timeout_s, params)
    return _ask_server(store, query, timeout_s, params)


def _ask_sqlite(store: Store, query: str, timeout_s: float, params: dict[str, Any]) -> pd.DataFrame:
    path = store.place.path
    assert path is not None
    deadline = time.monotonic() + timeout_s
    with translated(store.place):
        connection = _connect(str(path))
        try:
            connection.set_authorizer(_authorize)
            connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            found = connection.execute(query, params)
            names = [about[0] for about in found.description]
            return as_frame(_unique(names), found.fetchall())
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


def _meaning(error: sqlite3.DatabaseError, timeout_s: float) -> Exception:
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_INTERRUPT or "interrupted" in str(error):
        return RegistryError(
            f"the query took longer than {timeout_s:g} s and was ended; ask for less, or index a copy of the file"
        )
    if code == sqlite3.SQLITE_AUTH:
        return ConfigError(f"the query may only read: {error}")
    if code == sqlite3.SQLITE_ERROR:
        return ConfigError(
            f"the query cannot be run: {error}; `batchml sql` reads the views documented in docs/reference/sql.md"
        )
    return error


def _ask_server(store: Store, query: str, timeout_s: float, params: dict[str, Any]) -> pd.DataFrame:
    import psycopg

    # A prepared statement is one statement: the plain protocol would run "SELECT 1; COMMIT; DELETE ..." too.
    prepared = str(text(query).compile(dialect=store.engine.dialect))
    with translated(store.place), store.engine.connect() as connection, connection.begin() as transaction:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(timeout_s * 1000)}")
        driver: Any = connection.connection.driver_connection
        try:
            with driver.cursor() as cursor:
                cursor.execute(prepared, params, prepare=True)
                names = [about.name for about in cursor.description or ()]
                return as_frame(_unique(names), cursor.fetchall())
        except psycopg.errors.QueryCanceled:
            raise RegistryError(f"the query took longer than {timeout_s:g} s and was ended") from None
        except (psycopg.ProgrammingError, psycopg.InternalError, psycopg.DataError) as error:
            said = store.place.scrub(str(error)).strip().splitlines()[0]
            raise ConfigError(f"the query cannot be run: {said}") from None
        finally:
            transaction.rollback()


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return unique
