"""Millions of rows as columns, without an object for each.

COPY is no faster: psycopg hands out its rows one by one, which takes three times as long as fetching them.
"""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Select

    from batchml.registry.store import Store

__all__ = ["read_columns"]

_AT_ONCE = 20_000  # rows


def read_columns(store: Store, statement: Select[Any], kinds: Sequence[type]) -> list[NDArray[Any]]:
    """Return the columns of a SELECT as arrays of shape ``(n_rows,)``.

    Parameters
    ----------
    kinds
        int, float (of which NULL is NaN) or object, for each column.
    """
    import numpy as np

    parts: list[list[NDArray[Any]]] = [[np.empty(0, dtype=kind)] for kind in kinds]
    with store.read() as connection, connection.execute(statement) as result, _without_collecting():
        cursor: Any = result.cursor  # its rows are plain tuples
        while rows := cursor.fetchmany(_AT_ONCE):
            for part, kind, values in zip(parts, kinds, zip(*rows, strict=True), strict=True):
                part.append(np.array(values, dtype=kind))
    return [np.concatenate(part) for part in parts]


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Keep the garbage collector from looking at all there is again and again, while rows come and go without cycles:
    it would take as long as reading.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
