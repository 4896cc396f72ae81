"""What ``preprocess="auto"`` puts before an estimator, as a visible scikit-learn Pipeline.

The rule looks at the whole task (feature types, missing values anywhere), never at the training rows, so that all
iterations have the same pipeline. Nothing is put where nothing is needed:

* *numbers* (numeric, integer; logical if there are only these three) that are missing anywhere are imputed by the
  median of the training rows, unless the estimator takes NaN (its tag ``allow_nan``: trees, forests, histogram gradient
  boosting). A column without a single value in the training rows becomes 0, also for histogram gradient boosting.
* *categories* (categorical, ordered, logical beside these) are one-hot encoded; a missing one is a level of its own; a
  level that the training rows lack gives zeros. For trees too: one rule, and no order is made up. Estimators with
  ``categorical_features="from_dtype"`` get them as they are.
* *scaling* to mean 0 and standard deviation 1, of numbers only, for methods that depend on units: those of
  scikit-learn's `linear_model` (but for LinearRegression), `svm`, `neighbors`, `neural_network`, `kernel_ridge`,
  `gaussian_process`, `semi_supervised`, `cross_decomposition` and `cluster`, also inside meta-estimators.
* datetime and text columns are refused: what to make of them is the user's to say, with a Pipeline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchml.core.task import Task

__all__ = [
    "EmptyColumns",
    "accepts",
    "is_known",
    "parts",
    "predicts_row_by_row",
    "prepared",
    "takes_categories",
    "takes_missing",
    "wants_names",
]

_NUMBERS = ("logical", "integer", "numeric")
_UNIT_BOUND = (
    "sklearn.linear_model.",
    "sklearn.svm.",
    "sklearn.neighbors.",
    "sklearn.neural_network.",
    "sklearn.kernel_ridge",
    "sklearn.gaussian_process.",
    "sklearn.semi_supervised.",
    "sklearn.cross_decomposition.",
    "sklearn.cluster.",
)
_UNIT_FREE = ("LinearRegression",)
_ROW_BY_ROW = frozenset({"sklearn", "xgboost", "lightgbm", "catboost", "batchml"})
_OPEN = (ColumnTransformer, FeatureUnion, FunctionTransformer)


def prepared(estimator: Any, task: Task) -> Any:
    """Return the estimator with what it needs for this task before it, or itself if it needs nothing.

    The estimator becomes the last step ``estimator`` of the Pipeline; it is not copied.
    """
    kinds = task.feature_types
    # Beside categories, and so in a data frame, a logical column is a category; in a matrix it is 0 and 1.
    number_types = _NUMBERS if task.is_numeric else _NUMBERS[1:]
    numbers = [name for name, kind in kinds.items() if kind in number_types]
    categories = [name for name, kind in kinds.items() if kind not in number_types]
    missing = [name for name, count in task.missings(numbers).items() if count] if numbers else []
    if categories and takes_categories(estimator):
        steps = [("empty", EmptyColumns(missing))] if missing else []
        return Pipeline([*steps, ("estimator", estimator)]) if steps else estimator
    steps = _number_steps(estimator, bool(missing))
    if categories:
        # Not sparse: few estimators take both, and sums differ between the two.
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        columns: list[tuple[str, Any, list[str]]] = [("categorical", encoder, categories)]
        if numbers:
            columns.insert(0, ("numeric", Pipeline(steps) if steps else "passthrough", numbers))
        steps = [("columns", ColumnTransformer(columns))]
    return Pipeline([*steps, ("estimator", estimator)]) if steps else estimator


def _number_steps(estimator: Any, missing: bool) -> list[tuple[str, Any]]:  # noqa: FBT001
    steps: list[tuple[str, Any]] = []
    if missing and not takes_missing(estimator):
        steps.append(("impute", SimpleImputer(strategy="median", keep_empty_features=True)))
    elif missing and _is_histogram_based(estimator):
        steps.append(("empty", EmptyColumns()))
    if _needs_scaling(estimator):
        steps.append(("scale", StandardScaler()))
    return steps


def _is_histogram_based(estimator: Any) -> bool:
    """Tell whether an estimator bins the values of columns: it fails at one that has none."""
    return any(
        type(part).__module__.startswith("sklearn.ensemble._hist_gradient_boosting") for part in parts(estimator)
    )


class EmptyColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Sets columns to 0 that have no value in the training rows, and leaves everything else as it is.

    Parameters
    ----------
    columns
        Those to look at, in data frames; None: all.
    """

    def __init__(self, columns: Sequence[str] | None = None) -> None:
        self.columns = columns

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002, N803  # scikit-learn's names
        """Find out which columns have no value."""
        self.n_features_in_ = X.shape[1]
        if hasattr(X, "columns"):
            self.feature_names_in_ = np.asarray(X.columns, dtype=object)
            looked_at = X.columns if self.columns is None else self.columns
            self.empty_: list[Any] = [name for name in looked_at if X[name].isna().all()]
        else:
            self.empty_ = np.flatnonzero(np.isnan(X).all(axis=0)).tolist()
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Return the table without these columns' values."""
        if not self.empty_:
            return X
        if hasattr(X, "columns"):
            return X.assign(**dict.fromkeys(self.empty_, 0.0))
        filled = X.copy()
        filled[:, self.empty_] = 0.0
        return filled

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the columns, which stay."""
        return input_features if input_features is not None else self.feature_names_in_


def parts(estimator: Any) -> Iterator[Any]:
    """Yield an estimator and all that is nested in its parameters."""
    yield estimator
    if isinstance(estimator, BaseEstimator) or hasattr(estimator, "get_params"):
        for value in estimator.get_params(deep=True).values():
            if hasattr(value, "get_params") and not isinstance(value, type):
                yield value


def is_known(estimator: Any) -> bool:
    """Tell whether an estimator is scikit-learn's own and calls no function of the user's."""
    values = estimator.get_params(deep=False).values()
    code = [type(estimator), *(value for value in values if callable(value))]
    return all(getattr(one, "__module__", "").partition(".")[0] in {"sklearn", "numpy", "scipy"} for one in code)


def predicts_row_by_row(estimator: Any) -> bool:
    """Tell whether what is predicted for a row depends on that row alone.

    Of methods of these libraries that is known; of the user's own classes and functions nobody knows it.
    """
    return all(_is_row_by_row(part) for part in parts(estimator))


def _is_row_by_row(part: Any) -> bool:
    if type(part).__module__.partition(".")[0] not in _ROW_BY_ROW:
        return False
    values = part.get_params(deep=False).values()
    called = [value for value in values if callable(value) and not isinstance(value, type)]
    return all(isinstance(one, np.ufunc) or hasattr(one, "get_params") for one in called)


def _needs_scaling(estimator: Any) -> bool:
    return any(
        type(part).__module__.startswith(_UNIT_BOUND) and type(part).__name__ not in _UNIT_FREE
        for part in parts(estimator)
    )


def takes_missing(estimator: Any) -> bool:
    """Tell whether an estimator says that it takes NaN."""
    tags = getattr(estimator, "__sklearn_tags__", None)
    return bool(tags().input_tags.allow_nan) if tags is not None else False


def takes_categories(estimator: Any) -> bool:
    """Tell whether an estimator takes pandas categories as they are."""
    return getattr(estimator, "categorical_features", None) == "from_dtype"


def wants_names(estimator: Any) -> bool:
    """Tell whether an estimator selects columns by name or calls functions of the user's: it gets a data frame."""
    return any(isinstance(part, (ColumnTransformer, FunctionTransformer)) for part in parts(estimator))


def accepts(estimator: Any) -> tuple[bool, bool]:
    """Return whether an estimator as it is takes missing values, and whether it takes categories.

    What cannot be known (ColumnTransformer, functions, estimators that are not scikit-learn's) is taken on trust.
    """
    if isinstance(estimator, _OPEN) or not type(estimator).__module__.startswith("sklearn."):
        return True, True
    if isinstance(estimator, Pipeline):
        return _pipeline_accepts([step for _, step in estimator.steps if step not in {None, "passthrough"}])
    inner = getattr(estimator, "estimator", None)
    if inner is not None and hasattr(inner, "fit"):
        return accepts(inner)
    return takes_missing(estimator), takes_categories(estimator)


def _pipeline_accepts(steps: list[Any]) -> tuple[bool, bool]:
    """Follow the columns through the steps until one solves or refuses them."""
    for i, step in enumerate(steps):
        module = type(step).__module__
        if isinstance(step, _OPEN) or module.startswith("sklearn.preprocessing._encoders") or "_target_enc" in module:
            return True, True
        if module.startswith("sklearn.impute"):
            return True, _pipeline_accepts(steps[i + 1 :])[1] if len(steps) > i + 1 else True
        missing, categories = accepts(step)
        if not missing or len(steps) == i + 1:
            return missing, categories
        if not categories:
            return _pipeline_accepts(steps[i + 1 :])[0], False
    return True, True
