"""What SLURM says about elements: one `squeue`, and `sacct` where it exists, for all of them."""

from __future__ import annotations

import itertools
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchml.executors.slurm_commands import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["ENDED", "Element", "Listing", "array_of"]

ENDED = frozenset(
    (
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    )
)
"""All other states are taken for those of an element that still lives: a new word of SLURM is no death."""

_ONE = re.compile(r"\d+_\d+")
_FORMAT = "JobArrayID:60,State:40,RestartCnt:12,exit_code:12,TimeLeft:24,Name:64,Reason:80"

_COLUMNS = (0, 60, 100, 112, 124, 148, 212, 292)


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element as SLURM knows it.

    Attributes
    ----------
    state
        SLURM's word: ``RUNNING``, ``NODE_FAIL``, ...
    restarts
        How often it was requeued.
    signal
        The signal that ended it, 0 for none.
    left
        Time left, as SLURM writes it.
    job
        The name that its array was submitted with.
    reason
        Why it waits, or what ended it.
    """

    state: str
    restarts: int = 0
    signal: int = 0
    left: str = ""
    job: str = ""
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Whether SLURM will do no more with it. A state that nobody has heard of is no end."""
        return self.state in ENDED


def array_of(name: str) -> str:
    """Return the number of the array that an element, ``"12_3"``, belongs to."""
    return name.partition("_")[0]


class Listing:
    """The newest list of some arrays' elements, asked for at most every `poll_s` seconds.

    SLURM's numbers begin again some day: a job is taken for an element only if it also has the name that its array was
    submitted with. What else has that number is somebody else's.

    Attributes
    ----------
    poll_s
        As given.
    known
        Elements by name, as of the last list.
    listed_at
        When, by the monotonic clock, the last query that succeeded was made; None for never. A query that fails leaves
        everything as it was: it proves nothing.
    """

    def __init__(self, poll_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.poll_s = poll_s
        self._clock = clock
        self._tried_at: float | None = None
        self._arrays: set[str] = set()
        self._settled: set[str] = set()  # arrays of which every element has ended
        self._accounting = shutil.which("sacct") is not None
        self.known: dict[str, Element] = {}
        self.listed_at: float | None = None

    def look(self, arrays: Collection[str], *, now: bool = False) -> bool:
        """Bring the list up to date if it is due, or lacks one of these arrays; say whether it can be relied on.

        Parameters
        ----------
        arrays
            Numbers of arrays.
        now
            Ask in any case.
        """
        due = self._tried_at is None or self._clock() - self._tried_at >= self.poll_s
        if arrays and (now or due or not self._arrays.issuperset(arrays)):
            self._arrays |= set(arrays)
            self._tried_at = self._clock()
            self._ask()
        return self.listed_at is not None and self.listed_at == self._tried_at

    def _ask(self) -> None:
        wanted = sorted(self._arrays - self._settled, key=int)
        if not wanted:
            self.listed_at = self._tried_at
            return
        words = ("--noheader", "--array", "--states=all", f"--jobs={','.join(wanted)}", f"--Format={_FORMAT}")
        answer = ask("squeue", *words, timeout_s=30.0)
        if answer.status != 0 and "invalid job id" not in answer.err.lower():
            return
        self.listed_at = self._tried_at
        self.known = {name: each for name, each in self.known.items() if array_of(name) in self._settled}
        self.known |= dict(_squeue(answer.out))
        missing = set(wanted) - {array_of(name) for name in self.known}
        if missing and self._accounting:
            self._ask_accounting(missing)
        live = {array_of(name) for name, each in self.known.items() if not each.ended}
        self._settled = {array_of(name) for name in self.known} - live

    def _ask_accounting(self, arrays: Collection[str]) -> None:
        """Old jobs: SLURM's controller forgets them after some minutes, its accounting does not."""
        # Without a start, sacct looks at today only; a year is more than a benchmark takes.
        words = (
            "--noheader",
            "--parsable2",
            "--allocations",
            "--starttime=now-365days",
            "--format=JobID,State,ExitCode,JobName",
        )
        answer = ask("sacct", *words, f"--jobs={','.join(sorted(arrays, key=int))}", timeout_s=30.0)
        if answer.status != 0:
            # Not configured here: it would say the same every time.
            self._accounting = "disabled" not in answer.err.lower()
            return
        for line in answer.out.splitlines():
            name, state, code, job = line.split("|", 3)
            # "CANCELLED by 1000"
            element = Element(state=state.partition(" ")[0], signal=_number(code.partition(":")[2]), job=job)
            # What the controller has lost without an end runs on in its accounting for ever.
            if element.ended:
                self.known[name] = element

    def state(self, name: str, job: str) -> Element | None:
        """Return what the last list says about an element of the array called `job`, None if it does not know it."""
        found = self.known.get(name)
        if found is None:
            # Elements that never started may be listed together, as "12_[3-9%2]" or just "12".
            array = array_of(name)
            together = [each for key, each in self.known.items() if array_of(key) == array and not _ONE.fullmatch(key)]
            found = together[0] if together else None
        return found if found is not None and found.job == job else None

    def elements(self, arrays: Collection[str], job: str) -> dict[str, Element]:
        """Return what the last list says about the elements of some arrays, all called `job`, by their names."""
        return {name: each for name, each in self.known.items() if array_of(name) in arrays and each.job == job}


def _squeue(text: str) -> list[tuple[str, Element]]:
    found = []
    for line in text.splitlines():
        parts = [line[start:end].strip() for start, end in itertools.pairwise(_COLUMNS)]
        name, state, restarts, code, left, job, reason = parts
        if name:
            element = Element(
                state=state.partition(" ")[0],
                restarts=_number(restarts),
                signal=_signal(code),
                left=left,
                job=job,
                reason=reason,
            )
            found.append((name, element))
    return found


def _number(word: str) -> int:
    return int(word) if word.isdecimal() else 0


def _signal(word: str) -> int:
    """`squeue` writes the status of a process as `wait` gives it, or status and signal."""
    status, found, signal = word.partition(":")
    return _number(signal) if found else _number(status) & 127
