"""Parameters that belong together, and the values set for them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from batchml.errors import UnknownKeyError, nearest

if TYPE_CHECKING:
    from batchml.params.domain import Domain

__all__ = ["ParamSet", "Values"]


class Values(MutableMapping[str, Any]):
    """The values of a `ParamSet`: a mapping that refuses names the set does not have."""

    __slots__ = ("_check", "_held")

    def __init__(self, check: Callable[[str, Any], None]) -> None:
        self._check = check
        self._held: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self._held[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._check(name, value)
        self._held[name] = value

    def __delitem__(self, name: str) -> None:
        del self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return repr(self._held)


class ParamSet:
    """Named domains and a checked mapping of values.

    Parameters
    ----------
    domains
        Parameter id to its domain.
    values
        Set at once, checked.
    owner
        What the parameters belong to, for messages.
    """

    __slots__ = ("_domains", "_values", "owner")

    def __init__(
        self, domains: Mapping[str, Domain], values: Mapping[str, Any] | None = None, *, owner: str = "parameter set"
    ) -> None:
        self._domains = dict(domains)
        self.owner = owner
        self._values = Values(self._check)
        self._values.update(values or {})

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
        from batchml.params.domain import NO_DEFAULT

        return {name: d.default for name, d in self._domains.items() if d.default is not NO_DEFAULT}

    @property
    def values(self) -> Values:
        """The values that are set; assigning a mapping replaces them all, unless one is refused."""
        return self._values

    @values.setter
    def values(self, new: Mapping[str, Any]) -> None:
        replaced = Values(self._check)
        replaced.update(new)
        self._values = replaced

    def clone(self) -> ParamSet:
        """Return a set of the same domains and a deep copy of the values."""
        return ParamSet(self._domains, copy.deepcopy(dict(self._values)), owner=self.owner)

    def _check(self, name: str, _value: Any) -> None:
        if name not in self._domains:
            known = ", ".join(self._domains) or "none"
            raise UnknownKeyError(
                f"{self.owner} has no parameter {name!r}{nearest(name, self._domains)}; it has {known}"
            )

    def __len__(self) -> int:
        return len(self._domains)

    def __contains__(self, name: object) -> bool:
        return name in self._domains

    def __repr__(self) -> str:
        lines = [f"<ParamSet> {self.owner}: {len(self)} parameters"]
        lines += [f"  {name}: {self._values[name]!r}" for name in self._values]
        return "\n".join(lines)
