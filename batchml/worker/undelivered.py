"""Outcomes that could not be delivered survive on the local disk, until the next worker or `resume` ingests them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchml.core.attempt import Outcome

__all__ = ["Keep", "Nowhere"]


class Keep(Protocol):
    """Where outcomes survive this process while the registry cannot be reached."""

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Make outcomes durable here."""
        ...

    def clear(self) -> None:
        """The registry has everything that was written."""
        ...


class Nowhere:
    """Keep nothing."""

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Forget them."""

    def clear(self) -> None:
        """There is nothing to clear."""
