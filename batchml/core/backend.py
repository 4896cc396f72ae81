"""Where a task's table lives: the protocol that every data backend keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from batchml.arguments import shown
from batchml.errors import UnknownKeyError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["ColumnInfo", "DataBackend", "FeatureType", "Label", "no_column"]

_SHOWN = 12

FeatureType = Literal["logical", "integer", "numeric", "categorical", "ordered", "datetime", "text"]
#: What may stand for a class or a level.
Label = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnInfo:
    """What a column holds: its feature type and, for categorical and ordered ones, all levels in their order."""

    type: FeatureType
    levels: tuple[Label, ...] | None = None


class DataBackend(Protocol):
    """A table with row ids, read in parts.

    Rows are named by id (int64: the primary key, or positions from 0 where there is none). Ids and columns that do not
    exist are left out without a word; rows come in the order asked for, once for each time that they were asked for.
    Values are canonical: int64, float64 with NaN for missing and no negative zero, dictionaries of int32 codes,
    strings, UTC or naive timestamps. So equal tables behave equally wherever they came from.
    """

    @property
    def primary_key(self) -> str | None:
        """The column that holds the row ids; None where positions are the ids."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """All column names, the primary key among them."""
        ...

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        ...

    @property
    def n_cols(self) -> int:
        """The number of columns, the primary key among them."""
        ...

    @property
    def schema(self) -> Mapping[str, ColumnInfo]:
        """Feature type and levels of each column."""
        ...

    @property
    def row_ids(self) -> NDArray[np.int64]:
        """The ids of all rows, in order."""
        ...

    @property
    def digest(self) -> str:
        """The digest of the content: the logical one, the same wherever an equal table came from.

        Of a database it may be that of the query and a checksum.
        """
        ...

    @property
    def lazy(self) -> bool:
        """Whether values are read when they are asked for, so that nobody should ask for more than is needed."""
        ...

    def source(self) -> dict[str, Any] | None:
        """Return how another process opens the table where it lies, as plain data; None if it has to be shipped."""
        ...

    def data(self, rows: Any = None, cols: Sequence[str] | None = None) -> pa.Table:
        """Return the rows (None: all) and columns (None: all) as an Arrow table."""
        ...

    def lookup(self, rows: Any = None, cols: Sequence[str] | None = None) -> tuple[pa.Table, NDArray[np.int64] | None]:
        """Return a table with (at least) these rows, and where they are in it; None: the whole of it in its order.

        What is in memory already is not copied. `data` is this, with the rows taken out.
        """
        ...

    def head(self, n: int = 6) -> pa.Table:
        """Return the first `n` rows."""
        ...

    def distinct(
        self, rows: Any = None, cols: Sequence[str] | None = None, *, drop_missing: bool = True
    ) -> dict[str, list[Any]]:
        """Return the distinct values of each column in order of appearance."""
        ...

    def missings(self, rows: Any = None, cols: Sequence[str] | None = None) -> dict[str, int]:
        """Return the number of missing values of each column."""
        ...

    def infinite(self, rows: Any = None, cols: Sequence[str] | None = None) -> dict[str, int]:
        """Return the number of infinite values of each numeric column among `cols`."""
        ...


def no_column(name: str, columns: Sequence[str], where: str = "the table") -> UnknownKeyError:
    """Return the error for a column that a table does not have; it shows what the table has."""
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    there = ", ".join(map(repr, columns[:_SHOWN])) + more
    return UnknownKeyError(f"{where} has no column {shown(name)}{nearest(name, columns)}; it has {there or 'none'}")
