"""The rhythm of a worker: how often it speaks to the registry and how long it waits for what."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All times are in seconds.

    Attributes
    ----------
    beat_s
        A worker that has nothing to say exchanges at least this often.
    lease_s
        A worker that was not heard of for this long may be presumed dead by the others.
    linger_s
        A finished outcome is delivered at the latest after this time.
    ahead_s
        Claims are sized to this much work per slot.
    stall_s
        Assignments that were not started go back when nothing has finished for this time.
    reconcile_s
        The worker compares what it holds with what the registry thinks it holds this often.
    poll_s, poll_max_s
        A worker with free slots and nothing to claim asks again after `poll_s`, then twice that, up to `poll_max_s`.
    retry_s, retry_max_s
        Wait after a failed exchange; it doubles up to the larger one, with jitter.
    outage_s
        A worker that runs nothing and has had no answer from the registry for so long leaves.
    undelivered_s
        Outcomes that could not be delivered for this time are also written to the local disk.
    grace_s
        When asked to drain, what runs may finish within this time, then it is ended and reported `preempted`.
    leave_s
        At its end the worker tries this long to deliver what it has; then it leaves it on the local disk.
    idle_s
        A worker for whom nothing waits leaves after this time.
    tick_s
        While something runs the pool is asked at least this often, so that time limits hold.
    """

    beat_s: float = 10.0
    lease_s: float = 60.0
    linger_s: float = 0.1
    ahead_s: float = 0.1
    stall_s: float = 1.0
    reconcile_s: float = 60.0
    poll_s: float = 0.2
    poll_max_s: float = 5.0
    retry_s: float = 0.2
    retry_max_s: float = 5.0
    outage_s: float = 600.0
    undelivered_s: float = 5.0
    grace_s: float = 20.0
    leave_s: float = 5.0
    idle_s: float = 0.0
    tick_s: float = 0.2

    def __post_init__(self) -> None:
        """Refuse a rhythm in which a healthy worker would be taken for dead."""
        if self.lease_s < 3 * self.beat_s:
            raise ValueError(
                f"a lease of {self.lease_s:g} s with a beat of {self.beat_s:g} s: "
                "the lease must span three beats, else one slow exchange looks like a death"
            )
