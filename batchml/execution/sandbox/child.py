"""What every process that runs user code does at its birth: signals, log, descriptors, measurements."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import sys
import time
from typing import TYPE_CHECKING

from batchml.execution.sandbox import proc

if TYPE_CHECKING:
    from batchml.execution.sandbox.gauge import Gauge

__all__ = [
    "Log",
    "Meter",
    "close_unknown_fds",
    "ignore_stop_signals",
    "limit_memory",
    "offer_to_oom_killer",
    "stop_signal",
]


def stop_signal(_signum: int, _frame: object) -> None:
    """Do nothing: a terminal or SLURM signals every process, but only the supervisor decides.

    A handler, not SIG_IGN, which children of user code would inherit through exec: they could not be terminated.
    """


def ignore_stop_signals() -> None:
    """Ignore TERM, INT, HUP and USR1 in this process, but not in the children that user code forks."""
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
    for signum in signals:
        signal.signal(signum, stop_signal)
        signal.siginterrupt(signum, False)
    signal.signal(proc.PARENT_GONE, signal.SIG_DFL)

    def forget() -> None:
        for signum in signals:
            if signal.getsignal(signum) is stop_signal:
                signal.signal(signum, signal.SIG_DFL)

    os.register_at_fork(after_in_child=forget)


class Log:
    """Descriptors 1 and 2 and Python's streams, led into a pipe; crashes and stack dumps, too.

    There is nothing to read from descriptor 0.
    """

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self.dump_fd = os.dup(pipe)  # where stacks go, whatever user code does with 1 and 2
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        self.lead()
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open for as long as the process lives
        for fd, name in ((1, "stdout"), (2, "stderr")):
            stream = open(fd, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115 - open for as long as the process lives
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        faulthandler.enable(self.dump_fd)
        faulthandler.register(proc.DUMP_SIGNAL, self.dump_fd, all_threads=True)

    @property
    def fd(self) -> int:
        """The descriptor that it keeps open."""
        return self._pipe

    def lead(self) -> None:
        """Lead everything into the pipe, whatever became of it."""
        for fd in (1, 2, self.dump_fd):
            os.dup2(self._pipe, fd, inheritable=fd < 3)

    def mark(self, mark: bytes) -> bool:
        """Write where the output of a job ends; False if that cannot be done."""
        with contextlib.suppress(OSError):
            return os.write(self._pipe, mark) == len(mark)
        return False


def close_unknown_fds(keep: set[int]) -> None:
    """Close what was inherited and is not in `keep`."""
    for fd in proc.open_fds():
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError:
                continue


def limit_memory(limit: int | None) -> None:
    """Let allocations fail (MemoryError) when this process would take more than `limit` bytes.

    The kernel counts what is reserved, not what is used, so what is reserved and unused already is allowed on top.
    """
    if limit is None:
        return
    reserved = proc.reserved_bytes()
    room = max(limit - proc.private_bytes(os.getpid()), 16 * 2**20)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (reserved + room, hard))


def offer_to_oom_killer(badness: int) -> None:
    """Have the kernel kill this process, and what it starts, before others when memory is short; at most 1000."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:  # noqa: PTH123 - as the others
        file.write(b"%d" % max(badness, int(file.read())))


class Meter:
    """CPU time, wall time and peak memory of one job in this process.

    The kernel's high-water mark is reset through ``clear_refs``, so a small job after a big one reports small.

    Parameters
    ----------
    gauge
        Is told of each start, for the keeper of a process that does not live to report.
    """

    __slots__ = ("_clear", "_cpu", "_gauge", "_wall")

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        try:
            self._clear = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            self._clear = -1
        self.start()

    def start(self) -> None:
        """Begin to measure."""
        if self._clear >= 0:
            try:
                os.write(self._clear, b"5")
            except OSError:
                self._clear = -1
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._cpu = time.process_time() + children.ru_utime + children.ru_stime
        self._gauge.begin(self._cpu, children.ru_maxrss / 1024)
        self._wall = time.perf_counter()

    def read(self) -> dict[str, float]:
        """Return `wall_s`, `cpu_s`, `peak_mb` since `start`."""
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "wall_s": time.perf_counter() - self._wall,
            "cpu_s": time.process_time() + children.ru_utime + children.ru_stime - self._cpu,
            "peak_mb": own.ru_maxrss / 1024,
        }

    @property
    def fd(self) -> int:
        """The descriptor that it keeps open."""
        return self._clear
