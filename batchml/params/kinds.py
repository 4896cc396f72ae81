"""What the kinds of parameters say about a value; each function returns what is wrong with it, None if nothing is."""

from __future__ import annotations

import math
import sys
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Final

from batchml.arguments import shown
from batchml.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchml.params.domain import Domain

__all__ = ["PROBLEMS", "is_plain_number", "number", "plain", "read_bounds", "same", "whole"]

# Numbers this near to a bound or to a whole number count as it.
_TOLERANCE: Final = 1.5e-8


def is_plain_number(value: Any) -> bool:
    """Tell whether a value is a real number and no truth value."""
    return type(value) in {int, float} or (isinstance(value, Real) and not _is_logical(value))


def read_bounds(lower: Any, upper: Any) -> tuple[float, float]:
    """Return two bounds as plain numbers: numpy's would show in what is stored and printed.

    Raises
    ------
    ConfigError
        They are no numbers, or enclose nothing.
    """
    for bound in (lower, upper):
        if not is_plain_number(bound):
            raise ConfigError(f"bounds are numbers, not {shown(bound)}")
    low, high = (int(bound) if isinstance(bound, Integral) else float(bound) for bound in (lower, upper))
    if any(abs(bound) > sys.float_info.max for bound in (low, high) if isinstance(bound, int)):
        raise ConfigError(f"bounds are at most {sys.float_info.max:.2g}; leave one out for none")
    if math.isnan(low) or math.isnan(high) or low > high:
        raise ConfigError(f"lower={low} and upper={high} enclose nothing")
    return low, high


def number(value: Any) -> str:
    """Return a bound as people write it."""
    if isinstance(value, Integral) or not math.isfinite(value) or value != int(value) or abs(value) >= 1e15:
        return str(value)
    return str(int(value))


def same(value: Any, other: Any) -> bool:
    """Tell whether two values are the same, of the same type; also where ``==`` gives an array or raises."""
    if value is other:
        return True
    try:
        return type(value) is type(other) and bool(value == other)
    except (TypeError, ValueError):
        return False


def plain(value: Any) -> Any:
    """Return Python's own number or truth value for one of numpy's."""
    return value.item() if type(value).__module__ == "numpy" and not getattr(value, "shape", (0,)) else value


def whole(value: Any) -> Any:
    """Return 1 for 1.0, and anything but a whole number as it is."""
    if isinstance(value, Real) and not isinstance(value, Integral) and math.isfinite(value):
        rounded = round(float(value))
        return rounded if abs(float(value) - rounded) <= _TOLERANCE else value
    return value


def _is_logical(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in {"bool", "bool_"}


def _not_a_number(domain: Domain, value: Any) -> str | None:
    if not is_plain_number(value):
        return f"{shown(value)} is no number"
    if isinstance(value, float) and math.isnan(value):
        return "nan is no number to set"
    slack = _TOLERANCE if domain.kind == "int" else 0.0
    if value < domain.lower - slack:
        return f"{shown(value)} is not >= {number(domain.lower)}"
    if value > domain.upper + slack:
        return f"{shown(value)} is not <= {number(domain.upper)}"
    return None


def _not_whole(domain: Domain, value: Any) -> str | None:
    wrong = _not_a_number(domain, value)
    if wrong is None and not isinstance(whole(value), Integral):
        return f"{shown(value)} is no whole number"
    return wrong


def _not_a_level(domain: Domain, value: Any) -> str | None:
    if isinstance(value, str) and value in domain.levels:
        return None
    close = nearest(value, domain.levels)
    return f"{shown(value)} is not one of {', '.join(map(repr, domain.levels))}{close}"


def _not_logical(_domain: Domain, value: Any) -> str | None:
    return None if _is_logical(value) else f"{shown(value)} is neither True nor False"


def _nothing(_domain: Domain, _value: Any) -> None:
    return None


PROBLEMS: Final[Mapping[str, Callable[[Domain, Any], str | None]]] = {
    "int": _not_whole,
    "dbl": _not_a_number,
    "fct": _not_a_level,
    "lgl": _not_logical,
    "uty": _nothing,
}
