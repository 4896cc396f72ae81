"""Many rows of a table, some at a time: they need not be in memory together."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.core import columns
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from batchml.core.backend import DataBackend

    Block = tuple[pa.Table, NDArray[np.int64] | None]

__all__ = ["MANY", "column_in_blocks", "in_blocks"]

MANY = 1 << 17
"""More rows of a column than these are brought into shape a part at a time."""


def in_blocks(
    backend: DataBackend, rows: NDArray[np.int64], names: list[str], size: int, *, where: str
) -> Generator[Block]:
    """Yield tables, and where the next `size` rows are in them (None: the whole of it).

    A backend that has `blocks` of its own reads ahead as it sees fit.

    Raises
    ------
    DataError
        The backend has lost rows; `where` says whose.
    """
    own: Callable[..., Iterator[Block]] | None = getattr(backend, "blocks", None)
    if own is not None:
        blocks = own(rows, names, size)
    else:
        blocks = (backend.lookup(rows[start : start + size], names) for start in range(0, len(rows), size))
    found = 0
    for table, places in blocks:
        found += table.num_rows if places is None else len(places)
        yield table, places
    if found != len(rows):
        raise DataError(f"{where}: rows that it had are gone from its data")


def column_in_blocks(
    blocks: Generator[Block], n: int, name: str, convert: Callable[[pa.Array], NDArray[Any]]
) -> NDArray[Any]:
    """Return `n` values of one column, converted block by block into one array."""
    values, filled = np.empty(0), 0
    with contextlib.closing(blocks):
        for table, places in blocks:
            part = convert(columns.part_of(table.column(name), places))
            if not filled:
                values = np.empty(n, dtype=part.dtype)
            values[filled : filled + len(part)] = part
            filled += len(part)
    return values
