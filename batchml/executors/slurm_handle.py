"""An element of an array: listed with its siblings, stopped with them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from batchml.executors.slurm_commands import order
from batchml.executors.slurm_listing import array_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from batchml.executors.slurm_listing import Listing

__all__ = ["SlurmHandle", "cancel_waiting", "signal_running"]

_POLL_S = 2.0
_AT_ONCE = 500


class SlurmHandle:
    """One element.

    Parameters
    ----------
    array, index
        The array's number and the element's place in it.
    cluster
        SLURM's name for itself.
    log
        What the element writes.
    listing
        Shared by all handles of a submission.
    """

    def __init__(self, array: str, index: int, cluster: str, log: Path, listing: Listing) -> None:
        self.array = array
        self.index = index
        self.cluster = cluster
        self.log = log
        self._listing = listing

    @property
    def name(self) -> str:
        """SLURM's name for it: ``12_0``."""
        return f"{self.array}_{self.index}"

    @property
    def allocation(self) -> str:
        """The array, for the registry to remember."""
        return f"{self.array}@{self.cluster}"

    @property
    def outlives(self) -> bool:
        """The element lives on when this session ends."""
        return True

    @property
    def state(self) -> str:
        """SLURM's word for its state, "" if SLURM could not be asked or does not know it."""
        self._listing.look({self.array})
        found = self._listing.state(self.name)
        return "" if found is None else found.state

    def alive(self) -> bool:
        """Whether it waits or runs, as far as SLURM could be asked."""
        told = self._listing.look({self.array})
        found = self._listing.state(self.name)
        return not told if found is None else not found.ended

    def stop(self, *, now: bool = False) -> None:
        """Take it out of the queue, or ask it to finish what runs and leave; `now`: to end that, too."""
        self.stop_all([self], now=now)

    @staticmethod
    def stop_all(handles: Sequence[SlurmHandle], *, now: bool = False) -> None:
        """Stop many with a few calls."""
        names = [handle.name for handle in handles]
        cancel_waiting(names)
        if handles:
            handles[0]._listing.look({handle.array for handle in handles}, now=True)  # noqa: SLF001 - of this class
            running = [handle.name for handle in handles if handle.state == "RUNNING"]
            signal_running(running, now=now)

    @staticmethod
    def drop_waiting(handles: Sequence[SlurmHandle]) -> None:
        """Take those that have not started out of the queue."""
        cancel_waiting([handle.name for handle in handles])

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end; False if it has not come in `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.alive():
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S if deadline is None else min(_POLL_S, max(0.0, deadline - time.monotonic())))
        return True

    def last_words(self, lines: int = 20) -> str:
        """Return the end of what it has written."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def __repr__(self) -> str:
        return f"SlurmHandle({self.name}@{self.cluster})"


def cancel_waiting(names: Iterable[str]) -> None:
    """Take elements, or whole arrays, out of the queue; those that run are left alone."""
    for part in _parts(names):
        order("scancel", "--quiet", "--state=PENDING", *part)


def signal_running(names: Iterable[str], *, now: bool = False) -> None:
    """Ask elements that run to drain; `now`: to end at once."""
    for part in _parts(names):
        order("scancel", "--quiet", "--batch", "--signal=USR1", *part)
        if now:
            # Another number: two of the same might reach the worker as one.
            order("scancel", "--quiet", "--batch", "--signal=TERM", *part)


def _parts(names: Iterable[str]) -> list[list[str]]:
    every = sorted(set(names), key=lambda name: (int(array_of(name)), name))
    return [every[start : start + _AT_ONCE] for start in range(0, len(every), _AT_ONCE)]
