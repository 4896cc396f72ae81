"""Which parameters wait for which others, and whether their conditions hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError, UnknownKeyError, nearest
from batchml.params.token import TuneToken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.params.domain import Domain

__all__ = ["check_dependencies", "parents_first", "unmet"]


def check_dependencies(domains: Mapping[str, Domain], owner: str) -> None:
    """Refuse conditions on unknown parameters, on values that cannot be, and on each other in a circle.

    Raises
    ------
    UnknownKeyError, ConfigError
    """
    for name, domain in domains.items():
        for condition in domain.depends:
            if condition.on not in domains:
                close = nearest(condition.on, domains)
                raise UnknownKeyError(f"{owner}: {name} depends on {condition.on!r}, which is no parameter{close}")
            for value in condition.rhs:
                wrong = domains[condition.on].problem(value)
                if wrong is not None:
                    raise ConfigError(f"{owner}: {name} depends on '{condition}', which never holds: {wrong}")
    parents_first(domains, owner)


def parents_first(domains: Mapping[str, Domain], owner: str = "parameter set") -> list[str]:
    """Return the ids so that each comes after those it depends on, else in order."""
    done: dict[str, None] = {}
    path: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise ConfigError(f"{owner}: parameters depend on each other in a circle: {circle}")
        path.append(name)
        for condition in domains[name].depends:
            visit(condition.on)
        path.pop()
        done[name] = None

    for name in domains:
        visit(name)
    return list(done)


def unmet(domain: Domain, values: Mapping[str, Any]) -> str | None:
    """Return which condition of a parameter does not hold among values, None if all do."""
    for condition in domain.depends:
        if condition.on not in values:
            return f"can only be set if {condition}, but {condition.on} has no value; set it to one that fits"
        if isinstance(values[condition.on], TuneToken):
            continue  # the search space sees to it
        if not condition.holds(values[condition.on]):
            return f"can only be set if {condition}, but {condition.on} is {values[condition.on]!r}"
    return None
