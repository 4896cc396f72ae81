"""Classes and probabilities as arrays: checks and decisions of class predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.arguments import fraction, shown
from batchml.core.labels import UNKNOWN, encode_labels
from batchml.core.prediction_base import as_floats
from batchml.errors import DataError, UnknownKeyError, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchml.core.backend import Label

    _Ids = NDArray[np.int64]
    _Floats = NDArray[np.float64]

__all__ = ["as_matrix", "most_probable", "positive_code", "response_codes", "threshold_codes", "truth_codes"]

#: By how much the sum of a model's probabilities may miss 1.
_ROUNDING = 1e-9


def most_probable(prob: _Floats) -> _Ids:
    """Return the class with the largest probability, the first of equals; -1 for rows with a NaN."""
    if prob.shape[1] == 0:
        return np.full(len(prob), -1, dtype=np.int64)
    codes = prob.argmax(axis=1)  # NaN counts as the largest
    best = prob[np.arange(len(prob)), codes]
    return np.where(np.isnan(best), -1, codes) if np.isnan(best).any() else codes


def threshold_codes(
    prob: _Floats, classes: tuple[Label, ...], positive: int, threshold: float | Mapping[Label, float]
) -> _Ids:
    """Return the classes that thresholds choose; see `PredictionClassif.set_threshold`."""
    if isinstance(threshold, Mapping):
        for label in threshold:
            if label not in classes:
                raise UnknownKeyError(f"there is no class {shown(label)}{nearest(str(label), map(str, classes))}")
        lacking = [label for label in classes if label not in threshold]
        if lacking:
            raise DataError(f"class {lacking[0]!r} has no threshold")
        by = np.array([fraction(threshold[label], f"the threshold of {label!r}") for label in classes])
        if not (by >= 0).all():
            raise DataError("thresholds are not negative")
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = prob / by
        most: _Ids = np.where(np.isnan(ratio), 0.0, ratio).argmax(axis=1)
        return most
    if len(classes) != 2:
        raise DataError(f"with {len(classes)} classes a threshold for each is needed: {{class: number}}")
    if not 0 <= fraction(threshold, "a threshold") <= 1:
        raise DataError(f"a threshold is between 0 and 1, not {threshold}")
    return np.where(prob[:, positive] >= threshold, positive, 1 - positive)


def positive_code(classes: tuple[Label, ...], positive: Label | None) -> int:
    """Return the position of the positive class: the one named, else 1 of {0, 1} and {-1, 1}, else the first."""
    if positive is None:
        return 1 if classes in ((0, 1), (-1, 1)) else 0
    try:
        return classes.index(positive)
    except (TypeError, ValueError):  # also of what cannot be compared
        close = nearest(shown(positive), map(str, classes))
        raise UnknownKeyError(
            f"there is no class {shown(positive)}{close}; the classes are {', '.join(map(str, classes))}"
        ) from None


def as_matrix(prob: Any, k: int, positive: int) -> _Floats:
    """Return probabilities as n x k; a vector holds those of the positive of two classes."""
    matrix = as_floats(prob, "prob")
    if matrix.ndim == 1 and k == 2:
        matrix = np.column_stack([1 - matrix, matrix] if positive == 1 else [matrix, 1 - matrix])
    if matrix.ndim != 2 or matrix.shape[1] != k:
        raise DataError(f"prob has the shape {matrix.shape}; it needs a column for each of {k} classes")
    if ((matrix < -_ROUNDING) | (matrix > 1 + _ROUNDING)).any():
        raise DataError("prob holds values outside of [0, 1], which are no probabilities")
    return matrix


def truth_codes(truth: Any, classes: tuple[Label, ...], n: int) -> _Ids:
    """Return true labels as positions in classes; -1 where they are not known."""
    if truth is None:
        return np.full(n, -1, dtype=np.int64)
    codes = encode_labels(truth, classes)
    if len(codes) != n:
        raise DataError(f"there are {len(codes)} true labels for {n} predictions")
    return _no_strangers(codes, truth, classes, "truth")


def response_codes(response: Any, classes: tuple[Label, ...]) -> _Ids:
    """Return predicted labels as positions in classes; -1 for missing ones."""
    return _no_strangers(encode_labels(response, classes), response, classes, "response")


def _no_strangers(codes: _Ids, values: Any, classes: tuple[Label, ...], what: str) -> _Ids:
    if codes.size and codes.min() == UNKNOWN:
        stranger = np.asarray(values, dtype=object)[codes == UNKNOWN][0]
        raise DataError(f"the {what} {stranger!r} is no class; the classes are {', '.join(map(str, classes))}")
    return codes
