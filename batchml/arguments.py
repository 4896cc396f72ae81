"""What callers hand over, checked where it comes in: each function returns the argument in its own type, or refuses it.

The first words of every message are `name`: the argument and, where there are several, whose it is.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any

from batchml.errors import ConfigError, nearest

__all__ = ["chosen", "count", "flag", "fraction", "function", "listed", "mapping", "shown", "text", "texts"]

_SHOWN = 60


def shown(value: Any) -> str:
    """Return a value as it goes into a message: one line, not too long, whatever its own `repr` does.

    Examples
    --------
    >>> shown([0] * 100)
    '[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,...'
    """
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001  # of a stranger's class; also numbers of too many digits
        text = f"an object of class {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def flag(value: Any, name: str) -> bool:
    """Return True or False, also for numpy's."""
    if not _is_truth(value):
        raise ConfigError(f"{name} is True or False, not {shown(value)}")
    return bool(value)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in {"bool", "bool_"}


def text(value: Any, name: str) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{name} is a text, not {shown(value)}")
    return value


def count(value: Any, name: str, *, least: int = 0, most: int | None = None) -> int:
    """Return a whole number within bounds, also for numpy's; truth values are none."""
    number = None if _is_truth(value) else _index(value)
    if number is None or number < least or (most is not None and number > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ConfigError(f"{name} is a whole number {bounds}, not {shown(value)}")
    return number


def _index(value: Any) -> int | None:
    try:
        return operator.index(value) if getattr(value, "ndim", 0) == 0 else None
    except TypeError:
        return None


def fraction(value: Any, name: str) -> float:
    """Return a number as a float; NaN and infinities are numbers, truth values are none."""
    if not isinstance(value, Real) or _is_truth(value):
        raise ConfigError(f"{name} is a number, not {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ConfigError(f"{name} is a number that a float can hold, not {shown(value)}") from None


def function(value: Any, name: str, *takes: str) -> Callable[..., Any]:
    """Return a function that can be called with so many arguments; one that does not say what it takes is believed."""
    what = f"{name} is a function of {' and '.join(takes)}"
    if not callable(value):
        raise ConfigError(f"{what}, not {shown(value)}")
    try:
        inspect.signature(value).bind(*takes)
    except TypeError as error:
        raise ConfigError(f"{what}; {shown(value)} cannot be called so: {error}") from None
    except ValueError:
        pass
    found: Callable[..., Any] = value
    return found


def listed(value: Any, name: str, of: str) -> list[Any]:
    """Return what is listed; a text is no list of letters."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        raise ConfigError(f"{name} is a list of {of}, not {shown(value)}")
    return list(value)


def mapping(value: Any, name: str, of: str) -> dict[Any, Any]:
    """Return a mapping as a dict."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} is a mapping of {of}, not {shown(value)}")
    return dict(value)


def chosen(value: Any, name: str, words: Iterable[str]) -> str:
    """Return one of some words."""
    known = list(words)
    if not isinstance(value, str) or value not in known:
        raise ConfigError(f"{name} is {' or '.join(map(repr, known))}, not {shown(value)}{nearest(value, known)}")
    return value


def texts(value: Any, name: str) -> list[str]:
    """Return one text, several or none as a list."""
    given = [value] if isinstance(value, str) else listed(value, name, "texts")
    wrong = [one for one in given if not isinstance(one, str)]
    if wrong:
        raise ConfigError(f"{name} is a list of texts, and {shown(wrong[0])} is none")
    return given
