"""When the supervisor listens to a slot and its keeper: at once, or after a nap while the slot has enough to do."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchml.execution.sandbox.handle import Handle
    from batchml.execution.sandbox.watch import Watch

__all__ = ["Ear"]

_REST = 0.005
"""Seconds between two looks at a log that is being written: one wake-up for many lines."""

_NAP = 0.005
"""Most seconds for which a slot that has enough to do is not listened to: one wake-up for many reports."""

_SHORTEST_NAP = 0.001

_BUSY_LOG = 256 * 1024


class Ear:
    """Listens to a slot and its keeper.

    Parameters
    ----------
    handle
        The slot.
    watch
        Where its descriptors are watched.
    on_slot, on_keeper
        Take in what the slot, and what its keeper has to say.
    """

    def __init__(
        self, handle: Handle, watch: Watch, on_slot: Callable[[], None], on_keeper: Callable[[], None]
    ) -> None:
        self._handle = handle
        self._watch = watch
        self._on_slot = on_slot
        self._on_keeper = on_keeper
        self._nap = math.inf  # until when the slot is not listened to

    @property
    def naps(self) -> bool:
        """Whether the slot is not listened to for a while."""
        return self._nap < math.inf

    def listen(self) -> None:
        """Listen to a keeper, and to its slot."""
        self._watch.add(self._handle.control.fileno(), self._on_keeper)
        self.listen_slot()

    def listen_slot(self) -> None:
        """Listen to a slot and its log."""
        self._nap = math.inf
        self._watch.add(self._handle.link.fileno(), self._on_slot)
        self._watch.add(self._handle.sink.fd, self._hear_log)

    def deafen_slot(self) -> None:
        """Forget a slot and its log, before they are closed."""
        self._watch.drop(self._handle.link.fileno())
        self._watch.drop(self._handle.sink.fd)

    def deafen(self) -> None:
        """Forget a keeper and its slot, before they are closed."""
        self.deafen_slot()
        self._watch.drop(self._handle.control.fileno())
        if self._handle.pidfd is not None:
            self._watch.drop(self._handle.pidfd)

    def doze(self, seconds: float) -> None:
        """Stop listening to the slot for a while if what was sent to it will take long enough, else listen again."""
        nap = min(_NAP, seconds / 2)
        if nap >= _SHORTEST_NAP:
            if not self.naps:
                self._watch.rest(self._handle.link.fileno(), on=True)
                self._rest_log(math.inf)
                self._watch.rest(self._handle.sink.fd, on=True)
            self._nap = time.monotonic() + nap
            self._watch.wake_at(min(self._watch.alarm, self._nap))
        elif self.naps:
            self._nap = math.inf
            self._watch.rest(self._handle.link.fileno(), on=False)
            self._rest_log(math.inf)

    def wake(self, now: float) -> None:
        """Listen to what was put off until now."""
        if now + _SHORTEST_NAP >= self._nap:  # slots that are heard together cost one wake-up
            self._handle.sink.drain()
            self._on_slot()
        elif now >= self._handle.sink.rests_until:
            self._rest_log(math.inf)

    def next(self) -> float:
        """Return when `wake` has something to do."""
        return min(self._handle.sink.rests_until, self._nap)

    def _hear_log(self) -> None:
        sink = self._handle.sink
        if sink.drain() < _BUSY_LOG:
            self._rest_log(time.monotonic() + _REST)
        if sink.ended:
            self._watch.drop(sink.fd)

    def _rest_log(self, until: float) -> None:
        self._handle.sink.rests_until = until
        self._watch.rest(self._handle.sink.fd, on=until < math.inf)
