"""Conditions on the parameters of learners, such as ``max_depth=3`` or ``C<0.1``."""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from batchml.errors import ConfigError, UnknownKeyError, nearest
from batchml.registry.specs import spec_bodies
from batchml.registry.tables import benchmark_experiment, experiment

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

__all__ = ["experiments_with", "parse_condition", "settings_of"]

Condition = tuple[str, str, Any]

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*", re.DOTALL)
_WORDS = {"none": None, "null": None, "true": True, "false": False}


def parse_condition(text: str) -> Condition:
    """Return name, sign and value of a condition.

    Examples
    --------
    >>> parse_condition("max_depth=3"), parse_condition("C < 0.1"), parse_condition("kernel=rbf")
    (('max_depth', '=', 3), ('C', '<', 0.1), ('kernel', '=', 'rbf'))

    Raises
    ------
    ConfigError
        It is none.
    """
    found = _CONDITION.fullmatch(text)
    if found is None or not found[3]:
        raise ConfigError(
            f"a condition on a parameter is written as max_depth=3, C<0.1 or kernel!=rbf, not {text!r:.60}"
        )
    value = _value(found[3])
    if found[2][0] in "<>" and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise ConfigError(f"{found[1]} {found[2]} asks for a number, not {value!r:.60}")
    return found[1], found[2].replace("==", "="), value


def _value(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def experiments_with(connection: Connection, given: str | Mapping[str, Any] | Iterable[str]) -> list[int]:
    """Return the members of benchmarks whose learner meets all conditions.

    Raises
    ------
    UnknownKeyError
        No learner has a parameter of that name set.
    """
    conditions = _conditions(given)
    known = settings_of(connection)
    names = sorted({name for settings in known.values() for name in settings})
    for name, _, _ in conditions:
        if name not in names:
            some = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            raise UnknownKeyError(
                f"no learner here has the parameter {name!r} set{nearest(name, names)}; set are {some or 'none'}"
            )
    return [key for key, settings in known.items() if all(_holds(settings, one) for one in conditions)]


def _conditions(given: Any) -> list[Condition]:
    if not isinstance(given, (str, Iterable)):
        raise ConfigError(f"params= is a condition such as 'max_depth=3', several, or a mapping, not {given!r:.60}")
    if isinstance(given, Mapping):
        found = [(str(name), "=", value) for name, value in given.items()]
    else:
        found = [parse_condition(str(one)) for one in ([given] if isinstance(given, str) else given)]
    if not found:
        raise ConfigError("params= is empty: name at least one condition, or leave it out")
    return found


def _holds(settings: Mapping[str, Any], condition: Condition) -> bool:
    name, sign, wanted = condition
    if name not in settings:
        return False
    value = settings[name]
    if isinstance(wanted, tuple):
        wanted = list(wanted)  # as JSON keeps it
    if isinstance(value, bool) is not isinstance(wanted, bool):
        return sign == "!="
    try:
        return bool(_SIGNS[sign](value, wanted))
    except TypeError:
        return False


def settings_of(connection: Connection) -> dict[int, dict[str, Any]]:
    """Return the parameters that are set of each member's learner: those of its spec, and its variant's label."""
    member = benchmark_experiment.c
    rows = connection.execute(
        select(member.experiment_id, experiment.c.model_id, member.params)
        .join_from(benchmark_experiment, experiment, experiment.c.id == member.experiment_id)
        .distinct()
    ).all()
    bodies = spec_bodies(connection, {row.model_id for row in rows})
    plain = {key: _plain(body) for key, body in bodies.items()}
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        found.setdefault(row.experiment_id, {}).update({**plain[row.model_id], **json.loads(row.params)})
    return found


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a learner's spec that are plain values, of the steps of a pipeline by step and name."""
    found: dict[str, Any] = {}
    estimator = body.get("estimator", body)
    params = estimator.get("params", {}) if isinstance(estimator, Mapping) else {}
    for name, value in params.items():
        if value is None or isinstance(value, (bool, int, float, str)):
            found[name] = value
        elif name == "steps" and isinstance(value, list):
            found |= _steps(value)
    return found


def _steps(steps: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for step in steps:
        pair = step.get("$tuple") if isinstance(step, Mapping) else step
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], Mapping):
            found |= {f"{pair[0]}__{name}": value for name, value in _plain(pair[1]).items()}
    return found
