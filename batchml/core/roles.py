"""What a task's columns are for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from batchml.arguments import shown
from batchml.core.backend import no_column
from batchml.errors import ConfigError, DataError, UnknownKeyError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.core.backend import ColumnInfo

__all__ = ["ROLES", "as_names", "check_roles", "empty_roles", "known_columns"]

#: The column roles; a column may have several.
ROLES = ("feature", "target", "name", "order", "stratum", "group", "weight", "offset")
_SINGLE = ("name", "group", "weight", "offset")


def empty_roles() -> dict[str, list[str]]:
    """Return all roles, each without columns."""
    return {role: [] for role in ROLES}


def as_names(names: Any) -> list[str]:
    """Return one name, several or none as a list.

    Raises
    ------
    ConfigError
        What is no name.
    """
    if names is None:
        return []
    single = isinstance(names, str) or not isinstance(names, Iterable) or getattr(names, "ndim", 1) == 0
    given = [names] if single else list(names)
    wrong = [name for name in given if not isinstance(name, str)]
    if wrong:
        raise ConfigError(f"columns and roles are named by text, not by {shown(wrong[0])}")
    return given


def known_columns(names: Iterable[Any], columns: Iterable[str], *, where: str) -> None:
    """Refuse a column that does not exist.

    Raises
    ------
    UnknownKeyError
        Names the column, the task and the nearest name.
    """
    columns = list(columns)
    for name in names:
        if not isinstance(name, str) or name not in columns:
            raise no_column(name, columns, where)


def check_roles(roles: Mapping[str, list[str]], schema: Mapping[str, ColumnInfo], *, where: str) -> None:
    """Refuse roles that do not exist or do not fit their columns.

    Raises
    ------
    DataError
        Names task, column and role.
    """
    for role, names in roles.items():
        if role not in ROLES:
            raise UnknownKeyError(f"{where}: there is no column role {role!r}{nearest(role, ROLES)}")
        known_columns(names, schema, where=where)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"{where}: column {twice!r} is named twice as {role}")
    for role in _SINGLE:
        if len(roles[role]) > 1:
            raise DataError(f"{where}: at most one column can be the {role}, not {', '.join(roles[role])}")
    both = [name for name in roles["feature"] if name in roles["target"]]
    if both:
        raise DataError(f"{where}: column {both[0]!r} is the target and cannot be a feature")
    for role in ("weight", "offset"):
        for name in roles[role]:
            if schema[name].type not in {"numeric", "integer"}:
                raise DataError(
                    f"{where}: column {name!r} is {schema[name].type} and cannot be the {role}: it is a number"
                )
