"""Big things beside the registry: task tables, models and splits in a folder, named by their content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.ipc

from batchml.core.aside import remove_abandoned, written_aside
from batchml.data.frame import FrameBackend
from batchml.data.pruning import in_use, tidy
from batchml.data.remote import cache_folder, filesystem, locked
from batchml.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchml.core.backend import DataBackend
    from batchml.data.lazy import LazyBackend

__all__ = [
    "ArtifactFolder",
    "RemoteArtifacts",
    "about_table",
    "adopt_table",
    "artifact_folder",
    "cached_table",
    "open_table",
    "write_table",
]

_FORMAT = 1
_TABLE = "table"
_BLOCK = 1 << 20

_verified: set[tuple[str, int, int, int]] = set()
"""Files by path, inode, size and time of change whose content this process has compared with its checksum."""


class ArtifactFolder:
    """A folder of files named by kind and digest; a file that is there is complete.

    Parameters
    ----------
    root
        The folder; made when something is first put there.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    def path(self, kind: str, digest: str) -> Path:
        """Return where the artifact is, or will be."""
        return self.root / kind / digest[:2] / digest

    def has(self, kind: str, digest: str) -> bool:
        """Whether the artifact is there."""
        return self.path(kind, digest).exists()

    def put(self, kind: str, digest: str, write: Callable[[Path], Any]) -> Path:
        """Have `write` write the artifact aside, then move it into place; nothing happens if it is there.

        Raises
        ------
        ArtifactError
            The folder cannot be written, or is full; nothing half-written stays.
        """
        path = self.path(kind, digest)
        if path.exists():
            return path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(path.parent)
            with written_aside(path) as aside:
                write(aside)
                with aside.open("rb") as file:  # the name must not outlive the content in a power cut
                    os.fsync(file.fileno())
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise ArtifactError(f"cannot write to the artifact folder {str(self.root)!r}: {reason}") from problem
        return path

    def fetch(self, kind: str, digest: str) -> Path:
        """Return where the artifact can be read on this machine; it may be missing."""
        return self.path(kind, digest)

    def variants(self, kind: str, digest: str) -> list[str]:
        """Return the names of the artifacts called `digest` and an ending."""
        return sorted(path.name for path in self.path(kind, digest).parent.glob(f"{digest}.*"))

    def drop(self, kind: str, digest: str) -> None:
        """Remove an artifact that is damaged, so that it can be put again."""
        self.path(kind, digest).unlink(missing_ok=True)

    def make(self) -> None:
        """Make the folder: one that is there and empty is not one that this machine cannot see."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise ArtifactError(f"cannot write to the artifact folder {str(self.root)!r}: {reason}") from problem

    def check(self) -> None:
        """Make sure that artifacts can be read here.

        Raises
        ------
        ArtifactError
            They cannot.
        """
        if not self.root.is_dir() or not os.access(self.root, os.R_OK | os.X_OK):
            raise ArtifactError(f"{self.root} cannot be read on this machine")

    def __repr__(self) -> str:
        return f"<ArtifactFolder> {self.root}"


class RemoteArtifacts(ArtifactFolder):
    """Artifacts behind an fsspec URL, with a copy of each that was needed in this machine's cache.

    Parameters
    ----------
    url
        E.g. ``s3://bucket/study``.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        name = hashlib.sha256(self.url.encode()).hexdigest()[:32]
        super().__init__(cache_folder() / "artifacts" / name)

    def _remote(self, kind: str, digest: str) -> tuple[Any, str]:
        system, root = filesystem(self.url)
        return system, f"{root}/{kind}/{digest[:2]}/{digest}"

    def has(self, kind: str, digest: str) -> bool:
        """Whether the artifact is there."""
        system, path = self._remote(kind, digest)
        with self._translated():
            return bool(system.exists(path))

    def put(self, kind: str, digest: str, write: Callable[[Path], Any]) -> Path:
        """Have `write` write the artifact into the cache, and upload it; it gets its name when it is complete."""
        if self.has(kind, digest):
            return self.fetch(kind, digest)
        copy = super().put(kind, digest, write)
        system, path = self._remote(kind, digest)
        aside = f"{path}.tmp-{secrets.token_hex(8)}"
        with self._translated():
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.put_file(str(copy), aside)
            system.mv(aside, path)
        return copy

    def fetch(self, kind: str, digest: str) -> Path:
        """Return the copy on this machine; one process downloads it, the others wait for it."""
        copy = self.path(kind, digest)
        if copy.exists():
            in_use(copy)
            return copy
        with locked(copy.with_name(f"{copy.name}.lock")):
            if copy.exists():
                return copy
            system, path = self._remote(kind, digest)
            with self._translated():
                if not system.exists(path):
                    return copy
                super().put(kind, digest, lambda aside: system.get_file(path, str(aside)))
        tidy(cache_folder())
        return copy

    def variants(self, kind: str, digest: str) -> list[str]:
        """Return the names of the artifacts called `digest` and an ending."""
        system, path = self._remote(kind, digest)
        with self._translated():
            return sorted(one.rpartition("/")[2] for one in system.glob(f"{path}.*"))

    def drop(self, kind: str, digest: str) -> None:
        """Remove an artifact that is damaged, and this machine's copy of it, so that it can be put again."""
        super().drop(kind, digest)
        system, path = self._remote(kind, digest)
        with self._translated():
            if system.exists(path):
                system.rm_file(path)

    def check(self) -> None:
        """Make sure that the URL can be reached from here."""
        system, root = filesystem(self.url)
        with self._translated():
            system.exists(root)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ArtifactError:
            raise
        except Exception as problem:  # each file system of fsspec has errors of its own
            reason = (str(problem).splitlines() or [type(problem).__name__])[0]
            raise ArtifactError(f"the artifacts at {self.url!r} cannot be reached: {reason}") from problem

    def __repr__(self) -> str:
        return f"<RemoteArtifacts> {self.url}"


def artifact_folder(place: str | os.PathLike[str]) -> ArtifactFolder:
    """Return the artifacts in a folder or behind an fsspec URL."""
    text = os.fspath(place)
    if text.startswith("file://"):
        return ArtifactFolder(text.removeprefix("file://"))
    return RemoteArtifacts(text) if "://" in text else ArtifactFolder(text)


def write_table(folder: ArtifactFolder, backend: DataBackend) -> str:
    """Store a backend's whole table as an uncompressed Arrow file and return its logical digest.

    Columns keep their order; the file is mapped into memory by readers, so all processes of a machine share one copy.
    """
    digest = backend.digest
    held = getattr(backend, "file", None)
    if held is not None and held.exists():  # it is such a file already
        _put_table(folder, digest, lambda path: shutil.copyfile(held, path))
        return digest
    table = backend.data()
    about = about_table(digest, backend.primary_key)
    table = table.replace_schema_metadata({"batchml": about}).combine_chunks()

    def write(path: Path) -> None:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            for batch in table.to_batches():
                writer.write_batch(batch)

    _put_table(folder, digest, write)
    return digest


def about_table(digest: str, primary_key: str | None) -> str:
    """Return what a table's file says of itself."""
    return json.dumps({"format": _FORMAT, "digest": digest, "primary_key": primary_key})


def adopt_table(folder: ArtifactFolder, digest: str, file: Path) -> None:
    """Store a table by moving the file that holds it, which is on the same disk."""
    _put_table(folder, digest, file.rename)


def _put_table(folder: ArtifactFolder, digest: str, write: Callable[[Path], Any]) -> None:
    path = folder.put(_TABLE, digest, write)
    folder.put(f"{_TABLE}.sha256", digest, lambda aside: _write_checksum(aside, path))


def open_table(folder: ArtifactFolder, digest: str, *, verify: bool | None = None) -> FrameBackend:
    """Return the table that `write_table` stored, mapped into memory.

    Parameters
    ----------
    folder, digest
        Where and what.
    verify
        Read the whole file and compare it with its checksum; None: if this process has not done so yet.

    Raises
    ------
    ArtifactError
        The table is missing or damaged.
    """
    path = folder.fetch(_TABLE, digest)
    try:
        # The map stays as long as a table looks into it. Read as a file, it would be by a thread of Arrow, which closes
        # the descriptor some time later: in a slot that looks like a descriptor that the job has lost.
        with pa.memory_map(str(path), "r") as file:
            content = file.read_buffer()
        about_file = path.stat()
        version = (str(path), about_file.st_ino, about_file.st_size, about_file.st_mtime_ns)
        if verify or (verify is None and version not in _verified):
            _verify(path, content, folder.fetch(f"{_TABLE}.sha256", digest))
            _verified.add(version)
        table = pa.ipc.open_file(content).read_all()
        about: dict[str, Any] = json.loads((table.schema.metadata or {}).get(b"batchml", b"{}"))
    except FileNotFoundError as problem:
        message = f"the data of a task is missing: no file {str(path)!r}; is the artifact folder the right one?"
        raise ArtifactError(message) from problem
    except (OSError, pa.ArrowException, ValueError) as problem:
        raise ArtifactError(f"the artifact {str(path)!r} is damaged: {problem}") from problem
    if about.get("format") != _FORMAT or about.get("digest") != digest:
        raise ArtifactError(f"the artifact {str(path)!r} is not the table {digest[:12]} that this version can read")
    return FrameBackend(table, primary_key=about["primary_key"], canonical=True, digest=digest, file=path)


def cached_table(backend: LazyBackend) -> FrameBackend:
    """Return the whole table of a backend, mapped from this machine's cache; whoever asks first writes it there.

    Raises
    ------
    ArtifactError
        The cache cannot be written.
    DataError
        The data have changed since they were opened.
    """
    from batchml.data.parts import write_in_parts

    folder = ArtifactFolder(cache_folder() / "tables")
    digest, verify = backend.digest, None
    try:
        with locked(folder.root / f"{digest}.lock"):
            if backend.logical and folder.has(f"{_TABLE}.sha256", digest) and folder.has(_TABLE, digest):
                in_use(folder.path(_TABLE, digest))
                in_use(folder.path(f"{_TABLE}.sha256", digest))
            else:
                digest, verify = write_in_parts(folder, backend), False
                tidy(cache_folder())
    except OSError as problem:
        raise ArtifactError(f"cannot write to the cache {str(folder.root)!r}: {problem}") from problem
    return open_table(folder, digest, verify=verify)


def _write_checksum(aside: Path, path: Path) -> None:
    aside.write_text(_checksum(path), encoding="ascii")


def _verify(path: Path, content: Any, checksum: Path) -> None:
    """Compare what was mapped, not what the path names by now, with the checksum."""
    try:
        wanted = checksum.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        message = f"the artifact {str(path)!r} has no checksum in {str(checksum)!r}; add the design again to write it"
        raise ArtifactError(message) from None
    if hashlib.sha256(memoryview(content)).hexdigest() != wanted:
        raise ArtifactError(f"the artifact {str(path)!r} is damaged: its content does not match its checksum")


def _checksum(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            state.update(block)
    return state.hexdigest()
