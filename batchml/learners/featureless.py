"""Learners that look at no feature: the baseline of every benchmark, and the usual fallback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from batchml.core.seed import derive
from batchml.learners.keyed import KeyedLearner
from batchml.params import Domain, p_fct, p_lgl

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from batchml.core.task import Task, TaskClassif

__all__ = ["ClassifFeatureless", "RegrFeatureless"]

_METHODS = ("mode", "sample", "weighted.sample")
# Makes the median absolute deviation estimate the standard deviation of a normal distribution: 1 / qnorm(3/4).
_NORMAL = 1.4826


class _Featureless(KeyedLearner):
    draws_globally = False

    def _importance(self, model: Any) -> pd.Series[float]:
        import pandas as pd

        return pd.Series(0.0, index=list(model["features"]))

    def _selected_features(self, model: Any) -> list[str]:  # noqa: ARG002 - it uses none whatever it learned
        return []


class ClassifFeatureless(_Featureless):
    """Predicts from the shares of the classes alone.

    The parameter ``method``: ``mode`` predicts the most frequent class (one of them by chance if there are several, the
    same for all rows), ``sample`` draws each row's class with equal chances, ``weighted.sample`` by the shares.
    Probabilities are the shares (``sample``: all equal). Observation weights are used.
    """

    key = "classif.featureless"
    task_type = "classif"
    predict_types = ("response", "prob")
    properties = frozenset(
        {"featureless", "importance", "missings", "multiclass", "selected_features", "twoclass", "weights"}
    )
    parameters: ClassVar[Mapping[str, Domain]] = {"method": p_fct(_METHODS, default="mode")}

    def _fit(self, task: TaskClassif, row_ids: NDArray[np.int64], *, seed: int) -> dict[str, Any]:  # type: ignore[override]  # check() saw to it
        weights = task.row_weights(row_ids)
        counts = np.bincount(task.truth_codes(row_ids), weights=weights, minlength=len(task.classes))
        best = np.flatnonzero(counts == counts.max())
        mode = best[derive(seed, "ties") % len(best)] if len(best) > 1 else best[0]
        return {"counts": counts, "mode": int(mode), "features": task.feature_names}

    def _predict(
        self,
        model: Mapping[str, Any],
        task: TaskClassif,  # type: ignore[override]  # noqa: ARG002 - looks at nothing
        row_ids: NDArray[np.int64],
        *,
        seed: int,
    ) -> dict[str, Any]:
        counts, n = model["counts"], len(row_ids)
        method = self.param_set.values.get("method", "mode")
        shares = counts / counts.sum() if method != "sample" else np.full(len(counts), 1 / len(counts))
        if method == "mode":
            codes = np.full(n, model["mode"])
        else:
            codes = np.minimum(np.searchsorted(np.cumsum(shares), uniform(seed, n), side="right"), len(shares) - 1)
        raw: dict[str, Any] = {"codes": codes.astype(np.int64, copy=False)}
        if self.predict_type == "prob":
            raw["prob"] = np.tile(shares, (n, 1))
        return raw


class RegrFeatureless(_Featureless):
    """Predicts the mean of the target, with its standard deviation as standard error.

    With the parameter ``robust`` the median, and the median absolute deviation times 1.4826. Observation weights are
    used by the mean.
    """

    key = "regr.featureless"
    task_type = "regr"
    predict_types = ("response", "se")
    properties = frozenset({"featureless", "importance", "missings", "selected_features", "weights"})
    parameters: ClassVar[Mapping[str, Domain]] = {"robust": p_lgl(default=False)}

    def _fit(self, task: Task, row_ids: NDArray[np.int64], *, seed: int) -> dict[str, Any]:  # noqa: ARG002 - no chance
        y = np.asarray(task.truth(row_ids), dtype=np.float64)
        if self.param_set.values.get("robust", False):
            location = float(np.median(y))
            scale = float(np.median(np.abs(y - location))) * _NORMAL
        else:
            location, scale = _moments(y, task.row_weights(row_ids))
        return {"location": location, "scale": scale, "features": task.feature_names}

    def _predict(
        self,
        model: Mapping[str, Any],
        task: Task,  # noqa: ARG002 - looks at nothing
        row_ids: NDArray[np.int64],
        *,
        seed: int,  # noqa: ARG002
    ) -> dict[str, Any]:
        raw = {"response": np.full(len(row_ids), model["location"])}
        if self.predict_type == "se":
            raw["se"] = np.full(len(row_ids), model["scale"])
        return raw


def uniform(seed: int, n: int) -> NDArray[np.float64]:
    """Return numbers in [0, 1) from the raw stream of PCG64, which numpy promises to keep."""
    raw = np.random.PCG64(np.random.SeedSequence([seed & 0xFFFFFFFF, seed >> 32])).random_raw(n)
    return np.asarray(raw >> np.uint64(11)) * 2.0**-53


def _moments(y: NDArray[np.float64], weights: NDArray[np.float64] | None) -> tuple[float, float]:
    """Return mean and standard deviation (n - 1; with weights their sum less 1 is not known, so the sum)."""
    if weights is None:
        return float(y.mean()), float(y.std(ddof=1)) if len(y) > 1 else float("nan")
    mean = float(np.average(y, weights=weights))
    return mean, float(np.sqrt(np.average((y - mean) ** 2, weights=weights)))
