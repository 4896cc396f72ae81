"""The settings of a learner: its parameters, what it predicts, and how it is run."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, Self

from batchml.arguments import function, shown, text
from batchml.core import learner_policy as policies
from batchml.core.digest import digest
from batchml.core.fields import Fields
from batchml.errors import ConfigError, SpecError, nearest
from batchml.params import Domain, ParamSet
from batchml.params.domain import NO_DEFAULT
from batchml.params.param_set import require_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from batchml.core.conditions import Condition
    from batchml.core.learner import Learner
    from batchml.core.learner_state import LearnerState

__all__ = ["LearnerSettings", "same"]

_FORMAT = 1

_FIELDS = ("id", "predict_type", "predict_sets", "encapsulate", "fallback", "when", "timeout", "threads", "param_set")


class LearnerSettings(Fields):
    """What a learner is told before it is trained; see `Learner`."""

    noun: ClassVar[str] = "learner"
    fields: ClassVar[tuple[str, ...]] = _FIELDS
    checks: ClassVar[Mapping[str, Callable[[Any, str], Any]]] = {"id": text, "param_set": require_set}
    key: str | None = None
    task_type: str = "classif"
    predict_types: tuple[str, ...] = ("response",)
    feature_types: tuple[str, ...] = ("logical", "integer", "numeric")
    properties: frozenset[str] = frozenset()
    packages: tuple[str, ...] = ("batchml",)
    _warned: frozenset[str] = frozenset()  # of stages whose limit a session cannot enforce
    #: The parameters and what is known of them.
    parameters: ClassVar[Mapping[str, Domain]] = {}

    def __init__(self, *, id: str | None = None, predict_type: str = "response", **params: Any) -> None:
        self.id: str = self._default_id() if id is None else id
        self.param_set = ParamSet(self._domains(), owner=f"learner '{self.id}'")
        self.state: LearnerState | None = None
        self._threads = 1
        self._predict_sets: tuple[str, ...] = ("test",)
        self._encapsulate = {"train": "none", "predict": "none"}
        self._timeout: dict[str, float | None] = {"train": None, "predict": None}
        self._fallback: Learner | None = None
        self._when: Callable[[Condition, str], bool] | None = None
        self.predict_type = predict_type
        for name, value in params.items():
            self.param_set.values[name] = value

    def _domains(self) -> Mapping[str, Domain]:
        return self.parameters

    def _default_id(self) -> str:
        return self.key or type(self).__name__

    def _identity(self) -> dict[str, Any]:
        """Return what names this learner's class and parameters in `model_spec`."""
        from batchml.core.spec import encode

        named = {"key": self.key} if self.key is not None else {"class": self._class_name()}
        values = {
            name: encode(value, where=f"learner '{self.id}', parameter {name}")
            for name, value in self.param_set.values.items()
            if not same(value, self.param_set.defaults.get(name, NO_DEFAULT))
        }
        return {**named, "params": values}

    def _class_name(self) -> Any:
        from batchml.core.pickled import describe_pickled
        from batchml.core.spec import canonical_path

        try:
            return canonical_path(type(self))
        except SpecError as error:
            refusal = f"the class of learner '{self.id}' {error}"
            described = describe_pickled(type(self), refusal)
            if described is None:
                raise SpecError(refusal) from error
            return described

    @property
    def predict_type(self) -> str:
        """What is predicted; may be changed after training where the model allows it."""
        return self._predict_type

    @predict_type.setter
    def predict_type(self, value: Any) -> None:
        if not isinstance(value, str) or value not in self.predict_types:
            offered = ", ".join(self.predict_types)
            close = nearest(value, self.predict_types)
            raise ConfigError(f"learner '{self.id}' cannot predict {shown(value)}{close}; it offers {offered}")
        self._predict_type = value

    @property
    def predict_sets(self) -> tuple[str, ...]:
        """Which rows a resampling predicts: some of ``train`` and ``test``."""
        return self._predict_sets

    @predict_sets.setter
    def predict_sets(self, value: str | Iterable[str]) -> None:
        self._predict_sets = policies.check_predict_sets(value, self.id)

    @property
    def encapsulate(self) -> dict[str, str]:
        """How errors are kept in, per stage: ``none``, ``capture`` (in this process) or ``process``."""
        return dict(self._encapsulate)

    @encapsulate.setter
    def encapsulate(self, value: str | Mapping[str, str]) -> None:
        self._encapsulate = policies.check_encapsulate(value, self._encapsulate, self.id)
        policies.warn_of_limits(self)

    @property
    def threads(self) -> int:
        """How many threads a stage may use."""
        return self._threads

    @threads.setter
    def threads(self, value: int) -> None:
        self._threads = policies.check_threads(value, self.id)

    @property
    def timeout(self) -> dict[str, float | None]:
        """The time limit of each stage in seconds, None for no limit.

        Setting one that a session cannot enforce (`encapsulate` is not ``process``) warns; workers enforce all.
        """
        return dict(self._timeout)

    @timeout.setter
    def timeout(self, value: float | str | Mapping[str, float | str | None] | None) -> None:
        self._timeout = policies.check_timeout(value, self._timeout, self.id)
        policies.warn_of_limits(self)

    @property
    def when(self) -> Callable[[Condition, str], bool] | None:
        """Asked with the condition that ended a stage, and the stage: an answer that is false lets the error escape."""
        return self._when

    @when.setter
    def when(self, value: Any) -> None:
        if isinstance(value, type):  # every instance is true
            raise ConfigError(f"learner '{self.id}': when is a function of a condition and a stage, not {shown(value)}")
        what = f"learner '{self.id}': when"
        self._when = None if value is None else function(value, what, "a condition", "a stage")

    @property
    def fallback(self) -> Learner | None:
        """The learner that stands in where this one fails; setting it switches encapsulation on."""
        return self._fallback

    @fallback.setter
    def fallback(self, value: Any) -> None:
        from batchml.core.learner import as_learner

        self._fallback = None if value is None else policies.check_fallback(self, as_learner(value))
        if self._fallback is not None:
            self._encapsulate = {k: "capture" if m == "none" else m for k, m in self._encapsulate.items()}

    def fallback_for_stages(self) -> Learner | None:
        """Return the fallback as it is run: with this learner's predict type."""
        if self._fallback is None or self._fallback.predict_type == self.predict_type:
            return self._fallback
        fallback = self._fallback.clone()
        fallback.predict_type = self.predict_type
        return fallback

    def with_threads(self, threads: int) -> Self:
        """Return this learner, or a shallow copy of it that uses another number of threads."""
        if threads == self.threads:
            return self
        other = copy.copy(self)
        other.threads = threads
        return other

    def alone(self) -> Self:
        """Return an untrained copy for one stage elsewhere: without fallback and `when`, which need not travel."""
        other = self.clone()
        other._fallback = None  # noqa: SLF001 - of this class
        other._when = None  # noqa: SLF001
        return other

    def clone(self) -> Self:
        """Return an untrained copy with the same parameters and settings."""
        other = copy.copy(self)
        other.state = None
        other.param_set = self.param_set.clone()
        return other

    def model_spec(self) -> dict[str, Any]:
        """Return the model as plain data: class, parameters, preprocessing, predict type; it feeds seeds.

        Raises
        ------
        ConfigError
            A parameter is still to be tuned.
        SpecError
            A parameter cannot be written down.
        """
        self.refuse_tokens()
        return {"format": _FORMAT, "type": self.task_type, **self._identity(), "predict_type": self.predict_type}

    def refuse_tokens(self) -> None:
        """Refuse a learner with parameters that are still to be tuned.

        Raises
        ------
        ConfigError
            Names parameter and token.
        """
        for name, token in self.param_set.tokens.items():
            raise ConfigError(
                f"learner '{self.id}': {name} is to be tuned, {token!r}: set a value before it runs "
                "(points of its search space: learner.param_set.search_space())"
            )

    def policy_spec(self, *, store_models: bool = False) -> dict[str, Any]:
        """Return as plain data how the model is run, only what differs from the defaults."""
        return policies.policy_spec(self, store_models=store_models)

    @property
    def hash(self) -> str:
        """The digest of `model_spec`."""
        from batchml.core.pickled import naming

        with naming():
            return digest(self.model_spec())


def same(value: Any, other: Any) -> bool:
    """Tell whether two values of a parameter are the same, also where ``==`` gives an array or raises."""
    if value is other:
        return True
    try:
        return type(value) is type(other) and bool(value == other)
    except (TypeError, ValueError):
        return False
