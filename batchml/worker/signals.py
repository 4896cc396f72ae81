"""Who tells a worker to stop: signals, and the end of the process that started it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from typing import TYPE_CHECKING, Any, Protocol

from batchml.core.attempt import Order
from batchml.worker.allocation import Allocation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

__all__ = ["Never", "StopSignals", "StopSource"]

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class StopSource(Protocol):
    """Where the wish to stop comes from, besides the registry: signals, the end of the parent, a walltime."""

    @property
    def order(self) -> Order:
        """What is wished now; it never becomes milder."""
        ...

    @property
    def descriptors(self) -> Sequence[int]:
        """Descriptors that become readable when `order` may have changed."""
        ...

    @property
    def grace_s(self) -> float | None:
        """How long what runs may go on after the wish to drain; None for as long as the settings say."""
        ...


class Never:
    """Nobody but the registry stops this worker."""

    order = Order.GO_ON
    descriptors: Sequence[int] = ()
    grace_s: float | None = None


class StopSignals:
    """TERM, INT, HUP, USR1 and the end of the lifeline ask to drain; a second signal asks to stop at once.

    Handlers only count: nothing is raised in whatever the main thread is doing, so Ctrl-C leaves no traceback.

    Parameters
    ----------
    lifeline
        The read end of a pipe whose other end the starting process holds; its end of file is a wish to drain.
        It does not count as a second signal: a closing terminal sends HUP and closes the pipe.

    Attributes
    ----------
    heard
        What came down the lifeline.
    allocation
        Where this worker runs: what it is granted to finish depends on it.
    killed_soon
        Whether SIGTERM came, after which a scheduler kills.
    """

    def __init__(self, lifeline: int | None = None) -> None:
        self._count = 0
        self._lifeline = lifeline
        self._cut = False
        self.heard = b""
        self.allocation = Allocation()
        self.killed_soon = False
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup_before = -1
        self._news = select.poll()
        for descriptor in self.descriptors:
            self._news.register(descriptor, select.POLLIN)

    @property
    def order(self) -> Order:
        """What was asked for so far."""
        self._look()
        if self._count > 1:
            return Order.STOP
        return Order.DRAIN if self._count or self._cut else Order.GO_ON

    @property
    def grace_s(self) -> float | None:
        """What the allocation grants."""
        return self.allocation.grace_s(killed_soon=self.killed_soon)

    @property
    def descriptors(self) -> Sequence[int]:
        """The signal pipe, and the lifeline while it holds."""
        return (self._read,) if self._lifeline is None else (self._read, self._lifeline)

    def install(self) -> None:
        """Take over the stopping signals; from the main thread only."""
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in _STOPPING:
            if number is not signal.SIGTERM and signal.getsignal(number) is signal.SIG_IGN:
                continue  # started by nohup, or in the background of a script
            self._before[number] = signal.signal(number, self._note)

    def restore(self) -> None:
        """Give the signals back and close the pipe."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._read)
        os.close(self._write)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._count += 1
        self.killed_soon |= number == signal.SIGTERM

    def _look(self) -> None:
        """Empty the signal pipe and see whether the lifeline still holds."""
        for descriptor, _ in self._news.poll(0):
            with contextlib.suppress(BlockingIOError):
                said = os.read(descriptor, 4096)
                if descriptor != self._lifeline:
                    continue
                if said:
                    self.heard += said
                    continue
                self._cut = True
                # An ended pipe is readable for ever: whoever polls it shall see the signal pipe in its place.
                os.dup2(self._read, descriptor, inheritable=False)
