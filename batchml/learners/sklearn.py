"""Any scikit-learn estimator as a learner."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline

from batchml.arguments import chosen
from batchml.core.learner import Learner, same
from batchml.errors import ConfigError, LearnerError
from batchml.learners import preprocessing
from batchml.learners.abilities import (
    abilities,
    argument_names,
    check_estimator,
    holds_pipeline,
    packages,
    task_type_of,
)
from batchml.learners.constraints import check_parameters, domains_of
from batchml.learners.insight import importance, keep_oob_error, oob_error, selected_features
from batchml.learners.template import Template, limit_threads
from batchml.params.domain import NO_DEFAULT

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from batchml.core.task import Task
    from batchml.params import Domain

__all__ = ["LearnerSklearn"]

_MOST_CELLS = 1 << 20
"""So many values (8 MB) are predicted at once: a test set of most of a large table need not be in memory whole.

How rows are cut depends on nothing but their order and the number of features, so that every executor does the same.
"""

_CHOICES = ("auto", "none")
_FORMAT = 1


class LearnerSklearn(Learner):
    """Trains clones of a scikit-learn estimator, or of anything with its interface.

    Every ``random_state`` that is None gets a seed of the job's, every ``n_jobs`` the learner's `threads`. The
    estimator sees the features as `Task.features` gives them and the original labels. `model` is the fitted one.

    Parameters
    ----------
    estimator
        Unfitted; it is cloned.
    preprocess
        ``auto`` (default) puts before it what `batchml.learners.preprocessing` says; ``none`` (default for Pipelines)
        nothing.
    task_type
        ``classif`` or ``regr``; by default what scikit-learn says of the estimator.
    checked
        False takes the estimator's parameters as they are: those of an accepted spec were checked at design.

    Raises
    ------
    ConfigError
        It is no estimator, neither classifier nor regressor, or has a parameter that scikit-learn would refuse.
    """

    def __init__(
        self,
        estimator: Any,
        *,
        key: str | None = None,
        id: str | None = None,
        preprocess: str | None = None,
        task_type: str | None = None,
        predict_type: str = "response",
        checked: bool = True,
    ) -> None:
        check_estimator(estimator)
        self.key = key
        self._estimator = clone(estimator)
        self.task_type = task_type or task_type_of(estimator)
        self._preprocess = "none"
        usual = "none" if holds_pipeline(estimator) else "auto"
        self.preprocess = usual if preprocess is None else preprocess
        self.packages = packages(self._estimator)
        self._initial: dict[str, Any] = {}
        super().__init__(id=id, predict_type=predict_type)
        self._initial = {
            name: value
            for name, value in self._estimator.get_params(deep=False).items()
            if name in self.param_set and not same(value, self.param_set.defaults.get(name, NO_DEFAULT))
        }
        if checked:
            deep = self._estimator.get_params(deep=True)
            self.param_set.accept(deep, changed=list(deep))
            self.param_set.values.update(self._initial)
        else:
            self.param_set.fill(self._initial)
        self._kept: tuple[Any, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was prepared for a task: it can be made again."""
        return {**self.__dict__, "_kept": ()}

    @property
    def preprocess(self) -> str:
        """``auto`` or ``none``."""
        return self._preprocess

    @preprocess.setter
    def preprocess(self, value: str) -> None:
        self._preprocess = chosen(value, f"{self._said()}: preprocess", _CHOICES)
        self.feature_types, self.properties = abilities(self._estimator, self.task_type, value)

    @property
    def predict_types(self) -> tuple[str, ...]:  # type: ignore[override]  # depends on parameters: SGDClassifier's loss
        """``response``, and ``prob`` or ``se`` where the estimator offers it."""
        if self.task_type == "classif":
            return (
                ("response", "prob") if self._calibrated or hasattr(self._plain(), "predict_proba") else ("response",)
            )
        return ("response", "se") if "return_std" in argument_names(self._estimator, "predict") else ("response",)

    @property
    def draws_globally(self) -> bool:  # type: ignore[override]  # depends on the parts
        """False for scikit-learn's own estimators: their `random_state` is set."""
        return not all(preprocessing.is_known(part) for part in preprocessing.parts(self.estimator))

    @property
    def _calibrated(self) -> bool:
        """Whether probabilities are made by calibration: SVC has none of its own."""
        return type(self._estimator).__name__ in {"SVC", "NuSVC", "LinearSVC"} and self.preprocess == "auto"

    @property
    def estimator(self) -> Any:
        """A new unfitted estimator with the current parameters, without preprocessing."""
        plain = self._plain()
        if getattr(self, "_predict_type", "") == "prob" and self._calibrated and not hasattr(plain, "predict_proba"):
            return CalibratedClassifierCV(plain, ensemble=False)
        return plain

    def _plain(self) -> Any:
        estimator = clone(self._estimator)
        values = self.param_set.get_values(tokens=False)
        defaults = self.param_set.defaults
        gone = {name: defaults[name] for name in self._initial if name not in values and name in defaults}
        changed = {
            name: value for name, value in values.items() if not same(value, self._initial.get(name, NO_DEFAULT))
        }
        try:
            return estimator.set_params(**gone, **changed) if gone or changed else estimator
        except ValueError as error:
            raise ConfigError(f"learner '{self.id}': {error}") from error

    def _domains(self) -> Mapping[str, Domain]:
        return domains_of(self._estimator)

    def _default_id(self) -> str:
        steps = self._estimator.steps if isinstance(self._estimator, Pipeline) else [("", self._estimator)]
        return self.key or ".".join(step if isinstance(step, str) else type(step).__name__ for _, step in steps)

    def _identity(self) -> dict[str, Any]:
        from batchml.core.spec import describe

        return {"estimator": describe(self.estimator, where=f"learner '{self.id}'"), "preprocess": self.preprocess}

    def facts(self) -> list[tuple[str, str]]:
        """Return the line on preprocessing."""
        return [("Preprocessing", self.preprocess)]

    def clone(self) -> Self:
        """Return an untrained copy with the same parameters and settings."""
        other = super().clone()
        other._kept = ()  # noqa: SLF001 - of this class
        return other

    # Training --------------------------------------------------------------------------------------------------------

    def prepared(self, task: Task) -> Any:
        """Return a new unfitted estimator with what is put before it for this task."""
        return self._template(task).load()

    def _template(self, task: Task) -> Template:
        # The token is another one as soon as the task was changed.
        token = task._cached("version", object)  # noqa: SLF001
        prob = self.predict_type == "prob" and self._calibrated
        values = {name: id(value) for name, value in self.param_set.values.items()}
        state = (token, self.preprocess, self.threads, prob, values)
        if not self._kept or self._kept[0] != state:
            estimator = self.estimator
            limit_threads(estimator, self.threads)
            if self.preprocess == "auto":
                estimator = preprocessing.prepared(estimator, task)
            names = not task.is_numeric or preprocessing.wants_names(estimator)
            # The values are kept, so that their ids stay theirs.
            self._kept = (state, Template(estimator, names=names), dict(self.param_set.values))
        template: Template = self._kept[1]
        return template

    def _check(self, task: Task) -> None:
        check_parameters(preprocessing.parts(self.estimator), self.id)
        self._template(task)

    def _fit(self, task: Task, row_ids: NDArray[np.int64], *, seed: int) -> Any:
        template = self._template(task)
        estimator = template.load()
        template.fill_random_state(estimator, seed)
        features = task.features(row_ids, array=not template.names)  # first: the others come with them
        truth = task.truth(row_ids)
        weights = _weight_argument(estimator, task.row_weights(row_ids))
        model = estimator.fit(features, truth, **weights)
        if self.task_type == "regr":
            keep_oob_error(model, truth)
        return model

    def _predict(self, model: Any, task: Task, row_ids: NDArray[np.int64], *, seed: int) -> dict[str, Any]:  # noqa: ARG002
        array = not self._template(task).names
        size = max(1, _MOST_CELLS // max(1, task.n_features))
        if len(row_ids) <= size or not preprocessing.predicts_row_by_row(self.estimator):
            return self._predict_block(model, task, task.features(row_ids, array=array))
        whole: dict[str, Any] = {}
        done = 0
        with contextlib.closing(task.feature_blocks(row_ids, size, array=array)) as blocks:
            for features in blocks:
                for name, part in self._predict_block(model, task, features).items():
                    if not done:
                        whole[name] = np.empty((len(row_ids), *part.shape[1:]), dtype=part.dtype)
                    whole[name][done : done + len(part)] = part
                done += len(features)
        return whole

    def _predict_block(self, model: Any, task: Task, features: Any) -> dict[str, Any]:
        if self.predict_type == "prob":
            if not hasattr(model, "predict_proba"):
                raise ConfigError(f"learner '{self.id}' was trained without probabilities: train it again with them")
            return {"prob": _probabilities(model, features, task.classes)}  # type: ignore[attr-defined]
        if self.predict_type == "se":
            response, se = model.predict(features, return_std=True)
            return {"response": response, "se": se}
        return {"response": model.predict(features)}

    def _importance(self, model: Any) -> pd.Series[float]:
        return importance(model, self._features_seen())

    def _selected_features(self, model: Any) -> list[str]:
        return selected_features(model, self._features_seen())

    def _oob_error(self, model: Any) -> float:
        return oob_error(model, self.task_type, self.id)

    def _features_seen(self) -> list[str]:
        assert self.state is not None
        return list(self.state.schema.columns)


def _weight_argument(estimator: Any, weights: NDArray[np.float64] | None) -> dict[str, Any]:
    if weights is None:
        return {}
    if isinstance(estimator, Pipeline):
        return {f"{estimator.steps[-1][0]}__sample_weight": weights}
    return {"sample_weight": weights}


def _probabilities(model: Any, features: Any, classes: tuple[Any, ...]) -> NDArray[np.float64]:
    """Return rows x classes of the task; a class that the training rows lacked has probability 0."""
    found = np.asarray(model.predict_proba(features), dtype=np.float64)
    known = list(model.classes_)
    if len(known) == 1 and found.shape == (len(features), 2):
        # Histogram gradient boosting counts the class that is not there, too.
        found = np.ones((len(features), 1))
    if found.shape != (len(features), len(known)):
        raise LearnerError(
            f"predict_proba returned the shape {found.shape} for {len(features)} rows, {len(known)} classes"
        )
    if known == list(classes):
        return found
    prob = np.zeros((len(found), len(classes)))
    for column, label in enumerate(known):
        if label not in classes:
            raise LearnerError(f"predict_proba speaks of a class {label!r} that the task does not have")
        prob[:, classes.index(label)] = found[:, column]
    return prob
