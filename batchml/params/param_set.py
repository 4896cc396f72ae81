"""Parameters that belong together, and the values set for them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError, UnknownKeyError, nearest
from batchml.params.dependencies import check_dependencies, unmet
from batchml.params.domain import NO_DEFAULT, Domain

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ParamSet", "Values", "ps"]


class Values(MutableMapping[str, Any]):
    """The values of a `ParamSet`: a mapping that refuses names and values that the set does not allow."""

    __slots__ = ("_held", "_owner")

    def __init__(self, owner: ParamSet) -> None:
        self._owner = owner
        self._held: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self._held[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._held = self._owner.accept({**self._held, name: value}, changed=[name])

    def __delitem__(self, name: str) -> None:
        rest = dict(self._held)
        del rest[name]
        self._held = self._owner.accept(rest, changed=[])

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several values, all of them or, if one is refused, none."""
        new = dict(*args, **kwargs)
        self._held = self._owner.accept({**self._held, **new}, changed=list(new))

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return repr(self._held)


class ParamSet:
    """Named domains and a checked mapping of values; it is shared, not copied (see `clone`).

    Parameters
    ----------
    domains
        Parameter id to its domain.
    values
        Set at once, checked; what a domain sets from the start (`init`) is there before.
    owner
        What the parameters belong to, for messages.
    extra_trafo
        From all values after their own transformations to the values that are used: ``extra_trafo(values)``.
    """

    __slots__ = ("_domains", "_values", "extra_trafo", "owner")

    def __init__(
        self,
        domains: Mapping[str, Domain],
        values: Mapping[str, Any] | None = None,
        *,
        owner: str = "parameter set",
        extra_trafo: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        self._domains = dict(domains)
        self.owner = owner
        self.extra_trafo = extra_trafo
        check_dependencies(self._domains, owner)
        self._values = Values(self)
        first = {name: domain.init for name, domain in self._domains.items() if domain.init is not NO_DEFAULT}
        self._values.update({**first, **(values or {})})

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        return tuple(self._domains)

    @property
    def domains(self) -> Mapping[str, Domain]:
        """The domains by parameter id."""
        return self._domains

    @property
    def defaults(self) -> dict[str, Any]:
        """The defaults of those parameters that have one."""
        return {name: d.default for name, d in self._domains.items() if d.default is not NO_DEFAULT}

    @property
    def values(self) -> Values:
        """The values that are set; assigning a mapping replaces them all, unless one is refused."""
        return self._values

    @values.setter
    def values(self, new: Mapping[str, Any]) -> None:
        replaced = Values(self)
        replaced.update(new)
        self._values = replaced

    def ids_with(self, tags: str | Iterable[str]) -> tuple[str, ...]:
        """Return the parameters that have all of some tags."""
        wanted = {tags} if isinstance(tags, str) else set(tags)
        return tuple(name for name, domain in self._domains.items() if wanted <= domain.tags)

    def get_values(self, tags: str | Iterable[str] = ()) -> dict[str, Any]:
        """Return the values that are set and whose conditions hold, of parameters with all of some tags.

        Raises
        ------
        ConfigError
            A parameter tagged ``required`` has no value.
        """
        held = dict(self._values)
        wanted = self.ids_with(tags)
        alive = {name: held[name] for name in wanted if name in held and unmet(self._domains[name], held) is None}
        for name in wanted:
            domain = self._domains[name]
            if "required" in domain.tags and name not in held and unmet(domain, held) is None:
                raise ConfigError(f"{self.owner}: {name} is required, but has no value")
        return alive

    def check(self, values: Mapping[str, Any]) -> str | None:
        """Return what is wrong with a mapping of values, conditions included; None if nothing is."""
        try:
            self.accept(dict(values), changed=list(values))
        except ConfigError as error:
            return str(error)
        return None

    def test(self, values: Mapping[str, Any]) -> bool:
        """Tell whether `check` finds nothing wrong."""
        return self.check(values) is None

    def assert_(self, values: Mapping[str, Any]) -> None:
        """Raise what `check` finds wrong as a `ConfigError`."""
        self.accept(dict(values), changed=list(values))

    def accept(self, values: dict[str, Any], changed: list[str]) -> dict[str, Any]:
        """Return values in their own types and in the order of the parameters, or refuse them.

        Raises
        ------
        UnknownKeyError
            There is no such parameter.
        ConfigError
            A value is out of its domain, or its condition does not hold.
        """
        for name in changed:
            domain = self._domains.get(name)
            if domain is None:
                known = ", ".join(self._domains) or "none"
                raise UnknownKeyError(
                    f"{self.owner} has no parameter {name!r}{nearest(name, self._domains)}; it has {known}"
                )
            wrong = domain.problem(values[name])
            if wrong is not None:
                raise ConfigError(f"{self.owner}: {name}: {wrong}")
            values[name] = domain.clean(values[name])
        for name in values:
            reason = unmet(self._domains[name], values)
            if reason is not None:
                raise ConfigError(f"{self.owner}: {name} {reason}")
        return {name: values[name] for name in self._domains if name in values}

    def trafo(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that are used at a point of the search space."""
        made = {name: _transformed(self._domains[name], value) for name, value in values.items()}
        return made if self.extra_trafo is None else dict(self.extra_trafo(made))

    def subset(self, ids: Iterable[str]) -> ParamSet:
        """Return a set of some of the parameters, with their values.

        Raises
        ------
        ConfigError
            A parameter depends on one that is left out.
        """
        wanted = set(ids)
        for name in wanted - self._domains.keys():
            raise UnknownKeyError(f"{self.owner} has no parameter {name!r}{nearest(name, self._domains)}")
        kept = {name: domain for name, domain in self._domains.items() if name in wanted}
        values = {name: value for name, value in self._values.items() if name in wanted}
        return ParamSet(kept, values, owner=self.owner, extra_trafo=self.extra_trafo)

    def table(self) -> pd.DataFrame:
        """Return a row for each parameter: id, kind, bounds, levels, default, tags, condition, value."""
        import pandas as pd

        rows = [
            {
                "id": name,
                "kind": domain.kind,
                "lower": domain.lower if domain.is_number else None,
                "upper": domain.upper if domain.is_number else None,
                "levels": list(domain.levels) or None,
                "nlevels": domain.nlevels,
                "default": domain.default,
                "tags": sorted(domain.tags),
                "depends": " and ".join(map(str, domain.depends)),
                "value": self._values.get(name),
            }
            for name, domain in self._domains.items()
        ]
        return pd.DataFrame(rows)

    def clone(self) -> ParamSet:
        """Return a set of the same domains and a deep copy of the values."""
        copied = ParamSet(self._domains, owner=self.owner, extra_trafo=self.extra_trafo)
        copied.values = copy.deepcopy(dict(self._values))
        return copied

    def __len__(self) -> int:
        return len(self._domains)

    def __contains__(self, name: object) -> bool:
        return name in self._domains

    def __repr__(self) -> str:
        lines = [f"<ParamSet> {self.owner}: {len(self)} parameters"]
        lines += [f"  {name}: {self._values[name]!r}" for name in self._values]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return str(self.table().to_html(index=False, escape=True))


def ps(*, extra_trafo: Callable[[dict[str, Any]], dict[str, Any]] | None = None, **domains: Domain) -> ParamSet:
    """Return a parameter set: ``ps(cost=p_dbl(0.1, 10), kernel=p_fct(["polynomial", "radial"]))``."""
    return ParamSet(domains, extra_trafo=extra_trafo)


def _transformed(domain: Domain, value: Any) -> Any:
    return value if domain.trafo is None else domain.trafo(value)
