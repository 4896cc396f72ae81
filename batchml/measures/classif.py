"""Kernels of measures for any number of classes.

Each takes a prediction without missing values and row weights (or None).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchml.core.prediction_classif import PredictionClassif

    _Floats = NDArray[np.float64]

__all__ = ["acc", "bacc", "ce", "costs", "logloss", "mbrier", "mcc", "weighted_mean"]


def weighted_mean(values: Any, weights: _Floats | None) -> float:
    """Return the mean, weighted if there are weights; NaN if they sum to zero."""
    if weights is None:
        return float(values.mean())
    total = float(weights.sum())
    return float(values @ weights) / total if total else math.nan


def acc(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the share of right responses."""
    return weighted_mean(p.response_codes == p.truth_codes, weights)


def ce(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the share of wrong responses."""
    return weighted_mean(p.response_codes != p.truth_codes, weights)


def bacc(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the mean over classes that occur of the share of their rows that were found.

    With weights the shares are weighted (Brodersen et al. 2010, The balanced accuracy and its posterior distribution).
    """
    counts = p.confusion_counts(weighted=weights is not None)
    size = counts.sum(axis=0)
    occurs = size > 0
    return float((counts.diagonal()[occurs] / size[occurs]).mean()) if occurs.any() else math.nan


def mcc(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the correlation of truth and response; 0 if one of them is constant.

    The R_K statistic of Gorodkin (2004), Comparing two K-category assignments by a K-category correlation coefficient;
    for two classes that of Matthews (1975).
    """
    counts = p.confusion_counts(weighted=weights is not None)
    total, right = counts.sum(), counts.trace()
    said, true = counts.sum(axis=1), counts.sum(axis=0)
    above = right * total - said @ true
    below = (total**2 - said @ said) * (total**2 - true @ true)
    return float(above / math.sqrt(below)) if below > 0 else 0.0


def costs(p: PredictionClassif, weights: _Floats | None, *, costs: Any, normalize: bool) -> float:  # noqa: ARG001
    """Return the costs of all pairs of response and truth: their mean, or with normalize=False their sum.

    `costs` maps responses to the costs by truth; an array has the classes in their order, rows responses.
    """
    if costs is None:
        raise ConfigError("measure 'classif.costs' needs costs: a frame of classes, rows responses, columns truth")
    if isinstance(costs, Mapping):
        costs = [[_cost(costs, said, true) for true in p.classes] for said in p.classes]
    matrix = np.asarray(costs, dtype=np.float64)
    if matrix.shape != (len(p.classes), len(p.classes)):
        raise ConfigError(f"measure 'classif.costs': costs of the shape {matrix.shape} for {len(p.classes)} classes")
    total = float((p.confusion_counts() * matrix).sum())
    return total / len(p) if normalize else total


def _cost(costs: Mapping[Any, Mapping[Any, float]], said: Any, true: Any) -> float:
    try:
        return costs[said][true]
    except KeyError as problem:
        raise ConfigError(f"measure 'classif.costs': the costs lack the class {problem.args[0]!r}") from problem


def logloss(p: PredictionClassif, weights: _Floats | None, *, eps: float) -> float:
    """Return minus the mean logarithm of the true class's probability, kept within eps and 1 - eps."""
    prob = p.prob_array
    assert prob is not None
    given = prob[np.arange(len(prob)), p.truth_codes]
    return -weighted_mean(np.log(np.minimum(np.maximum(given, eps), 1 - eps)), weights)


def mbrier(p: PredictionClassif, weights: _Floats | None) -> float:
    """Return the mean squared distance of probabilities from the truth (Brier 1950), from 0 to 2."""
    prob = p.prob_array
    assert prob is not None
    rows = np.arange(len(prob))
    distance = np.einsum("ij,ij->i", prob, prob) + 1 - 2 * prob[rows, p.truth_codes]
    return weighted_mean(distance, weights)
