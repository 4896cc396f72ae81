"""The folder of a PostgreSQL server of one's own: who may work on it, and what it remembers."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from batchml.errors import BusyError, ReadOnlyError, RegistryError
from batchml.registry.processes import Process, here, is_gone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Note", "dangers", "locked", "prepared", "read_note", "write_note"]

_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a folder remembers about its server."""

    port: int
    listen: str
    host: str
    process: dict[str, Any] | None = None

    def gone(self) -> bool | None:
        """Say whether the process is gone for sure; None if another host would have to say."""
        return True if self.process is None else is_gone(Process(**self.process))


def prepared(folder: Path) -> Path:
    """Make the folder, unless it is there, and return its real path."""
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReadOnlyError(f"cannot make the folder {folder}: {error.strerror}; name another by --folder") from None
    return folder.resolve()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: two calls at once must not both start a server."""
    try:
        file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ReadOnlyError(f"cannot write to {folder}: {error.strerror}; name another by --folder") from None
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BusyError(f"another `batchml db serve` is at work on {folder}; wait for it") from None
                time.sleep(0.05)
        yield
    finally:
        os.close(file)


def read_note(folder: Path) -> Note | None:
    """Return what the folder remembers, None if there never was a server."""
    try:
        return Note(**json.loads((folder / "server.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise RegistryError(f"{folder}/server.json cannot be read ({error}); is the folder a server's?") from None


def write_note(folder: Path, note: Note, pid: int) -> None:
    """Remember a server whose first process is `pid`."""
    whole = {**asdict(note), "process": asdict(here(pid))}
    aside = folder / "server.json.new"
    aside.write_text(json.dumps(whole), encoding="utf-8")
    aside.replace(folder / "server.json")


def dangers(folder: Path) -> tuple[str, ...]:
    """Return what the user of a folder on a network file system should know."""
    return (
        (
            f"{folder} is on a network file system: PostgreSQL keeps its promises there only while one host at a time "
            "runs it and the mount is 'hard'; a local disk is safer and faster (--folder)"
        ),
    )
