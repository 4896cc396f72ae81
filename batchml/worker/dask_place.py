"""What a supervisor knows of one Dask worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["Place"]


@dataclass(slots=True)
class Place:
    """A Dask worker.

    Attributes
    ----------
    slots
        How many iterations run there at once.
    host
        The machine it is on, "" while that is not known.
    fit, unfit
        Whether iterations can run there, None while that is not known, and why not.
    visit
        Finds that out.
    kept_for
        The suspect that has it for itself.
    busy_until
        Before this moment it takes nothing.
    leaves
        It has said that it will end.
    missed_at
        Since when the scheduler does not know it any more.
    shipped
        Tables that it has been sent.
    """

    slots: int = 0
    host: str = ""
    fit: bool | None = None
    visit: asyncio.Task[None] | None = None
    unfit: str = ""
    kept_for: object | None = None
    busy_until: float = 0.0
    leaves: bool = False
    missed_at: float | None = None
    shipped: dict[str, asyncio.Task[None]] = field(default_factory=dict)
