"""Which slot gets which attempt: one that does nothing first, then, behind jobs of milliseconds, one that is busy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

    from batchml.worker.running import Running
    from batchml.worker.seat import Seat

__all__ = ["Seating"]

_SHORT = 0.02
"""Seconds: a job that is expected to take less is sent to a slot before the one in front of it has ended.

So much work may wait there, and so long may it: then what has not begun is given to other slots, or to the registry.
"""

_AHEAD = 16
"""Jobs that may wait in a slot at most."""

_STALLED = 1.0
"""Seconds after which nothing may wait any longer behind a job."""

_EXPERIMENTS = 4096


class Seating:
    """Who comes next, and where.

    Parameters
    ----------
    lobby
        What waits for a slot, the next first.
    """

    def __init__(self, lobby: deque[Running]) -> None:
        self.seats: Sequence[Seat] = ()
        self._lobby = lobby
        self._recent: dict[int, float] = {}  # wall time of an experiment's last job

    def note(self, experiment: int, wall_s: float | None) -> None:
        """Take note of how long a job of an experiment took, None if it has not ended by itself."""
        if len(self._recent) > _EXPERIMENTS:
            self._recent.clear()
        self._recent[experiment] = math.inf if wall_s is None else wall_s

    def held(self) -> list[Running]:
        """Return all attempts that run or wait."""
        found = [*self._lobby]
        for seat in self.seats:
            found += [seat.running, *seat.queued] if seat.running is not None else seat.queued
        return found

    def places(self, ahead: int = _AHEAD) -> int:
        """Return how many more attempts slots would take, if at most so many wait behind a running one."""
        places = sum(1 if seat.running is None else self._more(seat, ahead) for seat in self.seats)
        return max(0, places - len(self._lobby))

    def dispatch(self) -> None:
        """Give work to idle slots first, then ahead of time to those whose job will take milliseconds."""
        self.hand_out()
        # Nothing may wait behind a running job while a slot has nothing to do.
        for seat in self.seats:
            if seat.queued and self._idle() is not None and seat.recall():
                self.hand_out()

    def hand_out(self) -> None:
        """Give what waits to slots as long as there is one for the next."""
        while self._lobby:
            running = self._lobby[0]
            running.expected_s = self._expected(running)
            seat = self._idle(running.data) or (self._busy(running.data) if running.expected_s < _SHORT else None)
            if seat is None:
                return
            seat.start(self._lobby.popleft())

    def release_stalled(self, now: float) -> bool:
        """Do not let jobs wait behind one that takes much longer than was expected; others may have time for them.

        Returns
        -------
        bool
            Whether all slots are at such a job.
        """
        stalled = [seat for seat in self.seats if seat.running is not None and now - seat.running.started > _STALLED]
        for seat in stalled:
            seat.recall()
        self.dispatch()
        return len(stalled) == len(self.seats)

    def _idle(self, data: str = "") -> Seat | None:
        """Return a slot that does nothing: rather one that has a table open, and rather one that has started up."""
        found = None
        for seat in self.seats:
            if seat.running is None:
                if seat.holds(data):
                    return seat
                if found is None or (seat.handle.up and seat.handle.alive and not found.handle.up):
                    found = seat
        return found

    def _busy(self, data: str) -> Seat | None:
        """Return the slot with the least work, of those that may be sent more; rather one that has a table open."""
        found = [seat for seat in self.seats if self._more(seat, _AHEAD)]
        return min(found, key=lambda seat: (not seat.holds(data), len(seat.queued)), default=None)

    def _more(self, seat: Seat, most: int) -> int:
        """Return how many more jobs a busy slot may be sent, if at most so many wait there."""
        running, waiting = seat.running, len(seat.queued)
        if running is None or waiting >= most or running.ending is not None or not seat.handle.up:
            return 0
        seconds, room = self._expected(running), _SHORT - seat.ahead_s
        if seconds >= _SHORT or room <= 0 or running.wall_s > _STALLED:
            return 0
        return min(most - waiting, math.ceil(room / max(seconds, 1e-6)))

    def _expected(self, running: Running) -> float:
        """Return how long a job will take, infinite if that is not known."""
        expected = self._recent.get(running.assignment.experiment.id, running.assignment.expected_s)
        return math.inf if expected is None else expected
