"""Fields that users set: what is handed over is checked at once, and a misspelt name is refused."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, Final

from batchml.arguments import chosen, listed, text
from batchml.errors import ConfigError, UnknownKeyError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SETS", "Fields", "read_sets"]

#: The sets of rows of an iteration that can be predicted and scored.
SETS: Final = ("train", "test")

# Names less alike than this are somebody's own.
_ALIKE: Final = 0.8


class Fields:
    """Gives a class checked fields.

    A name that no field has is refused only if it is much like one that some field has (``predict_typ``): nobody would
    ever read it. Others are free, for subclasses.
    """

    #: What the objects are, for messages.
    noun: ClassVar[str] = "object"
    #: What users may set.
    fields: ClassVar[tuple[str, ...]] = ("id",)
    #: What reads or refuses the value of a field, besides its property: ``check(value, name)``.
    checks: ClassVar[Mapping[str, Callable[[Any, str], Any]]] = {"id": text}

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field.

        Raises
        ------
        UnknownKeyError
            A misspelt one.
        ConfigError
            One that cannot be set, or not to that.
        """
        if not name.startswith("_"):
            check = self.checks.get(name)
            if check is not None:
                value = check(value, f"{self._said()}: {name}")
            elif name not in self.__dict__:
                self._refuse(name)
        object.__setattr__(self, name, value)

    def _said(self) -> str:
        return f"{self.noun} {self.__dict__.get('id', type(self).__name__)!r}"

    def _refuse(self, name: str) -> None:
        found = getattr(type(self), name, None)
        if isinstance(found, property):
            if found.fset is None:
                raise ConfigError(f"{self._said()}: {name} cannot be set; what can be is {', '.join(self.fields)}")
        elif found is None and name not in self.fields and get_close_matches(name, self.fields, n=1, cutoff=_ALIKE):
            raise UnknownKeyError(f"{self._said()} has no field {name!r}{nearest(name, self.fields)}")


def read_sets(value: Any, name: str) -> tuple[str, ...]:
    """Return one predict set or several, in the order given.

    Raises
    ------
    ConfigError
        A set that does not exist, or none.
    """
    given = [value] if isinstance(value, str) else listed(value, name, "train and test")
    if not given:
        raise ConfigError(f"{name} is train, test or both, not nothing")
    return tuple(chosen(one, name, SETS) for one in given)
