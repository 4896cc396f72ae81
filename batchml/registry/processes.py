"""Names of processes that outlive them: a pid alone is used again, also after a reboot and in another container."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Process", "boot_id", "boot_seconds", "here", "host_name", "is_gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process, named for good.

    Attributes
    ----------
    host
        The name of the machine, for people.
    boot_id
        Of the running kernel: another one on the same host means that everything before is dead.
    pid, pid_start
        The number, and the clock ticks after boot at which it began.
    pid_ns
        The namespace in which the number counts.
    """

    host: str
    boot_id: str
    pid: int
    pid_start: int
    pid_ns: str

    @classmethod
    def of(cls, row: Any) -> Process:
        """Return the process of a worker's row."""
        return cls(host=row.host, boot_id=row.boot_id, pid=row.pid, pid_start=row.pid_start, pid_ns=row.pid_ns)


def boot_seconds() -> float:
    """Return seconds since boot, time asleep included: the clock of leases on one host. No adjustment moves it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@cache
def boot_id() -> str:
    """Return the kernel's name for this boot, "" where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def host_name() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def _pid_ns() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _start_of(pid: int) -> int | None:
    """Return the start time of a process in clock ticks, None if there is no such process; a zombie is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command, in brackets, may hold blanks and brackets itself.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X", "x"} else int(fields[19])


def here(pid: int | None = None) -> Process:
    """Return the name of a process of this machine, by default of this one."""
    number = os.getpid() if pid is None else pid
    return Process(host=host_name(), boot_id=boot_id(), pid=number, pid_start=_start_of(number) or 0, pid_ns=_pid_ns())


def is_gone(process: Process) -> bool | None:
    """Say whether a process has ended: True and False are proofs, None says that this host cannot know."""
    if process.host == host_name() and process.boot_id and boot_id() and process.boot_id != boot_id():
        return True
    if process.boot_id != boot_id() or process.pid_ns != _pid_ns() or not process.pid_ns:
        return None
    start = _start_of(process.pid)
    if start is None and _is_hidden(process.pid):
        return None
    return start != process.pid_start


def _is_hidden(pid: int) -> bool:
    """Whether there is such a process of another user: many login nodes show none of those in /proc (hidepid)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return False
