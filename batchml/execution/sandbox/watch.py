"""Descriptors and what to do when they have something to say."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import select
import time
from typing import TYPE_CHECKING

from batchml.execution.sandbox import proc

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Watch"]


class Watch:
    """An epoll descriptor with a callback for each watched one. Callbacks must not block, and may come in vain."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._timer = _timer()
        self.alarm = math.inf
        self.add(self._timer, self._ring)

    def fileno(self) -> int:
        """A descriptor that becomes readable when a callback would be called."""
        return self._epoll.fileno()

    def add(self, fd: int, callback: Callable[[], None]) -> None:
        """Call `callback` whenever `fd` is readable or its other end is closed."""
        self._epoll.register(fd, select.EPOLLIN)
        self._callbacks[fd] = callback

    def drop(self, fd: int) -> None:
        """Forget `fd`, before it is closed; unknown ones are ignored."""
        if self._callbacks.pop(fd, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def wake_at(self, moment: float) -> None:
        """Have the descriptor become readable at `moment` (monotonic seconds), whoever polls it, and for how long."""
        if moment != self.alarm:
            self.alarm = moment
            if moment < math.inf:
                _set_timer(self._timer, max(moment - time.monotonic(), 1e-6))

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._timer, 8)

    def rest(self, fd: int, *, on: bool) -> None:
        """Stop listening to `fd` for a while, or listen again."""
        if fd in self._callbacks:
            self._epoll.modify(fd, 0 if on else select.EPOLLIN)

    def poll(self, seconds: float) -> None:
        """Wait at most `seconds` for news and call back."""
        for fd, _ in self._epoll.poll(seconds):
            callback = self._callbacks.get(fd)
            if callback is not None:
                callback()

    def close(self) -> None:
        """Free the descriptors."""
        os.close(self._timer)
        self._epoll.close()
        self._callbacks.clear()


class _Interval(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_long) for name in ("interval_s", "interval_ns", "value_s", "value_ns"))


def _timer() -> int:
    """Return a timerfd on the monotonic clock (Python has them since 3.13)."""
    fd: int = proc.libc().timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    return fd


def _set_timer(fd: int, seconds: float) -> None:
    whole = int(seconds)
    setting = _Interval(0, 0, whole, int((seconds - whole) * 1e9))
    proc.libc().timerfd_settime(fd, 0, ctypes.byref(setting), None)
