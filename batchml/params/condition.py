"""Conditions under which a parameter has a meaning: on the value of another parameter."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchml.arguments import listed, shown
from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CondAnyOf", "CondEqual", "Condition", "read_depends"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The parameter `on` has one of the values `rhs` (level names for categorical ones)."""

    on: str
    rhs: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.on, str):
            raise ConfigError(f"a condition is on a parameter, which is named by a text, not by {shown(self.on)}")

    def holds(self, value: Any) -> bool:
        """Tell whether a value of the other parameter meets the condition."""
        return any(value == wanted and isinstance(value, bool) == isinstance(wanted, bool) for wanted in self.rhs)

    def __str__(self) -> str:
        if len(self.rhs) == 1:
            return f"{self.on} == {self.rhs[0]!r}"
        return f"{self.on} in [{', '.join(map(repr, self.rhs))}]"


def CondEqual(on: str, rhs: Any) -> Condition:  # noqa: N802  # the name is known from the field
    """Return the condition that a parameter equals a value.

    Examples
    --------
    >>> str(CondEqual("kernel", "poly"))
    "kernel == 'poly'"
    """
    return Condition(on=on, rhs=(rhs,))


def CondAnyOf(on: str, rhs: Iterable[Any]) -> Condition:  # noqa: N802  # as above
    """Return the condition that a parameter has one of several values.

    Examples
    --------
    >>> str(CondAnyOf("kernel", ["poly", "rbf"]))
    "kernel in ['poly', 'rbf']"
    """
    return Condition(on=on, rhs=tuple(listed(rhs, f"what {on!r} is to be any of", "values")))


def read_depends(depends: Any) -> tuple[Condition, ...]:
    """Return the conditions of ``kernel == 'polynomial' and degree in [2, 3]``, or of condition objects.

    Raises
    ------
    ConfigError
        For any other expression; nothing is evaluated.
    """
    if depends is None:
        return ()
    if isinstance(depends, Condition):
        return (depends,)
    if not isinstance(depends, str):
        if not isinstance(depends, Iterable) or getattr(depends, "ndim", 1) == 0:
            raise ConfigError(f"a condition is text such as \"kernel == 'poly'\" or a Condition, not {shown(depends)}")
        return tuple(condition for one in depends for condition in read_depends(one))
    try:
        tree = ast.parse(depends.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _unreadable(depends) from None
    return tuple(_read_part(part, depends) for part in _joined(tree))


def _joined(tree: ast.expr) -> Iterator[ast.expr]:
    """Yield what is joined by `and`, however it is bracketed."""
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        for part in tree.values:
            yield from _joined(part)
    else:
        yield tree


def _read_part(tree: ast.expr, text: str) -> Condition:
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1:
        raise _unreadable(text)
    operator, right = tree.ops[0], tree.comparators[0]
    try:
        value = ast.literal_eval(right)
    except ValueError:
        raise _unreadable(text) from None
    on = _read_name(tree.left, text)
    if isinstance(operator, ast.Eq):
        return Condition(on=on, rhs=(value,))
    if isinstance(operator, ast.In) and isinstance(value, (list, tuple, set)):
        return Condition(on=on, rhs=tuple(value))
    raise _unreadable(text)


def _read_name(tree: ast.expr, text: str) -> str:
    """Return ``a`` or, in collections, ``set.a``."""
    if isinstance(tree, ast.Name):
        return tree.id
    if isinstance(tree, ast.Attribute):
        return f"{_read_name(tree.value, text)}.{tree.attr}"
    raise _unreadable(text)


def _unreadable(text: str) -> ConfigError:
    return ConfigError(
        f"depends={text!r} is no condition: write param == value, param in [value, ...], or several joined by `and`"
    )
