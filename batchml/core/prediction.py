"""Predictions, and how a learner's raw output becomes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from batchml.core.class_codes import most_probable
from batchml.core.labels import UNKNOWN, encode_labels
from batchml.core.prediction_base import Prediction
from batchml.core.prediction_classif import PredictionClassif
from batchml.core.prediction_regr import PredictionRegr, middle_quantile
from batchml.core.rows import RowIndex
from batchml.core.task_types import Task, TaskClassif
from batchml.errors import LearnerError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Prediction", "PredictionClassif", "PredictionRegr", "as_prediction"]

_Ids = NDArray[np.int64]
_Floats = NDArray[np.float64]
_KNOWN = frozenset({"response", "codes", "prob", "classes", "se", "quantiles", "quantile_probs", "row_ids"})


def as_prediction(task: Task, row_ids: Any, raw: Mapping[str, Any], *, truth: bool = True) -> Prediction:
    """Return what a learner said as a prediction for rows of a task.

    Parameters
    ----------
    task
        The task predicted on.
    row_ids
        The rows that were asked for.
    raw
        ``response`` (labels or numbers; None, NaN and pandas.NA are missing), ``codes`` (positions in task.classes,
        instead of a response), ``prob`` (array or frame) with ``classes`` (of its columns; default: task.classes),
        ``se``, ``quantiles`` with ``quantile_probs``. With ``row_ids`` the learner may leave rows out: these are
        missing.
    truth
        False: the target is not known (new data).

    Raises
    ------
    LearnerError
        A wrong length, an unknown label or row, a probability outside of [0, 1].
    """
    unknown = sorted(set(raw) - _KNOWN)
    if unknown:
        raise LearnerError(f"the learner's prediction has an unknown part {unknown[0]!r}")
    rows = task.row_ids if row_ids is None else np.asarray(row_ids, dtype=np.int64)
    said = _Said(raw, rows)
    weights = task.row_weights(rows) if truth else None
    if isinstance(task, TaskClassif):
        return _classif(task, rows, said, weights, truth=truth)
    return _regr(task, rows, said, weights, truth=truth)


class _Said:
    """The parts of a raw prediction, each brought to the rows that were asked for."""

    def __init__(self, raw: Mapping[str, Any], rows: _Ids) -> None:
        self.raw = raw
        self.n = len(rows)
        self.place: _Ids | None = None
        if raw.get("row_ids") is not None:
            ids = np.asarray(raw["row_ids"], dtype=np.int64)
            place, known = RowIndex(ids).find(rows)
            strange = np.setdiff1d(ids, rows)
            if len(strange):
                raise LearnerError(f"the learner predicted row {strange[0]}, which was not asked for")
            self.n = len(ids)
            self.place = np.where(known, place, self.n) if len(ids) else np.zeros(len(rows), dtype=np.int64)

    def has(self, part: str) -> bool:
        return self.raw.get(part) is not None

    def placed(self, values: NDArray[Any], part: str, missing: Any) -> NDArray[Any]:
        """Return values in the order of the rows; rows that the learner left out get `missing`."""
        if len(values) != self.n:
            raise LearnerError(f"the learner gave {len(values)} {part} values for {self.n} rows")
        if self.place is None:
            return values
        gap = np.full((1, *values.shape[1:]), missing, dtype=values.dtype)
        return np.concatenate([values, gap])[self.place]


def _classif(task: TaskClassif, rows: _Ids, said: _Said, weights: _Floats | None, *, truth: bool) -> PredictionClassif:
    classes = task.classes
    prob = _prob(said, classes) if said.has("prob") else None
    if said.has("codes"):
        codes = said.placed(np.asarray(said.raw["codes"], dtype=np.int64), "response", -1)
    elif said.has("response"):
        codes = said.placed(_labels(said.raw["response"], classes), "response", -1)
    elif prob is not None:
        codes = most_probable(prob)
    else:
        raise LearnerError("the learner gave neither a response nor probabilities")
    return PredictionClassif.from_codes(
        classes=classes,
        positive_code=0 if task.positive is None else classes.index(task.positive),
        truth_codes=task.truth_codes(rows) if truth else np.full(len(rows), -1, dtype=np.int64),
        response_codes=codes,
        prob=prob,
        row_ids=rows,
        weights=weights,
    )


def _labels(response: Any, classes: tuple[Any, ...]) -> _Ids:
    if np.ndim(response) != 1:
        raise LearnerError(f"the learner's response has the shape {np.shape(response)}, not one label per row")
    codes = encode_labels(response, classes)
    if codes.size and codes.min() == UNKNOWN:
        stranger = np.asarray(response, dtype=object)[codes == UNKNOWN][0]
        raise LearnerError(f"the learner predicted {stranger!r}, which is no class: {', '.join(map(str, classes))}")
    return codes


def _prob(said: _Said, classes: tuple[Any, ...]) -> _Floats:
    """Return probabilities with a column per class; a class that the learner never saw has probability 0."""
    prob = said.raw["prob"]
    named = said.raw.get("classes")
    if named is None:
        named = getattr(prob, "columns", None)
    matrix = np.asarray(prob, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != (len(classes) if named is None else len(named)):
        raise LearnerError(f"the learner's probabilities have the shape {matrix.shape} for {len(classes)} classes")
    if matrix.size and (np.nanmin(matrix, initial=0.0) < -1e-9 or np.nanmax(matrix, initial=0.0) > 1 + 1e-9):
        raise LearnerError("the learner gave probabilities outside of [0, 1]")
    if named is not None and tuple(named) != classes:
        place = _labels(list(named), classes)
        whole = np.zeros((len(matrix), len(classes)))
        whole[:, place] = matrix
        whole[np.isnan(matrix).any(axis=1)] = np.nan
        matrix = whole
    return said.placed(matrix, "probability", np.nan)


def _regr(task: Task, rows: _Ids, said: _Said, weights: _Floats | None, *, truth: bool) -> PredictionRegr:
    quantiles = _numbers(said, "quantiles", 2) if said.has("quantiles") else None
    probs = tuple(float(one) for one in said.raw.get("quantile_probs") or ())
    if quantiles is not None and quantiles.shape[1] != len(probs):
        raise LearnerError(f"the learner gave {quantiles.shape[1]} quantiles, but {len(probs)} probabilities of them")
    if said.has("response"):
        response = _numbers(said, "response", 1)
    elif quantiles is not None:
        response = middle_quantile(quantiles, probs)
    else:
        raise LearnerError("the learner gave no response")
    return PredictionRegr.from_arrays(
        truth=task.truth(rows) if truth else np.full(len(rows), np.nan),
        response=response,
        se=_numbers(said, "se", 1) if said.has("se") else None,
        quantiles=quantiles,
        quantile_probs=probs,
        row_ids=rows,
        weights=weights,
    )


def _numbers(said: _Said, part: str, ndim: int) -> _Floats:
    values = said.raw[part]
    if not isinstance(values, np.ndarray) and hasattr(values, "to_numpy"):
        values = values.to_numpy()
    try:
        array = np.asarray(values, dtype=np.float64)
    except TypeError:
        from batchml.core.labels import is_missing

        array = np.array([np.nan if is_missing(one) else one for one in values], dtype=np.float64)
    except ValueError as problem:
        raise LearnerError(f"the learner's {part} holds no numbers: {problem}") from problem
    if array.ndim == 2 and ndim == 1 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != ndim:
        raise LearnerError(f"the learner's {part} has the shape {array.shape}")
    return said.placed(array, part, np.nan)
