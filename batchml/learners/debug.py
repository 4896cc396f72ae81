"""Learners that misbehave on request: for tests of encapsulation, fallbacks and limits."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from batchml.arguments import shown
from batchml.core.seed import derive, permutation
from batchml.errors import ConfigError, LearnerError
from batchml.learners.featureless import uniform
from batchml.learners.keyed import KeyedLearner
from batchml.params import Domain, p_dbl, p_fct, p_int, p_lgl
from batchml.params.kinds import is_plain_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from batchml.core.task import Task

__all__ = ["ClassifDebug", "DebugModel", "RegrDebug"]

_CHANCES = tuple(
    f"{event}_{stage}" for event in ("error", "message", "segfault", "warning") for stage in ("train", "predict")
)


def _check_nap(nap: Any) -> str | None:
    """Return what is wrong with a time to sleep: seconds, or a function that returns them."""
    if nap is None or callable(nap) or (is_plain_number(nap) and 0 <= nap < math.inf):
        return None
    return f"{shown(nap)} is neither seconds nor a function that returns them"


@dataclass(kw_only=True)
class DebugModel:
    """What a debug learner learned.

    Attributes
    ----------
    value
        The constant that is predicted: the code of a training row's class, or the mean of the target.
    scale
        The standard deviation of the target.
    iter
        The parameter ``iter``.
    random_number
        From the global generator: shows that seeds reach the learner wherever it runs.
    pid
        The process that trained.
    task_train
        Task and row ids with ``save_tasks``.
    marshal_count
        How often the model was pickled, with ``count_marshaling``.
    """

    value: float
    scale: float
    iter: int
    random_number: int
    pid: int
    task_train: tuple[Task, NDArray[np.int64]] | None = None
    marshal_count: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Count."""
        if self.marshal_count is not None:
            self.marshal_count += 1
        return dict(self.__dict__)


class _Debug(KeyedLearner):
    """Predicts a constant, unless a parameter says otherwise.

    Parameters of the learner, all optional: ``message_*``, ``warning_*``, ``error_*``, ``segfault_*`` (``*`` is train
    or predict): the chance of each event, rolled from the stage's seed; ``sleep_*``: seconds, or a function that
    returns them; in this order: sleep, message (on standard error), warning, error, segmentation fault.
    ``predict_missing``: the share of rows without a prediction (rounded down), ``predict_missing_type``: ``na`` or
    ``omit`` (the rows are left out). ``config_error``: training raises a configuration error. ``save_tasks``,
    ``count_marshaling``: see `DebugModel`. ``iter`` is kept in the model; ``x``, ``threads``, ``early_stopping`` and
    ``check_pid`` have no effect.
    """

    parameters: ClassVar[Mapping[str, Domain]] = {
        **{name: p_dbl(0, 1, default=0.0) for name in _CHANCES},
        "predict_missing": p_dbl(0, 1, default=0.0),
        "predict_missing_type": p_fct(["na", "omit"], default="na"),
        "save_tasks": p_lgl(default=False),
        "sleep_train": Domain(rule=_check_nap),
        "sleep_predict": Domain(rule=_check_nap),
        "threads": p_int(1, tags=["threads"]),
        "x": p_dbl(0, 1),
        "iter": p_int(1, default=1),
        "early_stopping": p_lgl(default=False),
        "count_marshaling": p_lgl(default=False),
        "check_pid": p_lgl(default=True),
        "config_error": p_lgl(default=False),
    }

    def _value(self, name: str) -> Any:
        default = self.param_set.defaults.get(name)
        return self.param_set.values.get(name, default)

    def _happen(self, stage: str, seed: int) -> None:
        where = f"{self.key}->{stage}()"
        nap = self._value(f"sleep_{stage}")
        if nap is not None:
            time.sleep(nap() if callable(nap) else nap)
        if stage == "train" and self._value("config_error"):
            raise ConfigError(f"Configuration error from {where}")
        if self._strikes(f"message_{stage}", seed):
            print(f"Message from {where}", file=sys.stderr)  # noqa: T201 - what it is for
        if self._strikes(f"warning_{stage}", seed):
            warnings.warn(f"Warning from {where}", stacklevel=2)
        if self._strikes(f"error_{stage}", seed):
            raise LearnerError(f"Error from {where}")
        if self._strikes(f"segfault_{stage}", seed):
            os.kill(os.getpid(), signal.SIGSEGV)

    def _strikes(self, name: str, seed: int) -> bool:
        return bool(self._value(name) > uniform(derive(seed, name), 1)[0])

    def _model(self, value: float, scale: float, task: Task, row_ids: NDArray[np.int64]) -> DebugModel:
        return DebugModel(
            value=value,
            scale=scale,
            iter=self._value("iter"),
            random_number=int(np.random.randint(100_000)),  # noqa: NPY002 - the global generator is what it shows
            pid=os.getpid(),
            task_train=(task, row_ids) if self._value("save_tasks") else None,
            marshal_count=0 if self._value("count_marshaling") else None,
        )

    def _with_gaps(self, raw: dict[str, Any], row_ids: NDArray[np.int64], seed: int) -> dict[str, Any]:
        """Take the predictions of some rows away."""
        n = len(row_ids)
        gaps = permutation(derive(seed, "predict_missing"), n)[: int(n * self._value("predict_missing"))]
        if not len(gaps):
            return raw
        if self._value("predict_missing_type") == "omit":
            kept = np.delete(np.arange(n), gaps)
            return {**{part: values[kept] for part, values in raw.items()}, "row_ids": row_ids[kept]}
        for part, values in raw.items():
            values[gaps] = -1 if part == "codes" else np.nan
        return raw


class ClassifDebug(_Debug):
    """Predicts the class of one training row, or random probabilities, unless a parameter says otherwise."""

    key = "classif.debug"
    task_type = "classif"
    predict_types = ("response", "prob")
    properties = frozenset({"missings", "multiclass", "twoclass", "weights"})

    def _fit(self, task: Any, row_ids: NDArray[np.int64], *, seed: int) -> DebugModel:
        self._happen("train", seed)
        codes = task.truth_codes(row_ids)
        return self._model(int(codes[derive(seed, "label") % len(codes)]), 0.0, task, row_ids)

    def _predict(self, model: DebugModel, task: Any, row_ids: NDArray[np.int64], *, seed: int) -> dict[str, Any]:
        self._happen("predict", seed)
        n, k = len(row_ids), len(task.classes)
        raw: dict[str, Any] = {"codes": np.full(n, int(model.value), dtype=np.int64)}
        if self.predict_type == "prob":
            prob = uniform(derive(seed, "prob"), n * k).reshape(n, k) + 1e-9
            prob /= prob.sum(axis=1, keepdims=True)
            raw = {"codes": prob.argmax(axis=1), "prob": prob}
        return self._with_gaps(raw, row_ids, seed)


class RegrDebug(_Debug):
    """Predicts the mean of the target, unless a parameter says otherwise."""

    key = "regr.debug"
    task_type = "regr"
    predict_types = ("response", "se")
    properties = frozenset({"missings", "weights"})

    def _fit(self, task: Task, row_ids: NDArray[np.int64], *, seed: int) -> DebugModel:
        self._happen("train", seed)
        truth = task.truth(row_ids)
        return self._model(float(np.mean(truth)), float(np.std(truth)), task, row_ids)

    def _predict(self, model: DebugModel, task: Task, row_ids: NDArray[np.int64], *, seed: int) -> dict[str, Any]:  # noqa: ARG002
        self._happen("predict", seed)
        raw: dict[str, Any] = {"response": np.full(len(row_ids), model.value)}
        if self.predict_type == "se":
            raw["se"] = np.full(len(row_ids), model.scale)
        return self._with_gaps(raw, row_ids, seed)
