"""Making, checking and upgrading a registry's database, before a `Store` is opened on it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from batchml.core.configuration import load_configuration
from batchml.errors import ConfigError, NotARegistryError, ReadOnlyError, RegistryError
from batchml.registry import tables
from batchml.registry.dialects import one_at_a_time
from batchml.registry.engine import Place, check_file, connect, parse_url, translated, writing
from batchml.registry.lock import FairLock
from batchml.registry.owner import claim_host
from batchml.registry.schema import HEAD, check_schema, create_schema, current_revision, upgrade_schema

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "artifact_place",
    "check_seed",
    "check_writable",
    "create_database",
    "is_vacant",
    "look",
    "prepare_file",
    "upgrade",
]


def upgrade(url: str, *, mountinfo: str | None = None) -> tuple[str, str]:
    """Bring an older registry to this code's schema; return the revisions before and after.

    All migrations run in one transaction under the writers' lock, so concurrent upgrades wait for each other.
    """
    place = parse_url(url, mountinfo)
    lock: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if place.path is not None:
        check_file(place.path)
        lock = FairLock(place.path).held()
    engine = connect(place, "write")
    try:
        with translated(place), lock, engine.connect() as connection:
            return _upgrade(place, connection)
    finally:
        engine.dispose()


def _upgrade(place: Place, connection: Connection) -> tuple[str, str]:
    if place.path is not None:
        # Batch migrations copy tables: with foreign keys on, dropping the old copy would empty its children.
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.cursor().execute("PRAGMA foreign_keys = OFF")
    connection = writing(connection)
    with connection.begin():
        one_at_a_time(connection)
        revision = current_revision(connection)
        if revision is None or revision > HEAD:
            check_schema(connection, str(place))
        return upgrade_schema(connection)


def check_seed(seed: int | None) -> int:
    """Return a root seed, drawn if none is given."""
    from batchml.core.seed import draw_root

    if seed is None:
        return draw_root()
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise ConfigError(f"a root seed is a whole number from 0 to 2**63 - 1, not {seed!r}")
    return seed


def artifact_place(artifacts: str | os.PathLike[str] | None) -> str | None:
    """Return the absolute path of the folder of artifacts or its URL, None for the default place."""
    given = load_configuration().get("artifacts") if artifacts is None else os.fspath(artifacts)
    if not given:
        return None
    if "://" in given:
        from batchml.data.remote import filesystem

        filesystem(given)  # or a refusal
        return given
    return str(Path(given).expanduser().absolute())


def check_writable(path: Path, *, readonly: bool) -> None:
    """Raise ReadOnlyError if a file is to be written that cannot be."""
    if not readonly and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise ReadOnlyError(
            f"{path} or its folder cannot be written to by this user; open it with readonly=True to look at it"
        )


def look(place: Place) -> None:
    """Raise unless this code can work with what is there; another program's file is not even given a journal."""
    engine = connect(place, "read")
    try:
        with translated(place), engine.connect() as connection:
            check_schema(connection, str(place))
    finally:
        engine.dispose()


def is_vacant(url: str) -> bool:
    """Say whether a registry could be created there: no file, or a server's database without tables."""
    place = parse_url(url)
    if place.path is not None:
        return not place.path.exists()
    engine = connect(place, "read")
    try:
        with translated(place), engine.connect() as connection:
            return not inspect(connection).get_table_names()
    finally:
        engine.dispose()


def prepare_file(place: Place) -> None:
    """Make the file if it is not there."""
    if place.path is None:
        return
    path = place.path
    try:
        path.touch()
    except FileNotFoundError:
        raise RegistryError(f"the folder {path.parent} does not exist; make it first") from None
    except OSError as error:
        if path.is_dir():
            raise NotARegistryError(f"{path} is a folder; name a file in it for the registry") from None
        raise ReadOnlyError(f"cannot create {path}: {error.strerror}; choose a folder that may be written to") from None
    if path.is_dir():
        raise NotARegistryError(f"{path} is a folder; name a file in it for the registry")
    if place.shared:
        claim_host(path)


def create_database(place: Place, row: dict[str, Any]) -> None:
    """Create tables, views and the registry's own row in an empty database; all or nothing."""
    lock = contextlib.nullcontext() if place.path is None else FairLock(place.path).held()
    with translated(place), lock:
        if place.path is not None and place.path.stat().st_size > 0:
            _refuse_file(place.path, place)
        engine = connect(place, "create")
        try:
            with engine.connect() as reader:
                connection = writing(reader)
                with connection.begin():
                    one_at_a_time(connection)
                    _refuse_content(connection, place)
                    create_schema(connection)
                    connection.execute(tables.registry.insert().values(id=1, **row))
        except BaseException:
            engine.dispose()
            # The file was empty, and whoever else wants to create it waits for the lock.
            if place.path is not None:
                for ending in ("", "-wal", "-shm", "-journal", ".lock", ".turn", ".owner"):
                    place.path.with_name(place.path.name + ending).unlink(missing_ok=True)
            raise
        engine.dispose()


def _refuse_file(path: Path, place: Place) -> None:
    """Raise if a file is not empty; it is not even given a journal."""
    check_file(path)
    engine = connect(place, "read")
    try:
        with engine.connect() as connection:
            _refuse_content(connection, place)
            raise NotARegistryError(f"{place} holds something else; a registry needs a database of its own")
    finally:
        engine.dispose()


def _refuse_content(connection: Connection, place: Place) -> None:
    """Raise if the database holds anything."""
    tables_there = inspect(connection).get_table_names()
    if tables.registry.name in tables_there:
        remedy = "Registry.open opens it, as does create(..., exist_ok=True); or choose another name"
        raise RegistryError(f"there is a registry at {place} already: {remedy}")
    if tables_there:
        raise NotARegistryError(f"{place} holds something else; a registry needs a database of its own")
