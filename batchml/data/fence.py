"""DuckDB inside a fence: it reads the files that it was given, writes nothing, and nobody can change that."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any

from batchml.core.resources import available_cores
from batchml.errors import DataError, DataUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["fenced", "one_select", "quoted", "text_literal"]


_ONE_AT_A_TIME = threading.Lock()
_LOCKED = (
    "enable_progress_bar = false",
    "disable_parquet_prefetching = true",  # of whole row groups: on a local disk that takes memory and saves no time
    "enable_external_access = false",
    "lock_configuration = true",
)


@contextlib.contextmanager
def fenced(files: Sequence[str], database: str | None = None, **settings: Any) -> Iterator[Any]:
    """Give a DuckDB connection that may read `files` (and the database file), opened for this block alone.

    Its threads have ended with the block. It takes as many as numerical libraries may here: one in a slot.

    Parameters
    ----------
    settings
        Of DuckDB, besides.

    Raises
    ------
    DataError
        A query that is wrong, or reads files that it was not given.
    DataUnavailableError
        A file that cannot be read, for now.
    """
    import duckdb

    threads = os.environ.get("OMP_NUM_THREADS", "")
    config: dict[str, Any] = {
        "threads": int(threads) if threads.isdecimal() and int(threads) > 0 else available_cores(),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_persistent_secrets": False,
        "temp_directory": "",  # what does not fit into memory fails, and leaves nothing behind
        **settings,
    }
    # Within a process DuckDB opens a database once, with one configuration.
    with contextlib.nullcontext() if database is None else _ONE_AT_A_TIME, translated():
        connection = duckdb.connect(database or ":memory:", read_only=database is not None, config=config)
        try:
            paths = ", ".join(text_literal(path) for path in files)
            connection.execute(f"SET allowed_paths = [{paths}]")
            for line in _LOCKED:
                connection.execute(f"SET {line}")
            yield connection
        finally:
            connection.close()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Tell apart what DuckDB raises: the user's mistake, a fence touched, and what may be better later."""
    import duckdb

    try:
        yield
    except duckdb.PermissionException as problem:
        raise DataError(
            f"the query reaches for what it was not given: {_first_line(problem)}; name the files that it may read "
            "in files="
        ) from problem
    except duckdb.OutOfMemoryException as problem:
        raise MemoryError(f"DuckDB: {_first_line(problem)}") from problem
    except (duckdb.IOException, duckdb.InterruptException) as problem:
        raise DataUnavailableError(f"DuckDB cannot read the data: {_first_line(problem)}") from problem
    except duckdb.Error as problem:
        raise DataError(f"DuckDB refuses: {_first_line(problem)}") from problem


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]


def one_select(connection: Any, query: str) -> str:
    """Return a query without what may stand after it, if it is one SELECT.

    Raises
    ------
    DataError
        It is another statement, or several.
    """
    import duckdb

    with translated():
        statements = connection.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise DataError("a query of data is one SELECT or WITH statement, which changes nothing")
    return str(statements[0].query).strip().rstrip(";")


def quoted(name: str) -> str:
    """Return an identifier as SQL."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """Return a text as SQL."""
    return "'" + text.replace("'", "''") + "'"
