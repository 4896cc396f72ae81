"""The loop between a channel and a pool: claim, run, deliver, until nothing waits or somebody says stop."""

from __future__ import annotations

import math
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchml.core.attempt import Assignment, Ending, Exchange, Order, Outcome
from batchml.worker.channel import ChannelError
from batchml.worker.hand import Hand
from batchml.worker.pace import Pace
from batchml.worker.rhythm import Rhythm
from batchml.worker.settings import Settings
from batchml.worker.signals import Never, StopSource
from batchml.worker.undelivered import Keep, Nowhere

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
        Why it left: ``idle``, ``drained``, ``stopped`` or ``no answer``.
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
        self._hand = Hand()
        self._pace = Pace(self._settings.ahead_s)
        self._running: dict[int, int] = {}  # attempts in the pool, with their experiments
        self._alone: int | None = None
        self._rhythm = Rhythm(self._settings, clock())
        self._progress_at = clock()
        self._order = Order.GO_ON
        self._deadline = math.inf
        self._idle_since: float | None = None
        self._kept: set[int] = set()
        self._finished = self._refused = 0
        self._failed: BaseException | None = None

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
        if self._failed is not None:
            raise self._failed
        return Report(
            finished=self._finished,
            refused=self._refused,
            undelivered=len(self._hand.undelivered),
            reason=reason,
        )

    # One turn ---------------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Take in all news, then give the pool what it can run."""
        self._heed(self._stop.order)
        now = self._clock()
        self._collect(self._pool.wait(0), now)
        reply = self._courier.take()
        if reply is not None:
            self._read(reply, now)
        self._feed(now)
        if self._hand.backlog and now - self._progress_at >= self._settings.stall_s:
            self._stalled(now)
        self._save(now)

    def _heed(self, order: Order) -> None:
        """Take nothing new from the first wish to stop on; a stronger wish brings the deadline to now."""
        if _RANK[order] <= _RANK[self._order]:
            return
        self._order = order
        now = self._clock()
        self._deadline = now if order is Order.STOP else now + self._settings.grace_s
        self._hand.release()

    def _collect(self, outcomes: list[Outcome], now: float) -> None:
        if not outcomes:
            return
        self._progress_at = now
        self._finished += len(outcomes)
        for outcome in outcomes:
            experiment = self._running.pop(outcome.attempt_id, None)
            if experiment is not None:
                self._pace.measure(experiment, outcome)
            if outcome.attempt_id == self._alone:
                self._alone = None
        self._hand.put(outcomes, now)

    def _feed(self, now: float) -> None:
        """Start what can start. A suspect has the worker for itself, and nothing else may be open when it dies."""
        hand = self._hand
        if self._alone is not None:
            hand.release_backlog()
            return
        if hand.suspect is not None:
            hand.release_backlog()
            if not self._running and hand.settled:
                self._alone = hand.suspect.attempt_id
                self._start(hand.suspect)
                hand.suspect = None
                self._progress_at = now
            return
        if not hand.backlog or self._rhythm.distrusts(now):
            return
        for _ in range(min(self._pool.free, len(hand.backlog))):
            self._start(hand.backlog.popleft())

    def _start(self, assignment: Assignment) -> None:
        self._running[assignment.attempt_id] = assignment.experiment.id
        self._pool.submit(assignment)

    def _stalled(self, now: float) -> None:
        """Give back what others could run now, and remember how slow this work is."""
        if self._pool.free:
            return
        for assignment in self._hand.backlog:
            self._pace.stall(assignment.experiment.id, now - self._progress_at)
        self._hand.release_backlog()

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
        """How many jobs to claim now: none, unless half of the work ahead is used up or a slot is free.

        A claim is half as much again as the work ahead, and an exchange that is `due` anyway takes along what is
        missing: so short jobs cost one exchange in the time in which outcomes may wait, not one to claim and one to
        deliver.
        """
        hand = self._hand
        if self._order is not Order.GO_ON or now < self._rhythm.claim_at:
            return 0
        if self._alone is not None or hand.suspect is not None:
            return 0
        slots = self._pool.slots
        target = self._pace.target(slots)
        ahead = len(hand.backlog)
        if target is None:
            return max(self._pool.free - ahead, 0)
        held = len(self._running) + ahead
        # Near the end of the queue the registry shares out the rest: asking again and again would undo that.
        enough = min(target // 2, 2 * slots - 1) if self._rhythm.short else target if due else target // 2
        if ahead and held > enough:
            return 0
        free = self._pool.free - ahead
        if free <= 0 and held > enough:
            return 0
        return max(target + (target - slots) // 2 - held, free, 0)

    def _read(self, reply: Reply, now: float) -> None:
        """Take in what came of an exchange."""
        hand = self._hand
        if reply.open_attempts is not None:
            hand.reconcile(reply.open_attempts, self._running)
        if reply.exchange is None:
            self._fail(reply, now)
            return
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
            if not self._hand.backlog and not self._running:
                self._progress_at = now
            self._pace.expect(exchange.assignments)
            self._hand.take(exchange.assignments)
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
            return
        # A bug, or a registry that was replaced meanwhile: no use in going on, but what has ended is kept.
        self._failed = self._failed or reply.error
        self._heed(Order.STOP)

    # The end ----------------------------------------------------------------------------------------------------------

    def _done(self) -> bool:
        """Whether to leave the loop: drained, stopped, or nothing to do."""
        now = self._clock()
        if self._order is not Order.GO_ON:
            return not self._running or now >= self._deadline
        if not self._running and self._rhythm.forsaken(self._hand, now):
            return True
        if self._idle_since is None or self._busy:
            return False
        return now - max(self._idle_since, self._progress_at) >= self._settings.idle_s

    @property
    def _busy(self) -> bool:
        """Whether anything is in hand."""
        hand = self._hand
        return bool(self._running or hand.backlog or hand.suspect or hand.outbox or hand.on_its_way)

    def _leave(self) -> str:
        """End what runs, deliver everything, or leave it on the local disk; say goodbye."""
        ended = self._pool.close()
        self._collect(ended, self._clock())
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
        return reason

    def _reason(self) -> str:
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
        hand = self._hand
        due = now + self._settings.beat_s
        if hand.on_its_way is None:
            rhythm = self._rhythm
            due = max(rhythm.due(hand), rhythm.retry_at)
            if rhythm.claim_at > now and self._pool.free:
                due = min(due, max(rhythm.claim_at, rhythm.retry_at))
        if self._running:
            due = min(due, now + self._settings.tick_s, self._deadline)
        if hand.backlog and self._progress_at + self._settings.stall_s < due and not self._pool.free:
            due = self._progress_at + self._settings.stall_s
        if self._idle_since is not None and not self._busy:
            due = min(due, max(self._idle_since, self._progress_at) + self._settings.idle_s)
        return max(0.0, due - now)

    def _poller(self) -> Callable[[float], None]:
        poll = select.poll()
        for descriptor in (self._pool.fileno(), self._courier.fileno(), *self._stop.descriptors):
            poll.register(descriptor, select.POLLIN)
        return lambda seconds: _quietly(poll, seconds)


def _quietly(poll: select.poll, seconds: float) -> None:
    """Wait for news; round up, so that a wait of half a millisecond does not become a busy loop."""
    poll.poll(math.ceil(seconds * 1000))
