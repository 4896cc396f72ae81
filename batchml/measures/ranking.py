"""Kernels of measures that look at the order of probabilities."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchml.core.prediction_classif import PredictionClassif

    _Floats = NDArray[np.float64]
    _Bools = NDArray[np.bool_]

__all__ = ["auc", "auc_of", "mauc_au1p", "mauc_au1u", "mauc_aunp", "mauc_aunu", "mauc_mu", "prauc"]


def auc_of(values: _Floats, positive: _Bools, weights: _Floats | None = None) -> float:
    """Return the probability that a positive row's value exceeds a negative row's, ties counting half.

    The Mann-Whitney statistic (Hanley and McNeil 1982); with weights, of pairs weighted by the product of theirs. NaN
    without positive or negative rows.
    """
    ones = np.ones(len(values)) if weights is None else weights
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    pos = np.where(positive, ones, 0.0)[order]
    neg = np.where(positive, 0.0, ones)[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    pos, neg = np.add.reduceat(pos, starts), np.add.reduceat(neg, starts)
    n_pos, n_neg = float(pos.sum()), float(neg.sum())
    if not n_pos or not n_neg:
        return math.nan
    below = np.cumsum(neg) - neg / 2
    return float(pos @ below) / (n_pos * n_neg)


def _positive(p: PredictionClassif) -> tuple[_Floats, _Bools]:
    prob = p.prob_array
    assert prob is not None
    return prob[:, p.positive_code], p.truth_codes == p.positive_code


def auc(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the area under the ROC curve; NaN if only one class occurs."""
    return auc_of(*_positive(p), weights)


def prauc(p: PredictionClassif, weights: _Floats | None) -> float:  # noqa: ARG001
    """Return the area under the precision-recall curve; NaN if only one class occurs.

    Between thresholds false positives grow linearly with true ones, and the precision of that is integrated
    (Davis and Goadrich 2006; Keilwagen, Grosse and Grau 2014).
    """
    values, positive = _positive(p)
    n_pos = int(positive.sum())
    if n_pos == 0 or n_pos == len(positive):
        return math.nan
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    ends = np.flatnonzero(np.concatenate([ordered[1:] != ordered[:-1], [True]]))
    true = np.cumsum(positive[order])[ends].astype(float)
    false = (ends + 1) - true
    gained = np.diff(true, prepend=0.0)
    moves = gained > 0
    start_true, start_false = (true - gained)[moves], np.concatenate([[0.0], false[:-1]])[moves]
    gained = gained[moves]
    slope = (false[moves] - start_false) / gained
    # integral of (t0 + x) / (t0 + f0 + (1 + slope) x) over x from 0 to gained, in closed form
    rate, height = 1 + slope, start_true + start_false
    some = height > 0
    bend = (start_true[some] - height[some] / rate[some]) / rate[some]
    area = gained / rate
    area[some] += bend * np.log1p(rate[some] * gained[some] / height[some])
    return float(area.sum()) / n_pos


def _one_against_rest(p: PredictionClassif) -> tuple[list[float], _Floats]:
    prob = p.prob_array
    assert prob is not None
    k = len(p.classes)
    found = [auc_of(prob[:, i], p.truth_codes == i) for i in range(k)]
    return found, np.bincount(p.truth_codes, minlength=k) / len(p)


def mauc_aunu(p: PredictionClassif, weights: _Floats | None) -> float:  # noqa: ARG001
    """Return the mean AUC of each class against the rest (Ferri et al. 2009); NaN if a class does not occur."""
    return float(np.mean(_one_against_rest(p)[0]))


def mauc_aunp(p: PredictionClassif, weights: _Floats | None) -> float:  # noqa: ARG001
    """Return the AUC of each class against the rest, weighted by prevalence (Ferri et al. 2009)."""
    found, share = _one_against_rest(p)
    return math.fsum(a * s for a, s in zip(found, share.tolist(), strict=True) if s)


def _pairs(p: PredictionClassif) -> list[tuple[int, int, float]]:
    """Return A(i|j) for ordered pairs: the AUC of class i's probability among the rows of both (Hand and Till 2001)."""
    prob = p.prob_array
    assert prob is not None
    found = []
    for i, j in combinations(range(len(p.classes)), 2):
        among = (p.truth_codes == i) | (p.truth_codes == j)
        truth, rows = p.truth_codes[among], prob[among]
        found += [(i, j, auc_of(rows[:, i], truth == i)), (j, i, auc_of(rows[:, j], truth == j))]
    return found


def mauc_au1u(p: PredictionClassif, weights: _Floats | None) -> float:  # noqa: ARG001
    """Return the mean AUC of pairs of classes (Hand and Till 2001); NaN if a class does not occur."""
    return float(np.mean([one for _, _, one in _pairs(p)]))


def mauc_au1p(p: PredictionClassif, weights: _Floats | None) -> float:  # noqa: ARG001
    """Return the AUC of pairs of classes, weighted by the prevalence of the first (Ferri et al. 2009)."""
    share = np.bincount(p.truth_codes, minlength=len(p.classes)) / len(p)
    return float(sum(share[i] * one for i, _, one in _pairs(p)) / (len(p.classes) - 1))


def mauc_mu(p: PredictionClassif, weights: _Floats | None) -> float:  # noqa: ARG001
    """Return the mean AUC of pairs of classes, rows ordered by the difference of the two probabilities.

    Kleiman and Page (2019), AUC-mu, with the default partition weights; NaN if a class does not occur.
    """
    prob = p.prob_array
    assert prob is not None
    found = []
    for i, j in combinations(range(len(p.classes)), 2):
        among = (p.truth_codes == i) | (p.truth_codes == j)
        found.append(auc_of(prob[among, i] - prob[among, j], p.truth_codes[among] == i))
    return float(np.mean(found))
