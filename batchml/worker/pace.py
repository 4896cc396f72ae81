"""How many jobs to claim: by measured run times, to about a tenth of a second of work per slot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchml.core.attempt import Assignment, Outcome

__all__ = ["Pace"]

_NEW_SHARE = 0.2  # weight of the newest measurement: a few jobs suffice to follow a change
_SHORTEST_S = 1e-6
_REMEMBERED = 10_000
_MOST_PER_SLOT = 512  # what a death may cost, and a batch that a database takes in well under 250 ms


class Pace:
    """Remember how long iterations take, experiment by experiment, and size claims by it.

    Parameters
    ----------
    ahead_s
        Work to hold per slot, in seconds.
    """

    def __init__(self, ahead_s: float) -> None:
        self._ahead_s = ahead_s
        self._seconds: dict[int, float] = {}
        self._latest: int | None = None

    def expect(self, assignments: Iterable[Assignment]) -> None:
        """Take note of newly claimed work and of what the registry knows about its run time."""
        if len(self._seconds) > _REMEMBERED:
            self._seconds.clear()
        for assignment in assignments:
            self._latest = assignment.experiment.id
            if assignment.expected_s is not None:
                self._seconds.setdefault(self._latest, assignment.expected_s)

    def measure(self, experiment_id: int, outcome: Outcome) -> None:
        """Learn from a finished iteration."""
        if not outcome.wall_s:  # it did not run
            return
        before = self._seconds.get(experiment_id)
        if before is None:
            self._seconds[experiment_id] = outcome.wall_s
        else:
            # A geometric mean: the first job, a hundred times slower for what it imports, is soon forgotten.
            ratio = max(outcome.wall_s, _SHORTEST_S) / max(before, _SHORTEST_S)
            self._seconds[experiment_id] = before * ratio**_NEW_SHARE

    def stall(self, experiment_id: int, seconds: float) -> None:
        """Nothing has finished for `seconds`: the work in hand takes at least that long."""
        self._seconds[experiment_id] = max(seconds, self._seconds.get(experiment_id, 0.0))

    def target(self, slots: int) -> int | None:
        """Return how many attempts to hold, running ones included; None while nothing is known about their run time."""
        if self._latest is None or (seconds := self._seconds.get(self._latest)) is None:
            return None
        per_slot = min(self._ahead_s / max(seconds, _SHORTEST_S), _MOST_PER_SLOT)
        return math.floor(slots * max(1.0, per_slot))
