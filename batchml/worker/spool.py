"""The channel of workers that reach no database: files on a shared disk."""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import time
from typing import TYPE_CHECKING

from batchml.core.attempt import Exchange, Order
from batchml.errors import PoisonedError
from batchml.worker.channel import BrokenChannelError, ChannelError
from batchml.worker.spool_claims import Claims
from batchml.worker.spool_folder import EVERYBODY
from batchml.worker.spool_segment import Segment, notice, outcome_frame, segment_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchml.core.attempt import Assignment, Outcome
    from batchml.worker.allocation import Allocation
    from batchml.worker.probe import Probe
    from batchml.worker.spool_folder import SpoolFolder
    from batchml.worker.spool_segment import SpoolWorker

__all__ = ["SpoolChannel"]

_CAUTION = 1.2  # times the median: half of the jobs take longer than that
_ORDERS_S = 1.0
_BEAT_S = 5.0
_PATIENCE_S = 3.0
_LARGEST = 2**63
_SEVERITY = {Order.GO_ON: 0, Order.DRAIN: 1, Order.STOP: 2}
_log = logging.getLogger(__name__)


class SpoolChannel:
    """Take bundles of work from a folder, and write outcomes to a segment in it.

    The registry learns of it at the next `batchml sync`, so an answer never says that an outcome came too late.

    Parameters
    ----------
    folder
        On a disk that the registry's host sees, too.
    registry
        The registry's own id: bundles of another are refused.
    worker
        Who this is.
    probe
        Finds out in which environment it runs; None where the registry shall not know.
    allocation
        Where it runs: jobs that would outlast it are left to others.
    orders_s
        Seconds between two looks for orders.
    """

    def __init__(
        self,
        folder: SpoolFolder,
        registry: str,
        worker: SpoolWorker,
        *,
        probe: Probe | None = None,
        allocation: Allocation | None = None,
        orders_s: float = _ORDERS_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._probe = probe
        self._allocation = allocation
        self._clock = clock
        self._orders_s = orders_s
        self._orders: tuple[Order, frozenset[int]] = (Order.GO_ON, frozenset())
        self._look_at = -math.inf
        self._spoke_at = clock()
        self._held: dict[int, Assignment] = {}
        self._told: dict[int, str] = {}  # what was said of attempts: a second word about one is refused
        self._untold: list[bytes] = []
        self._segment = Segment(folder.segments / segment_name(worker), worker, clock=clock)
        self._claims = Claims(
            folder, self.name, registry, has_time_for=self._has_time_for, listed_s=orders_s, clock=clock
        )
        self._claims.inherit(worker)

    @property
    def name(self) -> str:
        """The name of its segment."""
        return self._segment.name

    # -- the exchange ------------------------------------------------------------------------------------------------

    def exchange(self, outcomes: Sequence[Outcome], released: Sequence[int], want: int) -> Exchange:
        """See `Channel.exchange`."""
        try:
            return self._exchange(outcomes, released, want)
        except ChannelError:
            raise
        except OSError as error:
            raise ChannelError(f"the spool in {self._folder.root} does not answer: {error}") from error

    def _exchange(self, outcomes: Sequence[Outcome], released: Sequence[int], want: int) -> Exchange:
        fresh = {each.attempt_id: each for each in outcomes if each.attempt_id not in self._told}
        lost = tuple(e.attempt_id for e in outcomes if self._told.get(e.attempt_id, e.ending.value) != e.ending.value)
        frames = [_storable(each) for each in fresh.values()]
        back = [attempt_id for attempt_id in released if attempt_id in self._held and attempt_id not in fresh]
        order, cancel = self._heed()
        left = self._held.keys() - fresh.keys() - set(back)
        given = self._claims.choose(want, [self._held[key] for key in left]) if order is Order.GO_ON else []
        frames += [notice("refuse", bundle=bundle, why=why) for bundle, why in self._claims.refused]
        frames += [notice("release", ids=back)] if back else []
        frames += [notice("begin", ids=[each.attempt_id for each in given], at=time.time())] if given else []
        # Before any of it is begun: what a worker may have begun is what its death is charged to.
        self._write(frames)
        self._told.update({key: each.ending.value for key, each in fresh.items()})
        self._held = {key: each for key, each in self._held.items() if key in left}
        self._held.update(self._claims.take({each.attempt_id for each in given}))
        self._claims.refused.clear()
        self._note_environment()
        return Exchange(
            assignments=tuple(given),
            lost=lost,
            order=order,
            cancel=tuple(sorted(cancel & self._held.keys())),
            waiting=self._claims.waiting(),
        )

    def open_attempts(self) -> Sequence[Assignment]:
        """See `Channel.open_attempts`."""
        return tuple(self._held.values())

    def close(self, reason: str) -> None:
        """See `Channel.close`: what was not begun is offered to the others."""
        self._note_environment(_PATIENCE_S)
        if self._probe is not None:
            self._probe.close()
        try:
            self._claims.give_back()
            self._write([notice("bye", reason=reason)])
        except OSError as error:  # the scheduler, or resume, will find out that this process is gone
            _log.warning("could not take leave in the spool: %s", error)
        self._segment.close()

    def give_up(self, undelivered: int) -> None:
        """Say, if there is room for as much, that outcomes could not be written; their attempts are nobody's fault."""
        reason = f"infrastructure: {socket.gethostname()}: {undelivered} outcomes could not be written to the spool"
        with contextlib.suppress(OSError):
            self._segment.append([notice("bye", reason=reason)])
        self._segment.close()

    def _write(self, frames: Sequence[bytes]) -> None:
        """Append; where there is nothing to say, a sign of life."""
        now = self._clock()
        if not frames and not self._untold and now < self._spoke_at + _BEAT_S:
            return
        try:
            self._segment.append([*self._untold, *frames] or [notice("beat")])
        except OSError as error:
            raise BrokenChannelError(
                f"infrastructure: {socket.gethostname()}: the spool in {self._folder.root} cannot be written: "
                f"{error.strerror}; what was not written is run again"
            ) from error
        self._untold = []
        self._spoke_at = now

    def _note_environment(self, patience_s: float = 0.0) -> None:
        found = None if self._probe is None else self._probe.look(patience_s)
        if found is not None:
            self._untold.append(notice("environment", found=found))

    def _heed(self) -> tuple[Order, frozenset[int]]:
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + self._orders_s
            mine, cancel = self._folder.orders(self.name)
            others, _ = self._folder.orders(EVERYBODY)
            self._orders = max(mine, others, key=_SEVERITY.__getitem__), cancel
            if dropped := self._claims.drop(cancel):  # the registry is told that nobody holds them
                self._untold.append(notice("release", ids=dropped))
        return self._orders

    def _has_time_for(self, seconds: float | None) -> bool:
        left = None if self._allocation is None else self._allocation.left_s
        return left is None or not seconds or seconds * _CAUTION <= left


def _storable(outcome: Outcome) -> bytes:
    """Return an outcome as a frame; what no database takes is refused here, where its worker can still say so."""
    numbers = (outcome.signal, outcome.threads, *(() if outcome.result is None else (outcome.result.n,)))
    if any(number is not None and abs(number) >= _LARGEST for number in numbers):
        raise PoisonedError(f"an outcome cannot be stored: a number of attempt {outcome.attempt_id} is too large")
    return outcome_frame(outcome)
