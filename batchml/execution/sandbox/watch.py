"""Descriptors and what to do when they have something to say."""

from __future__ import annotations

import contextlib
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Watch"]


class Watch:
    """An epoll descriptor with a callback for each watched one. Callbacks must not block, and may come in vain."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}

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
        """Free the descriptor."""
        self._epoll.close()
        self._callbacks.clear()
