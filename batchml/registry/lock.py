"""Turns for writers of a SQLite file.

SQLite's own busy handler polls without order, so that one of four writers can have one turn in 17 000. Here each
writer first takes the *turn* and, holding it, waits for the *lock*; then gives the turn back. Who has just written has
to queue for the turn again, behind whoever holds it: nobody can write twice past a waiting writer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from batchml.errors import BusyError, ReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FairLock"]

_FIRST_NAP_S = 0.0002
_LONGEST_NAP_S = 0.002


class FairLock:
    """An exclusive lock between processes, and between the threads of this one, in which no waiter starves.

    The kernel releases it with the process. `flock` belongs to the open file, so children made by fork would share it:
    they must not write.

    Parameters
    ----------
    path
        Of the database; the lock is two files beside it.
    timeout
        Seconds after which a waiter gives up.
    """

    def __init__(self, path: Path, timeout: float = 60.0) -> None:
        self._paths = (path.with_name(path.name + ".turn"), path.with_name(path.name + ".lock"))
        self._timeout = timeout
        self._thread = threading.Lock()
        self._files: tuple[int, int] | None = None
        self._closing: weakref.finalize[[tuple[int, int]], FairLock] | None = None

    def _open(self) -> tuple[int, int]:
        if self._files is None:
            try:
                turn, lock = (os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666) for path in self._paths)
            except OSError as error:
                folder = self._paths[0].parent
                raise ReadOnlyError(
                    f"cannot write to {folder}: {error.strerror}; open the registry with readonly=True to look at it"
                ) from None
            self._files = (turn, lock)
            self._closing = weakref.finalize(self, _close, self._files)  # registries are dropped more often than closed
        return self._files

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock.

        Raises
        ------
        BusyError
            Another writer did not let go in time.
        ReadOnlyError
            The folder cannot be written to.
        """
        deadline = time.monotonic() + self._timeout
        if not self._thread.acquire(timeout=self._timeout):
            raise self._busy()
        try:
            turn, lock = self._open()
            try:
                self._take(turn, deadline)
                self._take(lock, deadline)
                fcntl.flock(turn, fcntl.LOCK_UN)
                yield
            finally:
                # Also what was not taken: an interrupt may come between taking and knowing.
                fcntl.flock(lock, fcntl.LOCK_UN)
                fcntl.flock(turn, fcntl.LOCK_UN)
        finally:
            self._thread.release()

    def _take(self, file: int, deadline: float) -> None:
        nap = _FIRST_NAP_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # A blocking call could not give up: a stopped writer would hang the session without a word.
                if time.monotonic() > deadline:
                    raise self._busy() from None
                time.sleep(nap)
                nap = min(2 * nap, _LONGEST_NAP_S)
            else:
                return

    def _busy(self) -> BusyError:
        return BusyError(
            f"another process has been writing to {self._paths[1].with_suffix('').name} for {self._timeout:g} s; "
            f"is one stopped? `fuser {self._paths[1]}` names it"
        )

    def close(self) -> None:
        """Close the files."""
        if self._closing is not None:
            self._closing()
        self._files = self._closing = None


def _close(files: tuple[int, int]) -> None:
    for file in files:
        os.close(file)
