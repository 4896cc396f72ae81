"""The rhythm of a worker: how often it speaks to the registry and how long it waits for what."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Self

from batchml.errors import ConfigError

__all__ = ["Settings"]

_VARIABLES = {"beat_s": "BATCHML_BEAT", "lease_s": "BATCHML_LEASE"}


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

    @classmethod
    def from_environment(cls) -> Self:
        """Return the default rhythm, with beat and lease as `BATCHML_BEAT` and `BATCHML_LEASE` say.

        Raises
        ------
        ConfigError
            They are no numbers of seconds, or do not go together.
        """
        given = {name: os.environ[key] for name, key in _VARIABLES.items() if os.environ.get(key)}
        try:
            return cls(**{name: float(value) for name, value in given.items()})
        except ValueError as error:
            words = ", ".join(f"{_VARIABLES[name]}={value}" for name, value in given.items())
            raise ConfigError(f"{words}: {error}; these are seconds") from None

    def __post_init__(self) -> None:
        """Refuse a rhythm in which a healthy worker would be taken for dead."""
        if not (0 < self.beat_s < math.inf and self.lease_s < math.inf):
            raise ValueError("beat and lease are positive")
        if self.lease_s < 3 * self.beat_s:
            raise ValueError(
                f"a lease of {self.lease_s:g} s with a beat of {self.beat_s:g} s: "
                "the lease must span three beats, else one slow exchange looks like a death"
            )
