"""The loop between a channel and a pool: claim, run, deliver, until nothing waits or somebody says stop."""

from __future__ import annotations

import math
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchml.core.attempt import Ending, Exchange, Order
from batchml.errors import PoolError
from batchml.worker.channel import BrokenChannelError, ChannelError
from batchml.worker.ledger import Ledger, NoLedger
from batchml.worker.rhythm import Rhythm
from batchml.worker.settings import Settings
from batchml.worker.signals import Never, StopSource
from batchml.worker.undelivered import Keep, Nowhere
from batchml.worker.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchml.worker.courier import Courier, Reply
    from batchml.worker.pool import Pool

__all__ = ["Loop", "Report"]

_RANK = {Order.GO_ON: 0, Order.DRAIN: 1, Order.STOP: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a worker did.

    Attributes
    ----------
    finished
        Outcomes that the pool gave back.
    refused
        Those that the registry refused, because their attempt had been closed in another way before.
    undelivered
        Those that are left on the local disk.
    reason
        Why it left: ``idle``, ``drained``, ``stopped``, ``no answer`` or that its pool is broken.
    """

    finished: int
    refused: int
    undelivered: int
    reason: str


class Loop:
    """Run what the channel gives until there is nothing left or it is told to stop.

    Parameters
    ----------
    pool, courier
        Where iterations run, and who carries exchanges. The loop closes both.
    stop
        Signals and the like.
    keep
        Takes outcomes that cannot be delivered.
    ledger
        Takes note of what is started.
    clock
        Monotonic seconds; tests give a virtual one.
    pause
        Waits for news for at most so many seconds; the default polls the descriptors of pool, courier and stop.
    """

    def __init__(
        self,
        pool: Pool,
        courier: Courier,
        settings: Settings | None = None,
        *,
        stop: StopSource | None = None,
        keep: Keep | None = None,
        ledger: Ledger | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] | None = None,
    ) -> None:
        self._pool = pool
        self._courier = courier
        self._settings = settings or Settings()
        self._stop = stop or Never()
        self._keep = keep or Nowhere()
        self._clock = clock
        self._pause = pause or self._poller()
        self._ledger = ledger or NoLedger()
        self._work = Work(pool, self._settings, self._ledger, clock())
        self._hand = self._work.hand
        self._rhythm = Rhythm(self._settings, clock())
        self._order = Order.GO_ON
        self._deadline = math.inf
        self._idle_since: float | None = None
        self._kept: set[int] = set()
        self._refused = 0
        self._failed: BaseException | None = None
        self._broken: PoolError | None = None

    def run(self) -> Report:
        """Work until nothing waits, or until told to stop; deliver everything; close pool and channel."""
        try:
            self._heed(self._stop.order)
            while not self._done():
                self._post()
                self._pause(self._timeout())
                self._step()
        finally:
            reason = self._leave()
        if (error := self._failed or self._broken) is not None:
            raise error
        return Report(
            finished=self._work.finished,
            refused=self._refused,
            undelivered=len(self._hand.undelivered),
            reason=reason,
        )

    # One turn ---------------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Take in all news, then give the pool what it can run."""
        self._heed(self._stop.order)
        now = self._clock()
        try:
            self._work.collect(self._pool.wait(0), now)
        except PoolError as error:
            self._broken = error
            self._heed(Order.STOP)
        reply = self._courier.take()
        if reply is not None:
            self._read(reply, now)
        self._work.feed(self._rhythm, now)
        self._work.give_back_stalled(now)
        self._save(now)

    def _heed(self, order: Order) -> None:
        """Take nothing new from the first wish to stop on; a stronger wish brings the deadline to now."""
        if _RANK[order] <= _RANK[self._order]:
            return
        self._order = order
        now = self._clock()
        granted = self._stop.grace_s
        grace = self._settings.grace_s if granted is None else granted
        self._deadline = now if order is Order.STOP else now + grace
        self._hand.release()
        self._pool.recall()

    def _save(self, now: float) -> None:
        """Write outcomes to the local disk that could not be delivered for a while."""
        hand = self._hand
        oldest = hand.on_its_way.oldest if hand.on_its_way and hand.on_its_way.outcomes else hand.oldest
        if now - oldest < self._settings.undelivered_s:
            return
        fresh = [outcome for outcome in hand.undelivered if outcome.attempt_id not in self._kept]
        if fresh:
            self._keep.write(fresh)
            self._kept.update(outcome.attempt_id for outcome in fresh)

    # The exchange -----------------------------------------------------------------------------------------------------

    def _post(self) -> None:
        """Start an exchange if one is due."""
        hand, rhythm = self._hand, self._rhythm
        if hand.on_its_way is not None:
            return
        now = self._clock()
        due = now >= rhythm.due(hand)
        want = self._want(now, due=due)
        if now < rhythm.retry_at or not (want or due):
            return
        self._courier.post(hand.pack(want=want, reconcile=rhythm.post(now), now=now))

    def _want(self, now: float, *, due: bool) -> int:
        """How many jobs to claim now."""
        if self._order is not Order.GO_ON or now < self._rhythm.claim_at:
            return 0
        return self._work.want(short=self._rhythm.short, due=due)

    def _read(self, reply: Reply, now: float) -> None:
        """Take in what came of an exchange."""
        hand = self._hand
        if reply.open_attempts is not None:
            hand.reconcile(reply.open_attempts, self._work.running)
        if reply.exchange is None:
            self._fail(reply, now)
            return
        self._work.delivered(reply.request.outcomes)
        hand.on_its_way = None
        self._rhythm.answered(reply, now)
        if self._kept:
            self._kept.clear()
            self._keep.clear()
        self._obey(reply.exchange, asked=reply.request.want, now=now)

    def _obey(self, exchange: Exchange, *, asked: int, now: float) -> None:
        self._refused += len(exchange.lost)
        for attempt in exchange.cancel:
            self._pool.cancel(attempt, Ending.CANCELLED)
        if exchange.cancel:
            self._hand.forget(set(exchange.cancel))
        if exchange.assignments:
            self._work.take(exchange.assignments, now)
        if asked:
            self._rhythm.claimed(exchange, asked, now)
        if exchange.assignments or exchange.waiting:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        self._heed(exchange.order)
        if self._order is not Order.GO_ON:
            self._hand.release()

    def _fail(self, reply: Reply, now: float) -> None:
        """Nothing is known about this exchange: keep everything, and ask what is open before the next."""
        self._hand.unpack()
        self._rhythm.ask_open = True
        if isinstance(reply.error, ChannelError):
            self._rhythm.failed(reply.error, now)
            if isinstance(reply.error, BrokenChannelError):
                self._heed(Order.DRAIN)
            return
        # A bug, or a registry that was replaced meanwhile: no use in going on, but what has ended is kept.
        self._failed = self._failed or reply.error
        self._heed(Order.STOP)

    # The end ----------------------------------------------------------------------------------------------------------

    def _done(self) -> bool:
        """Whether to leave the loop: drained, stopped, or nothing to do."""
        now = self._clock()
        if self._order is not Order.GO_ON:
            return not self._work.running or now >= self._deadline
        if not self._work.running and self._rhythm.forsaken(self._hand, now):
            return True
        if self._idle_since is None or self._work.busy:
            return False
        return now - max(self._idle_since, self._work.progress_at) >= self._settings.idle_s

    def _leave(self) -> str:
        """End what runs, deliver everything, or leave it on the local disk; say goodbye."""
        ended = self._pool.close()
        self._work.collect(ended, self._clock())
        self._hand.release()
        reason = self._reason()
        self._order = Order.STOP
        self._deliver_rest()
        fresh = [outcome for outcome in self._hand.undelivered if outcome.attempt_id not in self._kept]
        if fresh:
            self._keep.write(fresh)
        if not self._hand.undelivered:
            # Otherwise no goodbye: taken for lost, not for stopped, the attempts still accept their late results.
            self._courier.close(reason, 2.0)
        self._ledger.close(clean=not self._hand.undelivered)
        return reason

    def _reason(self) -> str:
        if self._broken is not None:
            return str(self._broken)
        if self._order is Order.GO_ON:
            return "no answer" if self._rhythm.forsaken(self._hand, self._clock()) else "idle"
        return "drained" if self._order is Order.DRAIN else "stopped"

    def _deliver_rest(self) -> None:
        """Deliver what has ended and give back the rest, for a while; a second wish to stop ends that soon."""
        give_up = self._clock() + self._settings.leave_s
        self._rhythm.retry_at = -math.inf
        while self._owes() and self._failed is None and (now := self._clock()) < give_up:
            if self._stop.order is Order.STOP:
                give_up = min(give_up, now + 1.0)
            if self._hand.outbox:
                self._hand.oldest = -math.inf
            self._post()
            self._pause(min(0.1, give_up - now))
            reply = self._courier.take()
            if reply is not None:
                self._read(reply, self._clock())

    def _owes(self) -> bool:
        """Whether something must still be told or asked."""
        hand = self._hand
        return bool(hand.outbox or hand.to_release or hand.on_its_way or self._rhythm.ask_open)

    # Waiting ----------------------------------------------------------------------------------------------------------

    def _timeout(self) -> float:
        """Seconds until something is due by the clock."""
        now = self._clock()
        due = self._rhythm.next(self._hand, now, free=self._pool.free > 0)
        if self._work.running:
            due = min(due, now + self._settings.tick_s, self._deadline)
        stalls_at = self._work.stalls_at
        if stalls_at is not None:
            due = min(due, stalls_at)
        if self._idle_since is not None and not self._work.busy:
            due = min(due, max(self._idle_since, self._work.progress_at) + self._settings.idle_s)
        return max(0.0, due - now)

    def _poller(self) -> Callable[[float], None]:
        poll = select.poll()
        for descriptor in (self._pool.fileno(), self._courier.fileno(), *self._stop.descriptors):
            poll.register(descriptor, select.POLLIN)
        return lambda seconds: _quietly(poll, seconds)


def _quietly(poll: select.poll, seconds: float) -> None:
    """Wait for news; round up, so that a wait of half a millisecond does not become a busy loop."""
    poll.poll(math.ceil(seconds * 1000))
