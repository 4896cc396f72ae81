"""Learners from specs, and from what users write: keys, estimators, classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchml.arguments import shown
from batchml.core.learner import Learner
from batchml.core.learner_policy import apply_policy
from batchml.errors import ConfigError, SpecError, TrustError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.core.trust import Trust

__all__ = ["coerce_learner", "learner_from_specs"]

_FORMAT = 1


def learner_from_specs(
    model: Mapping[str, Any],
    policy: Mapping[str, Any] | None = None,
    *,
    id: str | None = None,
    trust: Trust | None = None,
) -> Learner:
    """Return the learner that specs describe; see `Learner.from_specs`."""
    if model.get("format", _FORMAT) != _FORMAT:
        msg = f"a learner spec of format {model['format']!r} is of a newer batchml: upgrade it"
        raise SpecError(msg)
    if "estimator" in model:
        learner = _estimator_learner(model, id=id, trust=trust)
    elif "key" in model:
        learner = _keyed_learner(model, id=id, trust=trust)
    elif "class" in model:
        learner = _own_learner(model, id=id, trust=trust)
    else:
        msg = f"a learner spec names an estimator, a key or a class; this one has {', '.join(sorted(model))}"
        raise SpecError(msg)
    if learner.task_type != model.get("type", learner.task_type):
        msg = f"the learner spec says {model['type']!r}, but '{learner.id}' is a {learner.task_type} learner"
        raise SpecError(msg)
    learner.predict_type = model.get("predict_type", "response")
    apply_policy(learner, policy or {}, trust=trust)
    return learner


def _estimator_learner(model: Mapping[str, Any], *, id: str | None, trust: Trust | None) -> Learner:
    from batchml.core.catalog import resolve_name
    from batchml.core.spec import build

    estimator = build(model["estimator"], trust=trust)
    learner: Learner = resolve_name("learners.sklearn:LearnerSklearn")(
        estimator, id=id, preprocess=model.get("preprocess"), task_type=model.get("type"), checked=False
    )
    return learner


def _keyed_learner(model: Mapping[str, Any], *, id: str | None, trust: Trust | None) -> Learner:
    from batchml.core.catalog import resolve

    learner: Learner = resolve("learner", model["key"])(key=model["key"], id=id)
    learner.param_set.fill(_params(model, trust))
    return learner


def _own_learner(model: Mapping[str, Any], *, id: str | None, trust: Trust | None) -> Learner:
    from batchml.core.spec import decode
    from batchml.core.trust import Trust as Trusted

    trusted = trust or Trusted.default()
    named = model["class"]
    found = trusted.resolve(named) if isinstance(named, str) else decode(named, trust=trusted)
    if not (isinstance(found, type) and issubclass(found, Learner)):
        msg = f"{model['class']} is no Learner class; a spec's class is one"
        raise TrustError(msg)
    return found(id=id, **_params(model, trust))


def _params(model: Mapping[str, Any], trust: Trust | None) -> dict[str, Any]:
    from batchml.core.spec import decode

    return {name: decode(value, trust=trust) for name, value in model.get("params", {}).items()}


def coerce_learner(value: Any, *, id: str | None, preprocess: str | None) -> Learner:
    """Return a learner for a key, an estimator (class or object) or a learner; see `as_learner`."""
    if isinstance(value, str):
        from batchml.core.catalog import lrn

        learner: Learner = lrn(value)
    elif isinstance(value, Learner):
        learner = value
    elif callable(getattr(value, "fit", None)) or isinstance(value, type):
        return _from_estimator(value, id=id, preprocess=preprocess)
    else:
        msg = f"a learner is a key, a scikit-learn estimator or a Learner, not {type(value).__name__}: {shown(value)}"
        raise ConfigError(msg)
    return _relabelled(learner, id=id, preprocess=preprocess)


def _relabelled(learner: Learner, *, id: str | None, preprocess: str | None) -> Learner:
    if preprocess is not None and not hasattr(learner, "preprocess"):
        msg = f"learner '{learner.id}' has no preprocessing to set"
        raise ConfigError(msg)
    if id is None and preprocess is None:
        return learner
    learner = learner.clone()
    learner.id = learner.id if id is None else id
    if preprocess is not None:
        learner.preprocess = preprocess  # asked above
    return learner


def _from_estimator(value: Any, *, id: str | None, preprocess: str | None) -> Learner:
    if isinstance(value, type):
        if issubclass(value, Learner):
            return _relabelled(value(), id=id, preprocess=preprocess)
        try:
            value = value()
        except TypeError as error:
            msg = f"{value.__name__} needs arguments: give an object, not the class ({error})"
            raise ConfigError(msg) from error
        if not callable(getattr(value, "fit", None)):
            msg = f"{type(value).__name__} is no scikit-learn estimator: it has no fit"
            raise ConfigError(msg)
    from batchml.core.catalog import resolve_name

    learner: Learner = resolve_name("learners.sklearn:LearnerSklearn")(value, id=id, preprocess=preprocess)
    return learner
