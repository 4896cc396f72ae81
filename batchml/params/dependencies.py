"""Which parameters wait for which others, and whether their conditions hold."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError, UnknownKeyError, nearest
from batchml.params.token import TuneToken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchml.params.condition import Condition
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
            _check_feasible(condition, domains[condition.on], f"{owner}: {name}")
        _check_together(domain.depends, f"{owner}: {name}")
    parents_first(domains, owner)


def _check_feasible(condition: Condition, parent: Domain, where: str) -> None:
    if not condition.rhs:
        raise ConfigError(f"{where} depends on '{condition}', which never holds: it names no value")
    for value in condition.rhs:
        wrong = parent.problem(value)
        if wrong is not None:
            raise ConfigError(f"{where} depends on '{condition}', which never holds: {wrong}")


def _check_together(conditions: Sequence[Condition], where: str) -> None:
    """Refuse conditions on one parameter that leave it no value."""
    for condition in conditions:
        same = [other for other in conditions if other.on == condition.on]
        if len(same) > 1 and not any(all(other.holds(value) for other in same) for value in condition.rhs):
            both = " and ".join(map(str, same))
            raise ConfigError(f"{where} depends on '{both}', which never hold together")


def parents_first(domains: Mapping[str, Domain], owner: str = "parameter set") -> list[str]:
    """Return the ids so that each comes after those it depends on.

    Raises
    ------
    ConfigError
        They depend on each other in a circle.
    """
    parents = {name: [one.on for one in domain.depends] for name, domain in domains.items()}
    if not any(parents.values()):
        return list(domains)
    try:
        return list(TopologicalSorter(parents).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise ConfigError(f"{owner}: parameters depend on each other in a circle: {circle}") from None


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
