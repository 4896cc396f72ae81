"""What each row contributes to a measure; for rows that are predicted and whose truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchml.core.prediction_classif import PredictionClassif
    from batchml.core.prediction_regr import PredictionRegr

    _Floats = NDArray[np.float64]

__all__ = ["absolute", "brier", "logarithmic", "relative", "squared", "squared_log", "zero_one"]


def zero_one(p: PredictionClassif) -> _Floats:
    """Return 1 where the response is wrong, else 0."""
    found: _Floats = (p.response_codes != p.truth_codes).astype(np.float64)
    return found


def brier(p: PredictionClassif) -> _Floats:
    """Return the squared distance of the positive class's probability from the truth."""
    prob = p.prob_array
    assert prob is not None
    found: _Floats = (prob[:, p.positive_code] - (p.truth_codes == p.positive_code)) ** 2
    return found


def logarithmic(p: PredictionClassif, *, eps: float) -> _Floats:
    """Return minus the logarithm of the true class's probability, kept within eps and 1 - eps."""
    prob = p.prob_array
    assert prob is not None
    given = prob[np.arange(len(prob)), p.truth_codes]
    found: _Floats = -np.log(np.minimum(np.maximum(given, eps), 1 - eps))
    return found


def absolute(p: PredictionRegr) -> _Floats:
    """Return |truth - response|."""
    return np.abs(p.truth - p.response)


def squared(p: PredictionRegr) -> _Floats:
    """Return the square of truth - response."""
    found: _Floats = (p.truth - p.response) ** 2
    return found


def relative(p: PredictionRegr) -> _Floats:
    """Return |truth - response| / |truth|; NaN where the truth is 0."""
    size = np.abs(p.truth)
    return np.abs(p.truth - p.response) / np.where(size > 0, size, np.nan)


def squared_log(p: PredictionRegr) -> _Floats:
    """Return the squared difference of log(1 + truth) and log(1 + response); NaN where one is at most -1."""
    true, said = (np.where(values > -1, values, np.nan) for values in (p.truth, p.response))
    found: _Floats = (np.log1p(true) - np.log1p(said)) ** 2
    return found
