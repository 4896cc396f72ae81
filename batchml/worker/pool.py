"""The seam between a worker and where iterations run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from batchml.core.attempt import Assignment, Ending, Outcome

__all__ = ["Pool"]


class Pool(Protocol):
    """Where iterations run. Used by the worker's main thread only; never touches the registry."""

    @property
    def slots(self) -> int:
        """How many iterations run at once."""
        ...

    @property
    def free(self) -> int:
        """How many more assignments would start at once."""
        ...

    @property
    def room(self) -> int:
        """How many more assignments it takes: some may wait in it for those that run."""
        ...

    @property
    def solos(self) -> int:
        """How many suspects run at once beside others, each in a process whose death costs no other job.

        0 where a suspect needs the whole pool.
        """
        ...

    @property
    def running(self) -> Collection[int]:
        """Attempt ids that were submitted and have not come back."""
        ...

    def submit(self, assignment: Assignment) -> None:
        """Start an assignment. Raises RuntimeError if there is no room."""
        ...

    def wait(self, timeout: float) -> list[Outcome]:
        """Return what has ended, waiting at most `timeout` seconds for the first; enforce limits and reap meanwhile.

        Raises
        ------
        PoolError
            Nothing can be run here any more; all that was submitted has been returned before.
        """
        ...

    def fileno(self) -> int:
        """A file descriptor that becomes readable when `wait(0)` may have news (an epoll descriptor will do)."""
        ...

    def cancel(self, attempt_id: int, ending: Ending) -> None:
        """End one attempt; its outcome, with that ending, comes by `wait`. Unknown ids are ignored."""
        ...

    def recall(self) -> None:
        """Give back what was submitted and has not begun: its outcome is `released`, and comes by `wait`."""
        ...

    def close(self) -> list[Outcome]:
        """End everything at once and free it; return the outcomes (`preempted`) of what ran."""
        ...
