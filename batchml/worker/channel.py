"""The seam between a worker and the registry: how a worker takes work and gives it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchml.core.attempt import Assignment, Exchange, Outcome

__all__ = ["BrokenChannelError", "Channel", "ChannelError"]


class ChannelError(ConnectionError):
    """The exchange did not come to an answer: nothing is known about what became of it."""


class BrokenChannelError(ChannelError):
    """Outcomes cannot be delivered, and waiting may not help: the worker finishes what runs and leaves."""


class Channel(Protocol):
    """How a worker takes work and gives it back. Used by one thread at a time."""

    def exchange(self, outcomes: Sequence[Outcome], released: Sequence[int], want: int) -> Exchange:
        """Deliver outcomes, give attempts back unstarted, claim up to `want` jobs and beat, in one transaction.

        Raises
        ------
        ChannelError
            The transaction may or may not have been committed: ask `open_attempts` before going on.
        PoisonedError
            an outcome is refused by the database for what it holds;
            nothing was committed.
        """
        ...

    def open_attempts(self) -> Sequence[Assignment]:
        """Return this worker's attempts that the registry holds open."""
        ...

    def close(self, reason: str) -> None:
        """Say that this worker has stopped, and free what the channel holds. Never raises."""
        ...
