"""What a scikit-learn estimator can do, as far as it shows before it is fitted."""

from __future__ import annotations

import inspect
from typing import Any

from sklearn.base import is_classifier, is_regressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.pipeline import Pipeline

from batchml.errors import ConfigError
from batchml.learners import preprocessing

__all__ = ["abilities", "argument_names", "check_estimator", "holds_pipeline", "packages", "task_type_of"]


def check_estimator(estimator: Any) -> None:
    """Refuse what lacks a method that every estimator has."""
    for method in ("fit", "predict", "get_params", "set_params"):
        if not callable(getattr(estimator, method, None)):
            raise ConfigError(f"{type(estimator).__name__} is no scikit-learn estimator: it has no {method}")


def task_type_of(estimator: Any) -> str:
    """Return ``classif`` or ``regr``, as scikit-learn says."""
    if is_classifier(estimator):
        return "classif"
    if is_regressor(estimator):
        return "regr"
    raise ConfigError(
        f"{type(estimator).__name__} is neither a classifier nor a regressor for scikit-learn: derive it from "
        "ClassifierMixin or RegressorMixin (before BaseEstimator)"
    )


def holds_pipeline(estimator: Any) -> bool:
    """Whether there is a Pipeline anywhere in it."""
    return any(isinstance(part, Pipeline) for part in preprocessing.parts(estimator))


def argument_names(estimator: Any, method: str) -> tuple[str, ...]:
    """Return the names of a method's arguments, none if it hides them."""
    try:
        return tuple(inspect.signature(getattr(estimator, method)).parameters)
    except (AttributeError, TypeError, ValueError):
        return ()


def abilities(estimator: Any, task_type: str, preprocess: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return feature types and properties."""
    missing, categories = (True, True) if preprocess == "auto" else preprocessing.accepts(estimator)
    kinds = ("logical", "integer", "numeric", *(("categorical", "ordered") if categories else ()))
    if preprocess == "none" and categories and not preprocessing.takes_categories(estimator):
        kinds = (*kinds, "datetime", "text")
    properties = {"twoclass", "multiclass"} if task_type == "classif" else set()
    final = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    if missing:
        properties.add("missings")
    if isinstance(final, (DummyClassifier, DummyRegressor)):
        properties.add("featureless")
    if "sample_weight" in argument_names(final, "fit"):
        properties.add("weights")
    if hasattr(type(final), "feature_importances_"):
        properties |= {"importance", "selected_features"}
    if "oob_score" in getattr(final, "get_params", dict)():
        properties.add("oob_error")
    return kinds, frozenset(properties)


def packages(estimator: Any) -> tuple[str, ...]:
    """Return the packages that its parts come from."""
    tops = {type(part).__module__.partition(".")[0] for part in preprocessing.parts(estimator)}
    return tuple(sorted(tops | {"sklearn"}))
