"""Millions of rows as columns, without an object for each.

A server packs each column into one value, which costs it less than sending rows: no row is made here at all. COPY would
be no faster: psycopg hands out its rows one by one. SQLite has nothing to pack with.
"""

from __future__ import annotations

import contextlib
import gc
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Double, cast, func, literal_column, select

from batchml.registry.trips import once, together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from sqlalchemy import Connection, Select

    from batchml.registry.store import Store

__all__ = ["read_columns"]

_AT_ONCE = 1000  # rows; so few that their objects stay in the processor's cache


def read_columns(
    store: Store, statement: Select[Any], kinds: tuple[type[int | float], ...], **values: Any
) -> list[NDArray[Any]]:
    """Return the columns of a SELECT as arrays of shape ``(n_rows,)``.

    Parameters
    ----------
    statement
        The same object at each call.
    kinds
        int, which is never NULL, or float, of which NULL is NaN, for each column.
    **values
        Of the statement's parameters.
    """
    with store.read() as connection:
        if connection.dialect.name == "postgresql":
            return _unpacked(connection, statement, kinds, values)
        return _gathered(connection, statement, kinds, values)


def _gathered(
    connection: Connection, statement: Select[Any], kinds: tuple[type, ...], values: dict[str, Any]
) -> list[NDArray[Any]]:
    import numpy as np

    parts: list[list[NDArray[Any]]] = [[np.empty(0, dtype=kind)] for kind in kinds]
    with connection.execute(statement, values) as result, _without_collecting():
        cursor: Any = result.cursor  # its rows are plain tuples
        while rows := cursor.fetchmany(_AT_ONCE):
            for part, kind, column in zip(parts, kinds, zip(*rows, strict=True), strict=True):
                part.append(np.array(column, dtype=kind))
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


def _unpacked(
    connection: Connection, statement: Select[Any], kinds: tuple[type, ...], values: dict[str, Any]
) -> list[NDArray[Any]]:
    import numpy as np

    (answer,) = together(connection, once(_packed(statement, kinds), **values))
    sent = {int: np.dtype(">i8"), float: np.dtype(">f8")}
    return [
        np.frombuffer(data or b"", dtype=sent[kind]).astype(kind)
        for kind, data in zip(kinds, answer.rows[0], strict=True)
    ]


@lru_cache(maxsize=64)
def _packed(statement: Select[Any], kinds: tuple[type, ...]) -> Select[Any]:
    """Return the SELECT of one row that has the bytes of each column's numbers, in the order of the rows.

    A server's values end at 1 GB, 134 million rows.
    """
    rows = statement.subquery()
    nothing: Any = literal_column("''::bytea")
    missing: Any = literal_column("'NaN'::float8")
    sent: list[Any] = [
        func.int8send(cast(column, BigInteger))
        if kind is int
        else func.float8send(func.coalesce(cast(column, Double), missing))
        for column, kind in zip(rows.c, kinds, strict=True)
    ]
    return select(*(func.string_agg(value, nothing).label(f"packed_{number}") for number, value in enumerate(sent)))
