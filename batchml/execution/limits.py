"""Limits within one process: wall time by a signal in the main thread, threads of the numerical libraries."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from batchml.errors import StageTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["TIMEOUT_MESSAGE", "announced", "can_interrupt", "thread_limit", "time_limit"]

TIMEOUT_MESSAGE = "reached elapsed time limit"


def can_interrupt() -> bool:
    """Tell whether a time limit can interrupt Python code here: only the main thread receives signals."""
    return threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `StageTimeoutError` in the body when it takes longer than `seconds`; None is no limit, 0 does not run it.

    Python code is interrupted where signals can be handled (main thread); a C call that does not return is not, and
    elsewhere nothing is. A body that took too long without being interrupted counts as timed out all the same, so that
    the outcome does not depend on the thread.
    """
    if seconds is None:
        yield
        return
    if seconds <= 0:
        raise StageTimeoutError(TIMEOUT_MESSAGE)
    start = time.perf_counter()
    try:
        with _told(seconds), _alarm(seconds) if can_interrupt() else contextlib.nullcontext():
            yield
    except _Overdue as error:
        raise StageTimeoutError(TIMEOUT_MESSAGE) from error
    if time.perf_counter() - start > seconds:
        raise StageTimeoutError(TIMEOUT_MESSAGE)


_listener: Callable[[float | None], None] | None = None


@contextlib.contextmanager
def announced(listener: Callable[[float | None], None]) -> Iterator[None]:
    """Tell `listener` of every limit that begins in the body (its seconds) and ends (None).

    A worker's supervisor ends the process when a limit has passed that nothing in the process could enforce.
    """
    global _listener  # noqa: PLW0603 - limits belong to the process, like the signal that enforces them
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


@contextlib.contextmanager
def _told(seconds: float) -> Iterator[None]:
    if _listener is None:
        yield
        return
    _listener(seconds)
    try:
        yield
    finally:
        _listener(None)


class _Overdue(BaseException):
    """The second and later calls to stop, for code whose `except Exception` swallowed the first."""


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    armed, calls = True, 0

    def expire(_signum: int, _frame: FrameType | None) -> None:
        nonlocal calls
        if armed:
            calls += 1
            raise StageTimeoutError(TIMEOUT_MESSAGE) if calls == 1 else _Overdue

    handler = signal.signal(signal.SIGALRM, expire)
    start = time.monotonic()
    outer, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        try:
            yield
        finally:
            # The alarm may still ring on this very line: the inner block is what must be left, the outer one undoes.
            armed = False
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        # handler is None if the previous one was not installed from Python.
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
        if outer:
            left = max(outer - (time.monotonic() - start), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, left, interval)


class _Libraries:
    """The thread pools of the libraries loaded so far. A scan takes 3 ms, asking and setting a kept one 0.5 us."""

    def __init__(self) -> None:
        self._pools: tuple[Any, ...] = ()
        self._modules = -1

    def pools(self) -> tuple[Any, ...]:
        """Return threadpoolctl's controllers."""
        # A newly imported module may have brought a library; once imports have settled this is one comparison.
        if self._modules != len(sys.modules):
            from threadpoolctl import ThreadpoolController

            self._pools = tuple(ThreadpoolController().lib_controllers)
            self._modules = len(sys.modules)
        return self._pools


_libraries = _Libraries()


@contextlib.contextmanager
def thread_limit(threads: int) -> Iterator[None]:
    """Let BLAS, OpenMP and torch use `threads` threads in the body: sums come out equal to the last bit only then."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None and hasattr(torch, "get_num_threads") else None
    # Not by threadpoolctl's own limits, which write a report on every library before they change anything.
    pools = [(pool, pool.get_num_threads()) for pool in _libraries.pools()]
    try:
        for pool, _ in pools:
            pool.set_num_threads(threads)
        if torch is not None and before is not None and before != threads:
            torch.set_num_threads(threads)
        yield
    finally:
        for pool, number in pools:
            pool.set_num_threads(number)
        if torch is not None and before is not None and before != threads:
            torch.set_num_threads(before)
