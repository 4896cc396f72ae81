"""Tables of tasks as artifacts: uncompressed Arrow files that all processes of a machine map."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.ipc

from batchml.data.artifacts import ArtifactFolder
from batchml.data.frame import FrameBackend
from batchml.data.pruning import in_use, tidy
from batchml.data.remote import cache_folder, locked
from batchml.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchml.core.backend import DataBackend
    from batchml.data.lazy import LazyBackend

__all__ = ["about_table", "adopt_table", "cached_table", "open_table", "write_table"]

_FORMAT = 1
_TABLE = "table"
_BLOCK = 1 << 20

_verified: set[tuple[str, int, int, int]] = set()
"""Files by path, inode, size and time of change whose content this process has compared with its checksum."""


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
