"""Control groups (version 2), where the system lets this user have some: limits that the kernel holds, and one kill.

A job's processes share a group below the one that this process is in. Its ``memory.max`` ends them as soon as they
take more (the keeper's own look comes five times a second), and ``cgroup.kill`` reaches what forks faster than it can
be listed. Where there are none, all goes on without them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from pathlib import Path

__all__ = ["Group", "enable_memory", "home", "oom_kills", "sweep", "tidy"]

_NAME = "batchml-"
_PATIENCE = 1.0


class Group:
    """A group of one keeper's slot and partner, or of a worker's own processes, at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def make(cls, parent: Path, name: str) -> Group:
        """Make a group below `parent` (see `home`). Raises OSError if that is not allowed."""
        path = parent / f"{_NAME}{name}"
        path.mkdir(exist_ok=True)
        return cls(path)

    def limit(self, memory: int | None) -> bool:
        """Let the members take so many bytes, None for any number; say whether the kernel sees to it."""
        try:
            (self.path / "memory.max").write_text("max" if memory is None else str(memory))
        except OSError:
            return False
        with contextlib.suppress(OSError):  # a kernel without swap accounting
            (self.path / "memory.swap.max").write_text("max" if memory is None else "0")
        return True

    def join(self) -> None:
        """Put this process, and what it will fork, into the group."""
        (self.path / "cgroup.procs").write_text("0")

    def members(self) -> list[int]:
        """Return the processes in it."""
        return _numbers(self.path / "cgroup.procs")

    def kill(self) -> None:
        """Kill all members at once; kernels before 5.14 cannot, and leave it to the caller."""
        with contextlib.suppress(OSError):
            (self.path / "cgroup.kill").write_text("1")

    def oom_kills(self) -> int | None:
        """Return how many members the kernel has killed for want of memory, None if it does not say."""
        return _entry(self.path / "memory.events", "oom_kill")

    def remove(self) -> None:
        """Remove the group once its members are dead, which the kernel notices a moment later."""
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self.path.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                if time.monotonic() > end:
                    return
                time.sleep(0.002)
            else:
                return


def home() -> Path | None:
    """Return the folder of the group that this process is in, if it may make groups below it.

    A group that systemd manages and has not delegated is left alone, even if permissions would do.
    """
    path = _own()
    if path is None or not os.access(path, os.W_OK) or not os.access(path / "cgroup.procs", os.W_OK):
        return None
    if Path("/run/systemd/system").exists() and path.stat().st_uid == 0 and not _is_delegated(path):
        return None
    return path


def enable_memory(path: Path, name: str) -> bool:
    """Have groups below `path` limit memory; say whether they do.

    The kernel wants a group's processes in its leaves then. If all members are this process and its descendants, they
    move into one; if there are others, which are not ours to move, nothing is changed.
    """
    from batchml.execution.sandbox.proc import descendants

    if "memory" in _words(path / "cgroup.subtree_control"):
        return True
    if "memory" not in _words(path / "cgroup.controllers"):
        return False
    with contextlib.suppress(OSError):  # the root group, or one without members
        (path / "cgroup.subtree_control").write_text("+memory")
        return True
    members = _numbers(path / "cgroup.procs")
    if not {os.getpid(), *descendants()}.issuperset(members):
        return False
    try:
        leaf = Group.make(path, f"{name}-worker")
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                (leaf.path / "cgroup.procs").write_text(str(pid))
        (path / "cgroup.subtree_control").write_text("+memory")
    except OSError:
        return False
    return True


def sweep(path: Path, name: str) -> None:
    """Kill and remove the groups whose name begins so; one that this process has moved into is left first."""
    for folder in path.glob(f"{_NAME}{name}-*"):
        group = Group(folder)
        if os.getpid() in group.members():
            with contextlib.suppress(OSError):
                (path / "cgroup.subtree_control").write_text("-memory")
                for pid in group.members():
                    (path / "cgroup.procs").write_text(str(pid))
        else:
            group.kill()
        group.remove()


def tidy(path: Path) -> None:
    """Remove empty groups whose keeper was killed along with all who would have done so."""
    for folder in path.glob(f"{_NAME}*-*"):
        number = folder.name.rpartition("-")[2]
        if number.isdecimal() and not Path("/proc", number).exists():
            with contextlib.suppress(OSError):  # it has members after all
                folder.rmdir()


def oom_kills() -> int:
    """Return how often the kernel has killed for want of memory: in this process's group, else on this machine."""
    own = _own()
    found = None if own is None else _entry(own / "memory.events", "oom_kill")
    if found is None:
        found = _entry(Path("/proc/vmstat"), "oom_kill")
    return found or 0


def _own() -> Path | None:
    """Return the folder of the group that this process is in."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
        inside = next((line[3:] for line in lines if line.startswith("0::")), None)
        for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
            fields = line.split()
            if inside is None or " - cgroup2 " not in line:
                continue
            # Within a container's mount, what lies above its root cannot be seen.
            path = Path(fields[4]) / Path("/", inside).relative_to("/")
            for folder in (path, Path(fields[4])):
                if os.getpid() in _numbers(folder / "cgroup.procs"):
                    return folder
    return None


def _is_delegated(path: Path) -> bool:
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(path, name) == b"1":
                return True
    return False


def _entry(file: Path, name: str) -> int | None:
    """Return the number after a name in a file of names and numbers."""
    words = _words(file)
    return next((int(number) for word, number in itertools.pairwise(words) if word == name), None)


def _numbers(file: Path) -> list[int]:
    return [int(word) for word in _words(file)]


def _words(file: Path) -> list[str]:
    try:
        return file.read_text("ascii").split()
    except OSError:
        return []
