"""Measures: from predictions to numbers, and from the numbers of iterations to one."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, ClassVar, Self

from batchml.arguments import fraction, function, shown, text
from batchml.core.catalog import resolve, resolve_name
from batchml.core.digest import digest
from batchml.core.fields import Fields, read_sets
from batchml.core.measure_average import Averaging
from batchml.core.pickled import naming
from batchml.core.show import Shown, listing
from batchml.errors import ConfigError, SpecError, UnknownKeyError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from batchml.core.measure_facts import Facts
    from batchml.core.trust import Trust

__all__ = ["Measure"]

_FORMAT = 1
_FIELDS = ("average", "predict_sets")
_ENCODED = ("aggregator", "na_value")


def _aggregator(value: Any, name: str) -> Any:
    return None if value is None else function(value, name, "the values")


class Measure(Averaging, Fields, Shown):
    """A number that says how good predictions are.

    Attributes
    ----------
    key
        What the catalogue calls it.
    id
        The name of its column in results; by default the key.
    facts
        Task type, predict type, range, direction.
    average
        How the values of iterations become one: ``macro`` (their mean), ``micro`` (one value of all predictions
        together), ``macro_weighted`` (their mean, weighted by rows).
    predict_sets
        The sets whose predictions are scored, together: ``test`` (default), ``train``.
    aggregator
        Instead of an average: a function of the values.
    na_value
        What stands for an undefined value (precision where nothing was found positive), by default NaN. A missing
        prediction, a wrong predict type or a missing predict set is NaN whatever this is.
    """

    noun: ClassVar[str] = "measure"
    fields: ClassVar[tuple[str, ...]] = ("id", "average", "predict_sets", "aggregator", "na_value")
    checks: ClassVar[Mapping[str, Callable[[Any, str], Any]]] = {
        "id": text,
        "aggregator": _aggregator,
        "na_value": fraction,
    }
    facts: Facts
    #: Prefixes of a spec that other classes read.
    readers: ClassVar[Mapping[str, str]] = {
        "scorer": "measures.foreign:MeasureScorer",
        "function": "measures.foreign:MeasureFunction",
    }

    def __init__(
        self,
        key: str,
        facts: Facts,
        *,
        id: str | None = None,
        average: str | None = None,
        predict_sets: Sequence[str] | str = ("test",),
        aggregator: Callable[[Sequence[float]], float] | None = None,
        na_value: float = math.nan,
        **params: Any,
    ) -> None:
        self.key = key
        self.facts = facts
        self.id = key if id is None else id
        self.average = self.own_average if average is None else average
        self.predict_sets = predict_sets
        self.aggregator = aggregator
        self.na_value = na_value
        for name, value in params.items():
            if name not in facts.params:
                known = [*facts.params, "id", "average", "predict_sets", "aggregator", "na_value"]
                hint = nearest(name, known)
                raise UnknownKeyError(f"measure {key!r} has no parameter {name!r}{hint}; it has {', '.join(known)}")
            asked = facts.problem(name, value)
            if asked is not None:
                raise ConfigError(f"measure {key!r}: {name} is {asked}, not {shown(value)}")
        self._params = {**facts.params, **params}
        self._kernel: Callable[..., Any] | None = None
        self._warned = False

    @property
    def predict_sets(self) -> tuple[str, ...]:
        """The sets whose predictions are scored, together."""
        return self._predict_sets

    @predict_sets.setter
    def predict_sets(self, words: Sequence[str] | str) -> None:
        self._predict_sets = read_sets(words, f"{self._said()}: predict_sets")

    @property
    def params(self) -> dict[str, Any]:
        """The parameters, defaults included."""
        return dict(self._params)

    @property
    def task_type(self) -> str | None:
        """``classif``, ``regr``, or None for both."""
        return self.facts.task_type

    @property
    def predict_type(self) -> str | None:
        """What it needs: response, prob, se, quantiles; None for measures without predictions."""
        return self.facts.predict_type

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest value."""
        return self.facts.range

    @property
    def minimize(self) -> bool | None:
        """Whether less is better; None: neither."""
        return self.facts.minimize

    @property
    def properties(self) -> tuple[str, ...]:
        """Among weights, obs_loss, requires_learner, requires_no_prediction."""
        words = ["weights"] if self.facts.weights else []
        if self.facts.loss is not None:
            words.append("obs_loss")
        if self.facts.needs is not None:
            words += ["requires_learner", "requires_no_prediction"]
        return tuple(words)

    @property
    def task_properties(self) -> tuple[str, ...]:
        """``twoclass`` for measures that need a positive class."""
        return ("twoclass",) if self.facts.twoclass else ()

    # identity

    def spec(self) -> dict[str, Any]:
        """Return the measure as plain data; see `from_spec`. The id is a label and not part of it."""
        spec: dict[str, Any] = {"format": _FORMAT, "key": self.key}
        spec |= self._own_spec()
        if self.average != self.own_average:
            spec["average"] = self.average
        if self.predict_sets != ("test",):
            spec["predict_sets"] = list(self.predict_sets)
        if self.aggregator is not None:
            from batchml.core.spec import encode

            spec["aggregator"] = encode(self.aggregator, where=f"measure {self.id!r}: aggregator")
        if not math.isnan(self.na_value):
            from batchml.core.spec import encode

            spec["na_value"] = encode(self.na_value, where=f"measure {self.id!r}: na_value")
        return spec

    def _own_spec(self) -> dict[str, Any]:
        from batchml.core.spec import encode

        changed = {
            name: encode(value, where=f"measure {self.id!r}: {name}")
            for name, value in self._params.items()
            if not _same(value, self.facts.params[name])
        }
        return {"params": changed} if changed else {}

    @property
    def digest(self) -> str:
        """The digest of `spec`."""
        with naming():
            return digest(self.spec())

    @staticmethod
    def from_spec(spec: Mapping[str, Any], trust: Trust | None = None, *, id: str | None = None) -> Measure:
        """Return the measure that `spec` wrote down.

        Raises
        ------
        SpecError
            A format of a newer version.
        TrustError
            It names a function that nobody trusted.
        """
        from batchml.core.spec import decode
        from batchml.core.trust import Trust as Trusted

        if spec.get("format") != _FORMAT:
            raise SpecError(f"a measure in format {spec.get('format')!r} needs a newer version of batchml")
        trust = trust or Trusted.default()
        fields = {name: spec[name] for name in _FIELDS if name in spec}
        fields |= {name: decode(spec[name], trust=trust) for name in _ENCODED if name in spec}
        key = spec["key"]
        if key in Measure.readers:
            made: Measure = resolve_name(Measure.readers[key]).from_own_spec(spec, trust, id=id, **fields)
            return made
        params = {name: decode(value, trust=trust) for name, value in spec.get("params", {}).items()}
        found: Measure = resolve("measure", key)(key=key, id=id, **fields, **params)
        return found

    def clone(self) -> Self:
        """Return a copy."""
        twin = copy.copy(self)
        twin._params = dict(self._params)  # noqa: SLF001
        return twin

    def fresh(self) -> Self:
        """Return a copy that has not warned yet."""
        twin = self.clone()
        twin._warned = False  # noqa: SLF001
        return twin

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kernel": None}

    def __repr__(self) -> str:
        low, high = self.range
        direction = {True: "minimize", False: "maximize", None: "neither"}[self.minimize]
        lines = [
            f"<Measure:{self.id}>",
            f"* Task type: {self.task_type or 'any'}",
            f"* Predict type: {self.predict_type or '-'}",
            f"* Range: [{low:g}, {high:g}], {direction}",
            f"* Average: {self.average if self.aggregator is None else _name(self.aggregator)}",
            f"* Predict sets: {', '.join(self.predict_sets)}",
            f"* Properties: {listing((*self.properties, *self.task_properties)) or '-'}",
        ]
        if self._params:
            lines.append("* Parameters: " + ", ".join(f"{name}={value!r}" for name, value in self._params.items()))
        return "\n".join(lines)


def _same(a: Any, b: Any) -> bool:
    try:
        return bool(a is b or (type(a) is type(b) and a == b))
    except (TypeError, ValueError):
        return False


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
