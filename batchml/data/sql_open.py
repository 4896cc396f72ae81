"""Opening a table or SELECT the first time: types, levels and the checksum, found by a few queries."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import sqlalchemy as sa

from batchml.core.backend import ColumnInfo, FeatureType
from batchml.core.digest import digest
from batchml.data import database
from batchml.data.duck_open import known_columns
from batchml.data.fingerprint import column_digest, joined_digest
from batchml.data.named import source_url
from batchml.data.pins import MOST_LEVELS, ColumnPin, Pins, check_key, too_many_levels
from batchml.data.sql import SqlBackend
from batchml.data.sql_checksum import checksum
from batchml.errors import ConfigError, DataError, UnknownKeyError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["open_sql", "written_backend"]

_FORMAT = 1
_STATEMENTS = frozenset(
    {"select", "with", "values", "table"}
    | {"insert", "update", "delete", "merge", "replace", "truncate", "create", "drop", "alter"}
    | {"attach", "pragma", "copy", "call", "set"}
)
"""What statements begin with: a text of several words that begins so is no name of a table."""


def open_sql(
    obj: Any, source: str, primary_key: str | None, text: Iterable[str] = (), *, check: str = "cheap"
) -> SqlBackend:
    """Open a table or SELECT of a database; see `as_data_backend`.

    Parameters
    ----------
    obj
        A SQLAlchemy table, select or text; the text of a SELECT; the name of a table or view.
    source
        The name of a configured source, or a URL.
    check
        ``cheap`` or ``exact``: how later changes are found.
    """
    if check not in {"cheap", "exact"}:
        raise ConfigError(f'check is "cheap" or "exact", not {check!r}')
    source = database.absolute_source(source)
    url = source_url(source)
    file = database.database_file(url)
    if file is not None and not file.exists():
        raise DataError(f"there is no file '{file}'")
    engine = database.engine_for(url)
    about = database.shown(source) if "://" in source else f"data source {source!r}"
    with database.connected(engine, about) as connection:
        query, hints = _as_query(obj, connection)
        scan = _Scan(connection=connection, source=f"(\n{query}\n) AS q", hints=hints, text=frozenset(text))
        names = scan.names()
        key = primary_key or hints.key
        if key is None:
            raise DataError(
                "the rows of a SELECT have no order of their own: name the column of whole numbers that tells them "
                "apart, primary_key="
            )
        known_columns([key, *text], names)
        columns = {name: scan.column(name) for name in names}
        pins, checked = _pinned(scan, columns, key)
    about_query = {
        "format": _FORMAT,
        "kind": "sql",
        "source": source,
        "query": query,
        "primary_key": key,
        "columns": [[name, pin.as_json()] for name, pin in pins.columns.items()],
        "checksum": list(checked),
    }
    named = SqlBackend(source, query, _with_digest(pins, digest(about_query)), checked)
    if check == "cheap":
        return named
    digests = {name: column_digest(named.data(None, [name]).column(name)) for name in names}
    exact = _with_digest(pins, joined_digest(digests, pins.n_rows, key))
    return SqlBackend(source, query, exact, checked, exact=True)


def _with_digest(pins: Pins, found: str) -> Pins:
    return Pins(n_rows=pins.n_rows, digest=found, columns=pins.columns, primary_key=pins.primary_key, start=pins.start)


# what is selected


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hints:
    """What SQLAlchemy knows of columns: types that a driver does not show, and a table's own key."""

    types: Mapping[str, Any]
    key: str | None = None


def _as_query(obj: Any, connection: sa.Connection) -> tuple[str, _Hints]:
    if isinstance(obj, str):
        words = obj.split(None, 1)
        if len(words) > 1 and words[0].lower().strip("(") in _STATEMENTS:
            return database.check_query(obj), _Hints(types={})
        return _of_table(obj, connection)
    if isinstance(obj, sa.TextClause):
        return database.check_query(obj.text), _Hints(types={})
    if isinstance(obj, sa.Table):
        obj = sa.select(obj)
    if isinstance(obj, sa.sql.expression.SelectBase):
        dialect: Any = type(connection.dialect)
        plain = dialect(paramstyle="named")
        try:
            query = str(obj.compile(dialect=plain, compile_kwargs={"literal_binds": True}))
        except sa.exc.CompileError as problem:
            raise DataError(f"the SELECT cannot be written down: {str(problem).splitlines()[0]}") from None
        return database.check_query(query), _Hints(types={c.name: c.type for c in obj.selected_columns})
    raise DataError(f"{type(obj).__name__} is no table, SELECT or text of a SELECT")


def _of_table(name: str, connection: sa.Connection) -> tuple[str, _Hints]:
    """Return a table or view as a SELECT, its key if that is one column of whole numbers."""
    look = sa.inspect(connection)
    schema, _, bare = name.rpartition(".")
    found = [*look.get_table_names(), *look.get_view_names()]
    if name in found or not schema:
        schema, bare = "", name
    else:
        found = [*look.get_table_names(schema), *look.get_view_names(schema)]
    if bare not in found:
        raise UnknownKeyError(f"the database has no table {name!r}{nearest(bare, found)}")
    columns = look.get_columns(bare, schema or None)
    keys = look.get_pk_constraint(bare, schema or None)["constrained_columns"]
    types = {column["name"]: column["type"] for column in columns}
    single = keys[0] if len(keys) == 1 and isinstance(types[keys[0]], sa.Integer) else None
    path = ".".join(database.quoted(connection.dialect, part) for part in (schema, bare) if part)
    return f"SELECT * FROM {path}", _Hints(types=types, key=single)


# what is in it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """Questions about the columns of a SELECT."""

    connection: sa.Connection
    source: str
    hints: _Hints
    text: frozenset[str]

    def _sql(self, name: str) -> str:
        return "q." + database.quoted(self.connection.dialect, name)

    def names(self) -> list[str]:
        """Return the names of the columns."""
        found = self.connection.exec_driver_sql(f"SELECT * FROM {self.source} WHERE 1 = 0")
        names = list(found.keys())
        found.close()
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise DataError(f"the table has several columns called {twice[0]!r}: rename all but one of them")
        return names

    def column(self, name: str) -> ColumnPin:
        """Return type and levels of a column; what is missing is counted later."""
        kind, zone = self._kind(name)
        if kind == "datetime":
            return ColumnPin(info=ColumnInfo(type="datetime"), unit="us", zone=zone)
        if kind != "categorical":
            return ColumnPin(info=ColumnInfo(type=kind))
        if name in self.text:
            return ColumnPin(info=ColumnInfo(type="text"))
        return ColumnPin(info=ColumnInfo(type="categorical", levels=self._levels(name)))

    def _kind(self, name: str) -> tuple[FeatureType, str | None]:
        hint = self.hints.types.get(name)
        if self.connection.dialect.name == "sqlite":
            return self._stored_kind(name, hint), None
        column = self._sql(name)
        query = f"SELECT {column} FROM {self.source} WHERE {column} IS NOT NULL LIMIT 1"
        sample = self.connection.exec_driver_sql(query).scalar()
        if isinstance(hint, sa.Boolean) and sample in (0, 1):
            return "logical", None
        return _kind_of(name, sample)

    def _stored_kind(self, name: str, hint: Any) -> FeatureType:
        """SQLite has types of values, not of columns."""
        column = self._sql(name)
        rows = self.connection.exec_driver_sql(f"SELECT DISTINCT typeof({column}) FROM {self.source}")
        found = {row[0] for row in rows} - {"null"}
        if "blob" in found:
            raise _refused(name, "bytes")
        if "text" in found and len(found) > 1:
            raise DataError(f"column {name!r} mixes texts and numbers: cast it in the SELECT")
        if found == {"text"}:
            return "datetime" if isinstance(hint, sa.Date | sa.DateTime) else "categorical"
        if found == {"integer"}:
            if not isinstance(hint, sa.Boolean):
                return "integer"
            return "integer" if self._count(f"{column} NOT IN (0, 1)") else "logical"
        return "numeric"

    def _levels(self, name: str) -> tuple[str, ...]:
        column = self._sql(name)
        if self.connection.dialect.name in {"mysql", "mariadb"}:  # which does not tell "a" from "A"
            column = f"CONVERT({column} USING utf8mb4) COLLATE utf8mb4_bin"
        elif self.connection.dialect.name == "sqlite":
            column = f"{column} COLLATE BINARY"
        query = f"SELECT DISTINCT {column} AS level FROM {self.source} LIMIT {MOST_LEVELS + 2}"
        found = [row[0] for row in self.connection.exec_driver_sql(query)]
        levels = sorted(str(level) for level in found if level is not None)
        if len(levels) > MOST_LEVELS:
            raise too_many_levels(name, len(levels))
        return tuple(levels)

    def infinite(self, name: str) -> int:
        """Return how many values of a column are infinite."""
        ends = "'Infinity', '-Infinity'" if self.connection.dialect.name == "postgresql" else "9e999, -9e999"
        return self._count(f"{self._sql(name)} IN ({ends})")

    def not_numbers(self, name: str) -> int:
        """Return how many values of a column are NaN, which PostgreSQL keeps apart from NULL."""
        return self._count(f"{self._sql(name)} = 'NaN'") if self.connection.dialect.name == "postgresql" else 0

    def _count(self, condition: str) -> int:
        query = f"SELECT count(*) FROM {self.source} WHERE {condition}"
        return int(self.connection.exec_driver_sql(query).scalar_one())

    def key_facts(self, name: str) -> tuple[int, int]:
        """Return how many different ids there are, and the first that is there twice."""
        column = self._sql(name)
        query = f"SELECT count(DISTINCT {column}) FROM {self.source}"
        n = int(self.connection.exec_driver_sql(query).scalar_one())
        twice = f"SELECT {column} FROM {self.source} GROUP BY {column} HAVING count(*) > 1 ORDER BY 1 LIMIT 1"
        return n, self.connection.exec_driver_sql(twice).scalar() or 0


def _kind_of(name: str, sample: Any) -> tuple[FeatureType, str | None]:
    """Return the feature type of the values that a driver returns for a column, and their time zone."""
    if sample is None:
        return "numeric", None
    if isinstance(sample, bool):
        return "logical", None
    if isinstance(sample, int):
        return "integer", None
    if isinstance(sample, float | decimal.Decimal):
        return "numeric", None
    if isinstance(sample, str | uuid.UUID):
        return "categorical", None
    if isinstance(sample, dt.datetime):
        return "datetime", None if sample.tzinfo is None else "UTC"
    if isinstance(sample, dt.date):
        return "datetime", None
    raise _refused(name, type(sample).__name__)


def _refused(name: str, kind: str) -> DataError:
    remedy = "cast it in the SELECT to numbers, strings or dates, or leave it out"
    return DataError(f"column {name!r} holds values of the type {kind}, which no learner can use: {remedy}")


def _pinned(scan: _Scan, columns: Mapping[str, ColumnPin], key: str) -> tuple[Pins, tuple[str, ...]]:
    """Count what is missing, take the checksum, and see whether the key is one."""
    checked = checksum(scan.connection, scan.source, columns)
    n_rows = int(checked[0])
    if not n_rows:
        raise DataError("the SELECT returns no rows")
    facts = _by_column(checked, columns)
    counted = {}
    for name, pin in columns.items():
        missing = n_rows - int(facts[name][0])
        numeric = pin.info.type == "numeric"
        infinite = scan.infinite(name) if numeric and any("inf" in end.lower() for end in facts[name][1:3]) else 0
        missing += scan.not_numbers(name) if numeric else 0
        counted[name] = ColumnPin(info=pin.info, missing=missing, infinite=infinite, unit=pin.unit, zone=pin.zone)
        if pin.info.type == "integer" and any(abs(int(float(end or 0))) >= 2**63 for end in facts[name][1:3]):
            raise DataError(f"column {name!r} holds integers above 2**63: cast it to floating point in the SELECT")
    check_key(key, counted[key], None)
    n_ids, twice = scan.key_facts(key)
    if n_ids < n_rows:
        raise DataError(f"primary key {key!r} has duplicated row ids, the first of them {twice}")
    low, high = (int(end or 0) for end in facts[key][1:3])
    start = low if n_rows and high - low + 1 == n_rows else None
    return Pins(n_rows=n_rows, digest="", columns=counted, primary_key=key, start=start), checked


def _by_column(checked: Sequence[str], columns: Mapping[str, ColumnPin]) -> dict[str, Sequence[str]]:
    """Return the facts of a checksum by column."""
    sizes = {"logical": 2, "datetime": 4, "integer": 4, "numeric": 4, "categorical": 5, "text": 5, "ordered": 5}
    assert set(sizes) == set(get_args(FeatureType))
    found, place = {}, 1
    for name, pin in columns.items():
        found[name] = checked[place : place + sizes[pin.info.type]]
        place += sizes[pin.info.type]
    assert place == len(checked)
    return found


def written_backend(source: str, query: str, pins: Pins) -> SqlBackend:
    """Return the backend over a table that was just written and is known better than any scan could find out."""
    engine = database.engine_for(source)
    with database.connected(engine, source) as connection:
        found = checksum(connection, f"(\n{query}\n) AS q", pins.columns)
    return SqlBackend(source, query, pins, found)
