"""What all tasks share: a backend, the rows of it in use, and what its columns are for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from batchml.arguments import shown
from batchml.core import columns
from batchml.core.fields import Fields
from batchml.core.identity import row_digest
from batchml.core.roles import as_names, check_roles, empty_roles, known_columns
from batchml.core.rows import RowIndex
from batchml.core.show import Shown, listing
from batchml.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pyarrow as pa

    from batchml.core.backend import ColumnInfo, DataBackend, FeatureType, Label

__all__ = ["TaskRows"]

_Ids = NDArray[np.int64]
_T = TypeVar("_T")


class TaskRows(Fields, Shown):
    """Rows in use and roles of columns; see `Task` for what can be done with it."""

    noun: ClassVar[str] = "task"

    task_type: ClassVar[str] = ""

    def __init__(
        self,
        id: str,
        backend: DataBackend,
        target: str,
        *,
        roles: Mapping[str, Iterable[str]] | None = None,
        rows: _Ids | None = None,
        positive: Label | None = None,
    ) -> None:
        self.id = id
        self.backend = backend
        self._roles = empty_roles() | {role: list(names) for role, names in (roles or {}).items()}
        known_columns([target], backend.columns, where=self._where)
        self._roles["target"] = [target]
        if roles is None or "feature" not in roles:
            given = {name for role in self._roles for name in self._roles[role] if role != "stratum"}
            self._roles["feature"] = [name for name in self._free_columns() if name not in given]
        check_roles(self._roles, backend.schema, where=self._where)
        self._use = rows
        self._positive = positive
        self._cache: dict[str, Any] = {}

    @property
    def _where(self) -> str:
        return f"task {self.id!r}"

    def _free_columns(self) -> list[str]:
        return [name for name in self.backend.columns if name != self.backend.primary_key]

    def _cached(self, key: str, make: Callable[[], _T]) -> _T:
        if key not in self._cache:
            self._cache[key] = make()
        found: _T = self._cache[key]
        return found

    def clone(self) -> Self:
        """Return a copy that changes apart from this one; the data are shared."""
        twin = self.__class__.__new__(self.__class__)
        roles = {role: list(names) for role, names in self._roles.items()}
        twin.__dict__.update({**self.__dict__, "_roles": roles, "_cache": dict(self._cache)})
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be computed again."""
        return {**self.__dict__, "_cache": {}}

    # rows

    @property
    def row_ids(self) -> _Ids:
        """The ids of the rows in use, in order; read-only."""
        return self.backend.row_ids if self._use is None else self._use

    @property
    def n_rows(self) -> int:
        """The number of rows in use."""
        return self.backend.n_rows if self._use is None else len(self._use)

    def positions(self, rows: Any = None) -> _Ids:
        """Return the positions of row ids among those in use.

        Raises
        ------
        DataError
            For a row that is not in use: probably a resampling was instantiated on another task.
        """
        if rows is None:
            return np.arange(self.n_rows, dtype=np.int64)
        wanted = np.asarray(rows)
        if wanted.ndim != 1 or (wanted.dtype.kind not in "iu" and wanted.size):
            raise DataError(f"{self._where}: row ids are a list of whole numbers, not {shown(rows)}")
        positions, known = self._cached("index", lambda: RowIndex(self.row_ids)).find(
            wanted.astype(np.int64, copy=False)
        )
        if not known.all():
            row = int(wanted[~known][0])
            raise DataError(
                f"{self._where} has no row {row} in use: was the resampling instantiated on a different task?"
            )
        return positions

    # columns

    @property
    def schema(self) -> Mapping[str, ColumnInfo]:
        """Feature type and levels of each column of the backend."""
        return self.backend.schema

    @property
    def target(self) -> str:
        """The name of the target column."""
        return self._roles["target"][0]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The feature columns, in the order in which estimators see them."""
        return tuple(self._roles["feature"])

    @property
    def feature_types(self) -> dict[str, FeatureType]:
        """The feature type of each feature: logical, integer, numeric, categorical, ordered, datetime or text."""
        return {name: self.schema[name].type for name in self._roles["feature"]}

    @property
    def n_features(self) -> int:
        """The number of features."""
        return len(self._roles["feature"])

    @property
    def n_cols(self) -> int:
        """The number of columns with the role feature or target."""
        return self.n_features + 1

    @property
    def col_roles(self) -> dict[str, tuple[str, ...]]:
        """The columns of each role; `set_col_roles` changes them."""
        return {role: tuple(names) for role, names in self._roles.items()}

    def _column(self, name: str) -> pa.ChunkedArray:
        """Return one column at the rows in use."""
        return self.backend.data(self._use, [name]).column(name)

    def _codes(self, name: str) -> tuple[_Ids, tuple[Label, ...]]:
        return self._cached(f"codes:{name}", lambda: columns.codes_of(self._column(name), self.schema[name]))

    def codes(self, col: str) -> _Ids:
        """Return a column at the rows in use as positions in its levels, else in its sorted values; -1 missing."""
        known_columns([col], self.backend.columns, where=self._where)
        return self._codes(col)[0]

    def levels(self, col: str) -> tuple[Label, ...]:
        """Return all levels of a categorical or ordered column, in their order; none for other types."""
        known_columns([col], self.schema, where=self._where)
        return self.schema[col].levels or ()

    # roles that speak of rows

    @property
    def strata(self) -> _Ids | None:
        """The stratum of each row in use as a code; None without stratum columns."""
        names = self._roles["stratum"]
        return self._cached("strata", lambda: self.stratify(names)) if names else None

    def stratify(self, names: Iterable[str]) -> _Ids:
        """Return a code per row in use for each combination of values of columns; missing is a value of its own."""
        names = as_names(names)
        if not names:
            raise ConfigError(f"{self._where}: name a column to stratify by")
        known_columns(names, self.backend.columns, where=self._where)
        codes = np.column_stack([self._codes(name)[0] for name in names])
        if codes.shape[1] == 1:
            return np.unique(codes[:, 0], return_inverse=True)[1].astype(np.int64)
        return np.unique(codes, axis=0, return_inverse=True)[1].ravel().astype(np.int64)

    @property
    def groups(self) -> _Ids | None:
        """The group of each row in use as a code; None without a group column."""
        names = self._roles["group"]
        if not names:
            return None
        codes = self._codes(names[0])[0]
        if codes.size and codes.min() < 0:
            raise DataError(f"{self._where}: group column {names[0]!r} has missing values: each row needs a group")
        return codes

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """The weight of each row in use; None without a weight column."""
        return self._role_floats("weight")

    @property
    def offset(self) -> NDArray[np.float64] | None:
        """The offset of each row in use; None without an offset column."""
        return self._role_floats("offset")

    def _role_floats(self, role: str) -> NDArray[np.float64] | None:
        names = self._roles[role]
        if not names:
            return None
        return self._cached(role, lambda: columns.floats_of(self._column(names[0]), self.schema[names[0]]))

    @property
    def order(self) -> _Ids:
        """Positions of the rows in use, sorted by the columns with the role order (as they are without one)."""
        names = self._roles["order"]
        if not names:
            return np.arange(self.n_rows, dtype=np.int64)
        return np.lexsort([self._codes(name)[0] for name in reversed(names)]).astype(np.int64)

    @property
    def row_digest(self) -> str:
        """What splits depend on: row ids, strata, groups and order; not the values of features or target."""
        order = self.row_ids[self.order] if self._roles["order"] else None
        return self._cached("row_digest", lambda: row_digest(self.row_ids, self.strata, self.groups, order))

    @property
    def properties(self) -> tuple[str, ...]:
        """What can be said of the task: strata, groups, weights, offset, ordered."""
        names = {"stratum": "strata", "group": "groups", "weight": "weights", "offset": "offset", "order": "ordered"}
        return tuple(word for role, word in names.items() if self._roles[role])

    # printing

    def _facts(self) -> list[str]:
        return [f"* Target: {self.target}", f"* Properties: {listing(self.properties) or '-'}"]

    def __repr__(self) -> str:
        lines = [f"<{type(self).__name__}:{self.id}> ({self.n_rows} x {self.n_cols})", *self._facts()]
        lines.append(f"* Features ({self.n_features}):")
        types = self.feature_types
        for kind in sorted(set(types.values())):
            names = [name for name in types if types[name] == kind]
            lines.append(f"  - {kind} ({len(names)}): {listing(names)}")
        others = [role for role in self._roles if role not in {"feature", "target"} and self._roles[role]]
        lines += [f"* {role.capitalize()}: {listing(self._roles[role])}" for role in others]
        return "\n".join(lines)
