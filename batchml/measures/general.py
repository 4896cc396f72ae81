"""Kernels of measures that need no prediction: times and what a model says of itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.core.prediction_base import Prediction

__all__ = [
    "aic",
    "best_valid_score",
    "bic",
    "debug",
    "internal_valid_score",
    "oob_error",
    "said",
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


def said(learner: Any, name: str) -> Any:
    """Return what the learner says of itself; None if it cannot say."""
    from batchml.errors import ConfigError

    try:
        value = getattr(learner, name, None)
        return value() if callable(value) else value
    except (ConfigError, NotImplementedError, AttributeError):
        return None


def oob_error(learner: Any, **_: Any) -> Any:
    """Return the model's own out-of-bag error."""
    return said(learner, "oob_error")


def selected_features(learner: Any, task: Any, *, normalize: bool, **_: Any) -> Any:
    """Return the number of features that the model uses; with `normalize` as a share of the task's."""
    names = said(learner, "selected_features")
    if names is None:
        return None
    if not normalize:
        return len(names)
    return None if task is None else len(names) / task.n_features


def debug(p: Prediction, weights: Any, *, na_ratio: float) -> float:  # noqa: ARG001
    """Return the number of rows; NaN for a share `na_ratio` of predictions, chosen by their row ids."""
    from batchml.core.seed import derive

    draw = derive(0, "debug", *np.sort(p.row_ids).tolist()) / 2**63
    return math.nan if draw < na_ratio else float(len(p))


def aic(learner: Any, **_: Any) -> Any:
    """Return Akaike's information criterion (Akaike 1974), if the model has one."""
    return said(learner, "aic")


def bic(learner: Any, **_: Any) -> Any:
    """Return the Bayesian information criterion (Schwarz 1978), if the model has one."""
    return said(learner, "bic")


def internal_valid_score(learner: Any, **_: Any) -> Any:
    """Return the last validation score that the learner computed itself."""
    return said(learner, "internal_valid_score")


def best_valid_score(learner: Any, **_: Any) -> Any:
    """Return the best validation score that the learner computed itself."""
    return said(learner, "best_valid_score")
