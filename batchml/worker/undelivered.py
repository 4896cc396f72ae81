"""Outcomes that could not be delivered survive on the local disk, until the next worker or `resume` ingests them."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
from typing import TYPE_CHECKING, BinaryIO, Protocol

from batchml.core.attempt import Exchange, Outcome
from batchml.worker.courier import deliver
from batchml.worker.frames import decode_outcome, encode_outcome, read_frames, write_frame
from batchml.worker.home import undelivered_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batchml.core.attempt import Assignment
    from batchml.registry.store import Store

__all__ = ["Keep", "LocalKeep", "Nowhere", "ingest"]

_log = logging.getLogger(__name__)
_ENDING = ".outcomes"
_BATCH = 64


class Keep(Protocol):
    """Where outcomes survive this process while the registry cannot be reached."""

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Make outcomes durable here."""
        ...

    def clear(self) -> None:
        """The registry has everything that was written."""
        ...


class Nowhere:
    """Keep nothing."""

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Forget them."""

    def clear(self) -> None:
        """There is nothing to clear."""


class LocalKeep:
    """A file of this worker on the local disk. It is locked while the worker lives, so nobody ingests it meanwhile.

    Parameters
    ----------
    registry
        The registry's own id.
    worker_id
        Whose outcomes they are.
    """

    def __init__(self, registry: str, worker_id: int) -> None:
        # The token: worker numbers start again if a registry's file is restored from a copy.
        self._path = undelivered_folder(registry) / f"{worker_id}-{secrets.token_hex(4)}{_ENDING}"
        self._file: BinaryIO | None = None

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Append outcomes and wait for the disk. A disk that refuses is logged: the outcomes are still in memory."""
        try:
            file = self._open()
            for outcome in outcomes:
                write_frame(file, encode_outcome(outcome), outcome.attempt_id)
            os.fsync(file.fileno())
        except OSError as error:
            _log.error("cannot keep %d undelivered outcomes in %s: %s", len(outcomes), self._path, error)
        else:
            _log.warning("keeping %d undelivered outcomes in %s", len(outcomes), self._path)

    def clear(self) -> None:
        """Remove the file: all of it was delivered."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._file.close()
            self._file = None

    def leave(self) -> None:
        """Leave the file to whoever ingests it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = self._path.open("ab", buffering=0)
            fcntl.flock(file, fcntl.LOCK_EX)
            self._file = file
        return self._file


def ingest(store: Store, *, dry_run: bool = False) -> int:
    """Deliver what workers of this machine that are gone could not; return how many outcomes were taken.

    A dry run counts what is there, also what may come too late.

    To be called before attempts are declared lost. Files of workers that still live are left alone; a file that cannot
    be delivered now stays for the next time. Doing it twice does no harm: a closed attempt is not closed again.
    """
    folder = undelivered_folder(store.uuid)
    taken = 0
    for path in sorted(folder.glob(f"*{_ENDING}")) if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if dry_run:
                taken += sum(1 for _ in read_frames(file))
                continue
            taken += _deliver_file(store, path, file)
            path.unlink(missing_ok=True)
    return taken


def _deliver_file(store: Store, path: Path, file: BinaryIO) -> int:
    channel = _DeadWorker(store, int(path.name.partition("-")[0]))
    outcomes = [decode_outcome(each.payload) for each in read_frames(file)]
    lost: set[int] = set()
    for start in range(0, len(outcomes), _BATCH):
        lost.update(deliver(channel, outcomes[start : start + _BATCH], (), 0).lost)
    _log.info("took %d undelivered outcomes from %s, %d came too late", len(outcomes), path, len(lost))
    return len(outcomes) - len(lost)


class _DeadWorker:
    """The last words of a worker that is gone; it beats no more."""

    def __init__(self, store: Store, worker_id: int) -> None:
        self._store = store
        self._worker_id = worker_id

    def exchange(self, outcomes: Sequence[Outcome], released: Sequence[int], want: int) -> Exchange:
        """Close the attempts."""
        from batchml.registry.exchange import deliver_late

        assert not released
        assert not want
        return Exchange(lost=deliver_late(self._store, self._worker_id, outcomes))

    def open_attempts(self) -> Sequence[Assignment]:
        """Nobody asks."""
        return ()

    def close(self, reason: str) -> None:
        """There is nothing to close."""
