"""The search space that tokens among the values of a set make."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from batchml.arguments import shown
from batchml.errors import ConfigError
from batchml.params.condition import Condition
from batchml.params.domain import Domain
from batchml.params.generate import generate_design_grid, generate_design_random
from batchml.params.param_set import ParamSet
from batchml.params.shorthand import p_dbl, p_fct, p_int, p_lgl
from batchml.params.trafo import Lookup, Part, Parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.params.token import TuneToken

__all__ = ["check_token", "search_space"]

INTERNAL: Final = "internal_tuning"
# Corners of a token's space that are tried against the parameter.
_CORNERS: Final = 1024


def search_space(param_set: ParamSet) -> ParamSet:
    """Return the space of the tokens among the values, in the order of the parameters; see `ParamSet.search_space`."""
    tokens = param_set.tokens
    spaces = {name: _domains_of(name, param_set.domains[name], token) for name, token in tokens.items()}
    domains: dict[str, Domain] = {}
    parts: list[Part] = []
    for name, token in tokens.items():
        inherited = _inherited(param_set.domains[name], tokens, spaces)
        for inner, domain in spaces[name].items():
            if inner in domains:
                raise ConfigError(
                    f"{param_set.owner}: two of the parameters to tune are called {inner!r}: rename that in the space "
                    f"for {name}"
                )
            domains[inner] = _tagged(replace(domain, depends=(*domain.depends, *inherited)), token)
        if isinstance(token.content, ParamSet):
            ids = {inner: inner for inner in spaces[name]}
            parts.append(Part(ids=ids, target=name, extra_trafo=token.content.extra_trafo))
    made = Parts(tuple(parts)) if parts else None
    owner = "search space" if param_set.owner == "parameter set" else f"search space of {param_set.owner}"
    return ParamSet(domains, owner=owner, extra_trafo=made)


def check_token(name: str, domain: Domain, token: TuneToken, owner: str) -> None:
    """Refuse a token whose space cannot be searched, or holds what the parameter does not take.

    Raises
    ------
    ConfigError
    """
    try:
        if isinstance(token.content, ParamSet) and not token.content.ids:
            raise ConfigError("the space has no parameter")  # noqa: TRY301  # said as all else here
        inner = {key: replace(one, depends=()) for key, one in _domains_of(name, domain, token).items()}
        made = None
        if isinstance(token.content, ParamSet):
            inner = dict(token.content.domains)
            made = Parts((Part(ids={key: key for key in inner}, target=name, extra_trafo=token.content.extra_trafo),))
        values = _corners(ParamSet(inner, owner="its space", extra_trafo=made), name)
    except ConfigError as error:
        raise ConfigError(f"{owner}: {name}: {shown(token)} does not do: {error}") from None
    # A range of numbers with a point may not do although its bounds, as whole numbers, would.
    problem = domain.rule if token.content is None and domain.rule is not None else domain.problem
    for value in values:
        wrong = problem(value)
        if wrong is not None:
            raise ConfigError(f"{owner}: {name}: {shown(token)} does not do: {wrong}")


def _corners(space: ParamSet, name: str) -> list[Any]:
    size = math.prod(domain.nlevels if domain.levels else 2 for domain in space.domains.values())
    design = generate_design_grid(space, 2) if size <= _CORNERS else generate_design_random(space, _CORNERS, seed=0)
    return [point[name] for point in design.transpose() if name in point]


def _domains_of(name: str, domain: Domain, token: TuneToken) -> Mapping[str, Domain]:
    """Return the domains that a token stands for; those of one parameter under its own name."""
    if isinstance(token.content, Domain):
        return {name: replace(token.content, tags=token.content.tags | domain.tags)}
    if token.content is not None:
        return token.content.domains
    return {name: replace(_range_of(domain, token), tags=domain.tags)}


def _range_of(domain: Domain, token: TuneToken) -> Domain:
    given = token.lower is not None or token.upper is not None or token.logscale
    if domain.is_categ and not given:
        return p_lgl() if domain.kind == "lgl" else p_fct(domain.levels)
    if not domain.is_number:
        raise ConfigError(f"the parameter has no range ({domain!r}): give values in a list, or a domain")
    lower = domain.lower if token.lower is None else token.lower
    upper = domain.upper if token.upper is None else token.upper
    for bound, side in ((lower, "lower"), (upper, "upper")):
        if math.isinf(bound):
            raise ConfigError(f"the parameter has no {side} bound: give one, to_tune(lower, upper)")
    # Some whole numbers have alternatives: the share of rows instead of their number.
    fractional = domain.kind == "dbl" or (domain.rule is not None and not (lower == int(lower) and upper == int(upper)))
    return (p_dbl if fractional else p_int)(lower, upper, logscale=token.logscale)


def _inherited(
    domain: Domain, tokens: Mapping[str, TuneToken], spaces: Mapping[str, Mapping[str, Domain]]
) -> tuple[Condition, ...]:
    """Return the conditions of a parameter whose other parameter is tuned, too, in words of that one's space."""
    found = []
    for condition in (*domain.depends, *domain.suits):
        space = spaces.get(condition.on, {})
        if condition.on not in tokens or list(space) != [condition.on]:
            continue
        translated = _translated(condition, space[condition.on])
        if translated is not None and translated not in found:
            found.append(translated)
    return tuple(found)


def _translated(condition: Condition, parent: Domain) -> Condition | None:
    """Return the condition on what is searched; None where it cannot be said, or never holds."""
    if isinstance(parent.trafo, Lookup) and parent.trafo.then is None:
        rhs = tuple(name for name, value in parent.trafo.named.items() if condition.holds(value))
    elif parent.trafo is None:
        rhs = tuple(value for value in condition.rhs if parent.problem(value) is None)
    else:
        return None
    return Condition(on=condition.on, rhs=rhs) if rhs else None


def _tagged(domain: Domain, token: TuneToken) -> Domain:
    if not token.internal:
        return domain
    return replace(domain, tags=domain.tags | {INTERNAL}, aggr=token.aggr or domain.aggr)
