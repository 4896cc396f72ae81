"""What jobs print: a pipe that is always drained; of each job's part of it the head and the tail are kept."""

from __future__ import annotations

import contextlib
import math
import os
import struct
from collections import deque

__all__ = ["Sink", "mark"]

_CHUNK = 64 * 1024
_ATTEMPT = struct.Struct("<q")
_UNASKED = 256
"""Logs kept that nobody has asked for: only user code that forges marks makes so many."""


def mark(nonce: str, attempt: int) -> bytes:
    """Return what a slot writes behind the output of a job: few enough bytes to arrive as one."""
    return _prefix(nonce) + _ATTEMPT.pack(attempt)


def _prefix(nonce: str) -> bytes:
    return b"\0" + nonce.encode() + b"\0"


class Sink:
    """The reading end of the standard output and error of a process that runs jobs.

    A job that prints a gigabyte is never blocked and costs `keep` bytes twice: what lies between head and tail is
    counted and forgotten.

    Parameters
    ----------
    fd
        Reading end of a pipe; owned by the sink, made non-blocking.
    keep
        Bytes kept at each end.
    nonce
        Of the slot that writes marks (see `mark`) between its jobs, None if there are none.
    """

    __slots__ = (
        "_head",
        "_keep",
        "_logs",
        "_mark",
        "_rest",
        "_size",
        "_tail",
        "_tail_size",
        "ended",
        "fd",
        "rests_until",
    )

    def __init__(self, fd: int, keep: int = 64 * 1024, nonce: str | None = None) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._keep = keep
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._size = 0
        self._mark = b"" if nonce is None else _prefix(nonce)
        self._rest = b""  # at the end of what was read, the beginning of a mark
        self._logs: dict[int, str] = {}
        self.ended = False
        self.rests_until = math.inf  # for whoever watches it

    def drain(self, limit: int = 4 * 1024 * 1024) -> int:
        """Read what is there, at most `limit` bytes, without waiting; return how many bytes came."""
        total = 0
        with contextlib.suppress(BlockingIOError, OSError):
            while total < limit:
                data = os.read(self.fd, _CHUNK)
                if not data:  # nobody holds the other end any more
                    self.ended = True
                    break
                total += len(data)
                self._split(data)
                if len(data) < _CHUNK:
                    break
        return total

    def has(self, attempt: int) -> bool:
        """Say whether the log of an attempt is complete."""
        return attempt in self._logs

    def _split(self, data: bytes) -> None:
        """Take in bytes; a mark among them ends the log of an attempt."""
        if not self._mark:
            self._add(data)
            return
        data = self._rest + data
        size, at = len(self._mark) + _ATTEMPT.size, data.find(self._mark)
        while at >= 0 and len(data) >= at + size:
            self._add(data[:at])
            (attempt,) = _ATTEMPT.unpack_from(data, at + len(self._mark))
            if len(self._logs) >= _UNASKED:
                self._logs.clear()
            self._logs[attempt] = self.take()
            data = data[at + size :]
            at = data.find(self._mark)
        if at < 0:
            at = data.rfind(self._mark[:1], max(0, len(data) - len(self._mark) + 1))
            at = at if at >= 0 and self._mark.startswith(data[at:]) else len(data)
        self._rest = data[at:]
        self._add(data[:at])

    def _add(self, data: bytes) -> None:
        if not data:
            return
        self._size += len(data)
        room = self._keep - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail.append(data)
            self._tail_size += len(data)
            while self._tail_size - len(self._tail[0]) >= self._keep:
                self._tail_size -= len(self._tail.popleft())

    def take(self, attempt: int | None = None) -> str:
        """Return the log, clean of NUL and lone surrogates, and start a fresh one.

        That of an `attempt` behind which there is no mark yet is all that came since the last one.
        """
        if attempt in self._logs:
            return self._logs.pop(attempt)
        if not self._size:
            return ""
        tail = b"".join(self._tail)[-self._keep :]
        left_out = self._size - len(self._head) - len(tail)
        text = self._head.decode("utf-8", "replace")
        if left_out:
            text += f"\n[... {left_out} bytes left out ...]\n"
        text += tail.decode("utf-8", "replace")
        self._head = bytearray()
        self._tail.clear()
        self._tail_size = self._size = 0
        return text.replace("\0", "\N{REPLACEMENT CHARACTER}")

    def close(self) -> None:
        """Close the pipe."""
        with contextlib.suppress(OSError):
            os.close(self.fd)
