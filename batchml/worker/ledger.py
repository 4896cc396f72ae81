"""What a worker has started, in a file that outlives it: what its death may be charged to."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import secrets
import struct
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

from batchml.registry.processes import Process, here
from batchml.worker.home import undelivered_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from batchml.registry.store import Store

__all__ = ["Ledger", "LocalLedger", "NoLedger", "give_back_unstarted"]

_log = logging.getLogger(__name__)
_ENDING = ".started"
_HEAD = 512  # bytes: who writes, as JSON
_CELL = struct.Struct("<q")


class Ledger(Protocol):
    """Where a worker notes what it starts, before it does."""

    def start(self, attempt_id: int) -> None:
        """Note an attempt that is about to run."""
        ...

    def settle(self, attempts: Iterable[int]) -> None:
        """The registry has the outcomes of these."""
        ...

    def close(self, *, clean: bool) -> None:
        """The worker leaves; `clean`: it owes nothing."""
        ...


class NoLedger:
    """Note nothing: whatever a dead worker held is suspect."""

    def start(self, attempt_id: int) -> None:
        """Forget it."""

    def settle(self, attempts: Iterable[int]) -> None:
        """There is nothing to settle."""

    def close(self, *, clean: bool) -> None:
        """There is nothing to close."""


class LocalLedger:
    """Cells in a file on the local disk, each with an attempt that was started.

    Written without waiting for the disk: what a process has written survives the process, and after the death of the
    whole machine nobody believes the file. A cell is used again once the outcome of its attempt was confirmed; until
    then it names an attempt that is closed, which does no harm. The file is locked while the worker lives.

    Parameters
    ----------
    registry
        The registry's own id.
    worker_id
        Whose attempts they are.
    """

    def __init__(self, registry: str, worker_id: int) -> None:
        self._path = undelivered_folder(registry) / f"{worker_id}-{secrets.token_hex(4)}{_ENDING}"
        self._cells: dict[int, int] = {}
        self._free: list[int] = []
        self._size = 0
        self._file: int | None = None
        try:
            self._file = self._create()
        except OSError as error:
            self._give_up(error)

    def _create(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Complete before it has its name: a file without its head would look like a worker that started nothing.
        aside = self._path.with_suffix(".tmp")
        file = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        os.pwrite(file, json.dumps(asdict(here())).encode().ljust(_HEAD), 0)
        aside.rename(self._path)
        return file

    def start(self, attempt_id: int) -> None:
        """Note an attempt that is about to run."""
        if self._file is None:
            return
        cell = self._free.pop() if self._free else self._size
        try:
            os.pwrite(self._file, _CELL.pack(attempt_id), _HEAD + cell * _CELL.size)
        except OSError as error:
            self._give_up(error)
            return
        self._cells[attempt_id] = cell
        self._size = max(self._size, cell + 1)

    def settle(self, attempts: Iterable[int]) -> None:
        """The registry has the outcomes of these."""
        for attempt_id in attempts:
            cell = self._cells.pop(attempt_id, None)
            if cell is not None:
                self._free.append(cell)

    def close(self, *, clean: bool) -> None:
        """Remove the file, or leave it to whoever takes care of what this worker owes."""
        if self._file is None:
            return
        if clean:
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._file)
        self._file = None

    def _give_up(self, error: OSError) -> None:
        """An incomplete ledger is worse than none."""
        _log.warning("cannot note in %s what is started: %s", self._path, error)
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
        self.close(clean=True)


def give_back_unstarted(store: Store, *, dry_run: bool = False) -> int:
    """Queue again what workers of this machine that are dead had claimed and never started; return how many.

    That was no try, and nothing to be suspected: only what a worker had started may have killed it. To be called
    before workers are declared dead. Doing it twice does no harm.
    """
    folder = undelivered_folder(store.uuid)
    given = 0
    for path in sorted(folder.glob(f"*{_ENDING}")) if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            given += _give_back(store, path, file.read(), dry_run=dry_run)
    return given


def _give_back(store: Store, path: Path, content: bytes, *, dry_run: bool) -> int:
    from batchml.registry.rescue import release_unstarted

    me = here()
    process = _writer(content)
    if process is not None and process.host != me.host:
        return 0  # on a shared disk; what another machine wrote last may not be here yet
    given = 0
    if process is not None and process.boot_id == me.boot_id:
        worker_id = int(path.name.partition("-")[0])
        given = release_unstarted(store, worker_id, process, _started(content), dry_run=dry_run)
    if not dry_run:
        path.unlink(missing_ok=True)
        if given:
            _log.info("gave back %d jobs that worker %d had not started", given, worker_id)
    return given


def _writer(content: bytes) -> Process | None:
    try:
        return Process(**json.loads(content[:_HEAD]))
    except (ValueError, TypeError):
        return None


def _started(content: bytes) -> Collection[int]:
    cells = content[_HEAD:]
    return {attempt for (attempt,) in _CELL.iter_unpack(cells[: len(cells) // _CELL.size * _CELL.size])}
