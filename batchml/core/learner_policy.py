"""How a learner is run, apart from what it learns: encapsulation, fallback, `when`, limits, predict sets, threads."""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.arguments import chosen, count, shown
from batchml.core.fields import SETS, read_sets
from batchml.core.resources import parse_duration
from batchml.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from batchml.core.learner import Learner
    from batchml.core.learner_settings import LearnerSettings
    from batchml.core.trust import Trust

__all__ = [
    "METHODS",
    "STAGES",
    "apply_policy",
    "check_encapsulate",
    "check_fallback",
    "check_predict_sets",
    "check_threads",
    "check_timeout",
    "policy_spec",
    "unannounced",
    "warn_of_limits",
]

STAGES = ("train", "predict")
METHODS = ("none", "capture", "process")
_FORMAT = 1
_FIELDS = ("encapsulate", "fallback", "predict_sets", "store_models", "threads", "timeout", "when")

_PACKAGE = str(Path(__file__).parents[1])
_announced: ContextVar[bool] = ContextVar("announced", default=True)


@contextlib.contextmanager
def unannounced() -> Iterator[None]:
    """Have limits set in the body without a warning: they come from a spec or a design file, maybe for workers."""
    token = _announced.set(False)
    try:
        yield
    finally:
        _announced.reset(token)


def warn_of_limits(learner: LearnerSettings) -> None:
    """Warn, once for each stage of a learner, that a session cannot enforce its limit in the process it runs in."""
    stages = [
        stage
        for stage, limit in learner.timeout.items()
        if limit and learner.encapsulate[stage] != "process" and stage not in learner._warned  # noqa: SLF001 - its other half
    ]
    if not stages or not _announced.get():
        return
    learner._warned = learner._warned.union(stages)  # noqa: SLF001
    warnings.warn(
        f"learner '{learner.id}': in a session the time limit of {' and '.join(stages)} interrupts Python code in "
        "the main thread only, not a C call that hangs; encapsulate = 'process' enforces it (workers do in any case)",
        UserWarning,
        stacklevel=_level_of_caller(),
    )


def _level_of_caller() -> int:
    """Return the stack level, as the caller of this function counts, of the user's own line."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - as `warnings` itself does
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level


def check_encapsulate(value: str | Mapping[str, str], before: Mapping[str, str], where: str) -> dict[str, str]:
    """Return the method of each stage.

    Raises
    ------
    ConfigError
        A stage or method that does not exist.
    """
    given = _per_stage(value, "encapsulate", where)
    methods = {stage: chosen(one, f"learner '{where}': encapsulate", METHODS) for stage, one in given.items()}
    return {**before, **methods}


def check_threads(value: Any, where: str) -> int:
    """Return a number of threads.

    Raises
    ------
    ConfigError
        It is no whole number of at least 1.
    """
    return count(value, f"learner '{where}': threads", least=1)


def check_timeout(value: Any, before: Mapping[str, float | None], where: str) -> dict[str, float | None]:
    """Return the limit of each stage in seconds; None and infinity are no limit.

    Raises
    ------
    ConfigError
        A stage that does not exist, or no duration.
    """
    given = _per_stage(value, "timeout", where)
    limits = {stage: None if limit is None else _limit(limit, stage, where) for stage, limit in given.items()}
    finite = {stage: None if limit is None or math.isinf(limit) else limit for stage, limit in limits.items()}
    return {**before, **finite}


def _limit(value: Any, stage: str, where: str) -> float:
    try:
        return parse_duration(value)
    except ConfigError as error:
        raise ConfigError(f"learner '{where}': timeout of {stage}: {error}") from None


def _per_stage(value: Any, field: str, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return dict.fromkeys(STAGES, value)
    for stage in value:
        if stage not in STAGES:
            near = nearest(str(stage), STAGES)
            msg = f"learner '{where}': {field} has the stages train and predict, not {shown(stage)}{near}"
            raise ConfigError(msg)
    return dict(value)


def check_predict_sets(value: str | Iterable[str], where: str) -> tuple[str, ...]:
    """Return the predict sets, train before test.

    Raises
    ------
    ConfigError
        A set that does not exist, or none.
    """
    given = read_sets(value, f"learner '{where}': predict_sets")
    return tuple(name for name in SETS if name in given)


def check_fallback(learner: LearnerSettings, fallback: Learner) -> Learner:
    """Return an untrained copy of a learner that can stand in for another.

    Raises
    ------
    ConfigError
        Another task type, a predict type it does not offer, or a fallback with a fallback.
    """
    if fallback.task_type != learner.task_type:
        msg = f"Learner '{fallback.id}' must have task type '{learner.task_type}' to be the fallback of '{learner.id}'"
        raise ConfigError(msg)
    if learner.predict_type not in fallback.predict_types:
        msg = (
            f"learner '{fallback.id}' cannot be the fallback of '{learner.id}': it does not offer the predict type "
            f"{learner.predict_type!r}"
        )
        raise ConfigError(msg)
    if fallback.fallback is not None:
        msg = f"learner '{fallback.id}' cannot be the fallback of '{learner.id}': it has a fallback itself"
        raise ConfigError(msg)
    lacking = sorted((learner.properties - fallback.properties) & {"missings", "multiclass", "twoclass"})
    if lacking:
        text = f"the fallback '{fallback.id}' lacks properties of learner '{learner.id}': {', '.join(lacking)}"
        warnings.warn(text, stacklevel=3)
    return fallback.clone()


def policy_spec(learner: LearnerSettings, *, store_models: bool) -> dict[str, Any]:
    """Return the policy as plain data, only what differs from the defaults."""
    from batchml.core.spec import encode

    spec: dict[str, Any] = {"format": _FORMAT}
    if set(learner.encapsulate.values()) != {"none"}:
        spec["encapsulate"] = learner.encapsulate
    fallback = learner.fallback_for_stages()
    if fallback is not None:
        spec["fallback"] = {"id": fallback.id, "model": fallback.model_spec()}
    if learner.when is not None:
        spec["when"] = encode(learner.when, where=f"learner '{learner.id}', when")
    limits = {stage: limit for stage, limit in learner.timeout.items() if limit is not None}
    if limits:
        spec["timeout"] = limits
    if learner.predict_sets != ("test",):
        spec["predict_sets"] = list(learner.predict_sets)
    if learner.threads != 1:
        spec["threads"] = learner.threads
    if store_models:
        spec["store_models"] = True
    return spec


def apply_policy(learner: Learner, policy: Mapping[str, Any], *, trust: Trust | None) -> None:
    """Set what a policy spec says on a learner.

    Raises
    ------
    ConfigError
        A policy of a newer format, or with an unknown field.
    """
    from batchml.core.learner_spec import learner_from_specs
    from batchml.core.spec import decode

    if policy.get("format", _FORMAT) != _FORMAT:
        msg = f"learner '{learner.id}': policy format {policy['format']!r} is of a newer batchml: upgrade it"
        raise ConfigError(msg)
    for field in policy:
        if field not in {"format", *_FIELDS}:
            msg = f"learner '{learner.id}': a policy has no field {field!r}{nearest(field, _FIELDS)}"
            raise ConfigError(msg)
    fallback = policy.get("fallback")
    if fallback is not None:
        learner.fallback = learner_from_specs(fallback["model"], None, id=fallback.get("id"), trust=trust)
    with unannounced():
        learner.encapsulate = policy.get("encapsulate", "none")
        learner.timeout = policy.get("timeout")
    learner.predict_sets = policy.get("predict_sets", "test")
    learner.threads = int(policy.get("threads", 1))
    learner.when = decode(policy["when"], trust=trust) if "when" in policy else None
