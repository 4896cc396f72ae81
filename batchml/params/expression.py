"""Expressions as text: ``"10 ** x"``. They are parsed and computed here, never run as Python code."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NoReturn

from batchml.errors import ConfigError

__all__ = ["FUNCTIONS", "Expression"]

Values = Mapping[str, Any]
Node = Callable[[Values], Any]

_MAX_LENGTH: Final = 1000
_MAX_NODES: Final = 200
# Whole numbers beyond any float; without a limit 9**9**9 would fill the memory.
_MAX_BITS: Final = 2048


def _round(number: Any, digits: int = 0) -> Any:
    """Round as Python does; of a whole number Python would compute ``10 ** -digits`` whatever that is."""
    if not isinstance(digits, int):
        raise TypeError(f"{digits!r} is no number of digits")
    return round(number, max(-_MAX_BITS, min(digits, _MAX_BITS))) if digits else round(number)


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": abs,
    "ceil": math.ceil,
    "exp": math.exp,
    "float": float,
    "floor": math.floor,
    "int": int,
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": _round,
    "sqrt": math.sqrt,
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A function of one value ``x``, written as text.

    Numbers, text, True, False, None, ``+ - * / // % **``, comparisons, ``in``, ``and``, ``or``, ``not``,
    ``a if condition else b``, lists, tuples and dicts, and the functions of `FUNCTIONS`; no attributes, no indexing.

    Raises
    ------
    ConfigError
        The text is something else, when it is made; it cannot be computed for a value, when it is called.

    Examples
    --------
    >>> Expression("10 ** x")(-1)
    0.1
    >>> Expression("{'spam': x, 'ham': 1 - x}")(0.25)
    {'spam': 0.25, 'ham': 0.75}
    """

    text: str

    def __post_init__(self) -> None:
        _compiled(self.text)

    def __call__(self, x: Any) -> Any:
        """Return the value of the expression at x."""
        try:
            return _compiled(self.text)({"x": x})
        except (ArithmeticError, ValueError, TypeError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"the expression {self.text!r} cannot be computed for x = {x!r}: {error}") from error


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Node:
    """Return the function behind an expression, checked as a whole."""
    if len(text) > _MAX_LENGTH:
        raise ConfigError(f"an expression has at most {_MAX_LENGTH} characters, this one {len(text)}: {text[:40]!r}...")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ConfigError(f"{text!r} is no expression: {error}; write one of x such as '10 ** x'") from None
    if sum(1 for _ in ast.walk(tree)) > _MAX_NODES:
        raise ConfigError(f"the expression {text[:40]!r}... has too many parts")
    return _node(tree, text)


def _node(tree: ast.expr, text: str) -> Node:
    make = _NODES.get(type(tree))
    if make is None:
        _refuse(tree, text)
    return make(tree, text)


def _refuse(tree: ast.AST, text: str) -> NoReturn:
    raise ConfigError(
        f"the expression {text!r} may not hold {ast.unparse(tree)!r}: only numbers, x, arithmetic, comparisons, "
        f"`a if b else c`, lists, dicts and {', '.join(FUNCTIONS)}"
    )


# Numbers -------------------------------------------------------------------------------------------------------------


def _number(value: Any) -> Any:
    """Return a number, or raise: text times a number would be text without end."""
    if type(value).__module__ == "numpy" and not getattr(value, "shape", (0,)):
        value = value.item()
    if isinstance(value, (int, float)):
        return value
    raise TypeError(f"{value!r} is no number")


def _bounded(value: Any) -> Any:
    if isinstance(value, complex):
        raise TypeError("the result is a complex number")
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise OverflowError("a whole number of more than 600 digits")
    return value


def _power(base: Any, exponent: Any) -> Any:
    whole = isinstance(base, int) and isinstance(exponent, int) and exponent > 0
    if whole and base not in {-1, 0, 1} and base.bit_length() * exponent > 2 * _MAX_BITS:
        raise OverflowError("a whole number of more than 600 digits")
    return base**exponent


_BINARY: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_COMPARE: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}


# Parts ---------------------------------------------------------------------------------------------------------------


def _constant(tree: ast.Constant, text: str) -> Node:
    value = tree.value
    if not (value is None or isinstance(value, (bool, int, float, str))):
        _refuse(tree, text)
    try:
        _bounded(value)
    except OverflowError:
        _refuse(tree, text)
    return lambda _: value


def _name(tree: ast.Name, text: str) -> Node:
    if tree.id != "x":
        _refuse(tree, text)
    return operator.itemgetter("x")


def _binary(tree: ast.BinOp, text: str) -> Node:
    operation = _BINARY.get(type(tree.op))
    if operation is None:
        _refuse(tree, text)
    left, right = _node(tree.left, text), _node(tree.right, text)
    return lambda at: _bounded(operation(_number(left(at)), _number(right(at))))


def _unary(tree: ast.UnaryOp, text: str) -> Node:
    part = _node(tree.operand, text)
    if isinstance(tree.op, ast.Not):
        return lambda at: not part(at)
    if isinstance(tree.op, ast.USub):
        return lambda at: -_number(part(at))
    if isinstance(tree.op, ast.UAdd):
        return lambda at: +_number(part(at))
    return _refuse(tree, text)


def _boolean(tree: ast.BoolOp, text: str) -> Node:
    parts = [_node(part, text) for part in tree.values]
    if isinstance(tree.op, ast.And):
        return lambda at: all(part(at) for part in parts)
    return lambda at: any(part(at) for part in parts)


def _compare(tree: ast.Compare, text: str) -> Node:
    operations = [_COMPARE[type(one)] for one in tree.ops]
    parts = [_node(part, text) for part in (tree.left, *tree.comparators)]

    def holds(at: Values) -> bool:
        found = [part(at) for part in parts]
        pairs = zip(operations, found, found[1:], strict=False)
        return all(operation(one, other) for operation, one, other in pairs)

    return holds


def _choice(tree: ast.IfExp, text: str) -> Node:
    condition, yes, no = (_node(part, text) for part in (tree.test, tree.body, tree.orelse))
    return lambda at: yes(at) if condition(at) else no(at)


def _sequence(tree: ast.List | ast.Tuple, text: str) -> Node:
    kind = list if isinstance(tree, ast.List) else tuple
    parts = [_node(part, text) for part in tree.elts]
    return lambda at: kind(part(at) for part in parts)


def _dict(tree: ast.Dict, text: str) -> Node:
    if any(key is None for key in tree.keys):
        _refuse(tree, text)
    keys = [_node(key, text) for key in tree.keys if key is not None]
    values = [_node(value, text) for value in tree.values]
    return lambda at: {key(at): value(at) for key, value in zip(keys, values, strict=True)}


def _call(tree: ast.Call, text: str) -> Node:
    function = FUNCTIONS.get(tree.func.id) if isinstance(tree.func, ast.Name) else None
    if function is None or tree.keywords:
        _refuse(tree, text)
    parts = [_node(part, text) for part in tree.args]
    return lambda at: _bounded(function(*(_number(part(at)) for part in parts)))


_NODES: Final[Mapping[type, Callable[[Any, str], Node]]] = {
    ast.BinOp: _binary,
    ast.BoolOp: _boolean,
    ast.Call: _call,
    ast.Compare: _compare,
    ast.Constant: _constant,
    ast.Dict: _dict,
    ast.IfExp: _choice,
    ast.List: _sequence,
    ast.Name: _name,
    ast.Tuple: _sequence,
    ast.UnaryOp: _unary,
}
