"""What a job may leave changed in its process: set before each job, looked at after it.

Working directory, environment and warnings filters are simply set. Anything else found changed makes the process
*dirty*: its outcome counts, and the process is replaced.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` without its enums: these run after every job
import contextlib
import gc
import locale
import logging
import os
import resource
import signal
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from batchml.execution.sandbox import proc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["LINK_LOST", "State", "flush"]

LINK_LOST = 71
"""Exit status of a slot that cannot reach its supervisor any more."""

_SIGNALS = tuple(
    signum
    for signum in (
        *("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGPIPE", "SIGQUIT", "SIGABRT"),
        *("SIGSEGV", "SIGFPE", "SIGVTALRM", "SIGPROF"),
    )
    for signum in (getattr(signal, signum),)
)
_NATIVE_THREADS = 16
"""Pools of numerical libraries stay when a stage used several threads; more than this is a leak."""


def flush() -> None:
    """Write out what Python and C have buffered for the log."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    with contextlib.suppress(Exception):
        proc.flush_c_output()


def _numpy_state() -> object:
    numpy = sys.modules.get("numpy")
    return numpy and numpy.geterr()


def _sklearn_state() -> object:
    sklearn = sys.modules.get("sklearn")
    return sklearn and sklearn.get_config()


def _torch_state() -> object:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "get_default_dtype"):
        return None
    return torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()


def _signals() -> object:
    return [_signal.getsignal(signum) for signum in _SIGNALS], _signal.pthread_sigmask(_signal.SIG_BLOCK, ())


def _logging() -> object:
    root = logging.root
    return root.level, tuple(root.handlers), tuple(root.filters), root.manager.disable, logging.raiseExceptions


def _interpreter() -> object:
    return (
        sys.getrecursionlimit(),
        tuple(sys.path),
        gc.isenabled(),
        sys.gettrace(),
        sys.getprofile(),
        sys.excepthook,
        threading.excepthook,
        locale.setlocale(locale.LC_ALL),
    )


def _limits() -> object:
    return (
        resource.getrlimit(resource.RLIMIT_DATA),
        resource.getrlimit(resource.RLIMIT_AS),
        resource.getrlimit(resource.RLIMIT_NOFILE),
        os.sched_getaffinity(0),
    )


def _streams() -> object:
    return sys.stdout, sys.stderr, sys.stdin


_PROBES: tuple[tuple[str, Callable[[], object]], ...] = (
    ("signal handlers", _signals),
    ("logging", _logging),
    ("numpy error state", _numpy_state),
    ("scikit-learn configuration", _sklearn_state),
    ("torch defaults", _torch_state),
    ("interpreter", _interpreter),
    ("limits", _limits),
    ("streams", _streams),
)
_LOOKS = tuple(probe for _, probe in _PROBES)


class State:
    """The state of a process as jobs find it.

    Parameters
    ----------
    own_fds
        Descriptors that are ours; closing one of them is noticed, too.
    """

    def __init__(self, own_fds: Iterable[int]) -> None:
        self._threads = _open_threads()
        self._own_fds = (*own_fds, self._threads)
        self._cwd = _cwd()
        self._environ = _environ().copy()
        self._filters = list(warnings.filters)
        self._umask = _umask()
        self.mark()

    def prepare(self) -> None:
        """Set what is simply set before a job."""
        if _cwd() != self._cwd:
            with contextlib.suppress(OSError):
                os.chdir(self._cwd)
        if _environ() != self._environ:
            _restore_environment(self._environ)
        if warnings.filters != self._filters:
            warnings.filters[:] = self._filters  # type: ignore[index]
            warnings._filters_mutated()  # type: ignore[attr-defined]  # noqa: SLF001 - no public way is as fast

    def mark(self) -> None:
        """Remember the present state: everything of ours is loaded, user code comes next."""
        self._before = _looks()
        self._native = _native_threads(self._threads)
        self._lowest = _lowest_free_fd()
        self._inodes = [_inode(fd) for fd in self._own_fds]

    def changes(self) -> list[str]:
        """Return what is different from the last `mark`; ends processes that were left."""
        found = _differing(self._before)
        if _leftover_children():
            proc.kill_all()
            found.append("processes")
        if _threads_left() or _native_threads(self._threads) > self._native + _NATIVE_THREADS:
            found.append("threads")
        if _lowest_free_fd() != self._lowest or [_inode(fd) for fd in self._own_fds] != self._inodes:
            found.append("file descriptors")
        if signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.setitimer(signal.ITIMER_REAL, 0)
            found.append("timer")
        if os.umask(self._umask) != self._umask:
            found.append("umask")
        return found


def _looks() -> list[object]:
    """Return what each of the probes sees."""
    return [probe() for probe in _LOOKS]


def _differing(before: list[object]) -> list[str]:
    """Return the names of the probes that see something else than before."""
    with contextlib.suppress(Exception):  # a probe, or something it sees, that user code broke: looked at one by one
        if _looks() == before:
            return []
    return [name for (name, probe), value in zip(_PROBES, before, strict=True) if not _same(probe, value, name)]


def _same(probe: Callable[[], object], before: object, name: str) -> bool:
    try:
        after = probe()
    except Exception:  # noqa: BLE001 - a probe that user code broke is a change
        return False
    # A library that was imported meanwhile starts with its defaults.
    return after == before or (before is None and name.startswith(("numpy", "scikit", "torch")))


def _cwd() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - after every job
    except OSError:  # the folder was removed
        return ""


def _umask() -> int:
    mask = os.umask(0o77)
    os.umask(mask)
    return mask


def _environ() -> dict[bytes, bytes]:
    return os.environ._data  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001 - no public way is as fast


def _restore_environment(wanted: dict[bytes, bytes]) -> None:
    for name in os.environb.keys() - wanted.keys():
        del os.environb[name]
    os.environb.update(wanted)


def _lowest_free_fd() -> int:
    """Return the number that the next descriptor gets: it moves when one was left open or a lower one was closed."""
    try:
        fd = os.dup(0)
    except OSError:
        return -1
    os.close(fd)
    return fd


def _inode(fd: int) -> Any:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _leftover_children() -> bool:
    """Say whether anything lives below this process; it is a subreaper, so daemons count, too."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        if found is None:
            return True
        with contextlib.suppress(ChildProcessError):  # dead and not waited for: the user's zombie, gone with this
            os.waitpid(found.si_pid, os.WNOHANG)


def _open_threads() -> int:
    """Return a descriptor whose links are the threads of this process: it is looked at faster than a path."""
    try:
        return os.open("/proc/self/task", os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return -1


def _native_threads(fd: int) -> int:
    """Return how many threads a process has, those of native code included."""
    try:
        return os.fstat(fd).st_nlink - 2
    except OSError:  # no /proc; or user code has closed it, which is noticed elsewhere
        return 0


def _threads_left() -> bool:
    """Say whether Python threads were left running; those that are just ending get a moment."""
    if threading.active_count() == 1:
        return False
    deadline = time.monotonic() + 0.05
    while threading.active_count() > 1 and time.monotonic() < deadline:
        time.sleep(0.002)
    return threading.active_count() > 1
