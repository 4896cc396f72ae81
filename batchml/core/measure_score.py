"""What a measure says of one prediction."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from batchml.arguments import mapping, shown
from batchml.core.catalog import resolve_name
from batchml.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from batchml.core.measure_facts import Facts
    from batchml.core.prediction_base import Prediction

__all__ = ["Scoring"]


class Scoring:
    """The part of a measure that gives one iteration its value; see `Measure`."""

    id: str
    facts: Facts
    na_value: float
    predict_sets: tuple[str, ...]
    _params: dict[str, Any]
    _kernel: Callable[..., Any] | None
    _warned: bool

    def score(
        self,
        prediction: Prediction | Mapping[str, Prediction] | None = None,
        *,
        timings: Mapping[str, float] | None = None,
        learner: Any = None,
        task: Any = None,
    ) -> float:
        """Return the value for one iteration; NaN where it is not defined.

        Parameters
        ----------
        prediction
            The prediction, or one for each predict set.
        timings
            Seconds of ``train`` and ``predict``.
        learner
            Trained; for measures that ask the model.
        task
            For measures that ask the task.

        Raises
        ------
        ConfigError
            The measure is for another task type.
        """
        if self.facts.needs is not None:
            given = None if timings is None else mapping(timings, f"measure {self.id!r}: timings", "stages to seconds")
            return self._score_without_prediction(given, learner, task)
        one = self._chosen(prediction)
        if one is None:
            return math.nan
        self._check_type(one)
        obstacle = self._obstacle(one)
        if obstacle:
            self._warn(obstacle)
            return math.nan
        if len(one) == 0 or one.n_missing or one.truth_missing:
            return math.nan
        return self._defined(self._run(one, one.weights if self.facts.weights else None, **self._params))

    def _defined(self, value: Any) -> float:
        number = float(value)
        return self.na_value if math.isnan(number) else number

    def obs_loss(self, prediction: Prediction) -> NDArray[np.float64]:
        """Return what each row contributes; NaN for missing ones, and (with a warning) where rows have no part.

        Raises
        ------
        ConfigError
            The measure is for another task type.
        """
        import numpy as np

        self._check_type(prediction)
        found = np.full(len(prediction), np.nan)
        obstacle = self._obstacle(prediction) or ("" if self.facts.loss else "rows have no loss of their own")
        if obstacle:
            self._warn(obstacle)
            return found
        known = np.flatnonzero(~(prediction.missing | prediction.unknown))
        found[known] = resolve_name(str(self.facts.loss))(prediction.take(known), **self._params)
        return found

    def _check_type(self, one: Any) -> None:
        if not hasattr(one, "predict_type") or not hasattr(one, "truth_missing"):
            raise ConfigError(f"measure {self.id!r} scores a prediction, not {shown(one)}")
        if self.facts.task_type not in {None, one.task_type}:
            raise ConfigError(
                f"measure {self.id!r} is for {self.facts.task_type} tasks, the prediction is {one.task_type}"
            )

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        if self._kernel is None:
            self._kernel = resolve_name(self.facts.kernel)
        return self._kernel(*args, **kwargs)

    def _chosen(self, prediction: Any) -> Any:
        if prediction is None:
            return None
        if not isinstance(prediction, Mapping):
            return prediction
        parts = [prediction[name] for name in self.predict_sets if name in prediction]
        if len(parts) < len(self.predict_sets):
            lacking = next(name for name in self.predict_sets if name not in prediction)
            self._warn(f"there is no prediction of the set {lacking!r}: set learner.predict_sets")
            return None
        return parts[0] if len(parts) == 1 else parts[0].combine(parts)

    def _obstacle(self, prediction: Prediction) -> str:
        wanted = self.facts.predict_type
        has = prediction.predict_type
        if wanted in {"prob", "se", "quantiles"} and has != wanted:
            return f"it needs the predict type {wanted!r}, the prediction has {has!r}"
        if self.facts.twoclass and len(getattr(prediction, "classes", ())) != 2:
            return f"it needs two classes, the prediction has {len(getattr(prediction, 'classes', ()))}"
        return ""

    def _score_without_prediction(self, timings: Mapping[str, float] | None, learner: Any, task: Any) -> float:
        if self.facts.needs == "learners":
            return math.nan
        given = timings if self.facts.needs == "timings" else learner
        if given is None:
            if self.facts.needs == "learner":
                self._warn("it needs the trained learner: resample and benchmark keep it with store_models=True")
            return math.nan
        value = self._run(timings=timings, learner=learner, task=task, **self._params)
        return self.na_value if value is None else self._defined(value)

    def _warn(self, reason: str) -> None:
        """Say it once, not once for each iteration."""
        if not self._warned:
            self._warned = True
            warnings.warn(f"measure {self.id!r} is NaN: {reason}", UserWarning, stacklevel=4)
