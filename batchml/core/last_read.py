"""What was read last of a table that lies elsewhere, for who asks for the same rows next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchml.core.rows import RowIndex

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["LastRead"]


class LastRead:
    """Rows that were read last from a table that lies elsewhere."""

    def __init__(
        self, names: frozenset[str], ids: NDArray[np.int64], table: pa.Table, places: NDArray[np.int64] | None
    ) -> None:
        self.names, self.ids, self.table, self.places = names, ids, table, places
        self._index: RowIndex | None = None

    def find(self, ids: NDArray[np.int64], names: list[str]) -> tuple[pa.Table, NDArray[np.int64] | None] | None:
        """Return the table and where these rows are in it; None if one, or a column, was not read."""
        if not self.names.issuperset(names) or not len(self.ids):
            return None
        if len(ids) == len(self.ids) and np.array_equal(ids, self.ids):
            return self.table, self.places
        if len(ids) > len(self.ids):
            return None
        if self._index is None:
            self._index = RowIndex(self.ids)
        positions, known = self._index.find(ids)
        if not known.all():
            return None
        return self.table, positions if self.places is None else self.places[positions]
