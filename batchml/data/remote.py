"""Copies of remote files on this machine: one per content, made once by whoever asks first."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.core.aside import written_aside
from batchml.data.pruning import in_use, tidy
from batchml.errors import DataError, DataUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchml.data.files import PinnedFile

__all__ = ["cache_folder", "cached_copy", "expanded", "filesystem", "locked", "pinned_remote", "placed"]

_BLOCK = 1 << 20


def cache_folder() -> Path:
    """Return where this machine keeps copies and notes: ``$BATCHML_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("BATCHML_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("batchml", appauthor=False)


def filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL and the path in it.

    Raises
    ------
    DataError
        No such protocol, or the URL holds a password.
    """
    from urllib.parse import urlsplit

    import fsspec

    try:
        if urlsplit(url).password:
            raise DataError("a URL of data holds a password: leave it to the environment or fsspec's configuration")
        found: tuple[Any, str] = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as problem:
        if isinstance(problem, DataError):
            raise
        scheme = url.partition("://")[0]
        raise DataError(f"{scheme}:// cannot be opened: {str(problem).splitlines()[0]}") from problem
    return found


def expanded(url: str, ending: str) -> dict[str, tuple[str, ...]]:
    """Return the URLs that a URL of a file, a folder or with wildcards names; see `found_files`."""
    system, path = filesystem(url)
    with _reaching(url):
        if any(mark in path for mark in "*?["):
            fixed = path.split("*")[0].split("?")[0].split("[")[0].rpartition("/")[0]
            matches = sorted(system.glob(path))
        elif system.isdir(path):
            fixed = path.rstrip("/")
            matches = sorted(one for one in system.find(path) if one.endswith(ending) and not _beside(one, fixed))
        else:
            fixed, matches = path.rpartition("/")[0], [path] if system.exists(path) else []
        if not matches:
            raise DataError(f"there is no file {url!r}")
        return {
            str(system.unstrip_protocol(one)): tuple(one.removeprefix(fixed).strip("/").split("/")[:-1])
            for one in matches
        }


def _beside(path: str, folder: str) -> bool:
    return any(part[0] in "._" for part in path.removeprefix(folder).strip("/").split("/"))


def placed(copy: Path, below: tuple[str, ...]) -> Path:
    """Return another name for a copy, below folders whose names are columns (``year=2020``)."""
    place = copy.parent / "placed" / copy.name / Path(*below) / "data"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            place.symlink_to(copy)
    return place


def pinned_remote(url: str) -> PinnedFile:
    """Return a remote file with its content as it is now; a copy of it is kept."""
    from batchml.data.files import PinnedFile

    system, path = filesystem(url)
    folder = cache_folder() / "files"
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"tmp-{secrets.token_hex(8)}"
    try:
        with _reaching(url):
            digest, size = _download(system, path, aside)
        aside.replace(folder / digest)
    finally:
        aside.unlink(missing_ok=True)
    tidy(cache_folder())
    return PinnedFile(path=url, size=size, sha256=digest)


def cached_copy(file: PinnedFile, *, what: str = "the data file") -> Path:
    """Return the path of a copy of a remote file with the content that was pinned; downloaded once per machine.

    Raises
    ------
    DataError
        Its content has changed.
    DataUnavailableError
        It cannot be reached and there is no copy.
    """
    folder = cache_folder() / "files"
    path = folder / file.sha256
    if path.exists():
        in_use(path)
        return path
    with locked(folder / f"{file.sha256}.lock"):
        if path.exists():  # another process has been quicker
            return path
        system, remote = filesystem(file.path)
        with written_aside(path) as aside:
            with _reaching(file.path):
                digest, _ = _download(system, remote, aside)
            if digest != file.sha256:
                raise DataError(
                    f"{what} {file.path!r} has changed since the design was added: its content is another one; "
                    "put the old one back, or add the design again"
                )
    tidy(cache_folder())
    return path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, for all processes of this machine; the kernel frees it whatever happens to them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _download(system: Any, path: str, target: Path) -> tuple[str, int]:
    state, size = hashlib.sha256(), 0
    with system.open(path, "rb") as source, target.open("wb") as sink:
        while block := source.read(_BLOCK):
            state.update(block)
            size += len(block)
            sink.write(block)
        sink.flush()
        os.fsync(sink.fileno())
    return state.hexdigest(), size


@contextlib.contextmanager
def _reaching(url: str) -> Iterator[None]:
    """A remote file that cannot be had is a matter of the network, not of the user."""
    try:
        yield
    except (DataError, DataUnavailableError):
        raise
    except Exception as problem:  # each file system of fsspec has errors of its own
        lines = str(problem).splitlines() or [type(problem).__name__]
        raise DataUnavailableError(f"{url!r} cannot be reached: {lines[0]}") from problem
