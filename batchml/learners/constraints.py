"""The domains of an estimator's parameters, read from its constructor and from scikit-learn's `_parameter_constraints`.

This is the only module that reads them: they are private, and may change. Where they are missing or make no sense, a
parameter takes any value. Where they are there, they decide on every value, in their own way; kind, bounds, levels and
special values of the domain tell what may be searched.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, Final

from batchml.arguments import shown
from batchml.errors import ConfigError, nearest
from batchml.learners.known_dependencies import known_dependencies
from batchml.params import NO_DEFAULT, Domain
from batchml.params.kinds import same

try:
    from sklearn import get_config
    from sklearn.utils import _param_validation as validation
except ImportError:  # a scikit-learn that has done away with it
    validation = None

__all__ = ["check_parameters", "domains_of", "domains_of_class"]


def domains_of(estimator: Any) -> dict[str, Domain]:
    """Return the domain of each parameter of an estimator, nested ones as ``step__param``."""
    deep: Mapping[str, Any] = estimator.get_params(deep=True)
    found: dict[str, Domain] = {}
    for name in deep:
        head, _, last = name.rpartition("__")
        cls: Any = type(deep.get(head) if head else estimator)
        domain = domains_of_class(cls).get(last, _THREADS if last == "n_jobs" else _ANY)
        if head and domain.suits:
            domain = replace(domain, suits=tuple(replace(one, on=f"{head}__{one.on}") for one in domain.suits))
        found[name] = domain
    return found


@lru_cache(maxsize=1024)
def domains_of_class(cls: type) -> Mapping[str, Domain]:
    """Return the domain of each parameter of a class's constructor."""
    constraints, suits = _constraints_of(cls), known_dependencies(cls)
    found = {}
    for name, default in _constructor(cls).items():
        domain = _domain(cls, name, constraints.get(name), default)
        tags = _THREADS.tags if name == "n_jobs" else frozenset()
        found[name] = replace(domain, default=default, tags=tags, suits=suits.get(name, ()))
    return found


_ANY: Final = Domain()
_THREADS: Final = Domain(tags=frozenset({"threads"}))


def check_parameters(parts: Iterable[Any], where: str) -> None:
    """Refuse parameter values that scikit-learn would refuse when it fits, of estimators as they are put together.

    Raises
    ------
    ConfigError
        Names learner, class and parameter.
    """
    for part in parts:
        if hasattr(part, "_parameter_constraints") and hasattr(part, "_validate_params"):
            try:
                part._validate_params()  # noqa: SLF001 - there is no public way before fit
            except ValueError as error:
                raise ConfigError(f"learner '{where}': {error}") from error


def _constructor(cls: type) -> dict[str, Any]:
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return {}
    named = [p for p in parameters if p.kind not in {p.VAR_KEYWORD, p.VAR_POSITIONAL}]
    return {p.name: NO_DEFAULT if p.default is p.empty else p.default for p in named}


def _constraints_of(cls: type) -> Mapping[str, Any]:
    """Return the constraints that a class goes by; one of another package with a fit of its own has to have its own."""
    own_way = {"__init__", "fit", "_validate_params", "set_params"}
    for base in cls.__mro__:
        if "_parameter_constraints" in vars(base):
            found = vars(base)["_parameter_constraints"]
            return found if isinstance(found, Mapping) else {}
        if base.__module__.partition(".")[0] != "sklearn" and not own_way.isdisjoint(vars(base)):
            return {}
    return {}


@dataclass(frozen=True, slots=True)
class _Rule:
    """Accepts what scikit-learn accepts for one parameter of a class, and its default."""

    cls: type
    name: str
    constraints: tuple[Any, ...]
    default: Any

    def __call__(self, value: Any) -> str | None:
        """Return what is wrong with a value."""
        if any(one.is_satisfied_by(value) for one in self.constraints) or same(value, self.default):
            return None
        if get_config()["skip_parameter_validation"]:
            return None
        names = [_text(one) for one in self.constraints if not one.hidden]
        wanted = " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
        options = [option for one in self.constraints for option in _options(one) if isinstance(option, str)]
        return f"{shown(value)} is not {wanted}{nearest(value, options)}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rule, (self.cls, self.name)


def _rule(cls: type, name: str) -> Any:
    """Return the rule again, for what was pickled."""
    return domains_of_class(cls)[name].rule


def _domain(cls: type, name: str, constraints: Any, default: Any) -> Domain:
    """Return kind, bounds, levels and special values for the constraints of a parameter, which are its rule."""
    if validation is None or not isinstance(constraints, (list, tuple)):
        return _ANY
    try:
        made = tuple(validation.make_constraint(one) for one in constraints)
    except (ValueError, TypeError, AttributeError):
        return _ANY  # of another package, or another version
    shape = _shape([part for one in made if not one.hidden for part in _parts(one)], default)
    return replace(shape, rule=_Rule(cls, name, made, default))


def _shape(parts: list[Any], default: Any) -> Domain:
    """Return the widest range of numbers if there is one, else a choice, and the other single values as special."""
    ranges = [span for part in parts if (span := _range(part)) is not None]
    logical = any(_instances_of(part) in {bool, "bool"} for part in parts)
    names = sorted(option for part in parts for option in _options(part) if isinstance(option, str))
    special = [None] if any(type(part).__name__ == "_NoneConstraint" for part in parts) else []
    special += [option for part in parts for option in sorted(_options(part), key=repr) if not isinstance(option, str)]
    if ranges:
        kind, lower, upper = max(ranges, key=lambda span: _width(span, default))
        truths = [True, False] if logical else []
        return Domain(kind=kind, lower=lower, upper=upper, special_vals=(*special, *truths, *names))
    if logical:
        return Domain(kind="lgl", levels=(True, False), special_vals=(*special, *names))
    if len(names) > 1 or (names and not any(_is_open(part) for part in parts)):
        return Domain(kind="fct", levels=tuple(names), special_vals=tuple(special))
    return Domain(special_vals=(*special, *names))


def _parts(constraint: Any) -> list[Any]:
    """Return the constraints that a convenient one stands for."""
    return list(getattr(constraint, "_constraints", [constraint]))


def _is_open(part: Any) -> bool:
    """Tell whether a constraint takes more than values that can be listed: a single word beside a dict is no choice."""
    return type(part).__name__ not in {"Options", "StrOptions", "_NoneConstraint"}


def _instances_of(part: Any) -> Any:
    return getattr(part, "type", None) if type(part).__name__ == "_InstancesOf" else None


def _options(part: Any) -> set[Any]:
    """Return the single values that a constraint names and recommends."""
    if type(part).__name__ not in {"Options", "StrOptions"}:
        return set()
    options: set[Any] = set(part.options) - set(part.deprecated)
    return options


def _range(part: Any) -> tuple[str, float, float] | None:
    """Return kind and bounds of a constraint on numbers; open bounds of whole numbers are moved by one."""
    wanted = _instances_of(part)
    if wanted in {Integral, int}:
        return "int", -math.inf, math.inf
    if wanted in {Real, float}:
        return "dbl", -math.inf, math.inf
    if type(part).__name__ != "Interval":
        return None
    lower, upper = (-math.inf if part.left is None else part.left), (math.inf if part.right is None else part.right)
    if part.type is not Integral:
        return "dbl", _plain(lower), _plain(upper)
    lower += part.closed in {"right", "neither"}
    upper -= part.closed in {"left", "neither"}
    return "int", lower, upper


def _plain(bound: Any) -> float:
    return bound if type(bound) in {int, float} else float(bound)


def _width(span: tuple[str, float, float], default: Any) -> tuple[float, int, bool]:
    """Order ranges by width; of two endless ones the one with fewer bounds, then the one with the default's type."""
    kind, lower, upper = span
    fits = isinstance(default, int if kind == "int" else float) and not isinstance(default, bool)
    return upper - lower, math.isinf(lower) + math.isinf(upper), fits


def _text(constraint: Any) -> str:
    """Return a constraint in words; options in order, for they are kept in a set."""
    if type(constraint).__name__ in {"Options", "StrOptions"}:
        options = sorted(map(repr, _options(constraint)))
        return options[0] if len(options) == 1 else f"one of {', '.join(options)}"
    return str(constraint)
