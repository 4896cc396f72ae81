"""Which finished jobs a changed policy could change: those run again, all others are reused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["could_change", "reasons"]

_STAGES = ("train", "predict")
#: From the weakest: what a method keeps in, the ones after it keep in too.
_STRENGTH = {"none": 0, "capture": 1, "process": 2}
#: Endings that a stronger encapsulation turns into a recorded error.
_KEPT_IN = {
    "capture": ("learner_error", "timeout"),
    "process": ("learner_error", "timeout", "crashed", "out_of_memory"),
}


def could_change(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    ending: str | None,
    fit_s: float | None = None,
    predict_s: float | None = None,
    n_imputed: int = 0,
    completeness: str = "full",
    n_errors: int = 0,
    has_model: bool = False,
) -> bool:
    """Tell whether a job that ran under the policy `old` could have come out otherwise under `new`; see `reasons`."""
    return bool(
        reasons(
            old,
            new,
            ending=ending,
            fit_s=fit_s,
            predict_s=predict_s,
            n_imputed=n_imputed,
            completeness=completeness,
            n_errors=n_errors,
            has_model=has_model,
        )
    )


def reasons(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    ending: str | None,
    fit_s: float | None = None,
    predict_s: float | None = None,
    n_imputed: int = 0,
    completeness: str = "full",
    n_errors: int = 0,
    has_model: bool = False,
) -> tuple[str, ...]:
    """Return why a job could come out otherwise, in the words that `plan` uses; nothing if it could not.

    Parameters
    ----------
    old, new
        From `Learner.policy_spec`.
    ending
        How the job's last attempt ended (`batchml.core.attempt.Ending`); None if it never ran.
    fit_s, predict_s
        Measured times, None if the job did not get there.
    n_imputed, completeness
        Of its result: rows from the fallback; ``full``, ``partial``, ``imputed``, ``none``.
    n_errors
        Conditions of level error that it recorded (an encapsulated failure).
    has_model
        Its model is stored.

    Notes
    -----
    Whatever is not named here (and a policy of another format) changes nothing that was computed.
    """
    if ending is None:
        return ()
    failed = ending not in {"done", "cancelled"}
    troubled = failed or n_errors > 0
    gaps = completeness in {"partial", "imputed", "none"} or n_imputed > 0
    found = []
    if _field(old, "fallback") != _field(new, "fallback") and (troubled or gaps):
        found.append("fallback changed")
    if old.get("when") != new.get("when") and troubled:
        found.append("when changed")
    found += _limit_reasons(old, new, {"train": fit_s, "predict": predict_s}, ending=ending, n_errors=n_errors)
    if _encapsulation_matters(old, new, ending=ending, n_errors=n_errors):
        found.append("encapsulation changed")
    if set(new.get("predict_sets", ("test",))) - set(old.get("predict_sets", ("test",))):
        found.append("predict sets added")
    if old.get("threads", 1) != new.get("threads", 1):
        found.append("threads changed")
    if new.get("store_models") and not has_model and not failed:
        found.append("models are to be stored")
    return tuple(found)


def _field(policy: Mapping[str, Any], name: str) -> Any:
    """Return the fallback's model: its id is a label."""
    value = policy.get(name)
    return value.get("model") if isinstance(value, dict) else value


def _limit_reasons(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    took: Mapping[str, float | None],
    *,
    ending: str,
    n_errors: int,
) -> list[str]:
    found = []
    for stage in _STAGES:
        before, after = (policy.get("timeout", {}).get(stage) for policy in (old, new))
        if before == after:
            continue
        seconds = took[stage]
        if after is not None and (before is None or after < before):
            # Lowered: whatever took longer would now be stopped.
            if seconds is not None and seconds > after:
                found.append(f"takes longer than the new {stage} limit")
        elif ending == "timeout" or (n_errors > 0 and seconds is not None and before is not None and seconds >= before):
            found.append(f"hit the old {stage} limit")
    return found


def _encapsulation_matters(old: Mapping[str, Any], new: Mapping[str, Any], *, ending: str, n_errors: int) -> bool:
    for stage in _STAGES:
        before, after = (policy.get("encapsulate", {}).get(stage, "none") for policy in (old, new))
        if _STRENGTH[after] > _STRENGTH[before] and ending in _KEPT_IN[after]:
            return True
        # Weaker: an error that was kept in would escape.
        if _STRENGTH[after] < _STRENGTH[before] and n_errors > 0:
            return True
    return False
