"""When a worker speaks to the registry: beats, claims, retries, and how long it trusts an old answer."""

from __future__ import annotations

import logging
import math
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchml.core.attempt import Exchange
    from batchml.worker.courier import Reply
    from batchml.worker.hand import Hand
    from batchml.worker.settings import Settings

__all__ = ["Rhythm"]

_log = logging.getLogger(__name__)


class Rhythm:
    """The moments at which exchanges are due, by the worker's clock.

    Attributes
    ----------
    claim_at
        Claiming before this moment is in vain.
    retry_at
        No exchange before this moment: the last one failed.
    ask_open
        What the registry holds open is to be asked before anything else.
    short
        The last claim gave less than was wanted: the queue nears its end.
    """

    def __init__(self, settings: Settings, now: float) -> None:
        self._settings = settings
        self.claim_at = now
        self.retry_at = now
        self.ask_open = False
        self.short = False
        self._posted_at = -math.inf
        self._answered_at = now
        self._reconciled_at = now
        self._backoff_s = settings.retry_s
        self._patience_s = settings.poll_s

    def due(self, hand: Hand) -> float:
        """When the next exchange must be made, even if the pool needs nothing."""
        if hand.to_release or self.ask_open or hand.heavy:
            return -math.inf
        due = self._posted_at + self._settings.beat_s
        return min(due, hand.oldest + self._settings.linger_s) if hand.outbox else due

    def next(self, hand: Hand, now: float, *, free: bool) -> float:
        """When the next exchange will be due or possible, should nothing happen until then."""
        if hand.on_its_way is not None:
            return now + self._settings.beat_s
        due = max(self.due(hand), self.retry_at)
        return min(due, max(self.claim_at, self.retry_at)) if free and self.claim_at > now else due

    def post(self, now: float) -> bool:
        """Note that an exchange is made now; return whether it shall ask for the open attempts, too."""
        self._posted_at = now
        return self.ask_open or now - self._reconciled_at >= self._settings.reconcile_s

    def answered(self, reply: Reply, now: float) -> None:
        """The registry has answered."""
        if self._backoff_s != self._settings.retry_s:
            _log.warning("the registry answers again, after %.1f s", now - self._answered_at)
        self._answered_at = self.retry_at = now
        self._backoff_s = self._settings.retry_s
        if reply.open_attempts is not None:
            self._reconciled_at = now
            self.ask_open = False

    def failed(self, error: BaseException | None, now: float) -> None:
        """Nothing is known about the last exchange."""
        if self._backoff_s == self._settings.retry_s:
            _log.warning("the registry did not answer, trying on: %s", error)
        self.retry_at = now + self._backoff_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter against a stampede
        self._backoff_s = min(2 * self._backoff_s, self._settings.retry_max_s)

    def claimed(self, exchange: Exchange, asked: int, now: float) -> None:
        """Learn from a claim of `asked` jobs: ask again when the registry expects something, else ever more rarely."""
        self.short = len(exchange.assignments) < asked
        if exchange.assignments:
            self._patience_s = self._settings.poll_s
        elif exchange.waiting and exchange.next_s > 0:
            self.claim_at = now + min(exchange.next_s, self._settings.beat_s)
        else:
            self.claim_at = now + self._patience_s
            self._patience_s = min(2 * self._patience_s, self._settings.poll_max_s)

    def distrusts(self, now: float) -> bool:
        """After half a lease without an answer the backlog may be somebody else's: ask before starting any of it."""
        if now - self._answered_at <= self._settings.lease_s / 2:
            return False
        self.ask_open = True
        return True

    def forsaken(self, hand: Hand, now: float) -> bool:
        """Whether the registry has been away for too long to wait for it with nothing to do."""
        silent = now - self._answered_at >= self._settings.outage_s
        return silent and (hand.on_its_way is not None or self.ask_open)
