"""Whether a job would end otherwise under another policy (encapsulation, fallback, limits): only then it runs again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Ran", "could_change"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a job ended under its policy.

    Attributes
    ----------
    outcome
        Of its deciding attempt.
    completeness
        Of its result, None without one.
    fit_s, predict_s
        Measured times in seconds.
    failed, timed_out
        Whether errors were recorded, and whether one of them was a time limit.
    """

    outcome: str
    completeness: str | None
    fit_s: float | None
    predict_s: float | None
    failed: bool
    timed_out: bool


def could_change(old: Mapping[str, Any], new: Mapping[str, Any], ran: Ran) -> str | None:
    """Return why a job could end otherwise under the policy spec `new`, None if it cannot.

    The reason completes "N jobs run again: they ...".
    """
    if ran.outcome == "done":
        if not set(new.get("predict_sets", ["test"])) <= set(old.get("predict_sets", ["test"])):
            return "lack predictions of the train set"
        if new.get("store_models") and not old.get("store_models"):
            return "have no stored model"
    if new.get("threads", 1) != old.get("threads", 1):
        return f"ran with {old.get('threads', 1)} threads, which changes last digits"
    limits = [(_limit(old, stage), _limit(new, stage)) for stage in ("train", "predict")]
    if ran.timed_out and any(after > before for before, after in limits):
        return "hit the old limit"
    times = (ran.fit_s or 0.0, ran.predict_s or 0.0)
    if any(after < before and took > after for (before, after), took in zip(limits, times, strict=True)):
        return "took longer than the new limit"
    if ran.failed and any(old.get(field) != new.get(field) for field in ("encapsulate", "fallback", "when")):
        return "failed, which the new policy handles otherwise"
    return None


def _limit(policy: Mapping[str, Any], stage: str) -> float:
    found = (policy.get("timeout") or {}).get(stage)
    return math.inf if found is None else float(found)
