"""The tasks that come with the package, by key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.core.intake import as_task_classif, as_task_regr
from batchml.errors import UnknownKeyError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchml.core.backend import Label
    from batchml.core.task import Task

__all__ = ["DATASETS", "KEYS", "Dataset", "dataset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A key's task: where its table comes from and what is predicted."""

    load: Callable[[], Any]
    target: str
    type: str = "classif"
    positive: Label | None = None
    about: str = ""
    shape: tuple[int, int] = (0, 0)


def dataset(key: str, *, id: str | None = None, positive: Label | None = None) -> Task:
    """Return the task of a key, made anew.

    Raises
    ------
    UnknownKeyError
        There is no such key; names the nearest.
    DataUnavailableError
        The table must come from the network, which is not there.
    """
    if key not in DATASETS:
        raise UnknownKeyError(
            f"no task is called {key!r}{nearest(key, DATASETS)}; there are {', '.join(sorted(DATASETS))}"
        )
    entry = DATASETS[key]
    table = entry.load()
    if entry.type == "regr":
        return as_task_regr(table, entry.target, id=id or key)
    wanted = entry.positive if positive is None else positive
    return as_task_classif(table, entry.target, id=id or key, positive=wanted)


def _penguins() -> Any:
    """Missing values stay; column names as in the package."""
    from palmerpenguins import load_penguins

    return load_penguins()


def _sklearn(name: str, *, label: str) -> Callable[[], Any]:
    def load() -> Any:
        import pandas as pd
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{name}")()
        frame = pd.DataFrame(bunch.data, columns=[_column_name(one) for one in bunch.feature_names])
        names = getattr(bunch, "target_names", None)
        # Names of classes, not numbers, where the source has names.
        named = names is not None and label != "digit" and bunch.target.dtype.kind in "iu"
        frame[label] = np.asarray(names)[bunch.target] if named else bunch.target
        return frame

    return load


def _column_name(text: str) -> str:
    """Return e.g. ``sepal_length_cm`` for ``sepal length (cm)``."""
    return "_".join(text.replace("(", "").replace(")", "").split())


def _openml(number: int) -> Callable[[], Any]:
    def load() -> Any:
        from batchml.data.openml import openml_table

        return openml_table(number)

    return load


DATASETS: dict[str, Dataset] = {
    "penguins": Dataset(
        load=_penguins,
        target="species",
        shape=(344, 8),
        about="penguins of the Palmer Archipelago, with missing values",
    ),
    "iris": Dataset(load=_sklearn("iris", label="species"), target="species", shape=(150, 5), about="iris flowers"),
    "wine": Dataset(load=_sklearn("wine", label="cultivar"), target="cultivar", shape=(178, 14), about="Italian wines"),
    "breast_cancer": Dataset(
        load=_sklearn("breast_cancer", label="diagnosis"),
        target="diagnosis",
        positive="malignant",
        shape=(569, 31),
        about="breast tumours (Wisconsin)",
    ),
    "digits": Dataset(
        load=_sklearn("digits", label="digit"),
        target="digit",
        shape=(1797, 65),
        about="handwritten digits, 8 x 8 pixels",
    ),
    "diabetes": Dataset(
        load=_sklearn("diabetes", label="progression"),
        target="progression",
        type="regr",
        shape=(442, 11),
        about="progression of diabetes after a year",
    ),
    "german_credit": Dataset(
        load=_openml(31), target="class", positive="good", shape=(1000, 21), about="credit risks (OpenML 31)"
    ),
    "spam": Dataset(load=_openml(44), target="class", positive="1", shape=(4601, 58), about="e-mails (OpenML 44)"),
    "sonar": Dataset(
        load=_openml(40), target="Class", positive="Mine", shape=(208, 61), about="sonar echoes (OpenML 40)"
    ),
}

#: For the catalogue.
KEYS: dict[str, dict[str, Any]] = {
    key: {
        "factory": "data.datasets:dataset",
        "type": entry.type,
        "rows": entry.shape[0],
        "columns": entry.shape[1],
        "target": entry.target,
        "about": entry.about,
    }
    for key, entry in DATASETS.items()
}
