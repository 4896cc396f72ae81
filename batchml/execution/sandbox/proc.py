"""Processes as Linux shows them: parents, families, death notices."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import os
import select
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "DUMP_SIGNAL",
    "PARENT_GONE",
    "TAG",
    "Ended",
    "adopt_orphans",
    "catches",
    "child_pids",
    "dead_name",
    "descendants",
    "die_with_parent",
    "exited",
    "flush_c_output",
    "kill_all",
    "libc",
    "name_process",
    "open_fds",
    "pending",
    "private_bytes",
    "reap",
    "reserved_bytes",
    "send",
    "tagged",
    "thread_count",
    "trim_memory",
]

TAG = "BATCHML_FAMILY"
"""The environment variable that all processes of one pool share from their first instruction."""

DUMP_SIGNAL = signal.SIGRTMAX - 3
"""Writes the stacks of all threads into the log of the job, also while a C loop holds the interpreter."""

PARENT_GONE = signal.SIGRTMAX - 4
"""What keepers and the template are sent when the process that they serve may be dead."""

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36


@functools.cache
def libc() -> ctypes.CDLL:
    """Return the C library: loaded once, since each loading makes a class."""
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int | bytes) -> None:
    if libc().prctl(option, argument, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def adopt_orphans(*, on: bool = True) -> None:
    """Become the parent of descendants whose own parents die (a child subreaper), or stop being it."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(on))


def die_with_parent(parent: int, signum: int = signal.SIGKILL, *, patience: float = 5.0) -> None:
    """Ask for `signum` when `parent` dies; exit at once if it is dead already.

    After a double fork the new parent is known only when the intermediate process is gone, so wait for that, but not
    for a parent that died meanwhile.
    """
    deadline = time.monotonic() + patience
    while os.getppid() != parent:
        entry = _stat(parent)
        if entry is None or entry[0] == "Z" or time.monotonic() > deadline:
            os._exit(0)
        time.sleep(0.0002)
    _prctl(_PR_SET_PDEATHSIG, int(signum))
    if os.getppid() != parent:  # it died between the two calls
        os._exit(0)


def name_process(name: str) -> None:
    """Show `name` (15 bytes) in process lists."""
    _prctl(_PR_SET_NAME, name.encode()[:15])


def trim_memory() -> None:
    """Give freed memory back to the system where the C library knows how; else it stays with the process."""
    trim = getattr(libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def flush_c_output() -> None:
    """Write what C code has printed into buffers."""
    libc().fflush(None)


def thread_count(pid: int | str = "self") -> int:
    """Return how many threads a process has, native ones included; 0 if it is gone."""
    try:
        return os.stat(f"/proc/{pid}/task").st_nlink - 2  # noqa: PTH116 - called too often for Path objects
    except OSError:
        return 0


def open_fds() -> list[int]:
    """Return the open descriptors of this process, and the one that was used to look."""
    return [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - called too often for Path objects


def _stat(pid: int) -> tuple[str, int] | None:
    """Return state and parent of a process, None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - called too often for Path objects
            text = file.read()
    except OSError:
        return None
    fields = text[text.rfind(b")") + 2 :].split(None, 2)
    return fields[0].decode(), int(fields[1])


def dead_name(pid: int) -> str:
    """Return the name of a dead process that nobody has waited for, which is all that is left of it; else nothing."""
    entry = _stat(pid)
    if entry is None or entry[0] != "Z":
        return ""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - called too often for Path objects
        return file.read().strip()
    return ""


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - called too often for Path objects


def child_pids(pid: int | None = None) -> list[int]:
    """Return the children of a process (default: this one), dead and unreaped ones included."""
    pid = os.getpid() if pid is None else pid
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - called too often for Path objects
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:  # noqa: PTH123 - called too often for Path objects
                found += [int(word) for word in file.read().split()]
    except FileNotFoundError:  # a kernel without that file, or a thread that has ended: ask everybody for his parent
        return [other for other in _pids() if (_stat(other) or ("", 0))[1] == pid]
    except OSError:
        return []
    return found


def descendants(pid: int | None = None) -> list[int]:
    """Return all living processes below `pid`, parents before children."""
    parents: dict[int, list[int]] = {}
    for other in _pids():
        entry = _stat(other)
        if entry is not None and entry[0] not in "ZX":
            parents.setdefault(entry[1], []).append(other)
    found: list[int] = []
    wave = [os.getpid() if pid is None else pid]
    while wave:
        wave = [child for parent in wave for child in parents.get(parent, ())]
        found += wave
    return found


def tagged(tag: str) -> list[int]:
    """Return the living processes whose first environment holds this family's tag."""
    needle = f"{TAG}={tag}".encode()
    found = []
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - called too often for Path objects
                if needle in file.read().split(b"\0") and (_stat(pid) or ("Z", 0))[0] not in "ZX":
                    found.append(pid)
        except OSError:
            continue
    return found


def catches(pid: int, signum: int) -> bool:
    """Say whether a process has a handler for a signal."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123 - called too often for Path objects
            for line in file:
                if line.startswith(b"SigCgt:"):
                    return bool(int(line[7:], 16) >> (signum - 1) & 1)
    except OSError:
        pass
    return False


def send(pids: Iterable[int], signum: int) -> None:
    """Send a signal to processes; those that are gone are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)


class Ended(NamedTuple):
    """A child that has ended: its status as `os.waitpid` gives it, and what it took in its life with its children."""

    pid: int
    status: int
    cpu_s: float
    peak_mb: float


def _wait(pid: int) -> Ended | None:
    """Return a dead child (-1: any), None if there is none."""
    try:
        pid, status, usage = os.wait4(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return Ended(pid, status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024) if pid else None


def reap(keep: Iterable[int] = ()) -> list[Ended]:
    """Take the status of all dead children but `keep`."""
    keep = frozenset(keep)
    if not keep:
        return list(iter(lambda: _wait(-1), None))
    children = [_wait(child) for child in child_pids() if child not in keep]
    return [child for child in children if child is not None]


def kill_all(keep: Iterable[int] = (), *, patience: float = 5.0) -> list[Ended]:
    """Kill everything below this process but `keep` until nothing is left; return its children that have ended.

    The caller is a subreaper: whoever loses its parent meanwhile comes back as a child and is met in the next round.
    """
    keep = frozenset(keep)
    ended: list[Ended] = []
    deadline = time.monotonic() + patience
    while True:
        spared = keep.union(*(descendants(pid) for pid in keep))
        targets = [pid for pid in descendants() if pid not in spared]
        send(targets, signal.SIGKILL)
        ended += reap(keep)
        # A process whose last threads are just ending looks dead and cannot be waited for yet: ask for children, too.
        if (not targets and keep.issuperset(child_pids())) or time.monotonic() > deadline:
            return ended
        time.sleep(0.0005)


def exited(pidfd: int) -> bool:
    """Say whether the process behind a pidfd is dead."""
    return bool(readable([pidfd], 0))


def readable(fds: Iterable[int], seconds: float = math.inf) -> set[int]:
    """Wait until something can be read from one of the descriptors, or its other end is gone; return which.

    Not `select.select`: that one refuses descriptors above 1023, of which a user's session may have many.
    """
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(None if seconds == math.inf else max(0, math.ceil(seconds * 1000)))}


def pending(pid: int, signum: int) -> bool:
    """Say whether a signal sent to a process has not been delivered yet."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123 - called too often for Path objects
            return any(
                int(line.split()[1], 16) >> (signum - 1) & 1
                for line in file
                if line.startswith((b"SigPnd:", b"ShdPnd:"))
            )
    except OSError:
        return False


def private_bytes(pid: int) -> int:
    """Return the memory of a process that no file backs; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 - called too often for Path objects
            _, resident, shared = file.read().split()[:3]
    except OSError:
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def reserved_bytes() -> int:
    """Return the private writable address space of this process, used or not: what RLIMIT_DATA counts."""
    with open("/proc/self/status", "rb") as file:  # noqa: PTH123 - called too often for Path objects
        return next((int(line.split()[1]) * 1024 for line in file if line.startswith(b"VmData:")), 0)
