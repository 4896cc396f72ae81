"""How estimators see the rows and columns of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from batchml.arguments import count
from batchml.core import columns
from batchml.core.blocks import MANY, column_in_blocks, in_blocks
from batchml.core.last_read import LastRead
from batchml.core.roles import as_names, known_columns
from batchml.core.taskrows import TaskRows
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    import pandas as pd
    import pyarrow as pa

    from batchml.core.blocks import Block

__all__ = ["TaskView"]

_Ids = NDArray[np.int64]
_KEPT_BYTES = 1 << 22
"""Features of a table in memory that take less are kept as estimators want them: each process has its own copy."""
_READ_CELLS = 1 << 22
"""So many values are read at once from a table that lies elsewhere, though they are asked for in blocks."""


class TaskView(TaskRows):
    """Rows in use as matrices and frames; see `Task` for what can be done with it."""

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
        return frozenset(name for name, n in self.backend.missings(None, whole).items() if n)

    def data(self, rows: Any = None, cols: Iterable[str] | None = None) -> pd.DataFrame:
        """Return rows (None: all in use) and columns (None: target, then features) as a data frame indexed by row id.

        Raises
        ------
        DataError
            A row that is not in use.
        UnknownKeyError
            A column that does not exist.
        """
        names = [self.target, *self._roles["feature"]] if cols is None else as_names(cols)
        known_columns(names, self.backend.columns, where=self._where)
        ids = self.row_ids[self.positions(rows)]
        frame = columns.frame_of(self.backend.data(ids, names), self.schema)
        frame.index = _index(ids)
        return frame

    def head(self, n: int = 6) -> pd.DataFrame:
        """Return the first rows as `data` does."""
        return self.data(self.row_ids[: count(n, f"{self._where}: the number of rows")])

    def missings(self, cols: Iterable[str] | None = None) -> dict[str, int]:
        """Return the number of missing values of each column (None: target, then features)."""
        names = [self.target, *self._roles["feature"]] if cols is None else as_names(cols)
        known_columns(names, self.backend.columns, where=self._where)
        return self._cached(f"missings:{names}", lambda: self.backend.missings(self._use, names))

    def row_weights(self, rows: Any = None) -> NDArray[np.float64] | None:
        """Return the weights of rows; None without a weight column."""
        names = self._roles["weight"]
        if names and rows is not None and self.backend.lazy:
            info = self.schema[names[0]]
            return self._values(names[0], rows, lambda part: columns.floats_of(part, info))
        weights = self.weights
        return None if weights is None else weights[self.positions(rows)]


def _range_index(n: int) -> Any:
    import pandas as pd

    return pd.RangeIndex(n)


def _index(ids: _Ids) -> Any:
    import pandas as pd

    return pd.Index(ids, name="row_id")
