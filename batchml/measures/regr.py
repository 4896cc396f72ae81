"""Kernels of measures for numbers.

Each takes a prediction without missing values and row weights (or None).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from batchml.measures.classif import weighted_mean
from batchml.measures.ranks import ktau, srho

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchml.core.prediction_regr import PredictionRegr

    _Floats = NDArray[np.float64]

__all__ = [
    "bias", "ktau", "mae", "mape", "maxae", "medae", "medse", "mse", "msle", "pbias", "pinball", "rmse", "rmsle",
    "rqr", "rsq", "sae", "smape", "srho", "sse",
]  # fmt: skip


def _error(p: PredictionRegr) -> _Floats:
    return p.truth - p.response


def _squared(p: PredictionRegr) -> _Floats:
    error = _error(p)
    return np.square(error, out=error)  # of ten million rows another copy is 80 MB


def mse(p: PredictionRegr, weights: _Floats | None) -> float:
    """Return the mean squared error (Gauss 1823)."""
    return weighted_mean(_squared(p), weights)


def rmse(p: PredictionRegr, weights: _Floats | None) -> float:
    """Return the root of the mean squared error (Hyndman and Koehler 2006, Another look at measures of accuracy)."""
    return math.sqrt(mse(p, weights))


def mae(p: PredictionRegr, weights: _Floats | None) -> float:
    """Return the mean absolute error (Willmott and Matsuura 2005)."""
    return weighted_mean(np.abs(_error(p)), weights)


def _sum(values: _Floats, weights: _Floats | None) -> float:
    return float(values.sum() if weights is None else values @ weights)


def sse(p: PredictionRegr, weights: _Floats | None) -> float:
    """Return the (weighted) sum of squared errors."""
    return _sum(_squared(p), weights)


def sae(p: PredictionRegr, weights: _Floats | None) -> float:
    """Return the (weighted) sum of absolute errors."""
    return _sum(np.abs(_error(p)), weights)


def medse(p: PredictionRegr, weights: _Floats | None) -> float:  # noqa: ARG001
    """Return the median squared error."""
    return float(np.median(_squared(p)))


def medae(p: PredictionRegr, weights: _Floats | None) -> float:  # noqa: ARG001
    """Return the median absolute error."""
    return float(np.median(np.abs(_error(p))))


def maxae(p: PredictionRegr, weights: _Floats | None) -> float:  # noqa: ARG001
    """Return the largest absolute error."""
    return float(np.abs(_error(p)).max())


def bias(p: PredictionRegr, weights: _Floats | None) -> float:
    """Return the mean of response - truth."""
    return weighted_mean(p.response - p.truth, weights)


def pbias(p: PredictionRegr, weights: _Floats | None) -> float:
    """Return the mean of (response - truth) / |truth|; NaN if a truth is 0."""
    if not p.truth.all():
        return math.nan
    return weighted_mean((p.response - p.truth) / np.abs(p.truth), weights)


def mape(p: PredictionRegr, weights: _Floats | None) -> float:
    """Return the mean of |truth - response| / |truth|; NaN if a truth is 0 (de Myttenaere et al. 2016)."""
    if not p.truth.all():
        return math.nan
    return weighted_mean(np.abs(_error(p) / p.truth), weights)


def smape(p: PredictionRegr, weights: _Floats | None) -> float:
    """Return the mean of 2 |truth - response| / (|truth| + |response|), from 0 to 2; NaN if both are 0 in a row.

    Armstrong (1985), Long-range forecasting, in the form of Chen and Yang (2004).
    """
    size = np.abs(p.truth) + np.abs(p.response)
    if not size.all():
        return math.nan
    return weighted_mean(2 * np.abs(_error(p)) / size, weights)


def msle(p: PredictionRegr, weights: _Floats | None) -> float:
    """Return the mean squared difference of log(1 + truth) and log(1 + response); NaN if one is at most -1."""
    if p.truth.min() <= -1 or p.response.min() <= -1:
        return math.nan
    return weighted_mean((np.log1p(p.truth) - np.log1p(p.response)) ** 2, weights)


def rmsle(p: PredictionRegr, weights: _Floats | None) -> float:
    """Return the root of `msle`."""
    return math.sqrt(msle(p, weights))


def rsq(p: PredictionRegr, weights: _Floats | None) -> float:
    """Return 1 - sse / sum of squares around the mean of the scored rows (their weighted mean with weights).

    -inf if the truth is constant and a prediction is wrong; NaN with fewer than two rows, or if nothing is wrong then.
    The coefficient of determination (Wright 1921) about the mean of the test rows.
    """
    if len(p) < 2:
        return math.nan
    total = _sum((p.truth - weighted_mean(p.truth, weights)) ** 2, weights)
    wrong = sse(p, weights)
    if total:
        return 1 - wrong / total
    return -math.inf if wrong else math.nan


def _pinball(error: _Floats, alpha: float, weights: _Floats | None) -> float:
    return weighted_mean(np.maximum(alpha * error, (alpha - 1) * error), weights)


def _quantile(p: PredictionRegr, alpha: float) -> _Floats | None:
    if p.quantiles is None or not p.quantile_probs:
        return None
    near = [i for i, q in enumerate(p.quantile_probs) if math.isclose(q, alpha, abs_tol=1e-12)]
    found: _Floats | None = p.quantiles[:, near[0]] if near else None
    return found


def pinball(p: PredictionRegr, weights: _Floats | None, *, alpha: float) -> float:
    """Return the mean quantile loss at `alpha` (Koenker and Bassett 1978); NaN if that quantile was not predicted."""
    quantile = _quantile(p, alpha)
    return math.nan if quantile is None else _pinball(p.truth - quantile, alpha, weights)


def rqr(p: PredictionRegr, weights: _Floats | None, *, alpha: float) -> float:
    """Return 1 - pinball loss / that of the truth's own quantile (Koenker and Machado 1999)."""
    quantile = _quantile(p, alpha)
    if quantile is None or len(p) < 2:
        return math.nan
    known = _pinball(p.truth - np.quantile(p.truth, alpha), alpha, weights)
    return 1 - _pinball(p.truth - quantile, alpha, weights) / known if known else math.nan
