"""Opening files for DuckDB the first time: what is in them is looked through once, a column at a time, and pinned."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from batchml.core.backend import no_column
from batchml.data.duck import CsvBackend, DuckBackend
from batchml.data.fence import fenced, one_select, quoted
from batchml.data.files import PinnedFile, found_files, is_url, pinned, steady
from batchml.data.fingerprint import column_digest, joined_digest
from batchml.data.pins import Pins, check_key, pin_column
from batchml.data.relation import POSITIONS, ROW, Relation
from batchml.data.remote import pinned_remote
from batchml.errors import ConfigError, DataError, UnknownKeyError, nearest

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["known_columns", "look_through", "open_csv", "open_duckdb", "open_parquet", "pinned_files"]

_SEPARATORS = ",;\t|"
_INDEX = re.compile(r"__index_level_\d+__")


def look_through(
    names: Sequence[str],
    read: Callable[[str], pa.ChunkedArray],
    *,
    primary_key: str | None,
    text: Iterable[str],
) -> Pins:
    """Pin a table by reading each column once.

    Raises
    ------
    DataError
        A column that no learner can use, or a primary key that is none.
    """
    known_columns([*text, *([primary_key] if primary_key else [])], names)
    text = frozenset(text)
    pins, digests, n_rows, start = {}, {}, 0, None if primary_key else 0
    pool = pa.default_memory_pool()
    for name in names:
        pins[name], array = pin_column(name, read(name), text=name in text)
        digests[name] = column_digest(array)
        n_rows = len(array)
        if name == primary_key:
            ids = None if pins[name].missing else array.to_numpy(zero_copy_only=False)
            check_key(name, pins[name], ids)
            start = _first_of_run(ids)
        del array  # before the next is read
        pool.release_unused()
    digest = joined_digest(digests, n_rows, primary_key)
    return Pins(n_rows=n_rows, digest=digest, columns=pins, primary_key=primary_key, start=start)


def _first_of_run(ids: Any) -> int | None:
    """Return the first of consecutive ids, None for others."""
    return int(ids[0]) if len(ids) and bool((np.diff(ids) == 1).all()) else None


def known_columns(wanted: Iterable[str], names: Sequence[str]) -> None:
    """Refuse columns that a table does not have, and names that SQL cannot tell apart."""
    for name in wanted:
        if name not in names:
            raise no_column(name, names)
    if not names:
        raise DataError("the table has no columns")
    counted = Counter(name.lower() for name in names)
    same = [name for name in names if counted[name.lower()] > 1]
    if same:
        raise DataError(
            f"the columns {same[0]!r} and {same[1]!r} are one to a database, which does not look at upper and lower "
            "case: rename one of them, or give the table in memory"
        )
    bad = [name for name in names if "\0" in name or name == ROW]
    if bad:
        raise DataError(f"no database can hold the column name {bad[0]!r}: rename it")


def pinned_files(files: Iterable[str]) -> tuple[PinnedFile, ...]:
    """Return files with their content as it is now."""
    return tuple(pinned_remote(path) if is_url(path) else pinned(path) for path in files)


# Parquet


def open_parquet(paths: Sequence[str | os.PathLike[str]], primary_key: str | None, text: Iterable[str]) -> DuckBackend:
    """Open Parquet files; see `as_data_backend`."""
    found = found_files(paths, ".parquet")
    files, below = list(found), list(found.values())
    partitions = _partition_names(below)
    pins = pinned_files(files)
    plain = Relation(kind="parquet", files=pins, below=tuple(below) if partitions else ())
    local = plain.local_paths()
    heads = [_parquet_head(path, file) for path, file in zip(local, files, strict=True)]
    schemas = [head.schema.to_arrow_schema() for head in heads]
    names = list(dict.fromkeys(name for schema in schemas for name in schema.names))
    stored = [name for name in names if _INDEX.fullmatch(name)]
    if stored:
        from batchml.data.sources import warn_of_index

        warn_of_index()
    names = [name for name in names if name not in stored]
    twice = [name for schema in schemas for name, times in Counter(schema.names).items() if times > 1]
    if twice:
        raise DataError(f"the table has several columns called {twice[0]!r}: rename all but one of them")
    taken = [name for name in names if name.lower() in POSITIONS]
    if taken and primary_key is None:
        raise DataError(f"rows cannot be counted beside a column {taken[0]!r}: rename it, or name a primary_key=")
    relation = replace(
        plain,
        rows=tuple(head.num_rows for head in heads),
        group=max((head.row_group(i).num_rows for head in heads for i in range(head.num_row_groups)), default=0),
        alike=all(schema.names == schemas[0].names for schema in schemas),
        partitions=_partition_types(local, [name for name in partitions if name not in names]),
    )
    names += relation.partitions

    def read(name: str) -> pa.ChunkedArray:
        if name in relation.partitions:
            return _column(relation, local, name)
        return _parquet_column(name, local, schemas, files)

    looked = look_through(names, read, primary_key=primary_key, text=text)
    steady(pins)
    return DuckBackend(relation, looked)


def _parquet_head(path: str, name: str) -> Any:
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(path)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as problem:
        reason = str(problem).splitlines()[0]
        raise DataError(f"{name!r} cannot be read as Parquet: {reason}") from problem


def _parquet_column(name: str, paths: list[str], schemas: Sequence[pa.Schema], files: list[str]) -> pa.ChunkedArray:
    """Read a column as Arrow stored it, categories with their order: DuckDB would not know of them."""
    import pyarrow.parquet as pq

    parts = []
    for path, schema, file in zip(paths, schemas, files, strict=True):
        try:
            with pq.ParquetFile(path) as source:
                if name in schema.names:
                    parts.append(source.read(columns=[name], use_threads=False))
                else:
                    parts.append(pa.table({name: pa.nulls(source.metadata.num_rows)}))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as problem:
            reason = str(problem).splitlines()[0]
            raise DataError(f"{file!r} cannot be read as Parquet: {reason}") from problem
    try:
        table = parts[0] if len(parts) == 1 else pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as problem:
        kinds = list(dict.fromkeys(str(part.schema.field(name).type) for part in parts))
        raise DataError(f"column {name!r} is {' and '.join(kinds)} in different files: make it one type") from problem
    if table.column_names != [name]:
        raise DataError(f"column {name!r} is nested, which no learner can use: flatten it, or drop it")
    return table.column(name)


def _partition_names(below: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the columns that the folders of all files name, as ``year=2020`` does."""
    named = [[part.partition("=")[0] for part in parts if "=" in part] for parts in below]
    if any(names != named[0] for names in named):
        raise DataError("the files lie in folders that name different columns (as year=2020 does): give one level")
    return named[0] if named else []


def _partition_types(paths: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    if not names:
        return {}
    plain = Relation(kind="parquet", files=())
    source = plain.sql(paths, "key").replace("hive_partitioning = false", "hive_partitioning = true")
    with fenced(paths) as connection:
        found = connection.sql(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return {row[0]: row[1] for row in found if row[0] in names}


# CSV


def open_csv(paths: Sequence[str | os.PathLike[str]], primary_key: str | None, text: Iterable[str]) -> CsvBackend:
    """Open CSV files; see `as_data_backend`."""
    files = list(found_files(paths, ".csv"))
    pins = pinned_files(files)
    for file in pins:
        if not file.size:
            raise DataError(f"{file.path!r} is empty: the first line of a CSV file names its columns")
    guessed = Relation(kind="csv", files=pins)
    local = guessed.local_paths()
    try:
        with fenced(local) as connection:
            rows = connection.sql(f"DESCRIBE SELECT * FROM {guessed.sql(local, 'key')}").fetchall()
            relation = Relation(kind="csv", files=pins, types={row[0]: row[1] for row in rows})
            table = connection.sql(f"SELECT * FROM {relation.sql(local, 'key')}").to_arrow_table()
    except (DataError, UnicodeDecodeError) as problem:
        raise _no_csv(files[0], problem) from problem
    header = table.column_names[0]
    if table.num_columns == 1 and any(mark in header for mark in _SEPARATORS):
        raise DataError(
            f"{files[0]!r} cannot be read as CSV: its first line names several columns ({header:.60}), but other lines "
            "have another number of values: mend them"
        )
    looked = look_through(table.column_names, table.column, primary_key=primary_key, text=text)
    steady(pins)
    return CsvBackend(relation, looked)


def _no_csv(path: str, problem: Exception) -> DataError:
    words = str(problem)
    # DuckDB says it below its first line, which is all that its translation keeps.
    if re.search(r"utf-?8|unicode|codec", f"{words} {problem.__cause__ or ''}", re.IGNORECASE):
        line = re.search(r"Line: (\d+)", words)
        there = f" (line {line[1]})" if line else ""
        return DataError(f"{path!r} is not UTF-8 text{there}: convert it, e.g. with iconv")
    return DataError(f"{path!r} cannot be read as CSV: {words.removeprefix('DuckDB refuses: ')}")


# DuckDB databases


def open_duckdb(
    path: str | os.PathLike[str],
    *,
    table: str | None = None,
    query: str | None = None,
    files: Sequence[str | os.PathLike[str]] = (),
    primary_key: str | None = None,
    text: Iterable[str] = (),
) -> DuckBackend:
    """Open a table, view or query of a DuckDB database; see `as_data_backend`."""
    database = list(found_files([path], ".duckdb"))
    pins = pinned_files([*database, *found_files(files, ".parquet")])
    local = Relation(kind="duckdb", files=pins).local_paths()
    with fenced(local[1:], local[0]) as connection:
        if query is not None:
            if table:
                raise ConfigError("a table or a query of a DuckDB database, not both")
            named, is_table, dense = "", False, True
            selected = one_select(connection, query)
        else:
            named, is_table, dense = _named(connection, table, database[0])
            selected = ""
        if primary_key is None and not is_table:
            raise DataError(
                "the rows of a view or query have no order of their own: name the column of whole numbers that tells "
                "them apart, primary_key="
            )
        relation = Relation(kind="duckdb", files=pins, table=named, query=selected, dense=dense)
        source = relation.sql(local, primary_key)
        rows = connection.sql(f"DESCRIBE SELECT * FROM {source} AS t").fetchall()
        names = [row[0] for row in rows if row[0] != ROW]
        order = quoted(primary_key or ROW)

        def read(name: str) -> pa.ChunkedArray:
            selected = f"SELECT {quoted(name)} FROM {source} AS t ORDER BY {order}"
            return connection.sql(selected).to_arrow_table().column(0)

        known_columns([primary_key] if primary_key else [], names)
        looked = look_through(names, read, primary_key=primary_key, text=text)
    steady(pins)
    return DuckBackend(relation, looked)


def _named(connection: Any, table: str | None, path: str) -> tuple[str, bool, bool]:
    """Return a table or view as SQL, whether it is a table, and whether its row numbers have no gaps."""
    found = connection.execute(
        "SELECT table_schema, table_name, table_type FROM information_schema.tables "
        "WHERE table_catalog = current_catalog() ORDER BY 1, 2"
    ).fetchall()
    listed = {name if schema == "main" else f"{schema}.{name}": (schema, name, kind) for schema, name, kind in found}
    if not table:
        if len(listed) != 1:
            raise ConfigError(f"{path!r} has {len(listed)} tables ({', '.join(listed)}): name one, table=")
        table = next(iter(listed))
    if table not in listed:
        raise UnknownKeyError(f"{path!r} has no table {table!r}{nearest(table, listed)}; it has {', '.join(listed)}")
    schema, name, kind = listed[table]
    sql = f"{quoted(schema)}.{quoted(name)}"
    if kind != "BASE TABLE":
        return sql, False, True
    n, last = connection.execute(f"SELECT count(*), coalesce(max(rowid), -1) FROM {sql}").fetchall()[0]
    return sql, True, bool(last == n - 1)


def _column(relation: Relation, paths: list[str], name: str) -> pa.ChunkedArray:
    with fenced(paths) as connection:
        query = f"SELECT {quoted(name)} FROM {relation.sql(paths, 'key')} AS t"
        return connection.sql(query).to_arrow_table().column(0)
