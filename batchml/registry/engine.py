"""Connections: URLs, SQLite's settings, and what the databases' errors mean for the user."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
import stat
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import URL, Connection, Engine, NullPool, QueuePool, create_engine, event, exc, make_url

from batchml.errors import (
    BatchmlError,
    BusyError,
    ConfigError,
    NotARegistryError,
    ReadOnlyError,
    RegistryError,
    UnknownKeyError,
)
from batchml.registry.mounts import file_system, is_shared
from batchml.registry.postgres import meaning, server_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Place", "connect", "parse_url", "translated"]

_OLDEST_SQLITE = (3, 35)  # RETURNING
_WRITE = "batchml_write"

Access = Literal["create", "write", "read"]


class Place:
    """Where a registry is: its URL, with and without the password, and its file if it has one.

    `str` and `repr` never show the password.
    """

    __slots__ = ("_url", "path", "shared", "synchronous")

    def __init__(self, url: URL, mountinfo: str | None = None) -> None:
        self._url = url
        self.path: Path | None = None
        self.shared = False
        self.synchronous = "NORMAL"
        if url.get_backend_name() == "sqlite":
            self.path = _sqlite_path(url)
            self.shared = is_shared(file_system(self.path.parent, mountinfo))
            self.synchronous = str(url.query.get("synchronous", "normal")).upper()

    def __str__(self) -> str:
        # A `passfile` is the path of a file: no secret, and who is refused needs to read it.
        secret = {key for key in self._url.query if "pass" in key.lower() and key != "passfile"}
        query = {key: "***" if key in secret else value for key, value in self._url.query.items()}
        # As the user writes it: that psycopg is behind it is nobody's business.
        shown = self._url.set(drivername=self._url.get_backend_name(), query=query)
        return shown.render_as_string(hide_password=True).replace("%2F", "/").replace("%2A%2A%2A", "***")

    def __repr__(self) -> str:
        return f"Place({str(self)!r})"

    @property
    def secret_url(self) -> str:
        """The URL with its password, for the environment of a worker; never print it."""
        return self._url.render_as_string(hide_password=False)

    @property
    def full_url(self) -> URL:
        """The URL with its password; its `repr` masks it."""
        return self._url

    def scrub(self, text: str) -> str:
        """Return a server's message without the password."""
        for word in (self._url.password, self._url.query.get("password"), os.environ.get("PGPASSWORD")):
            if isinstance(word, str) and word:
                text = text.replace(word, "***").replace(urllib.parse.quote(word), "***")
        return text


def _sqlite_path(url: URL) -> Path:
    name = url.database
    if not name or name == ":memory:" or name.startswith("file:"):
        raise ConfigError("a registry needs a file that its workers can open too: sqlite:///study.db")
    unknown = sorted(set(url.query) - {"synchronous"})
    synchronous = str(url.query.get("synchronous", "normal"))
    if unknown or synchronous.lower() not in {"normal", "full"}:
        wrong = unknown[0] if unknown else synchronous
        raise ConfigError(f"sqlite URLs take ?synchronous=normal or full and nothing else, not {wrong!r}")
    return Path(name).expanduser().absolute()


def parse_url(url: str, mountinfo: str | None = None) -> Place:
    """Return the place that a URL names.

    Parameters
    ----------
    url
        ``sqlite:///study.db`` (a relative path), ``sqlite:////scratch/study.db`` or ``postgresql://user@host/name``.
    mountinfo
        Stands for ``/proc/self/mountinfo``.

    Raises
    ------
    ConfigError
        It is no URL, or of a database that a registry cannot live in.
    """
    if not isinstance(url, str):
        raise ConfigError(f"a registry is named by a URL such as sqlite:///study.db, not by {url!r:.60}")
    if "\0" in url:
        raise ConfigError("a registry's URL holds no NUL characters: sqlite:///study.db")
    if "://" not in url:
        plain = not set(url) & set(":@=\n")  # else it may be a URL that was mistyped, with its password
        shown, hint = (repr(url), url or "study.db") if plain else ("this", "study.db")
        raise ConfigError(f"a registry is named by a URL, not by {shown}: sqlite:///{hint}")
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        # The text may hold a password: it is not repeated.
        raise ConfigError(
            "this is not a database URL; write sqlite:///study.db or postgresql://user@host/name"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    elif backend != "sqlite":
        raise ConfigError(f"a registry lives in sqlite or postgresql, not in {backend!r}")
    return Place(parsed, mountinfo)


def connect(place: Place, access: Access) -> Engine:
    """Return the engine of a registry; connections are made when they are used."""
    if place.path is None:
        return server_engine(place.full_url, place.scrub)
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise ConfigError(f"SQLite {sqlite3.sqlite_version} is too old; batchml needs 3.35 or newer")
    # A lasting connection would keep the exclusive lock of single-host mode, and shut out this host's other processes.
    pool: type[NullPool | QueuePool] = NullPool if place.shared else QueuePool
    engine = create_engine("sqlite://", creator=_sqlite_creator(place, access), poolclass=pool, hide_parameters=True)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    """Open the transaction ourselves: the driver would open it late and unlocked, and a reader could not become a
    writer.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITE) else "BEGIN")


def reading(connection: Connection) -> Connection:
    """Have a server show one view of the data to all statements of a transaction, and refuse to write; SQLite does."""
    if connection.dialect.name == "postgresql":
        return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return connection


def writing(connection: Connection) -> Connection:
    """Mark a connection whose transactions write."""
    return connection.execution_options(**{_WRITE: True})


def _sqlite_creator(place: Place, access: Access) -> Callable[[], sqlite3.Connection]:
    assert place.path is not None
    quoted = urllib.parse.quote(str(place.path))
    mode = {"create": "rwc", "write": "rw", "read": "ro"}[access]

    def create() -> sqlite3.Connection:
        connection = _sqlite_connect(f"file:{quoted}?mode={mode}")
        try:
            _settle(connection, place, access)
        except sqlite3.OperationalError:
            connection.close()
            # Without the right to make SQLite's -shm file a reader may take the file as it is, if nobody has it open
            # (no -wal file).
            if access != "read" or _beside(place.path, "-wal").exists():
                raise
            connection = _sqlite_connect(f"file:{quoted}?mode=ro&immutable=1")
            _settle(connection, place, access)
        return connection

    return create


def _beside(path: Path | None, ending: str) -> Path:
    assert path is not None
    return path.with_name(path.name + ending)


def _sqlite_connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, timeout=30.0, isolation_level=None, check_same_thread=False, cached_statements=512
    )


def _settle(connection: sqlite3.Connection, place: Place, access: Access) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -65536")  # kB
    if place.shared:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    if access == "read":
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    else:
        wanted = "delete" if place.shared else "wal"
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != wanted:
            connection.execute(f"PRAGMA journal_mode = {wanted}")
        connection.execute(f"PRAGMA synchronous = {'FULL' if place.shared else place.synchronous}")
        connection.execute(f"PRAGMA journal_size_limit = {64 * 2**20}")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")  # pages, 16 MB: each checkpoint waits for the disk
    add_root(connection)


def add_root(connection: sqlite3.Connection) -> None:
    """Give SQLite the square root that the views use, where it was built without."""
    try:
        connection.execute("SELECT sqrt(4.0)")
    except sqlite3.OperationalError:
        connection.create_function("sqrt", 1, lambda x: None if x is None else math.sqrt(x), deterministic=True)


def check_file(path: Path) -> None:
    """Raise NotARegistryError unless `path` is a SQLite file.

    The file is never read but by SQLite: closing it drops all locks that this process has on it, those of a registry
    that is open too, whose log another process would then take for abandoned, and delete.
    """
    create = f"`batchml add DESIGN` or Registry.create('sqlite:///{path}') makes a new one"
    try:
        found = path.stat()
    except FileNotFoundError:
        named = "--registry or $BATCHML_REGISTRY names another"
        raise NotARegistryError(f"there is no registry at {path}; {named}, {create}") from None
    except OSError as error:
        raise NotARegistryError(f"{path} cannot be read: {error.strerror}") from None
    if stat.S_ISDIR(found.st_mode):
        raise NotARegistryError(f"{path} is a folder, not a registry; name a file in it")
    if not os.access(path, os.R_OK):
        raise ReadOnlyError(f"{path} may not be read by this user; ask its owner for the right to")
    if not found.st_size or not _is_sqlite(path):
        raise NotARegistryError(
            f"{path} is not a SQLite database, so no registry; name another file, or move it away: {create}"
        )


def _is_sqlite(path: Path) -> bool:
    with contextlib.closing(
        sqlite3.connect(f"file:{urllib.parse.quote(str(path))}?mode=ro&immutable=1", uri=True)
    ) as connection:
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except sqlite3.DatabaseError as error:
            return error.sqlite_errorcode != sqlite3.SQLITE_NOTADB
    return True


@contextlib.contextmanager
def translated(place: Place) -> Iterator[None]:
    """Turn a database's errors into ours: one line that says what to do, without passwords and row values."""
    try:
        yield
    except BatchmlError:
        raise
    except exc.DBAPIError as error:
        raise _meaning(place, error.orig) from None
    except sqlite3.Error as error:
        raise _meaning(place, error) from None
    except exc.TimeoutError:
        raise BusyError(f"all connections to {place} are in use; close one") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RegistryError(f"{place} is damaged: a text in it cannot be read ({error}); restore a copy") from None
    except UnicodeEncodeError as error:
        raise ConfigError(f"{error.object[:50]!r} is no text that can be stored: it is not Unicode") from None
    except OverflowError:
        raise UnknownKeyError(f"there is no such number in {place}: ids and iterations are below 2**63") from None


def _meaning(place: Place, error: BaseException | None) -> BatchmlError:
    lines = place.scrub(str(error)).strip().splitlines()
    # Without the lines that point into a statement, which the user has not written.
    text = [line for line in lines if line.strip(" ^") and not line.startswith("LINE ")]
    # psycopg ends its first line with a colon and says the cause below.
    said = " ".join(line.strip() for line in text[:2]) if text else type(error).__name__
    said = said.removeprefix("connection failed: ").removeprefix("connection is bad: ")  # libpq says so once more
    if isinstance(error, sqlite3.Error):
        return _sqlite_meaning(place, error, said)
    return meaning(str(place), error, said)


def _sqlite_meaning(place: Place, error: sqlite3.Error, said: str) -> RegistryError:
    code: Any = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    folder = place.path.parent if place.path is not None else None
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _is_full(folder)):
        return RegistryError(
            f"the disk that holds {place.path} is full; free some space and say it again: nothing was half-written"
        )
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return BusyError(f"{place.path} is in use by another program ({said}); close it and try again")
    if primary == sqlite3.SQLITE_NOTADB:
        return NotARegistryError(f"{place.path} is not a SQLite database, so no registry")
    if primary == sqlite3.SQLITE_READONLY:
        return ReadOnlyError(f"{place.path} cannot be written to ({said}); open it with readonly=True to look at it")
    if primary in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return ReadOnlyError(
            f"{place.path} cannot be opened ({said}); check that its folder exists and may be written to by this user"
        )
    if primary == sqlite3.SQLITE_CORRUPT:
        return RegistryError(
            f"{place.path} is damaged ({said}); restore a copy, or save what can be read by `sqlite3 FILE .recover`"
        )
    return RegistryError(f"{place.path}: {said}")


def _is_full(folder: Path | None) -> bool:
    try:
        return folder is not None and os.statvfs(folder).f_bavail == 0
    except OSError:
        return False
