"""Tasks without their features: what results keep when only figures and predictions are wanted."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from batchml.core.backend import DataBackend
    from batchml.core.resampling import Resampling
    from batchml.core.task import Task

__all__ = ["bound_to", "without_data"]


class Discarded:
    """What is left of a backend: names, types and row ids, and the columns that are no features."""

    def __init__(self, backend: DataBackend, kept: list[str]) -> None:
        from batchml.data.frame import FrameBackend

        table = backend.data(None, kept)
        self._kept = FrameBackend(table, primary_key=backend.primary_key, canonical=True)
        self.primary_key = backend.primary_key
        self.columns = backend.columns
        self.n_rows, self.n_cols = backend.n_rows, backend.n_cols
        self.schema = dict(backend.schema)
        self.digest = backend.digest
        self.lazy = False
        # A table in memory shall go; one that lies elsewhere can be named without being held.
        self.source = backend.source if backend.lazy else self._kept.source

    @property
    def row_ids(self) -> NDArray[np.int64]:
        """The ids of all rows, in order."""
        return self._kept.row_ids

    def data(self, rows: Any = None, cols: Sequence[str] | None = None) -> pa.Table:
        """Return what was kept.

        Raises
        ------
        DataError
            Features are asked for.
        """
        return self._kept.data(rows, self._only_kept(cols))

    def lookup(self, rows: Any = None, cols: Sequence[str] | None = None) -> tuple[pa.Table, NDArray[np.int64] | None]:
        """Return what was kept, and where the rows are in it."""
        return self._kept.lookup(rows, self._only_kept(cols))

    def head(self, n: int = 6) -> pa.Table:
        """Refuse: the features are gone."""
        return self.data(self.row_ids[:n])

    def distinct(
        self, rows: Any = None, cols: Sequence[str] | None = None, *, drop_missing: bool = True
    ) -> dict[str, list[Any]]:
        """Return the distinct values of columns that were kept."""
        return self._kept.distinct(rows, self._only_kept(cols), drop_missing=drop_missing)

    def missings(self, rows: Any = None, cols: Sequence[str] | None = None) -> dict[str, int]:
        """Return the number of missing values of columns that were kept."""
        return self._kept.missings(rows, self._only_kept(cols))

    def infinite(self, rows: Any = None, cols: Sequence[str] | None = None) -> dict[str, int]:
        """Return the number of infinite values of columns that were kept."""
        return self._kept.infinite(rows, self._only_kept(cols))

    def _only_kept(self, cols: Sequence[str] | None) -> list[str]:
        wanted = list(self.columns if cols is None else cols)
        gone = [name for name in wanted if name in self.columns and name not in self._kept.columns]
        if gone:
            raise DataError(
                f"the values of column {gone[0]!r} were discarded: keep the task itself, or do not use "
                "discard(backends=True)"
            )
        return wanted


def without_data(task: Task) -> Task:
    """Return a task that prints, splits and is scored as before, without its features."""
    key = task.backend.primary_key
    kept = [name for role, names in task.col_roles.items() if role != "feature" for name in names]
    lean = task.clone()
    lean.backend = Discarded(task.backend, list(dict.fromkeys([*kept, *([key] if key else [])])))
    lean._cache = {"digest": task.digest, "row_digest": task.row_digest}  # noqa: SLF001 - a clone's
    return lean


def bound_to(resampling: Resampling, task: Task) -> Resampling:
    """Return a resampling with the same splits that holds on to another copy of its task."""
    bound = resampling._bound  # noqa: SLF001 - what a resampling keeps is no one else's matter
    if bound is None:
        return resampling
    twin = copy.copy(resampling)
    twin._bound = copy.copy(bound)  # noqa: SLF001
    twin._bound.task = None if bound.task is None else task  # noqa: SLF001
    return twin
