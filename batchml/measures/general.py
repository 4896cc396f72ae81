"""Kernels of measures that need no prediction: times and what a model says of itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "aic",
    "best_valid_score",
    "bic",
    "internal_valid_score",
    "oob_error",
    "selected_features",
    "time_both",
    "time_predict",
    "time_train",
]


def _seconds(timings: Mapping[str, float | None], stage: str) -> float:
    value = timings.get(stage)
    return math.nan if value is None else float(value)


def time_train(timings: Mapping[str, float | None], **_: Any) -> float:
    """Return the seconds of training."""
    return _seconds(timings, "train")


def time_predict(timings: Mapping[str, float | None], **_: Any) -> float:
    """Return the seconds of predicting, all predict sets together."""
    return _seconds(timings, "predict")


def time_both(timings: Mapping[str, float | None], **_: Any) -> float:
    """Return the seconds of training and predicting."""
    return _seconds(timings, "train") + _seconds(timings, "predict")


def _said(learner: Any, name: str) -> Any:
    """Return what the learner says of itself; None if it cannot say."""
    from batchml.errors import ConfigError

    try:
        value = getattr(learner, name, None)
        return value() if callable(value) else value
    except (ConfigError, NotImplementedError, AttributeError):
        return None


def oob_error(learner: Any, **_: Any) -> Any:
    """Return the model's own out-of-bag error."""
    return _said(learner, "oob_error")


def selected_features(learner: Any, **_: Any) -> Any:
    """Return the number of features that the model uses."""
    names = _said(learner, "selected_features")
    return None if names is None else len(names)


def aic(learner: Any, **_: Any) -> Any:
    """Return Akaike's information criterion, if the model has one."""
    return _said(learner, "aic")


def bic(learner: Any, **_: Any) -> Any:
    """Return the Bayesian information criterion, if the model has one."""
    return _said(learner, "bic")


def internal_valid_score(learner: Any, **_: Any) -> Any:
    """Return the last validation score that the learner computed itself."""
    return _said(learner, "internal_valid_score")


def best_valid_score(learner: Any, **_: Any) -> Any:
    """Return the best validation score that the learner computed itself."""
    return _said(learner, "best_valid_score")
