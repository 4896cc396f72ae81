"""The resamplings that come with the package, by key."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["KEYS"]

#: For the catalogue.
KEYS: Final[dict[str, dict[str, Any]]] = {
    "cv": {"factory": "resamplings.folds:CV", "params": "folds=10, stratify", "about": "cross-validation"},
    "repeated_cv": {
        "factory": "resamplings.folds:RepeatedCV",
        "params": "folds=10, repeats=10, stratify",
        "about": "cross-validation, repeated",
    },
    "loo": {"factory": "resamplings.folds:LeaveOneOut", "params": "", "about": "each row (or group) once"},
    "holdout": {"factory": "resamplings.shares:Holdout", "params": "ratio=2/3, stratify", "about": "one split"},
    "subsampling": {
        "factory": "resamplings.shares:Subsampling",
        "params": "ratio=2/3, repeats=30, stratify",
        "about": "holdout, repeated",
    },
    "bootstrap": {
        "factory": "resamplings.shares:Bootstrap",
        "params": "ratio=1, repeats=30, stratify",
        "about": "drawn with replacement, tested on the rest",
    },
    "insample": {"factory": "resamplings.fixed:Insample", "params": "", "about": "train and test on all rows"},
    "custom": {"factory": "resamplings.fixed:Custom", "params": "train_sets, test_sets", "about": "row ids as given"},
    "custom_cv": {"factory": "resamplings.fixed:CustomCV", "params": "col, folds", "about": "a fold for each value"},
}
