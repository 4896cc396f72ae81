"""What a fitted scikit-learn model says of its features and of its own error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from batchml.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["importance", "keep_oob_error", "oob_error", "selected_features"]


def importance(model: Any, features: list[str]) -> pd.Series[float]:
    """Return ``feature_importances_`` by feature, the largest first; encoded columns count for their feature.

    Raises
    ------
    ConfigError
        The method has none, or steps before it make other features.
    """
    import pandas as pd

    last = _last(model)
    values = getattr(last, "feature_importances_", None)
    if values is None:
        raise ConfigError(f"{type(last).__name__} offers no feature importance")
    names = _names(model, features)
    if names is None or len(names) != len(values):
        raise ConfigError(
            "the steps before the estimator make new features: ask model.named_steps for their importance"
        )
    sums = pd.Series(np.asarray(values, dtype=np.float64), index=names).groupby(level=0, sort=False).sum()
    return sums.reindex(features, fill_value=0.0).sort_values(ascending=False, kind="stable")


def selected_features(model: Any, features: list[str]) -> list[str]:
    """Return the features with an importance above 0, in the task's order."""
    used = importance(model, features)
    return [name for name in features if used[name] > 0]


def oob_error(model: Any, task_type: str, where: str) -> float:
    """Return the out-of-bag error: classification error, or mean squared error.

    Raises
    ------
    ConfigError
        The estimator was not asked for it (``oob_score=True``).
    """
    last = _last(model)
    if task_type == "classif" and hasattr(last, "oob_score_"):
        return 1.0 - float(last.oob_score_)
    if hasattr(last, "oob_mse_"):
        return float(last.oob_mse_)
    raise ConfigError(f"learner '{where}' has no out-of-bag error: set its parameter oob_score to True")


def keep_oob_error(model: Any, truth: Any) -> None:
    """Keep the mean squared out-of-bag error on a fitted regressor, which knows R squared only."""
    last = _last(model)
    predicted = getattr(last, "oob_prediction_", None)
    if predicted is not None:
        last.oob_mse_ = float(np.mean((np.asarray(truth, dtype=np.float64) - predicted) ** 2))


def _last(model: Any) -> Any:
    return model.steps[-1][1] if isinstance(model, Pipeline) else model


def _names(model: Any, features: list[str]) -> list[str] | None:
    """Return the feature behind each column that the last step sees, None if that is not known."""
    if not isinstance(model, Pipeline):
        return features
    names = features
    for _, step in model.steps[:-1]:
        if isinstance(step, ColumnTransformer):
            names = _encoded_names(step)
        elif not hasattr(step, "n_features_in_") or step.n_features_in_ != len(names) or not _keeps_columns(step):
            return None
    return names


def _keeps_columns(step: Any) -> bool:
    return type(step).__module__.startswith(("sklearn.impute", "sklearn.preprocessing._data"))


def _encoded_names(columns: ColumnTransformer) -> list[str]:
    names: list[str] = []
    for _, step, selected in columns.transformers_:
        if isinstance(step, str) and step == "drop":
            continue
        categories = getattr(step, "categories_", None)
        for i, name in enumerate(selected):
            names += [name] * (1 if categories is None else len(categories[i]))
    return names
