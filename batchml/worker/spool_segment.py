"""The file in which a worker without a database writes down what it begins and how that ends; nobody else writes it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from batchml.errors import SpoolError
from batchml.registry.processes import Process
from batchml.worker.frames import encode_outcome, frame, read_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from batchml.core.attempt import Outcome
    from batchml.worker.frames import Frame

__all__ = ["Segment", "SpoolWorker", "read_segment", "segment_name", "touched"]

_NAME = re.compile(r"(.+)\.(\d+)\.([0-9a-f]{8})")
_FLUSH_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolWorker:
    """Who writes a segment: what a worker with a database tells the registry when it enters.

    Attributes
    ----------
    process
        The process itself.
    slots, lease_s
        Iterations at once; seconds without a word after which it may be presumed dead.
    scheduler_id, incarnation
        The scheduler's name for it, and how often it was requeued.
    allocation
        What its scheduler calls it besides.
    """

    process: Process
    slots: int
    lease_s: float = 60.0
    scheduler_id: str | None = None
    incarnation: int = 0
    allocation: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SpoolWorker:
        """Return who wrote the first words of a segment."""
        fields = {name: value for name, value in data.items() if name != "say"}
        return cls(**{**fields, "process": Process(**fields["process"])})

    @property
    def element(self) -> str:
        """What its segments' names begin with: its incarnations have it in common."""
        words = self.scheduler_id or f"{self.process.host}-{self.process.pid}-{self.process.pid_start}"
        return re.sub(r"[^A-Za-z0-9_@-]", "_", words)


def segment_name(worker: SpoolWorker) -> str:
    """Return a new name, which no other worker has: scheduler's id and restart count are not trusted to be unique."""
    return f"{worker.element}.{worker.incarnation}.{secrets.token_hex(4)}"


def predecessors(names: Sequence[str], worker: SpoolWorker) -> list[str]:
    """Return the segments of earlier incarnations."""
    found = []
    for name in names:
        match = _NAME.fullmatch(name)
        if worker.scheduler_id and match and match[1] == worker.element and int(match[2]) < worker.incarnation:
            found.append(name)
    return sorted(found)


class Segment:
    """An append-only file. What was appended is whole or not there; every so often it is made durable.

    Parameters
    ----------
    path
        The file, which must not be there.
    flush_s
        Seconds after which what was appended is made durable, and visible to other machines: never for each job.
    """

    def __init__(
        self, path: Path, worker: SpoolWorker, flush_s: float = _FLUSH_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = path.name
        self._path = path
        self._clock = clock
        self._flush_s = flush_s
        self._size = 0
        self._dirty = False
        self._flushed_at = clock()
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self.append([notice("hello", **asdict(worker))])
            self.flush()
        except OSError as error:
            raise SpoolError(f"{path} cannot be written: {error.strerror}") from error

    def append(self, frames: Sequence[bytes]) -> None:
        """Write frames behind the last one.

        Raises
        ------
        OSError
            The disk refuses; nothing was appended.
        """
        content = b"".join(frames)
        try:
            done = 0
            while done < len(content):
                done += os.pwrite(self._file, memoryview(content)[done:], self._size + done)
        except OSError:
            # What follows a half frame could not be read.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(content)
        self._dirty = True
        if self._clock() - self._flushed_at >= self._flush_s:
            self.flush()

    def flush(self) -> None:
        """Have the disk keep what was appended."""
        if self._dirty:
            os.fsync(self._file)
        self._dirty = False
        self._flushed_at = self._clock()

    def close(self) -> None:
        """Flush, and let go of the file."""
        with contextlib.suppress(OSError):
            self.flush()
        os.close(self._file)


def notice(say: str, **words: Any) -> bytes:
    """Return a frame that is no outcome: ``hello``, ``begin``, ``release``, ``beat``, ``bye``, ..."""
    return frame(json.dumps({"say": say, **words}, separators=(",", ":")).encode())


def outcome_frame(outcome: Outcome) -> bytes:
    """Return an outcome as a frame."""
    return frame(encode_outcome(outcome), outcome.attempt_id)


def read_segment(file: BinaryIO, offset: int) -> Iterator[Frame]:
    """Return the whole frames from an offset on; a torn one, and what is behind it, is left for the next time."""
    file.seek(offset)
    return read_frames(file)


def heard(each: Frame) -> dict[str, Any] | None:
    """Return what a frame says, None for an outcome."""
    return None if each.key else json.loads(each.payload)


def touched(path: Path) -> set[int]:
    """Return the attempts that a segment speaks of."""
    found: set[int] = set()
    with path.open("rb") as file:
        for each in read_segment(file, 0):
            said = heard(each)
            found.update((each.key,) if said is None else said.get("ids", ()))
    return found
