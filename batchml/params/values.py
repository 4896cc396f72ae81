"""The values of a parameter set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from batchml.arguments import mapping, shown
from batchml.errors import UnknownKeyError

if TYPE_CHECKING:
    from batchml.params.combine import ParamSetCollection
    from batchml.params.param_base import ParamSetBase

__all__ = ["NotSetError", "SharedValues", "Values"]


class NotSetError(UnknownKeyError, KeyError):
    """A name without a value; a `KeyError`, too, since that is what ``in`` and ``get`` of mappings ask for."""

    __str__ = UnknownKeyError.__str__  # a KeyError shows the repr of what it says


class Values(MutableMapping[str, Any]):
    """The values of a `ParamSet`: a mapping that refuses names and values that the set does not allow."""

    __slots__ = ("_own", "_owner")

    def __init__(self, owner: ParamSetBase) -> None:
        self._owner = owner
        self._own: dict[str, Any] = {}

    def _held(self) -> dict[str, Any]:
        return self._own

    def fill(self, values: dict[str, Any]) -> None:
        """Take values over as they are, unchecked."""
        self._own = values

    def replace(self, new: Mapping[str, Any]) -> None:
        """Set these and no other values, unless one is refused."""
        self.fill(self._owner.accept(self._named(new), changed=list(new)))

    def _named(self, new: Any) -> dict[str, Any]:
        return mapping(new, f"{self._owner.owner}: values", "names to values")

    def __getitem__(self, name: str) -> Any:
        if name in self:
            return self._held()[name]
        what = f"{self._owner.owner}: {shown(name)} has no value; set are {', '.join(self) or 'none'}"
        raise NotSetError(self._owner.unknown(name) or what)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._held()

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(name, str):
            raise UnknownKeyError(self._owner.unknown(name))
        self.fill(self._owner.accept({**self._held(), name: value}, changed=[name]))

    def __delitem__(self, name: str) -> None:
        self[name]  # must be there
        self.fill(self._owner.accept({key: value for key, value in self._held().items() if key != name}, changed=[]))

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several values, all of them or, if one is refused, none."""
        try:
            new = dict(*args, **kwargs)
        except (TypeError, ValueError):
            new = self._named(*args)  # which refuses it
        self.fill(self._owner.accept({**self._held(), **new}, changed=list(new)))

    def clear(self) -> None:
        """Take all values away."""
        self.fill({})

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def __len__(self) -> int:
        return len(self._held())

    def __repr__(self) -> str:
        return repr(self._held())


class SharedValues(Values):
    """The values of a collection: those of its members, under longer names."""

    __slots__ = ()

    _owner: ParamSetCollection

    def _held(self) -> dict[str, Any]:
        return {
            f"{prefix}.{name}": value
            for prefix, member in self._owner.members.items()
            for name, value in member.values.items()
        }

    def fill(self, values: dict[str, Any]) -> None:
        """Hand each member its values."""
        for prefix, member in self._owner.members.items():
            long = {name: f"{prefix}.{name}" for name in member.ids}
            member.fill({name: values[outer] for name, outer in long.items() if outer in values})
