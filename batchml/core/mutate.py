"""What changes a task: other rows, columns, roles. The data stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from batchml.arguments import count, listed, mapping, text
from batchml.core import columns
from batchml.core.roles import ROLES, as_names, check_roles, known_columns
from batchml.core.soundness import check_new
from batchml.core.taskview import TaskView
from batchml.errors import DataError, UnknownKeyError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batchml.core.task_types import Task

__all__ = ["TaskMutations"]


class TaskMutations(TaskView):
    """The verbs that change a task in place; each returns the task."""

    def filter(self, rows: Any) -> Self:
        """Keep only these row ids, in this order.

        Raises
        ------
        DataError
            A row that is not in use, or twice.
        """
        rows = np.asarray(rows)
        if rows.dtype == bool and rows.ndim:
            raise DataError(f"{self._where}: filter() takes row ids, not a mask: give task.row_ids[mask]")
        ids = self.row_ids[self.positions(rows)]
        if len(np.unique(ids)) < len(ids):
            twice = ids[np.flatnonzero(np.diff(np.sort(ids)) == 0)[0]] if len(ids) else 0
            raise DataError(f"{self._where}: filter() names row {twice} or another one twice")
        ids.flags.writeable = False
        return self._changed(use=ids)

    def select(self, cols: str | Iterable[str]) -> Self:
        """Keep only these features; they stay in the task's order.

        Raises
        ------
        UnknownKeyError
            A name that is no feature.
        """
        names = as_names(cols)
        known_columns(names, self._roles["feature"], where=f"{self._where}: among the features, it")
        return self._changed(roles={"feature": [name for name in self._roles["feature"] if name in set(names)]})

    def set_col_roles(
        self,
        cols: str | Iterable[str],
        roles: str | Iterable[str] | None = None,
        *,
        add_to: str | Iterable[str] | None = None,
        remove_from: str | Iterable[str] | None = None,
    ) -> Self:
        """Change what columns are for.

        Parameters
        ----------
        cols
            Columns of the backend.
        roles
            These and no other roles; an empty list takes all roles away.
        add_to, remove_from
            Roles to gain or lose besides those that they have; done after `roles`.
        """
        names = as_names(cols)
        known_columns(names, self.backend.columns, where=self._where)
        changed = {role: list(held) for role, held in self._roles.items()}
        for role in (*as_names(roles), *as_names(add_to), *as_names(remove_from)):
            if role not in ROLES:
                raise UnknownKeyError(f"{self._where}: there is no column role {role!r}{nearest(role, ROLES)}")
        for role, held in changed.items():
            if roles is not None:
                held[:] = [name for name in held if name not in names]
            gained = [*as_names(roles), *as_names(add_to)]
            if role in gained:
                held += [name for name in names if name not in held]
            if role in as_names(remove_from):
                held[:] = [name for name in held if name not in names]
        if len(changed["target"]) != 1:
            raise DataError(f"{self._where}: exactly one column is the target, not {len(changed['target'])}")
        return self._changed(roles=changed)

    def add_strata(self, cols: str | Iterable[str], bins: int = 3) -> Self:
        """Make columns strata; numeric ones through a new column that cuts their range into `bins` equal widths.

        Raises
        ------
        DataError
            A numeric column without any value.
        """
        bins = count(bins, f"{self._where}: bins", least=1)
        names = as_names(cols)
        known_columns(names, self.backend.columns, where=self._where)
        for name in names:
            if self.schema[name].type in {"numeric", "integer"}:
                table = self.backend.data(None, [name])
                values = columns.floats_of(table.column(name), self.schema[name])
                if np.isnan(values).all():
                    raise DataError(f"{self._where}: column {name!r} has no value, so it makes no strata")
                cut = _equal_width(values, bins)
                stratum = f"..stratum_{name}"
                self._replace_backend({stratum: cut})
                self._changed(roles={"stratum": [*self._roles["stratum"], stratum]})
            else:
                self.set_col_roles(name, add_to="stratum")
        return self

    def rbind(self, data: Any) -> Self:
        """Append rows of another table; columns that it lacks are missing there. New rows get new ids."""
        from batchml.core.catalog import resolve_name

        n_before = self.backend.n_rows
        backend = resolve_name("data.bind:bind_rows")(self.backend, data, where=self._where)
        new = backend.row_ids[n_before:]
        use = None if self._use is None else np.concatenate([self._use, new])
        return self._changed(backend=backend, use=use, keep_all=use is None)

    def cbind(self, data: Any) -> Self:
        """Append the columns of a table with a row for each row in use, as features."""
        from batchml.core.catalog import resolve_name

        backend = resolve_name("data.bind:bind_columns")(self.backend, self._use, data, where=self._where)
        new = [name for name in backend.columns if name not in self.backend.columns]
        return self._changed(backend=backend, roles={"feature": [*self._roles["feature"], *new]})

    def rename(self, names: Mapping[str, str]) -> Self:
        """Rename columns, old name to new name."""
        from batchml.core.catalog import resolve_name

        names = mapping(names, f"{self._where}: names", "old names to new ones")
        known_columns(names, self.backend.columns, where=self._where)
        for new in names.values():
            text(new, f"{self._where}: the new name of a column")
        backend = resolve_name("data.bind:rename_columns")(self.backend, names)
        roles = {role: [names.get(name, name) for name in held] for role, held in self._roles.items()}
        return self._changed(backend=backend, roles=roles)

    def set_levels(self, levels: Mapping[str, Iterable[Any]]) -> Self:
        """Give categorical columns these levels in this order; values of other levels become missing."""
        from batchml.core.catalog import resolve_name

        levels = mapping(levels, f"{self._where}: levels", "columns to levels")
        known_columns(levels, self.backend.columns, where=self._where)
        ordered = {name: listed(held, f"{self._where}: levels of {name!r}", "levels") for name, held in levels.items()}
        backend = resolve_name("data.bind:set_levels")(self.backend, ordered)
        return self._changed(backend=backend)

    def droplevels(self, cols: str | Iterable[str] | None = None) -> Self:
        """Drop levels that no row in use has (None: of all categorical columns in use)."""
        names = [self.target, *self._roles["feature"]] if cols is None else as_names(cols)
        known_columns(names, self.backend.columns, where=self._where)
        kept = {}
        for name in names:
            held = self.schema[name].levels
            if held is not None:
                used = set(np.unique(self._codes(name)[0]).tolist())
                kept[name] = [level for code, level in enumerate(held) if code in used]
        return self.set_levels(kept)

    def _replace_backend(self, new: Mapping[str, Any]) -> None:
        from batchml.core.catalog import resolve_name

        self.backend = resolve_name("data.bind:with_columns")(self.backend, dict(new))

    def _changed(
        self,
        *,
        use: Any = None,
        roles: Mapping[str, list[str]] | None = None,
        backend: Any = None,
        keep_all: bool = False,
    ) -> Self:
        """Take over what changed, checked, and forget what was computed of the old view."""
        backend = self.backend if backend is None else backend
        new_roles = {**self._roles, **{role: list(held) for role, held in (roles or {}).items()}}
        check_roles(new_roles, backend.schema, where=self._where)
        before = dict(self.__dict__)
        self.backend, self._roles = backend, new_roles
        if use is not None or keep_all:
            self._use = use
        self._cache = {}
        try:
            check_new(cast("Task", self), self._news(before))
        except DataError:
            self.__dict__.update(before)  # as it was
            raise
        return self

    def _news(self, before: Mapping[str, Any]) -> set[str]:
        """Return the columns whose values or roles nobody has looked at yet."""
        roles: dict[str, list[str]] = before["_roles"]
        gained = {name for role, held in self._roles.items() for name in held if name not in roles[role]}
        if self.backend.n_rows != before["backend"].n_rows or self.backend.columns != before["backend"].columns:
            known = set(before["backend"].columns) if self.backend.n_rows == before["backend"].n_rows else set()
            gained |= set(self.backend.columns) - known
        elif self.backend is not before["backend"]:  # other levels
            gained.add(self.target)
        return gained


def _equal_width(values: Any, bins: int) -> list[str | None]:
    """Return the bin of each value as text; the last bin holds the maximum."""
    low, high = np.nanmin(values), np.nanmax(values)
    step = (high - low) / bins or 1.0
    cut = np.minimum((values - low) // step, bins - 1)
    return [None if np.isnan(one) else f"bin{int(one)}" for one in cut]
