"""What this machine's cache forgets: copies that nobody used for long, and what was never finished."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchml.core.aside import ABANDONED_S, is_aside
from batchml.core.configuration import load_configuration
from batchml.core.resources import parse_duration, parse_memory
from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["in_use", "prune", "tidy"]

_FOLDERS = ("artifacts", "digests", "files", "tables")
"""Not ``openml``: a node without network cannot fetch it again."""
_KEEP = "90d"
_RECENT_S = 3600.0
"""What was used less than this ago may be used now: it stays, however full the cache is. Looked for as rarely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    path: Path
    size: int
    used: float


def in_use(path: Path) -> None:
    """Note that a file of the cache is used now; its content keeps its time stamp."""
    with contextlib.suppress(OSError):  # another user's, or just gone
        status = path.stat()
        if time.time() - _used(status) > _RECENT_S / 2:
            os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))


def tidy(cache: Path) -> None:
    """Prune the cache as it is configured, if nobody has done so for an hour; to be called when something was added.

    A cache that cannot be pruned is no reason to fail.
    """
    mark = cache / f"pruned-{os.getuid()}"
    with contextlib.suppress(OSError, ConfigError):
        descriptor = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            status = os.fstat(descriptor)
            if status.st_size and time.time() - status.st_mtime < _RECENT_S:
                return
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(descriptor, b"1", 0)
            settings = load_configuration()
            limit = settings.get("cache.limit")
            prune(
                cache,
                keep_s=parse_duration(settings.get("cache.keep", _KEEP)),
                limit_mb=None if limit is None else parse_memory(limit),
            )
        finally:
            os.close(descriptor)


def prune(cache: Path, *, keep_s: float, limit_mb: float | None = None) -> int:
    """Remove what was not used for long, and beyond a size what was not used for longest; return how many bytes.

    A process that has mapped a file keeps what it has; one that asks for it again gets it anew. Only files of this
    user are removed, nothing that was used within the hour, and what is being written not for a day.

    Parameters
    ----------
    cache
        The folder.
    keep_s
        Seconds since the last use; 0 for ever.
    limit_mb
        Of all files together, in MB (2**20 bytes); None for none.
    """
    now = time.time()
    kept: list[_Entry] = []
    freed = 0
    for entry in _entries(cache):
        age = now - entry.used
        old = age > ABANDONED_S if is_aside(entry.path.name) else 0 < keep_s < age
        if old and age > _RECENT_S:
            freed += _remove(entry)
        else:
            kept.append(entry)
    if limit_mb is None:
        return freed
    total = sum(entry.size for entry in kept)
    for entry in sorted(kept, key=lambda entry: entry.used):
        if total <= limit_mb * 2**20 or now - entry.used <= _RECENT_S:
            break
        if not is_aside(entry.path.name):
            removed = _remove(entry)
            total -= removed
            freed += removed
    return freed


def _entries(cache: Path) -> Iterator[_Entry]:
    """Yield this user's files, but not locks that are held."""
    for name in _FOLDERS:
        for folder, _, files in os.walk(cache / name):
            for file in files:
                path = cache / folder / file
                with contextlib.suppress(OSError):
                    status = path.stat(follow_symlinks=False)
                    if status.st_uid == os.getuid() and not (path.suffix == ".lock" and _held(path)):
                        yield _Entry(path=path, size=status.st_size, used=_used(status))


def _used(status: os.stat_result) -> float:
    return max(status.st_atime, status.st_mtime)


def _held(lock: Path) -> bool:
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _remove(entry: _Entry) -> int:
    try:
        entry.path.unlink()
    except OSError:
        return 0
    return entry.size
