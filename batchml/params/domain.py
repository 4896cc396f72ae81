"""Domains: which values a parameter may take, and how a point of the search space becomes a value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Final

from batchml.errors import ConfigError, nearest
from batchml.params.condition import Condition, read_depends

__all__ = ["NO_DEFAULT", "Domain", "p_dbl", "p_fct", "p_int", "p_lgl", "p_uty"]

# Numbers this near to a bound or to a whole number count as it.
_TOLERANCE: Final = 1.5e-8


class _NoDefault:
    def __repr__(self) -> str:
        return "<NoDefault>"

    def __reduce__(self) -> str:
        return "NO_DEFAULT"


NO_DEFAULT: Final = _NoDefault()


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What is known of one parameter; made by `p_int`, `p_dbl`, `p_fct`, `p_lgl` and `p_uty`.

    Attributes
    ----------
    kind
        ``int``, ``dbl``, ``fct``, ``lgl`` or ``uty`` (any value).
    lower, upper
        Bounds of numbers, both included; in the logarithm with `logscale`.
    levels
        Names of the values of a categorical parameter; True, False of a logical one.
    default
        What the method does without a value; `NO_DEFAULT` if a value must be given.
    special_vals
        Values that are taken whatever their type.
    tags
        Words to find parameters by, e.g. ``threads``; ``required`` means that a value must be set.
    trafo
        From a value of the search space to the value that is used.
    depends
        Conditions under which the parameter has a meaning; all must hold.
    init
        The value that is set from the start.
    custom_check
        Returns True, or what is wrong with a value.
    """

    kind: str = "uty"
    lower: float = -math.inf
    upper: float = math.inf
    levels: tuple[Any, ...] = ()
    default: Any = NO_DEFAULT
    special_vals: tuple[Any, ...] = ()
    tags: frozenset[str] = frozenset()
    trafo: Callable[[Any], Any] | None = None
    depends: tuple[Condition, ...] = ()
    init: Any = NO_DEFAULT
    custom_check: Callable[[Any], Any] | None = None
    logscale: bool = False

    @property
    def is_number(self) -> bool:
        """Whether values are numbers."""
        return self.kind in {"int", "dbl"}

    @property
    def is_bounded(self) -> bool:
        """Whether the domain can be sampled: categorical, or a number with two finite bounds."""
        return bool(self.levels) or (self.is_number and math.isfinite(self.lower) and math.isfinite(self.upper))

    @property
    def nlevels(self) -> float:
        """How many values there are."""
        if self.levels:
            return len(self.levels)
        if self.kind == "int":
            return self.upper - self.lower + 1
        return 1 if self.kind == "dbl" and self.lower == self.upper else math.inf

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with a value, None if nothing is."""
        if any(
            value is special or (type(value) is type(special) and value == special) for special in self.special_vals
        ):
            return None
        wrong = _PROBLEMS[self.kind](self, value)
        if wrong is None and self.custom_check is not None:
            said = self.custom_check(value)
            return None if said is True or said is None else str(said)
        return wrong

    def clean(self, value: Any) -> Any:
        """Return an accepted value in its own type: 1.0 becomes 1 for an integer."""
        if self.kind == "int" and isinstance(value, Real) and not isinstance(value, Integral) and math.isfinite(value):
            return round(value)
        return value


def p_int(
    lower: float = -math.inf,
    upper: float = math.inf,
    *,
    logscale: bool = False,
    trafo: Callable[[int], Any] | None = None,
    default: Any = NO_DEFAULT,
    special_vals: Iterable[Any] = (),
    tags: Iterable[str] = (),
    depends: str | Condition | Sequence[Condition] | None = None,
    init: Any = NO_DEFAULT,
    custom_check: Callable[[Any], Any] | None = None,
) -> Domain:
    """Return the domain of whole numbers between two bounds, both included.

    With `logscale` the search space is the continuous interval [log(max(lower, 0.5)), log(upper + 1)], from which
    values are cut off to whole numbers, so that each has its share also at the upper end.
    """
    _check_bounds(lower, upper)
    _check_logscale(lower, trafo=trafo, logscale=logscale, least=0.0)
    shared = _shared(default, special_vals, tags, depends, init, custom_check, trafo)
    if not logscale:
        return Domain(kind="int", lower=lower, upper=upper, **shared)
    shared["trafo"] = _WholeExp(lower=int(lower), upper=upper)
    return Domain(kind="dbl", lower=math.log(max(lower, 0.5)), upper=math.log(upper + 1), logscale=True, **shared)


def p_dbl(
    lower: float = -math.inf,
    upper: float = math.inf,
    *,
    logscale: bool = False,
    trafo: Callable[[float], Any] | None = None,
    default: Any = NO_DEFAULT,
    special_vals: Iterable[Any] = (),
    tags: Iterable[str] = (),
    depends: str | Condition | Sequence[Condition] | None = None,
    init: Any = NO_DEFAULT,
    custom_check: Callable[[Any], Any] | None = None,
) -> Domain:
    """Return the domain of numbers between two bounds; with `logscale` the search space is their logarithm."""
    _check_bounds(lower, upper)
    _check_logscale(lower, trafo=trafo, logscale=logscale, least=math.ulp(0.0))
    shared = _shared(default, special_vals, tags, depends, init, custom_check, trafo)
    if not logscale:
        return Domain(kind="dbl", lower=lower, upper=upper, **shared)
    shared["trafo"] = math.exp
    return Domain(kind="dbl", lower=math.log(lower), upper=math.log(upper), logscale=True, **shared)


def p_fct(
    levels: Iterable[Any] | Mapping[str, Any],
    *,
    trafo: Callable[[Any], Any] | None = None,
    default: Any = NO_DEFAULT,
    special_vals: Iterable[Any] = (),
    tags: Iterable[str] = (),
    depends: str | Condition | Sequence[Condition] | None = None,
    init: Any = NO_DEFAULT,
    custom_check: Callable[[Any], Any] | None = None,
) -> Domain:
    """Return the domain of named values: texts, or a mapping of names to values, or values named by their text.

    The search space and conditions speak of names; a value that is not its own name is put in its place by `trafo`.
    """
    named = dict(levels) if isinstance(levels, Mapping) else {str(level): level for level in levels}
    if not named:
        raise ConfigError("p_fct needs at least one level")
    if any(not isinstance(name, str) for name in named):
        raise ConfigError(f"the names of levels must be text: {list(named)!r}")
    own_names = all(isinstance(value, str) and value == name for name, value in named.items())
    shared = _shared(default, special_vals, tags, depends, init, custom_check, trafo)
    chosen = trafo if own_names else _Lookup(named=named, then=trafo)
    return Domain(kind="fct", levels=tuple(named), **{**shared, "trafo": chosen})


def p_lgl(
    *,
    trafo: Callable[[bool], Any] | None = None,
    default: Any = NO_DEFAULT,
    special_vals: Iterable[Any] = (),
    tags: Iterable[str] = (),
    depends: str | Condition | Sequence[Condition] | None = None,
    init: Any = NO_DEFAULT,
    custom_check: Callable[[Any], Any] | None = None,
) -> Domain:
    """Return the domain of True and False."""
    shared = _shared(default, special_vals, tags, depends, init, custom_check, trafo)
    return Domain(kind="lgl", levels=(True, False), **shared)


def p_uty(
    *,
    trafo: Callable[[Any], Any] | None = None,
    default: Any = NO_DEFAULT,
    special_vals: Iterable[Any] = (),
    tags: Iterable[str] = (),
    depends: str | Condition | Sequence[Condition] | None = None,
    init: Any = NO_DEFAULT,
    custom_check: Callable[[Any], Any] | None = None,
) -> Domain:
    """Return the domain of a parameter that takes any value."""
    return Domain(kind="uty", **_shared(default, special_vals, tags, depends, init, custom_check, trafo))


@dataclass(frozen=True, slots=True, kw_only=True)
class _WholeExp:
    """The way back from the logarithmic scale of whole numbers."""

    lower: int
    upper: float

    def __call__(self, value: float) -> int:
        return int(max(min(math.exp(value), self.upper), self.lower))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lookup:
    """From the name of a level to its value."""

    named: Mapping[str, Any]
    then: Callable[[Any], Any] | None = None

    def __call__(self, name: str) -> Any:
        value = self.named[name]
        return value if self.then is None else self.then(value)


def _shared(
    default: Any,
    special_vals: Iterable[Any],
    tags: Iterable[str],
    depends: str | Condition | Sequence[Condition] | None,
    init: Any,
    custom_check: Callable[[Any], Any] | None,
    trafo: Callable[[Any], Any] | None,
) -> dict[str, Any]:
    special = tuple(special_vals)
    if trafo is not None and (special or init is not NO_DEFAULT):
        raise ConfigError("a domain with a trafo takes neither special_vals nor init: they would be transformed, too")
    return {
        "default": default,
        "special_vals": special,
        "tags": frozenset([tags] if isinstance(tags, str) else tags),
        "depends": read_depends(depends),
        "init": init,
        "custom_check": custom_check,
        "trafo": trafo,
    }


def _check_bounds(lower: float, upper: float) -> None:
    if math.isnan(lower) or math.isnan(upper) or lower > upper:
        raise ConfigError(f"lower={lower} and upper={upper} enclose nothing")


def _check_logscale(lower: float, *, trafo: Any, logscale: bool, least: float) -> None:
    if not logscale:
        return
    if trafo is not None:
        raise ConfigError("logscale is a trafo: give one of both")
    if lower < least:
        raise ConfigError(f"logscale needs a lower bound {'of at least' if least == 0 else 'above'} 0, not {lower}")


def _not_a_number(domain: Domain, value: Any) -> str | None:
    if isinstance(value, bool) or type(value).__name__ == "bool" or not isinstance(value, Real):
        return f"{value!r} is no number"
    number = float(value)
    if math.isnan(number):
        return "nan is no number to set"
    slack = _TOLERANCE if domain.kind == "int" else 0.0
    if number < domain.lower - slack:
        return f"{value!r} is not >= {domain.lower:g}"
    if number > domain.upper + slack:
        return f"{value!r} is not <= {domain.upper:g}"
    return None


def _not_whole(domain: Domain, value: Any) -> str | None:
    wrong = _not_a_number(domain, value)
    if (
        wrong is None
        and not isinstance(value, Integral)
        and not (math.isfinite(value) and abs(value - round(value)) <= _TOLERANCE)
    ):
        return f"{value!r} is no whole number"
    return wrong


def _not_a_level(domain: Domain, value: Any) -> str | None:
    if isinstance(value, str) and value in domain.levels:
        return None
    close = nearest(value, domain.levels) if isinstance(value, str) else ""
    return f"{value!r} is not one of {', '.join(map(repr, domain.levels))}{close}"


def _not_logical(_domain: Domain, value: Any) -> str | None:
    return None if isinstance(value, bool) or type(value).__name__ == "bool" else f"{value!r} is neither True nor False"


def _nothing(_domain: Domain, _value: Any) -> None:
    return None


_PROBLEMS: Final[Mapping[str, Callable[[Domain, Any], str | None]]] = {
    "int": _not_whole,
    "dbl": _not_a_number,
    "fct": _not_a_level,
    "lgl": _not_logical,
    "uty": _nothing,
}
