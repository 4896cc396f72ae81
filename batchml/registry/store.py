"""The open registry: its connections, its writers' lock, its root seed and its folder of artifacts."""

from __future__ import annotations

import contextlib
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Connection, Engine, select

from batchml.errors import NotARegistryError, ReadOnlyError, RegistryError
from batchml.registry import tables
from batchml.registry.engine import Place, check_file, connect, parse_url, reading, translated, writing
from batchml.registry.founding import (
    artifact_place,
    check_seed,
    check_writable,
    create_database,
    look,
    prepare_file,
    upgrade,
)
from batchml.registry.lock import FairLock
from batchml.registry.owner import claim_host, free_host

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from batchml.data.artifacts import ArtifactFolder

__all__ = ["Store", "upgrade"]

_UUID = re.compile(r"[0-9a-f]{32}")


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
        self._closed = False
        self._lock = None if place.path is None else FairLock(place.path)
        with self.read() as connection:
            row = connection.execute(select(tables.registry)).one_or_none()
        if row is None:
            raise NotARegistryError(
                f"{place} has batchml's tables but no content: its creation was cut off; remove it and create it again"
            )
        if not _UUID.fullmatch(row.uuid):
            # Files and folders are named by it.
            raise RegistryError(f"the registry's id in {place} was altered: {row.uuid!r:.40} is none")
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
            Folder or fsspec URL for task data and models; default ``$BATCHML_ARTIFACTS``, else ``<file>.artifacts``
            beside a SQLite file.
        mountinfo
            Stands for ``/proc/self/mountinfo``.

        Raises
        ------
        RegistryError
            There is one, or the place cannot be written to.
        """
        place = parse_url(url, mountinfo)
        row = {"uuid": uuid.uuid4().hex, "root_seed": check_seed(seed), "artifacts": artifact_place(artifacts)}
        prepare_file(place)
        create_database(place, row)
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
            check_writable(place.path, readonly=readonly)
            if place.shared:
                claim_host(place.path)
        look(place)
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
        from batchml.data.artifacts import artifact_folder

        return artifact_folder(self.artifact_path)

    @property
    def artifact_path(self) -> Path | str:
        """The path of that folder, or its URL."""
        if self._artifacts is not None:
            return self._artifacts if "://" in self._artifacts else Path(self._artifacts)
        if self.place.path is not None:
            return self.place.path.with_name(self.place.path.name + ".artifacts")
        import platformdirs

        return Path(platformdirs.user_data_dir("batchml")) / self.uuid

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection in a read transaction: one view of the data, which blocks no writer. Keep it short."""
        with translated(self.place), self._connected() as connection, reading(connection).begin():
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
            connection = writing(stack.enter_context(self._connected()))
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            with self.engine.connect() as connection:
                yield connection
        finally:
            if self._closed:
                self.engine.dispose()

    def close(self) -> None:
        """Close all connections; results that are looked at later open one for as long as they need it. May be called
        twice.
        """
        self._closed = True
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
