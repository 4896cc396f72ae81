"""The open registry: its connections, its writers' lock, its root seed and its folder of artifacts."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Connection, Engine, inspect, select

from batchml.errors import ConfigError, NotARegistryError, ReadOnlyError, RegistryError
from batchml.registry import tables
from batchml.registry.engine import Place, check_file, connect, parse_url, translated, writing
from batchml.registry.lock import FairLock
from batchml.registry.owner import claim_host, free_host
from batchml.registry.schema import check_schema, create_schema, upgrade_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchml.data.artifacts import ArtifactFolder

__all__ = ["Store", "upgrade"]


class Store:
    """An open registry. Threads may share it; processes open their own.

    Attributes
    ----------
    place
        Where it is; prints without the password.
    readonly
        Whether writing is refused.
    uuid, root_seed
        The registry's own name, and the seed of designs that bring none.
    memo
        What has been read and does not change while the registry's revision stays: specs by row, classes of workers.
    """

    def __init__(self, place: Place, engine: Engine, *, readonly: bool) -> None:
        self.place = place
        self.engine = engine
        self.readonly = readonly
        self.memo: dict[Any, Any] = {}
        self._lock = None if place.path is None else FairLock(place.path)
        with self.read() as connection:
            row = connection.execute(select(tables.registry)).one_or_none()
        if row is None:
            raise NotARegistryError(
                f"{place} has batchml's tables but no content: its creation was cut off; remove it and create it again"
            )
        self.uuid: str = row.uuid
        self.root_seed: int = row.root_seed
        self._artifacts: str | None = row.artifacts

    @classmethod
    def create(
        cls,
        url: str,
        seed: int | None = None,
        artifacts: str | os.PathLike[str] | None = None,
        *,
        mountinfo: str | None = None,
    ) -> Self:
        """Create a registry and open it.

        Parameters
        ----------
        url
            ``sqlite:///study.db`` or ``postgresql://user@host/name``.
        seed
            The root seed, 0 to 2**63 - 1; None draws one.
        artifacts
            Folder for task data and models; default ``$BATCHML_ARTIFACTS``, else ``<file>.artifacts`` beside a SQLite
            file.
        mountinfo
            Stands for ``/proc/self/mountinfo``.

        Raises
        ------
        RegistryError
            There is one, or the place cannot be written to.
        """
        place = parse_url(url, mountinfo)
        row = {"uuid": uuid.uuid4().hex, "root_seed": _checked_seed(seed), "artifacts": _artifact_place(artifacts)}
        _prepare_file(place)
        _create(place, row)
        return cls(place, connect(place, "write"), readonly=False)

    @classmethod
    def open(cls, url: str, readonly: bool = False, *, mountinfo: str | None = None) -> Self:  # noqa: FBT001, FBT002 - as in API.md
        """Open a registry.

        Raises
        ------
        NotARegistryError
            The URL names none.
        SchemaError
            It is newer or older than this code.
        BusyError
            It is on a network file system and held by another host.
        ReadOnlyError
            It cannot be written to, and `readonly` was not asked for.
        """
        place = parse_url(url, mountinfo)
        if place.path is not None:
            check_file(place.path)
            _check_writable(place.path, readonly=readonly)
            if place.shared:
                claim_host(place.path)
        _look(place)
        engine = connect(place, "read" if readonly else "write")
        try:
            return cls(place, engine, readonly=readonly)
        except BaseException:
            engine.dispose()
            raise

    @property
    def url(self) -> str:
        """The URL with its password: for a worker's environment, never for print."""
        return self.place.secret_url

    @property
    def artifacts(self) -> ArtifactFolder:
        """The folder of task data and models."""
        from batchml.data.artifacts import ArtifactFolder

        return ArtifactFolder(self.artifact_path)

    @property
    def artifact_path(self) -> Path:
        """The path of that folder."""
        if self._artifacts is not None:
            return Path(self._artifacts)
        if self.place.path is not None:
            return self.place.path.with_name(self.place.path.name + ".artifacts")
        import platformdirs

        return Path(platformdirs.user_data_dir("batchml")) / self.uuid

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection in a read transaction: one view of the data, which blocks no writer. Keep it short."""
        with translated(self.place), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in a write transaction, committed at the end unless an exception leaves the block.

        On SQLite its time is everybody's: at most 250 ms. Not to be nested.

        Raises
        ------
        ReadOnlyError
            The registry was opened for reading.
        BusyError
            Another writer did not let go.
        """
        if self.readonly:
            raise ReadOnlyError(f"{self.place} was opened with readonly=True; open it without to change it")
        with contextlib.ExitStack() as stack:
            stack.enter_context(translated(self.place))
            if self._lock is not None:
                stack.enter_context(self._lock.held())
                if self.place.shared and self.place.path is not None:
                    claim_host(self.place.path)
            connection = writing(stack.enter_context(self.engine.connect()))
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Close all connections. May be called twice."""
        self.engine.dispose()
        if self._lock is not None:
            self._lock.close()
        if self.place.shared and self.place.path is not None:
            free_host(self.place.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({str(self.place)!r}{', readonly=True' if self.readonly else ''})"


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
    from batchml.registry.schema import HEAD, current_revision

    revision = current_revision(connection)
    if revision is None or revision > HEAD:
        check_schema(connection, str(place))
    connection.rollback()
    if place.path is not None:
        # Batch migrations copy tables: with foreign keys on, dropping the old copy would empty its children.
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.cursor().execute("PRAGMA foreign_keys = OFF")
    connection = writing(connection)
    with connection.begin():
        return upgrade_schema(connection)


def _checked_seed(seed: int | None) -> int:
    from batchml.core.seed import draw_root

    if seed is None:
        return draw_root()
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise ConfigError(f"a root seed is a whole number from 0 to 2**63 - 1, not {seed!r}")
    return seed


def _artifact_place(artifacts: str | os.PathLike[str] | None) -> str | None:
    given = os.environ.get("BATCHML_ARTIFACTS") if artifacts is None else os.fspath(artifacts)
    if not given:
        return None
    if "://" in given:
        raise ConfigError(
            f"artifacts live in a folder for now, not at {given.partition('://')[0]}://...; name a path all workers see"
        )
    return str(Path(given).expanduser().absolute())


def _check_writable(path: Path, *, readonly: bool) -> None:
    if not readonly and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise ReadOnlyError(
            f"{path} or its folder cannot be written to by this user; open it with readonly=True to look at it"
        )


def _look(place: Place) -> None:
    """Raise unless this code can work with what is there; another program's file is not even given a journal."""
    engine = connect(place, "read")
    try:
        with translated(place), engine.connect() as connection:
            check_schema(connection, str(place))
    finally:
        engine.dispose()


def _prepare_file(place: Place) -> None:
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


def _create(place: Place, row: dict[str, Any]) -> None:
    lock = contextlib.nullcontext() if place.path is None else FairLock(place.path).held()
    with translated(place), lock:
        if place.path is None or place.path.stat().st_size > 0:
            _refuse_content(place)
        engine = connect(place, "create")
        try:
            with engine.connect() as reader:
                connection = writing(reader)
                with connection.begin():
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


def _refuse_content(place: Place) -> None:
    """Raise if the database holds anything."""
    if place.path is not None:
        check_file(place.path)
    engine = connect(place, "read")
    try:
        with engine.connect() as connection:
            if inspect(connection).has_table(tables.registry.name):
                raise RegistryError(f"there is a registry at {place} already; open it, or choose another name")
            if inspect(connection).get_table_names() or place.path is not None:
                raise NotARegistryError(f"{place} holds something else; a registry needs a database of its own")
    finally:
        engine.dispose()
