"""What all tasks share: a backend, the rows and columns of it in use, and their views for estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from batchml.core import columns
from batchml.core.blocks import MANY, column_in_blocks, in_blocks
from batchml.core.identity import row_digest
from batchml.core.last_read import LastRead
from batchml.core.roles import check_roles, empty_roles, known_columns
from batchml.core.rows import RowIndex
from batchml.core.show import Shown, listing
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    import pandas as pd
    import pyarrow as pa

    from batchml.core.backend import ColumnInfo, DataBackend, FeatureType, Label
    from batchml.core.blocks import Block

__all__ = ["TaskView"]

_Ids = NDArray[np.int64]
_T = TypeVar("_T")
_KEPT_BYTES = 1 << 22
"""Features of a table in memory that take less are kept as estimators want them: each process has its own copy."""
_READ_CELLS = 1 << 22
"""So many values are read at once from a table that lies elsewhere, though they are asked for in blocks."""


class TaskView(Shown):
    """A view of a backend: rows in use and roles of columns. See `Task` for what can be done with it."""

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
        if wanted.dtype.kind not in "iu" and wanted.size:
            raise DataError(f"{self._where}: row ids are whole numbers, not {wanted.dtype}")
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

    # views

    @property
    def is_numeric(self) -> bool:
        """Whether all features are numeric, integer or logical, so that they make a matrix."""
        return all(self.schema[name].type in columns.NUMERIC for name in self._roles["feature"])

    def features(self, rows: Any = None, *, array: bool | None = None) -> NDArray[np.float64] | pd.DataFrame:
        """Return X for estimators.

        Parameters
        ----------
        rows
            Row ids, None for all in use; repeated ids give repeated rows.
        array
            True: a float64 matrix in C order, rows x features, missing as NaN; False: a data frame with names,
            categories with all levels of the task, NaN for missing; None: a matrix if all features are numeric,
            integer or logical.

        Raises
        ------
        DataError
            A row that is not in use; a matrix was asked for but a feature is not numeric.
        """
        wanted = self.is_numeric if array is None else array
        if wanted:
            self._check_numbers()
        if self.backend.lazy or 8 * self.n_rows * self.n_features > _KEPT_BYTES:
            return self._matrix(rows) if wanted else self._frame(rows)
        positions = self.positions(rows)
        if wanted:
            found: NDArray[np.float64] = np.take(self._cached("matrix", self._matrix), positions, axis=0)
            return found
        frame = self._cached("frame", self._frame).take(positions)
        frame.index = _range_index(len(positions))
        return frame

    def _check_numbers(self) -> None:
        for name in self._roles["feature"]:
            if self.schema[name].type not in columns.NUMERIC:
                raise DataError(
                    f"{self._where}: feature {name!r} is {self.schema[name].type}, so the features make no matrix of "
                    "numbers: encode it first (preprocess='auto' does)"
                )

    def _lookup(self, rows: Any, names: list[str]) -> tuple[pa.Table, _Ids | None]:
        """Return a table with rows in use (None: all) and where they are in it; nothing in memory is copied.

        Raises
        ------
        DataError
            A row that the backend has lost.
        """
        ids = self._use
        if rows is not None:
            self.positions(rows)  # refuses those that are not in use
            ids = np.asarray(rows).astype(np.int64, copy=False)
        held: LastRead | None = self._cache.get("read")
        if held is not None and ids is not None and (found := held.find(ids, names)) is not None:
            return found
        table, places = self.backend.lookup(ids, names)
        if ids is not None and len(ids) != (table.num_rows if places is None else len(places)):
            raise DataError(f"{self._where}: rows that it had are gone from its data")
        return table, places

    def _lookup_features(self, rows: Any) -> tuple[pa.Table, _Ids | None]:
        """Look up features; if that takes a query, the target and weights come with it and are kept for who asks next.

        So an iteration reads its training rows once, and its test rows.
        """
        names = self._roles["feature"]
        if rows is None or not self.backend.lazy:
            return self._lookup(rows, names)
        names = [*names, *(name for role in ("target", "weight") for name in self._roles[role] if name not in names)]
        table, places = self._lookup(rows, names)
        held: LastRead | None = self._cache.get("read")
        if held is None or held.table is not table:
            ids = np.array(rows, dtype=np.int64)  # of its own: the caller may change his
            if places is not None and np.may_share_memory(places, rows):
                places = places.copy()
            self._cache["read"] = LastRead(frozenset(names), ids, table, places)
        return table, places

    def feature_blocks(
        self, rows: _Ids, size: int, *, array: bool | None = None
    ) -> Generator[NDArray[np.float64] | pd.DataFrame]:
        """Yield X as `features` returns it, of so many rows at a time; a table that lies elsewhere is read once."""
        if not self.backend.lazy or len(rows) * self.n_features <= _READ_CELLS:
            if self.backend.lazy:
                self._lookup_features(rows)  # with the target, and held for the blocks
            for start in range(0, len(rows), size):
                yield self.features(rows[start : start + size], array=array)
            return
        wanted = self.is_numeric if array is None else array
        if wanted:
            self._check_numbers()
        self._cache.pop("read", None)  # what was read before need not be in memory with it
        names = self._roles["feature"]
        for table, places in self._blocks(rows, names, size):
            if wanted:
                yield columns.matrix_of(table, places, names, self.schema)
            else:
                yield columns.features_of(table, places, names, self.schema, self._cached("holes", self._holes))

    def _blocks(self, rows: _Ids, names: list[str], size: int) -> Generator[Block]:
        for start in range(0, len(rows), size):
            self.positions(rows[start : start + size])  # refuses those that are not in use
        return in_blocks(self.backend, rows, names, size, where=self._where)

    def _values(self, name: str, rows: Any, convert: Callable[[pa.Array], NDArray[Any]]) -> NDArray[Any]:
        """Return one column of a table that lies elsewhere, at rows in use."""
        if len(rows) <= MANY:
            return convert(self._part(name, rows))
        ids = np.asarray(rows).astype(np.int64, copy=False)
        return column_in_blocks(self._blocks(ids, [name], MANY), len(ids), name, convert)

    def _part(self, name: str, rows: Any) -> pa.Array:
        """Return one column at rows in use."""
        table, places = self._lookup(rows, [name])
        return columns.part_of(table.column(name), places)

    def _matrix(self, rows: Any = None) -> NDArray[np.float64]:
        names = self._roles["feature"]
        return columns.matrix_of(*self._lookup_features(rows), names, self.schema)

    def _frame(self, rows: Any = None) -> pd.DataFrame:
        names = self._roles["feature"]
        holes = self._cached("holes", self._holes)
        return columns.features_of(*self._lookup_features(rows), names, self.schema, holes)

    def _holes(self) -> frozenset[str]:
        """Return the whole-number features with a missing value anywhere: they are floats whatever rows are asked."""
        whole = [name for name in self._roles["feature"] if self.schema[name].type == "integer"]
        return frozenset(name for name, count in self.backend.missings(None, whole).items() if count)

    def data(self, rows: Any = None, cols: Iterable[str] | None = None) -> pd.DataFrame:
        """Return rows (None: all in use) and columns (None: target, then features) as a data frame indexed by row id.

        Raises
        ------
        DataError
            A row that is not in use.
        UnknownKeyError
            A column that does not exist.
        """
        names = [self.target, *self._roles["feature"]] if cols is None else list(cols)
        known_columns(names, self.backend.columns, where=self._where)
        ids = self.row_ids[self.positions(rows)]
        frame = columns.frame_of(self.backend.data(ids, names), self.schema)
        frame.index = _index(ids)
        return frame

    def head(self, n: int = 6) -> pd.DataFrame:
        """Return the first rows as `data` does."""
        return self.data(self.row_ids[:n])

    def missings(self, cols: Iterable[str] | None = None) -> dict[str, int]:
        """Return the number of missing values of each column (None: target, then features)."""
        names = [self.target, *self._roles["feature"]] if cols is None else list(cols)
        known_columns(names, self.backend.columns, where=self._where)
        return self._cached(f"missings:{names}", lambda: self.backend.missings(self._use, names))

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
        names = list(names)
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

    def row_weights(self, rows: Any = None) -> NDArray[np.float64] | None:
        """Return the weights of rows; None without a weight column."""
        names = self._roles["weight"]
        if names and rows is not None and self.backend.lazy:
            info = self.schema[names[0]]
            return self._values(names[0], rows, lambda part: columns.floats_of(part, info))
        weights = self.weights
        return None if weights is None else weights[self.positions(rows)]

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


def _range_index(n: int) -> Any:
    import pandas as pd

    return pd.RangeIndex(n)


def _index(ids: _Ids) -> Any:
    import pandas as pd

    return pd.Index(ids, name="row_id")
