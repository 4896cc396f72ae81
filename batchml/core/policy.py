"""Which jobs a changed policy could change (encapsulation, fallback, limits): those run again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Ran", "why_again"]

_STAGES = ("train", "predict")

_STRENGTH = {"none": 0, "capture": 1, "process": 2}
"""From the weakest: what a method keeps in, the ones after it keep in too."""

_KEPT_IN = {
    "capture": {"learner_error", "timeout", "out_of_memory"},  # want of memory may be a MemoryError
    "process": {"learner_error", "timeout", "crashed", "out_of_memory"},
}
"""Endings that a stronger encapsulation turns into a recorded error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a job ended under its policy.

    Attributes
    ----------
    outcome
        Of its deciding attempt (`batchml.core.attempt.Ending`).
    completeness
        Of its result, None without one.
    fit_s, predict_s
        Measured times in seconds, None if the job did not get there.
    errors, timed_out
        Whether errors were recorded (an encapsulated failure); whether one of them, or the ending, was a time limit.
    model_stored
        Its model is there.
    """

    outcome: str
    completeness: str | None = None
    fit_s: float | None = None
    predict_s: float | None = None
    errors: bool = False
    timed_out: bool = False
    model_stored: bool = False


def why_again(old: Mapping[str, Any], new: Mapping[str, Any], ran: Ran) -> str | None:
    """Return why a job that ran under the policy spec `old` could end otherwise under `new`, None if it cannot.

    The reason completes "N jobs run again: they ...". What is not named here changes nothing that was computed.
    """
    return (
        _lacks(old, new, ran)
        or _limits(old, new, ran)
        or ("failed, which the new policy handles otherwise" if _handled_otherwise(old, new, ran) else None)
    )


def _lacks(old: Mapping[str, Any], new: Mapping[str, Any], ran: Ran) -> str | None:
    if ran.outcome == "done":
        sets = set(new.get("predict_sets", ["test"])) - set(old.get("predict_sets", ["test"]))
        if sets:
            return f"lack predictions of the {' and '.join(sorted(sets))} set"
        if new.get("store_models") and not ran.model_stored:
            return "have no stored model"
    if old.get("threads", 1) != new.get("threads", 1):
        return f"ran with {old.get('threads', 1)} threads, which changes last digits"
    return None


def _limits(old: Mapping[str, Any], new: Mapping[str, Any], ran: Ran) -> str | None:
    found = None
    for stage, seconds in zip(_STAGES, (ran.fit_s, ran.predict_s), strict=True):
        before, after = _limit(old, stage), _limit(new, stage)
        if after > before and ran.timed_out and _reached(seconds, before, ran):
            found = "hit the old limit"
        elif after < before and (seconds or 0.0) > after:
            found = found or "took longer than the new limit"
    return found


def _reached(seconds: float | None, limit: float, ran: Ran) -> bool:
    """Tell whether this stage was the one that ran out of time; of a job that was killed nothing was measured."""
    return ran.outcome == "timeout" or seconds is None or seconds >= limit


def _handled_otherwise(old: Mapping[str, Any], new: Mapping[str, Any], ran: Ran) -> bool:
    failed = ran.outcome != "done"
    gaps = not failed and ran.completeness != "full"
    if _fallback(old) != _fallback(new) and (failed or ran.errors or gaps):
        return True
    if old.get("when") != new.get("when") and (failed or ran.errors):
        return True
    return any(
        _encapsulation_matters(_encapsulation(old, stage), _encapsulation(new, stage), ran, failed=failed)
        for stage in _STAGES
    )


def _encapsulation_matters(before: str, after: str, ran: Ran, *, failed: bool) -> bool:
    if _STRENGTH[after] > _STRENGTH[before]:
        return failed and ran.outcome in _KEPT_IN[after]
    # Weaker: an error that was kept in would escape.
    return _STRENGTH[after] < _STRENGTH[before] and ran.errors


def _limit(policy: Mapping[str, Any], stage: str) -> float:
    found = (policy.get("timeout") or {}).get(stage)
    return math.inf if found is None else float(found)


def _encapsulation(policy: Mapping[str, Any], stage: str) -> str:
    return str((policy.get("encapsulate") or {}).get(stage, "none"))


def _fallback(policy: Mapping[str, Any]) -> Any:
    """Return the fallback's model: its id is a label."""
    value = policy.get("fallback")
    return value.get("model") if isinstance(value, dict) else value
