"""Learners by key: where each is made, for the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEYS"]


def _row(factory: str, packages: str, about: str) -> dict[str, str]:
    return {"factory": factory, "task_type": "", "packages": packages, "about": about}


def _keys() -> dict[str, dict[str, str]]:
    methods = {
        "tree": "decision tree",
        "random_forest": "random forest",
        "knn": "k nearest neighbours, scaled",
        "svm": "support vector machine, scaled",
        "gradient_boosting": "histogram gradient boosting; takes missing values and categories as they are",
    }
    found = {
        f"{kind}.{name}": _row("learners.sklearn_keys:make", "sklearn", about)
        for kind in ("classif", "regr")
        for name, about in methods.items()
    }
    found["classif.log_reg"] = _row("learners.sklearn_keys:make", "sklearn", "logistic regression, scaled")
    found["classif.naive_bayes"] = _row("learners.sklearn_keys:make", "sklearn", "Gaussian naive Bayes")
    found["regr.lm"] = _row("learners.sklearn_keys:make", "sklearn", "ordinary least squares")
    for kind, prefix in (("classif", "Classif"), ("regr", "Regr")):
        found[f"{kind}.featureless"] = _row(f"learners.featureless:{prefix}Featureless", "batchml", "the baseline")
        found[f"{kind}.debug"] = _row(f"learners.debug:{prefix}Debug", "batchml", "fails, warns, hangs as it is told")
    return {key: {**row, "task_type": key.partition(".")[0]} for key, row in sorted(found.items())}


KEYS: Final[Mapping[str, Mapping[str, Any]]] = _keys()
