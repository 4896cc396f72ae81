"""A cheap checksum of a table that its database computes: one statement, one pass, no row leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchml.data.database import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa

    from batchml.data.pins import ColumnPin

__all__ = ["checksum"]

_PRIME = 1_000_003


def checksum(connection: sa.Connection, source: str, columns: Mapping[str, ColumnPin]) -> tuple[str, ...]:
    """Return the number of rows, and of each column: values there, smallest, largest, and a sum.

    The sums do not depend on the order of rows, so that neither a parallel scan nor a new index changes them. A change
    that leaves all of them as they were goes unnoticed: that is what ``check="exact"`` is for.

    Parameters
    ----------
    source
        What stands after FROM; its alias is ``q``.
    """
    parts = ["count(*)"]
    for name, pin in columns.items():
        parts += _facts(f"q.{quoted(connection.dialect, name)}", pin.info.type, connection.dialect.name)
    row = connection.exec_driver_sql(f"SELECT {', '.join(parts)} FROM {source}").one()  # noqa: S608 - quoted names
    return tuple("" if value is None else str(value) for value in row)


def _facts(column: str, kind: str, dialect: str) -> list[str]:
    facts = [f"count({column})"]
    if kind == "logical":
        return [*facts, f"sum(CASE WHEN {column} THEN 1 ELSE 0 END)"]
    if kind == "datetime":
        return [*facts, f"min({column})", f"max({column})", f"count(DISTINCT {column})"]
    if kind in {"integer", "numeric"}:
        return [*facts, f"min({column})", f"max({column})", _sum(column, kind, dialect)]
    text = {"sqlite": "TEXT", "mysql": "CHAR", "mariadb": "CHAR"}.get(dialect, "VARCHAR")
    word = f"CAST({column} AS {text})"
    return [*facts, f"min({word})", f"max({word})", f"sum(length({word}))", f"count(DISTINCT {word})"]


def _sum(column: str, kind: str, dialect: str) -> str:
    """Return a sum that is exact, or of remainders: that of floating-point numbers depends on their order."""
    if kind == "integer":
        return f"sum({column} % {_PRIME})"
    if dialect == "postgresql":
        return f"sum(CAST({column} AS numeric))"
    if dialect == "sqlite":
        return f"sum(CAST({column} * 1000000 AS INTEGER) % {_PRIME})"
    return f"sum(CAST({column} AS DECIMAL(65, 10)))"
