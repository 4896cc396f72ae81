"""Named domains and the checked values set for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from batchml.arguments import mapping, shown, texts
from batchml.errors import ConfigError, UnknownKeyError, nearest
from batchml.params.condition import Condition, read_depends
from batchml.params.dependencies import check_dependencies, unmet
from batchml.params.domain import NO_DEFAULT, Domain
from batchml.params.token import TuneToken
from batchml.params.trafo import Imported
from batchml.params.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["ParamSetBase"]


class ParamSetBase:
    """What a parameter set knows and checks; see `ParamSet`."""

    __slots__ = ("_dependent", "_domains", "_values", "extra_trafo", "owner")

    def __init__(
        self,
        domains: Mapping[str, Domain],
        values: Mapping[str, Any] | None = None,
        *,
        owner: str = "parameter set",
        extra_trafo: Callable[[dict[str, Any]], Mapping[str, Any]] | str | None = None,
    ) -> None:
        for name, domain in mapping(domains, owner, "names to domains, ps(x=p_dbl(0, 1))").items():
            if not isinstance(name, str):
                raise ConfigError(f"{owner}: the names of parameters are text, not {name!r}")
            if not isinstance(domain, Domain):
                raise ConfigError(f"{owner}: {name} is no domain such as p_dbl(0, 1), but {shown(domain)}")
        if extra_trafo is not None and not isinstance(extra_trafo, str) and not callable(extra_trafo):
            raise ConfigError(f"{owner}: extra_trafo is a function or its import path, not {shown(extra_trafo)}")
        self.owner = owner
        self.extra_trafo = Imported(extra_trafo) if isinstance(extra_trafo, str) else extra_trafo
        self._take_domains(domains)
        self._values = self._new_values()
        first = {name: domain.init for name, domain in self._domains.items() if domain.init is not NO_DEFAULT}
        if first or values is not None:
            self._values.update({**first, **self._named({} if values is None else values)})

    def _take_domains(self, domains: Mapping[str, Domain]) -> None:
        check_dependencies(domains, self.owner)
        self._domains = dict(domains)
        self._dependent = tuple(name for name, domain in domains.items() if domain.depends)

    def _new_values(self) -> Values:
        return Values(self)

    # What there is ---------------------------------------------------------------------------------------------------

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
    def depends(self) -> dict[str, tuple[Condition, ...]]:
        """The conditions of those parameters that have some."""
        return {name: self._domains[name].depends for name in self._dependent}

    @property
    def is_bounded(self) -> bool:
        """Whether all parameters can be sampled."""
        return all(domain.is_bounded for domain in self._domains.values())

    def ids_with(self, tags: str | Iterable[str] = (), *, any_tags: str | Iterable[str] = ()) -> tuple[str, ...]:
        """Return the parameters that have all of `tags` and, if given, at least one of `any_tags`."""
        wanted, some = set(texts(tags, "tags")), set(texts(any_tags, "any_tags"))
        return tuple(
            name for name, domain in self._domains.items() if wanted <= domain.tags and (not some or some & domain.tags)
        )

    def add_dep(self, name: str, depends: str | Condition | Sequence[str | Condition]) -> None:
        """Let a parameter depend on others, besides what it depends on already.

        Raises
        ------
        ConfigError
            As for a new set; the set stays as it was.
        """
        self.require(name)
        domain = self._domains[name]
        new = replace(domain, depends=(*domain.depends, *read_depends(depends)))
        self._take_domains({**self._domains, name: new})

    # Values ----------------------------------------------------------------------------------------------------------

    @property
    def values(self) -> Values:
        """The values that are set; assigning a mapping replaces them all, unless one is refused."""
        return self._values

    @values.setter
    def values(self, new: Mapping[str, Any]) -> None:
        self._values.replace(new)

    @property
    def tokens(self) -> dict[str, TuneToken]:
        """Those of the values that are to be tuned."""
        return {name: value for name, value in self._values.items() if isinstance(value, TuneToken)}

    def set_values(self, *, insert: bool = True, **values: Any) -> Self:
        """Set values beside those that are there, or, without `insert`, in place of them; return the set itself."""
        if insert:
            self._values.update(values)
        else:
            self._values.replace(values)
        return self

    def fill(self, values: Mapping[str, Any]) -> None:
        """Take over values that were accepted before, without checking them again (but for their names)."""
        for name in self._named(values):
            self.require(name)
        self._values.fill({name: values[name] for name in self._domains if name in values})

    def get_values(
        self, tags: str | Iterable[str] = (), *, any_tags: str | Iterable[str] = (), tokens: bool = True
    ) -> dict[str, Any]:
        """Return the values that are set and whose conditions hold, of parameters with these tags (see `ids_with`).

        Parameters
        ----------
        tokens
            False leaves out what is to be tuned.

        Raises
        ------
        ConfigError
            A parameter tagged ``required`` has no value.
        """
        held = dict(self._values)
        alive = {}
        for name in self.ids_with(tags, any_tags=any_tags):
            domain = self._domains[name]
            applies = unmet(domain, held) is None
            if name in held and applies and (tokens or not isinstance(held[name], TuneToken)):
                alive[name] = held[name]
            elif "required" in domain.tags and name not in held and applies:
                raise ConfigError(f"{self.owner}: {name} is required, but has no value")
        return alive

    def check(self, values: Mapping[str, Any]) -> str | None:
        """Return what is wrong with a mapping of values, conditions included; None if nothing is."""
        try:
            self.accept(self._named(values), changed=list(values))
        except ConfigError as error:
            return str(error)
        return None

    def test(self, values: Mapping[str, Any]) -> bool:
        """Tell whether `check` finds nothing wrong."""
        return self.check(values) is None

    def assert_(self, values: Mapping[str, Any]) -> None:
        """Raise what `check` finds wrong as a `ConfigError`."""
        self.accept(self._named(values), changed=list(values))

    def _named(self, values: Any) -> dict[str, Any]:
        return mapping(values, f"{self.owner}: values", "names to values")

    def accept(self, values: dict[str, Any], changed: Iterable[str]) -> dict[str, Any]:
        """Return values in their own types and in the order of the parameters, or refuse them.

        Raises
        ------
        UnknownKeyError
            There is no such parameter.
        ConfigError
            A value is out of its domain, or its condition does not hold.
        """
        for name in changed:
            self.require(name)
            value = values[name]
            if isinstance(value, TuneToken):
                self._check_token(name, value)
                continue
            values[name], wrong = self._domains[name].read(value)
            if wrong is not None:
                raise ConfigError(f"{self.owner}: {name}: {wrong}")
        for name in self._dependent:
            if name in values:
                reason = unmet(self._domains[name], values)
                if reason is not None:
                    raise ConfigError(f"{self.owner}: {name} {reason}")
        return {name: values[name] for name in self._domains if name in values}

    def _check_token(self, name: str, token: TuneToken) -> None:
        from batchml.params.search_space import check_token

        check_token(name, self._domains[name], token, self.owner)

    def require(self, name: str) -> None:
        """Refuse a name that no parameter has.

        Raises
        ------
        UnknownKeyError
            It names the nearest.
        """
        unknown = self.unknown(name)
        if unknown is not None:
            raise UnknownKeyError(unknown)

    def unknown(self, name: Any) -> str | None:
        """Return what to say of a name that no parameter has, None for one that some has."""
        if isinstance(name, str) and name in self._domains:
            return None
        known = ", ".join(self._domains) or "none"
        return f"{self.owner} has no parameter {shown(name)}{nearest(name, self._domains)}; it has {known}"

    def __len__(self) -> int:
        return len(self._domains)

    def __contains__(self, name: object) -> bool:
        return name in self._domains
