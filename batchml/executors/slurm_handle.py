"""An element of an array: listed with its siblings, stopped with them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from batchml.errors import SchedulerError
from batchml.executors.slurm_commands import order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from batchml.executors.slurm_listing import Listing

__all__ = ["SlurmHandle", "cancel_waiting", "signal_running"]

_POLL_S = 2.0
_AT_ONCE = 100


class SlurmHandle:
    """One element.

    Parameters
    ----------
    array, index
        The array's number and the element's place in it.
    job
        The name that the array was submitted with, which no other has.
    cluster
        SLURM's name for itself.
    log
        What the element writes.
    listing
        Shared by all handles of a submission.
    """

    def __init__(self, array: str, index: int, job: str, cluster: str, log: Path, listing: Listing) -> None:
        self.array = array
        self.index = index
        self.job = job
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
        found = self._listing.state(self.name, self.job)
        return "" if found is None else found.state

    def alive(self) -> bool:
        """Whether it waits or runs, as far as SLURM could be asked."""
        told = self._listing.look({self.array})
        found = self._listing.state(self.name, self.job)
        return not told if found is None else not found.ended

    def stop(self, *, now: bool = False) -> None:
        """Take it out of the queue, or ask it to finish what runs and leave; `now`: to end that, too."""
        self.stop_all([self], now=now)

    @staticmethod
    def stop_all(handles: Sequence[SlurmHandle], *, now: bool = False) -> None:
        """Stop many with a few calls."""
        cancel_waiting({handle.name: handle.job for handle in handles})
        if handles:
            handles[0]._listing.look({handle.array for handle in handles}, now=True)  # noqa: SLF001 - of this class
            signal_running({handle.name: handle.job for handle in handles if handle.state == "RUNNING"}, now=now)

    @staticmethod
    def drop_waiting(handles: Sequence[SlurmHandle]) -> None:
        """Take those that have not started out of the queue."""
        cancel_waiting({handle.name: handle.job for handle in handles})

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end; False if it has not come in `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.alive():
            if deadline is not None and time.monotonic() >= deadline:
                return False
            pause = min(_POLL_S, self._listing.poll_s)
            time.sleep(pause if deadline is None else min(pause, max(0.0, deadline - time.monotonic())))
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


def cancel_waiting(elements: Mapping[str, str]) -> None:
    """Take elements, or whole arrays, out of the queue; those that run are left alone.

    Parameters
    ----------
    elements
        SLURM's names for them, each with the name that its array was submitted with.
    """
    _scancel(elements, "--state=PENDING")


def signal_running(elements: Mapping[str, str], *, now: bool = False) -> None:
    """Ask elements that run to drain; `now`: to end at once."""
    _scancel(elements, "--batch", "--signal=USR1", "--state=RUNNING")
    if now:
        # Another number: two of the same might reach the worker as one.
        _scancel(elements, "--batch", "--signal=TERM", "--state=RUNNING")


def _scancel(elements: Mapping[str, str], *options: str) -> None:
    for job in dict.fromkeys(elements.values()):
        for part in _words([name for name, its in elements.items() if its == job]):
            try:
                # With the name, since its number may belong to another job by now.
                order("scancel", "--quiet", f"--name={job}", *options, *part)
            except SchedulerError as error:
                if not str(error).endswith("status 1"):  # what it says, quietly, of elements that have just ended
                    raise


def _words(names: Sequence[str]) -> list[list[str]]:
    """Return words for `scancel`: the elements of an array together, as ``12_[0-3,7]``."""
    indices: dict[str, list[int]] = {}
    words = []
    for name in sorted(set(names)):
        array, found, index = name.partition("_")
        if found and index.isdecimal():
            indices.setdefault(array, []).append(int(index))
        else:
            words.append(name)
    words += [f"{array}_[{_ranges(sorted(some))}]" for array, some in indices.items()]
    return [words[start : start + _AT_ONCE] for start in range(0, len(words), _AT_ONCE)]


def _ranges(numbers: Sequence[int]) -> str:
    """Return ``0-3,7`` for 0, 1, 2, 3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
