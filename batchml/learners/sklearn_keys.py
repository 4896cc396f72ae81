"""The keyed learners: common methods of scikit-learn under the names of the field."""

from __future__ import annotations

import importlib
from typing import Any, Final

from batchml.learners.sklearn import LearnerSklearn

__all__ = ["make"]

_CLASSES: Final = {
    "classif.tree": "sklearn.tree:DecisionTreeClassifier",
    "classif.random_forest": "sklearn.ensemble:RandomForestClassifier",
    "classif.log_reg": "sklearn.linear_model:LogisticRegression",
    "classif.knn": "sklearn.neighbors:KNeighborsClassifier",
    "classif.svm": "sklearn.svm:SVC",
    "classif.gradient_boosting": "sklearn.ensemble:HistGradientBoostingClassifier",
    "classif.naive_bayes": "sklearn.naive_bayes:GaussianNB",
    "regr.tree": "sklearn.tree:DecisionTreeRegressor",
    "regr.random_forest": "sklearn.ensemble:RandomForestRegressor",
    "regr.lm": "sklearn.linear_model:LinearRegression",
    "regr.knn": "sklearn.neighbors:KNeighborsRegressor",
    "regr.svm": "sklearn.svm:SVR",
    "regr.gradient_boosting": "sklearn.ensemble:HistGradientBoostingRegressor",
}


def make(*, key: str, id: str | None = None) -> LearnerSklearn:
    """Return the learner of a key, with scikit-learn's own defaults."""
    module, _, name = _CLASSES[key].partition(":")
    estimator: Any = getattr(importlib.import_module(module), name)()
    return LearnerSklearn(estimator, key=key, id=id, preprocess="auto")
