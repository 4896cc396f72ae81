"""From a point of the search space to the values that are used.

A plain callable works in a session. What is stored is one of the forms here: they are data and know how to be called.
"""

from __future__ import annotations

import importlib
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from batchml.arguments import mapping, shown
from batchml.errors import ConfigError
from batchml.params.expression import Expression

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Exp", "Imported", "Lookup", "Part", "Parts", "WholeExp", "read_function", "remade"]

_PATH: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exp:
    """The way back from the logarithmic scale, kept within the bounds."""

    lower: float
    upper: float

    def __call__(self, value: float) -> float:
        """Return the number whose logarithm is given."""
        # The bounds themselves, for exp(log(0.1)) is a little more than 0.1.
        if value <= math.log(self.lower):
            return float(self.lower)
        return float(self.upper) if value >= math.log(self.upper) else math.exp(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeExp:
    """The way back from the logarithmic scale of whole numbers: cut off, not rounded."""

    lower: float
    upper: float

    def __call__(self, value: float) -> int:
        """Return the whole number at a place of the logarithmic scale."""
        return int(max(min(math.exp(value), self.upper), self.lower))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """From the name of a level to its value."""

    named: Mapping[str, Any]
    then: Callable[[Any], Any] | None = None

    def __call__(self, name: str) -> Any:
        """Return the value of a level."""
        value = self.named[name]
        return value if self.then is None else self.then(value)


@dataclass(frozen=True, slots=True)
class Imported:
    """A function by its import path; its module is imported, if it is trusted, when the function is first called."""

    path: str
    function: Callable[..., Any] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise ConfigError(f"{self.path!r} is no import path: write package.module.function")

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        if self.function is None:
            # By name: trust belongs to a higher layer.
            trust = importlib.import_module("batchml.core.trust").Trust.default()
            object.__setattr__(self, "function", trust.resolve(self.path))
        assert self.function is not None
        return self.function(*args)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some parameters of a space that belong together: a set in a collection, or what makes up one value.

    Attributes
    ----------
    ids
        Names in the space to names in the part.
    prefix, suffix
        Put before and after the names of what the part makes.
    target
        If given, the part makes one value, which gets this name.
    extra_trafo
        Of the part.
    """

    ids: Mapping[str, str]
    prefix: str = ""
    suffix: str = ""
    target: str | None = None
    extra_trafo: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """The transformation of a space that is made of parts; other values stay as they are."""

    parts: tuple[Part, ...]

    def __call__(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what all parts make of the values, and the values of no part."""
        rest = dict(values)
        made: dict[str, Any] = {}
        for part in self.parts:
            own = {name: rest.pop(outer) for outer, name in part.ids.items() if outer in rest}
            if part.ids and not own:
                continue  # none of its conditions hold
            if part.target is None:
                out = remade(own, part.extra_trafo)
                made |= {f"{part.prefix}{name}{part.suffix}": value for name, value in out.items()}
            else:
                made[part.target] = _only_value(remade(own, part.extra_trafo), part.target)
        return {**rest, **made}


def remade(values: dict[str, Any], extra_trafo: Callable[[dict[str, Any]], Mapping[str, Any]] | None) -> dict[str, Any]:
    """Return what the transformation of a whole space makes of its values; without one the values themselves.

    Raises
    ------
    ConfigError
        It returned something else than a mapping.
    """
    return (
        values if extra_trafo is None else mapping(extra_trafo(values), "what extra_trafo returns", "names to values")
    )


def _only_value(out: Mapping[str, Any], target: str) -> Any:
    if len(out) != 1:
        raise ConfigError(
            f"the space for {target} makes {len(out)} values ({', '.join(map(str, out)) or 'none'}), not one: "
            f"give it an extra_trafo that returns {{{target!r}: value}}"
        )
    return next(iter(out.values()))


def read_function(given: str | Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Return the function behind an import path, an expression of x, or a callable.

    Raises
    ------
    ConfigError
        It is none of these.
    """
    if given is None or callable(given):
        return given
    if not isinstance(given, str):
        raise ConfigError(
            f"a function is a callable, an expression such as '10 ** x' or an import path, not {shown(given)}"
        )
    text = given.strip()
    return Imported(text) if _PATH.fullmatch(text) else Expression(text)
