"""A learner: how a model is trained and predicted with, as a value with parameters; what it learned is its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchml.core.learner_settings import LearnerSettings, same
from batchml.errors import ConfigError, NotTrainedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from batchml.core.learner_state import Trained
    from batchml.core.prediction import Prediction
    from batchml.core.task import Task
    from batchml.core.trust import Trust

__all__ = ["Learner", "as_learner", "same"]


class Learner(LearnerSettings):
    """The base of all learners. A subclass says what it can do in class attributes and fills two hooks.

    The hooks must not change the learner: one learner serves many iterations, some of them in other processes.
    All their random numbers come from `seed` (the global generators are seeded, too).

    * ``_fit(task, row_ids, *, seed) -> model``
    * ``_predict(model, task, row_ids, *, seed) -> mapping`` with ``response``, ``prob`` (n x k, columns as
      ``task.classes``) or ``se``; ``row_ids`` if some are left out

    Parameters
    ----------
    id
        A label; by default the key.
    predict_type
        ``response``, ``prob`` or ``se``, as far as the learner offers it.
    params
        Values of parameters, see `param_set`.

    Attributes
    ----------
    key
        Its name in the catalogue, None for learners made from objects.
    task_type
        ``classif`` or ``regr``.
    predict_types, feature_types, properties, packages
        What it offers, accepts, can do and needs.
    threads
        How many threads a stage may use; the default 1 makes results equal to the last bit everywhere.
    state
        What training left; None before.
    """

    #: Whether stages may draw from the global generators of `random` and numpy; False lets them share a process with
    #: others in threads.
    draws_globally: bool = True

    # What subclasses fill ------------------------------------------------------------------------------------------

    def _fit(self, task: Task, row_ids: NDArray[np.int64], *, seed: int) -> Any:
        raise NotImplementedError

    def _predict(self, model: Any, task: Task, row_ids: NDArray[np.int64], *, seed: int) -> Mapping[str, Any]:
        raise NotImplementedError

    def _check(self, task: Task) -> None:
        """Refuse what only the subclass knows about; called last by `check`."""

    def facts(self) -> list[tuple[str, str]]:
        """Return further lines for `repr`, as pairs of name and text."""
        return []

    def _importance(self, model: Any) -> pd.Series[float]:  # noqa: ARG002 - a hook
        raise self._lacks("importance")

    def _selected_features(self, model: Any) -> list[str]:  # noqa: ARG002 - a hook
        raise self._lacks("selected_features")

    def _oob_error(self, model: Any) -> float:  # noqa: ARG002 - a hook
        raise self._lacks("oob_error")

    @staticmethod
    def from_specs(
        model: Mapping[str, Any],
        policy: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        trust: Trust | None = None,
    ) -> Learner:
        """Return the learner that `model_spec` and `policy_spec` describe.

        Raises
        ------
        SpecError
            A spec of a newer format, or one that makes no sense.
        TrustError
            It names code that is not trusted.
        """
        from batchml.core.learner_spec import learner_from_specs

        return learner_from_specs(model, policy, id=id, trust=trust)

    # Use -----------------------------------------------------------------------------------------------------------

    def check(self, task: Task | str) -> None:
        """Refuse a task that this learner cannot take, before anything runs.

        Raises
        ------
        ConfigError
            Names task, learner and, where there is one, the column.
        """
        from batchml.core.learner_check import check
        from batchml.core.task import as_task

        task = as_task(task)
        self.refuse_tokens()
        check(self, task)
        self._check(task)

    def train(self, task: Task | str, row_ids: Any = None, *, seed: int | None = None) -> Learner:
        """Train on some rows of a task or of its key (None: all) and return the learner itself.

        Raises
        ------
        ConfigError
            The task does not fit.
        Exception
            What the method raised, unless it is encapsulated: then see `errors`.
        """
        from batchml.core.learner_state import train_in_session
        from batchml.core.task import as_task

        task = as_task(task)
        self.check(task)
        self.state = None
        self.state = train_in_session(self, task, row_ids, seed=seed)
        return self

    def predict(self, task: Task | str, row_ids: Any = None) -> Prediction:
        """Predict some rows of a task or of its key (None: all).

        Raises
        ------
        NotTrainedError
            There is no model, also because training failed and nothing stands in for it.
        """
        from batchml.core.learner_state import predict_in_session
        from batchml.core.task import as_task

        return predict_in_session(self, as_task(task), row_ids)

    def predict_newdata(self, frame: Any) -> Prediction:
        """Predict the rows of a table with the columns that the learner was trained on, in any order.

        Levels that training did not know count as unknown; other columns are ignored; the target may be missing.

        Raises
        ------
        DataError
            A feature is missing or has another type.
        """
        from batchml.core.learner_state import newdata_task

        return self.predict(newdata_task(self, frame))

    @property
    def trained(self) -> Trained:
        """What training left.

        Raises
        ------
        NotTrainedError
            Neither the learner nor its fallback has a model.
        """
        state = self.state
        if state is None or not (state.trained.ok or state.trained.fallback_ok):
            msg = f"Cannot predict, Learner '{self.id}' has not been trained yet"
            raise NotTrainedError(msg)
        trained: Trained = state.trained
        return trained

    @property
    def model(self) -> Any:
        """What the method learned, for scikit-learn the fitted estimator; None if there is none."""
        return None if self.state is None else self.state.trained.model

    @property
    def timings(self) -> dict[str, float]:
        """Seconds of the last training and prediction."""
        return {} if self.state is None else dict(self.state.timings)

    @property
    def log(self) -> pd.DataFrame:
        """What was recorded in encapsulated stages: stage, level, message."""
        import pandas as pd

        rows = [(c.stage, c.level, c.message) for c in (self.state.log if self.state else ())]
        return pd.DataFrame(rows, columns=["stage", "level", "message"])

    @property
    def warnings(self) -> list[str]:
        """The messages of recorded warnings."""
        return [c.message for c in (self.state.log if self.state else ()) if c.level == "warning"]

    @property
    def errors(self) -> list[str]:
        """The messages of recorded errors."""
        return [c.message for c in (self.state.log if self.state else ()) if c.level == "error"]

    def importance(self) -> pd.Series[float]:
        """Return the importance of each feature, the largest first."""
        return self._importance(self._own_model("importance"))

    def selected_features(self) -> list[str]:
        """Return the features that the model uses."""
        return self._selected_features(self._own_model("selected_features"))

    @property
    def oob_error(self) -> float:
        """The out-of-bag error that the method estimated while training."""
        return self._oob_error(self._own_model("oob_error"))

    def _own_model(self, what: str) -> Any:
        if self.state is None or not self.state.trained.ok:
            msg = f"learner '{self.id}' has no {what}: it has not been trained yet"
            raise NotTrainedError(msg)
        return self.state.trained.model

    def _lacks(self, what: str) -> ConfigError:
        return ConfigError(f"learner '{self.id}' offers no {what}")

    def __repr__(self) -> str:
        from batchml.core.learner_show import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from batchml.core.learner_show import as_html

        return as_html(self)


def as_learner(estimator: Any, *, id: str | None = None, preprocess: str | None = None) -> Learner:
    """Return a learner for a key, a scikit-learn estimator (class or object) or a learner.

    Parameters
    ----------
    id
        A label; by default the key or the names of the classes.
    preprocess
        ``auto`` puts imputation, encoding and scaling before the estimator where it needs them (the default, but for
        Pipelines), ``none`` leaves it as it is.

    Raises
    ------
    ConfigError
        It is none of these.

    Examples
    --------
    >>> import batchml as bm
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> bm.as_learner(DecisionTreeClassifier(max_depth=3), id="tree", preprocess="none")
    <LearnerSklearn:tree>
    * Model: -
    * Parameters: max_depth=3
    * Preprocessing: none
    * Packages: sklearn
    * Predict types: [response], prob
    * Feature types: logical, integer, numeric
    * Properties: importance, missings, multiclass, selected_features, twoclass, weights
    """
    from batchml.core.learner_spec import coerce_learner

    return coerce_learner(estimator, id=id, preprocess=preprocess)
