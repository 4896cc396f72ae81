"""Kernels of measures for two classes, one of them positive; NaN where a rate has no rows to speak of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from batchml.measures.classif import weighted_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from batchml.core.prediction_classif import PredictionClassif

    _Floats = NDArray[np.float64]

__all__ = ["bbrier", "dor", "fbeta", "fdr", "fn", "fnr", "fomr", "fp", "fpr", "npv", "ppv", "tn", "tnr", "tp", "tpr"]


def _cells(p: PredictionClassif, weights: _Floats | None) -> tuple[float, float, float, float]:
    """Return true positives, false positives, false negatives, true negatives."""
    counts = p.confusion_counts(weighted=weights is not None).tolist()
    pos, neg = p.positive_code, 1 - p.positive_code
    return counts[pos][pos], counts[pos][neg], counts[neg][pos], counts[neg][neg]


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def tp(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the positive rows found positive."""
    return _cells(p, weights)[0]


def fp(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the negative rows found positive."""
    return _cells(p, weights)[1]


def fn(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the positive rows found negative."""
    return _cells(p, weights)[2]


def tn(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the negative rows found negative."""
    return _cells(p, weights)[3]


def tpr(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the share of positive rows found positive."""
    a, _, c, _ = _cells(p, weights)
    return _share(a, a + c)


def fnr(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the share of positive rows found negative."""
    a, _, c, _ = _cells(p, weights)
    return _share(c, a + c)


def tnr(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the share of negative rows found negative."""
    _, b, _, d = _cells(p, weights)
    return _share(d, b + d)


def fpr(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the share of negative rows found positive."""
    _, b, _, d = _cells(p, weights)
    return _share(b, b + d)


def ppv(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the share of true ones among those found positive."""
    a, b, _, _ = _cells(p, weights)
    return _share(a, a + b)


def fdr(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the share of false ones among those found positive."""
    a, b, _, _ = _cells(p, weights)
    return _share(b, a + b)


def npv(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the share of true ones among those found negative."""
    _, _, c, d = _cells(p, weights)
    return _share(d, c + d)


def fomr(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the share of false ones among those found negative."""
    _, _, c, d = _cells(p, weights)
    return _share(c, c + d)


def dor(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the odds ratio (tp / fp) / (fn / tn); NaN if nothing is wrong on one side."""
    a, b, c, d = _cells(p, weights)
    return _share(a * d, b * c)


def fbeta(p: PredictionClassif, weights: _Floats | None, *, beta: float) -> float:
    """Return the harmonic mean of precision and recall, recall weighted beta**2 (van Rijsbergen 1979).

    NaN if no row is positive, or none was found so.
    """
    a, b, c, _ = _cells(p, weights)
    if not a + b or not a + c:
        return math.nan
    square = beta * beta
    return (1 + square) * a / ((1 + square) * a + square * c + b)


def bbrier(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the mean squared distance of the positive class's probability from the truth (Brier 1950)."""
    prob = p.prob_array
    assert prob is not None
    return weighted_mean((prob[:, p.positive_code] - (p.truth_codes == p.positive_code)) ** 2, weights)
