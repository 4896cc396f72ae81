"""Files as sources of data: which they are, and whether they still hold what they held."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import itertools
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from batchml.core.aside import written_aside
from batchml.errors import DataError, DataUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "PinnedFile",
    "content_digest",
    "found_files",
    "is_url",
    "located",
    "pinned",
    "steady",
    "still_there",
    "unmoved",
]

_BLOCK = 1 << 20
_RACY_NS = 2_000_000_000
"""A file that was written less than this before it was read may be written again under the same time stamp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedFile:
    """A file and what was in it: content found changed is refused, for which the time stamp is only a hint.

    Attributes
    ----------
    path
        Absolute path, or fsspec URL.
    size
        In bytes.
    sha256
        Of the content.
    """

    path: str
    size: int
    sha256: str

    def as_json(self) -> list[Any]:
        """Return plain data."""
        return [self.path, self.size, self.sha256]

    @classmethod
    def from_json(cls, data: Iterable[Any]) -> Self:
        """Return what `as_json` wrote down."""
        path, size, sha256 = data
        return cls(path=path, size=size, sha256=sha256)


def is_url(path: str) -> bool:
    """Whether it names something that fsspec opens, rather than a file of this machine."""
    return "://" in path


def found_files(paths: Iterable[str | os.PathLike[str]], ending: str) -> dict[str, tuple[str, ...]]:
    """Return the files that paths name, in a stable order, each with the folders between what was given and it.

    Parameters
    ----------
    paths
        Files, globs (``**`` goes down), folders (all files below them), fsspec URLs of the same.
    ending
        Of the names in folders, e.g. ``.parquet``.

    Raises
    ------
    DataError
        Nothing is there.
    """
    files: dict[str, tuple[str, ...]] = {}
    for one in paths:
        path = os.fspath(one)
        found = _remote_files(path, ending) if is_url(path) else _local_files(path, ending)
        twice = [file for file in found if file in files]
        if twice:
            raise DataError(f"the file {twice[0]!r} is named twice")
        files |= found
    return files


def _local_files(path: str, ending: str) -> dict[str, tuple[str, ...]]:
    given, path = path, located(str(Path(path).absolute()))
    if Path(path).is_dir():
        below = sorted(file for file in Path(path).rglob(f"*{ending}") if _is_data(file, path))
        if not below:
            raise DataError(f"the folder {given!r} holds no {ending} file")
        return {str(file): file.relative_to(path).parts[:-1] for file in below}
    if Path(path).exists():
        return {path: ()}
    if not glob.has_magic(path):
        raise DataError(f"there is no file {given!r}")
    matches = sorted(match for match in glob.glob(path, recursive=True) if Path(match).is_file())  # noqa: PTH207
    if not matches:
        raise DataError(f"no file matches {given!r}")
    fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), Path(path).parts))
    return {match: Path(match).parts[len(fixed) : -1] for match in matches}


def _is_data(file: Path, folder: str) -> bool:
    """Leave out what writers keep beside their data: names below the folder that begin with a dot or an underscore."""
    return file.is_file() and not any(part[0] in "._" for part in file.relative_to(folder).parts)


def _remote_files(url: str, ending: str) -> dict[str, tuple[str, ...]]:
    from batchml.data.remote import expanded

    return expanded(url, ending)


def pinned(path: str) -> PinnedFile:
    """Return a file with its content as it is now; raises DataError if it cannot be read."""
    try:
        status = Path(path).stat()
        return PinnedFile(path=path, size=status.st_size, sha256=content_digest(path))
    except OSError as problem:
        raise DataError(f"the file {path!r} cannot be read: {problem.strerror}") from problem


def still_there(file: PinnedFile, seen: dict[str, tuple[int, ...]]) -> None:
    """Make sure that a file holds what it held when it was pinned.

    Parameters
    ----------
    seen
        Remembers the time stamps under which files were found unchanged: only another one makes them be read again.

    Raises
    ------
    DataError
        Its content has changed.
    DataUnavailableError
        It is not there, or cannot be read, for now.
    """
    path = located(file.path)
    try:
        status = Path(path).stat()
        stamp = _stamp(status)
        if seen.get(file.path) == stamp:
            return
        changed = status.st_size != file.size or content_digest(path) != file.sha256
    except OSError as problem:
        raise DataUnavailableError(
            f"the data file {file.path!r} cannot be read on this machine: {problem.strerror or problem}"
        ) from problem
    if changed:
        raise DataError(_changed(file, status.st_size))
    seen[file.path] = stamp


def _changed(file: PinnedFile, size: int) -> str:
    return (
        f"the data file {located(file.path)!r} has changed since the design was added: its content is another one "
        f"({file.size} bytes then, {size} now); put the old file back, or add the design again"
    )


def cut_short(files: Iterable[PinnedFile]) -> str | None:
    """Return what is to be said of the first file that is shorter than it was; None if none is."""
    for file in files:
        with contextlib.suppress(OSError):
            size = Path(located(file.path)).stat().st_size
            if size < file.size:
                return _changed(file, size)
    return None


def steady(files: Iterable[PinnedFile]) -> None:
    """Make sure that files still hold what they were just pinned with, after they have been looked through.

    Raises
    ------
    DataError
        One was written meanwhile.
    """
    seen: dict[str, tuple[int, ...]] = {}
    for file in files:
        if not is_url(file.path):
            still_there(file, seen)


def unmoved(files: Iterable[PinnedFile], seen: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether files have the time stamps under which they were found unchanged."""
    try:
        return all(seen.get(file.path) == _stamp(Path(located(file.path)).stat()) for file in files)
    except OSError:
        return False


def located(path: str) -> str:
    """Return where a file is: its own path, else that below the configured ``paths.data`` that agrees longest with it.

    Whether it is the same file, its content says.
    """
    if Path(path).exists():
        return path
    from batchml.core.configuration import load_configuration

    folder = load_configuration().get("paths.data")
    parts = Path(path).parts[1:]
    candidates = [Path(folder, *parts[i:]) for i in range(len(parts))] if folder else []
    return next((str(candidate) for candidate in candidates if candidate.exists()), path)


def content_digest(path: str) -> str:
    """Return the SHA-256 of a file; for one that was read on this machine before, and not touched since, from notes."""
    status = Path(path).stat()
    note = _notes() / hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    stamp = list(_stamp(status))
    noted = _read_note(note)
    if noted.get("stamp") == stamp and noted.get("path") == path:
        return str(noted["sha256"])
    state = hashlib.sha256()
    with Path(path).open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            state.update(block)
        after = list(_stamp(os.fstat(file.fileno())))
    found = state.hexdigest()
    if after == stamp and time.time_ns() - status.st_mtime_ns > _RACY_NS:
        _write_note(note, {"path": path, "stamp": stamp, "sha256": found})
    return found


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _notes() -> Path:
    from batchml.data.remote import cache_folder

    return cache_folder() / "digests"


def _read_note(note: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_note(note: Path, about: Mapping[str, Any]) -> None:
    """A note that cannot be kept costs time, nothing else."""
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(note) as aside:
            aside.write_text(json.dumps(about), encoding="utf-8")
