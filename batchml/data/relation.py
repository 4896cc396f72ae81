"""Where DuckDB finds a table: files, and the SQL that names rows in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from batchml.data.fence import quoted, text_literal
from batchml.data.files import PinnedFile, is_url, located
from batchml.data.remote import cached_copy, placed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["POSITIONS", "ROW", "Relation"]

ROW = "..row"
"""The name of positions in queries; no column may have it."""
POSITIONS = frozenset({"file_row_number", "file_index"})
"""What DuckDB calls positions in Parquet files, unless a column has the name."""

#: What stands for a missing value in CSV files.
_CSV_NULLS = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table in files.

    Attributes
    ----------
    kind
        ``parquet``, ``csv`` or ``duckdb``.
    files
        In their order; of a DuckDB database its file first, then those that its query may read.
    rows
        Parquet: the number of rows of each file.
    group
        Parquet: the most rows of a row group.
    alike
        Parquet: all files have the same columns, so that those without wanted rows can be left out.
    partitions
        Parquet: columns that names of folders hold (``year=2020``), and their SQL types.
    below
        Parquet with partitions: those folders of each file.
    types
        CSV: columns and their SQL types.
    table, query
        DuckDB: which table or view, or what is selected.
    dense
        DuckDB: the positions of the table's rows are their ``rowid``.
    """

    kind: Literal["parquet", "csv", "duckdb"]
    files: tuple[PinnedFile, ...]
    rows: tuple[int, ...] = ()
    group: int = 0
    alike: bool = True
    partitions: Mapping[str, str] = field(default_factory=dict)
    below: tuple[tuple[str, ...], ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    table: str = ""
    query: str = ""
    dense: bool = True

    @property
    def database(self) -> bool:
        """Whether the first file is a database."""
        return self.kind == "duckdb"

    def local_paths(self) -> list[str]:
        """Return where the files are on this machine; those of other machines are copied if they are not yet."""
        paths = []
        for i, file in enumerate(self.files):
            if is_url(file.path):
                copy = cached_copy(file)
                paths.append(str(placed(copy, self.below[i]) if self.below else copy))
            else:
                paths.append(located(file.path))
        return paths

    def sql(self, paths: Sequence[str], key: str | None, chosen: Sequence[int] | None = None) -> str:
        """Return a subquery with the columns of the table and, without a key, the position of each row as `ROW`.

        Parameters
        ----------
        paths
            Where the files are on this machine.
        chosen
            The indices of the files to read; None for all.
        """
        if self.kind == "parquet":
            return self._parquet(paths, key, range(len(paths)) if chosen is None else chosen)
        if self.kind == "csv":
            position = "" if key else f"row_number() OVER () - 1 AS {quoted(ROW)}, "
            return f"(SELECT {position}* FROM {self._read_csv(paths)})"
        if self.query:
            return f"(\n{self.query}\n)"
        if key:
            return self.table
        position = "rowid" if self.dense else "row_number() OVER (ORDER BY rowid) - 1"
        return f"(SELECT {position} AS {quoted(ROW)}, * FROM {self.table})"

    def _parquet(self, paths: Sequence[str], key: str | None, chosen: Sequence[int]) -> str:
        listed = ", ".join(text_literal(paths[i]) for i in chosen)
        options = ", union_by_name = true" if len(chosen) > 1 else ""
        if self.partitions:
            types = ", ".join(f"{quoted(name)}: {kind}" for name, kind in self.partitions.items())
            options += f", hive_partitioning = true, hive_types = {{{types}}}"
        else:
            options += ", hive_partitioning = false"
        position = "" if key else f"{self._position(chosen)} AS {quoted(ROW)}, "
        return f"(SELECT {position}* FROM read_parquet([{listed}]{options}))"

    def _position(self, chosen: Sequence[int]) -> str:
        starts = [sum(self.rows[:i]) for i in chosen]
        if len(starts) == 1:
            return f"file_row_number + {starts[0]}" if starts[0] else "file_row_number"
        return f"file_row_number + ({starts})[(file_index + 1)::BIGINT]"

    def _read_csv(self, paths: Sequence[str]) -> str:
        # Where lines have unequal lengths DuckDB would look for a table further down, and leave out what is above.
        listed = ", ".join(text_literal(path) for path in paths)
        nulls = ", ".join(text_literal(word) for word in _CSV_NULLS)
        options = f"nullstr = [{nulls}], union_by_name = {str(len(paths) > 1).lower()}, header = true, skip = 0"
        if self.types:
            types = ", ".join(f"{text_literal(name)}: {text_literal(kind)}" for name, kind in self.types.items())
            options += f", types = {{{types}}}"
        else:
            options += ", sample_size = -1"
        return f"read_csv([{listed}], {options})"

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        data: dict[str, Any] = {"kind": self.kind, "files": [file.as_json() for file in self.files]}
        data |= {name: list(getattr(self, name)) for name in ("rows", "below") if getattr(self, name)}
        pairs = {name: [list(pair) for pair in getattr(self, name).items()] for name in ("partitions", "types")}
        data |= {name: value for name, value in pairs.items() if value}
        data |= {name: getattr(self, name) for name in ("table", "query", "group") if getattr(self, name)}
        return data | {name: False for name in ("alike", "dense") if not getattr(self, name)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return what `as_json` wrote down."""
        return cls(
            kind=data["kind"],
            files=tuple(PinnedFile.from_json(file) for file in data["files"]),
            rows=tuple(data.get("rows", ())),
            group=data.get("group", 0),
            partitions=dict(data.get("partitions", ())),
            below=tuple(tuple(folders) for folders in data.get("below", ())),
            types=dict(data.get("types", ())),
            table=data.get("table", ""),
            query=data.get("query", ""),
            alike=data.get("alike", True),
            dense=data.get("dense", True),
        )
