"""What a job prints: a pipe that is always drained, of which the head and the tail are kept."""

from __future__ import annotations

import contextlib
import math
import os
from collections import deque

__all__ = ["Sink"]

_CHUNK = 64 * 1024


class Sink:
    """The reading end of a job's standard output and error.

    A job that prints a gigabyte is never blocked and costs `keep` bytes twice: what lies between head and tail is
    counted and forgotten.

    Parameters
    ----------
    fd
        Reading end of a pipe; owned by the sink, made non-blocking.
    keep
        Bytes kept at each end.
    """

    __slots__ = ("_head", "_keep", "_size", "_tail", "_tail_size", "ended", "fd", "rests_until")

    def __init__(self, fd: int, keep: int = 64 * 1024) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._keep = keep
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._size = 0
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
                self._add(data)
        return total

    def _add(self, data: bytes) -> None:
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

    def take(self) -> str:
        """Return the log, clean of NUL and lone surrogates, and start a fresh one."""
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
