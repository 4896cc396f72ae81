"""Sets made of other sets: unions, collections with prefixes, repetitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from batchml.arguments import count, listed, shown, texts
from batchml.errors import ConfigError
from batchml.params.param_set import ParamSet, require_set
from batchml.params.trafo import Part, Parts
from batchml.params.values import SharedValues, Values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchml.params.condition import Condition
    from batchml.params.domain import Domain

__all__ = ["ParamSetCollection", "ps_replicate", "ps_union", "replicate"]

_MOST_TIMES: Final = 100_000


class ParamSetCollection(ParamSet):
    """Several sets as one: parameter ``x`` of set ``a`` is ``a.x``. The values are those of the sets, not copies.

    Parameters
    ----------
    members
        Prefix to set.

    Examples
    --------
    >>> from batchml.params import p_int, ps
    >>> scale, tree = ps(k=p_int(1, 9)), ps(depth=p_int(1))
    >>> both = ParamSetCollection({"scale": scale, "tree": tree})
    >>> both.values["tree.depth"] = 3
    >>> tree.values
    {'depth': 3}
    """

    __slots__ = ("members",)

    def __init__(self, members: Mapping[str, ParamSet], *, owner: str = "parameter set") -> None:
        given: Any = members
        if not isinstance(given, Mapping) or not all(isinstance(one, ParamSet) for one in given.values()):
            raise ConfigError(
                f"a collection is made of a mapping of prefixes to parameter sets, not of {shown(members)}"
            )
        self.members = {_prefix(name): one for name, one in given.items()}
        domains: dict[str, Domain] = {}
        parts = []
        for prefix, member in self.members.items():
            named = _named(member, prefix=f"{prefix}.")
            for name in named:
                if name in domains:
                    raise ConfigError(f"two parameters of the collection are called {name!r}: choose other prefixes")
            domains |= named
            ids = {f"{prefix}.{name}": name for name in member.ids}
            parts.append(Part(ids=ids, prefix=f"{prefix}.", extra_trafo=member.extra_trafo))
        self.owner = owner
        self.extra_trafo = _joined(parts)
        self._take_domains(domains)
        self._values = self._new_values()

    def _new_values(self) -> Values:
        return SharedValues(self)

    def clone(self) -> ParamSetCollection:
        """Return a collection of clones of the sets."""
        other = ParamSetCollection({name: one.clone() for name, one in self.members.items()}, owner=self.owner)
        other._take_domains(self._domains)  # conditions that were added
        return other


def ps_union(sets: Sequence[ParamSet] | Mapping[str, ParamSet], *, owner: str = "parameter set") -> ParamSet:
    """Return a new set of the parameters and values of several sets; those in a mapping get its keys as prefixes.

    Raises
    ------
    ConfigError
        Two parameters have the same name.

    Examples
    --------
    >>> from batchml.params import p_int, ps
    >>> ps_union([ps(a=p_int(0, 1)), ps(b=p_int(0, 1))]).ids
    ('a', 'b')
    >>> ps_union({"one": ps(a=p_int(0, 1)), "two": ps(a=p_int(0, 1))}).ids
    ('one.a', 'two.a')
    """
    if isinstance(sets, Mapping):
        return _flat(ParamSetCollection(sets, owner=owner))
    domains: dict[str, Domain] = {}
    values: dict[str, Any] = {}
    members = [require_set(one, "a member of a union") for one in listed(sets, "a union", "parameter sets")]
    for one in members:
        twice = [name for name in one.ids if name in domains]
        if twice:
            raise ConfigError(f"two sets have a parameter {twice[0]!r}: give them prefixes, ps_union({{name: set}})")
        domains |= one.domains
        values |= one.values
    parts = [Part(ids={name: name for name in one.ids}, extra_trafo=one.extra_trafo) for one in members]
    made = ParamSet(domains, owner=owner, extra_trafo=_joined(parts))
    made.fill(values)
    return made


def ps_replicate(param_set: ParamSet, times: int | None = None, *, prefixes: Sequence[str] | None = None) -> ParamSet:
    """Return a set with each parameter several times.

    Parameters
    ----------
    times
        How often: ``x_rep_1``, ``x_rep_2``, tagged ``x_rep``.
    prefixes
        Instead: the names of the repetitions, ``first.x``, ``second.x``.
    """
    if (times is None) == (prefixes is None):
        raise ConfigError("ps_replicate takes either times or prefixes")
    if prefixes is None:
        assert times is not None
        return replicate(param_set, times)
    words = texts(prefixes, "prefixes")
    if len(set(words)) < len(words):
        raise ConfigError(f"prefixes must differ: {words!r}")
    return ps_union(dict.fromkeys(words, param_set))


def replicate(param_set: ParamSet, times: int) -> ParamSet:
    """Return a set with ``x_rep_1``, ``x_rep_2``, ... for each parameter ``x``, tagged ``x_rep``."""
    require_set(param_set, "what is replicated")
    times = count(times, "how many times a set is replicated", least=1, most=_MOST_TIMES)
    domains: dict[str, Domain] = {}
    values: dict[str, Any] = {}
    parts = []
    for i in range(1, times + 1):
        ids = {f"{name}_rep_{i}": name for name in param_set.ids}
        named = _named(param_set, suffix=f"_rep_{i}")
        domains |= {outer: replace(d, tags=d.tags | {f"{ids[outer]}_rep"}) for outer, d in named.items()}
        values |= {f"{name}_rep_{i}": value for name, value in param_set.values.items()}
        parts.append(Part(ids=ids, suffix=f"_rep_{i}", extra_trafo=param_set.extra_trafo))
    made = ParamSet(domains, owner=param_set.owner, extra_trafo=_joined(parts))
    made.fill(values)
    return made


def _flat(collection: ParamSetCollection) -> ParamSet:
    made = ParamSet(collection.domains, owner=collection.owner, extra_trafo=collection.extra_trafo)
    made.fill(collection.values)
    return made


def _named(param_set: ParamSet, *, prefix: str = "", suffix: str = "") -> dict[str, Domain]:
    """Return the domains under longer names, conditions included."""

    def renamed(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
        return tuple(replace(one, on=f"{prefix}{one.on}{suffix}") for one in conditions)

    return {
        f"{prefix}{name}{suffix}": replace(domain, depends=renamed(domain.depends), suits=renamed(domain.suits))
        for name, domain in param_set.domains.items()
    }


def _prefix(name: Any) -> str:
    if not isinstance(name, str):
        raise ConfigError(f"the prefixes of a collection are texts, not {shown(name)}")
    return name


def _joined(parts: Sequence[Part]) -> Parts | None:
    return Parts(tuple(parts)) if any(part.extra_trafo is not None for part in parts) else None
