"""What the processes of one keeper may take of memory: a limit that the kernel holds, or a look now and then."""

from __future__ import annotations

import contextlib
from pathlib import Path

from batchml.execution.sandbox import cgroup, proc

__all__ = ["BEAT", "Scales"]

BEAT = 0.2
"""Seconds between two looks."""


class Scales:
    """Weighs a slot and its partner, and knows whether the kernel has killed for want of memory.

    Parameters
    ----------
    home
        Where groups can be made (see `batchml.execution.sandbox.cgroup.home`), None for nowhere.
    name
        Of the group.
    """

    def __init__(self, home: str | None, name: str) -> None:
        self.limit: int | None = None
        self._held = False  # by the kernel
        self._group: cgroup.Group | None = None
        if home is not None:
            with contextlib.suppress(OSError):
                self._group = cgroup.Group.make(Path(home), name)
        self._killed = self._kills()

    def set(self, limit: int | None) -> None:
        """Let the family take so many bytes."""
        self.limit = limit
        if self._group is not None:
            self._held = self._group.limit(limit)
        self._killed = self._kills()

    def enter(self) -> None:
        """Put this process into the family's group."""
        if self._group is not None:
            with contextlib.suppress(OSError):
                self._group.join()

    def kill(self) -> None:
        """Kill the whole family at once, as far as the kernel can."""
        if self._group is not None:
            self._group.kill()

    @property
    def watched(self) -> bool:
        """Whether there is a limit that only `excess` can hold."""
        return self.limit is not None and not self._held

    def excess(self) -> str | None:
        """Say it if all below this process hold too much together."""
        if self.limit is None:
            return None
        taken = sum(proc.private_bytes(pid) for pid in proc.descendants())
        return f"the job took {_mb(taken)}, more than its limit of {_mb(self.limit)}" if taken > self.limit else None

    def starved(self) -> str | None:
        """Say it if the kernel has killed for want of memory since this was last asked."""
        before, self._killed = self._killed, self._kills()
        if self._killed <= before:
            return None
        if self._held and self.limit is not None:
            return f"the kernel killed it: the job took more than its limit of {_mb(self.limit)}"
        return "the kernel killed it for want of memory"

    def close(self) -> None:
        """Remove the group of a family that has ended."""
        if self._group is not None:
            self._group.remove()

    def _kills(self) -> int:
        found = None if self._group is None else self._group.oom_kills()
        return cgroup.oom_kills() if found is None else found


def _mb(size: int) -> str:
    return f"{size / 2**20:.0f} MB"
