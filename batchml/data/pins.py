"""What was true of a table when it was opened first: pinned, so that each reader gets the same columns or a refusal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchml.core.backend import ColumnInfo
from batchml.data.canonical import canonical_column, column_info
from batchml.data.frame import infinite_values, missing_values
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["MOST_LEVELS", "ColumnPin", "Pins", "check_key", "fitted", "pin_column", "too_many_levels"]

MOST_LEVELS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPin:
    """One column.

    Attributes
    ----------
    info
        Feature type and levels.
    missing, infinite
        How many of its values are.
    unit, zone
        Of a datetime: ``us`` or ``ns``, and the time zone if there is one.
    """

    info: ColumnInfo
    missing: int = 0
    infinite: int = 0
    unit: str = ""
    zone: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        data: dict[str, Any] = {"type": self.info.type}
        if self.info.levels is not None:
            data["levels"] = list(self.info.levels)
        names = ("missing", "infinite", "unit", "zone")
        return data | {name: getattr(self, name) for name in names if getattr(self, name)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return what `as_json` wrote down."""
        levels = data.get("levels")
        info = ColumnInfo(type=data["type"], levels=None if levels is None else tuple(levels))
        return cls(info=info, **{name: value for name, value in data.items() if name not in {"type", "levels"}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """A whole table.

    Attributes
    ----------
    digest
        See `DataBackend.digest`.
    primary_key
        The column of row ids; None where positions are the ids.
    start
        The first row id where ids are consecutive, so that nobody needs to read them; else None.
    """

    n_rows: int
    digest: str
    columns: Mapping[str, ColumnPin] = field(repr=False)
    primary_key: str | None = None
    start: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain data; columns as a list, since JSON objects may lose their order."""
        columns = [[name, pin.as_json()] for name, pin in self.columns.items()]
        return {
            "n_rows": self.n_rows,
            "digest": self.digest,
            "columns": columns,
            "primary_key": self.primary_key,
            "start": self.start,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return what `as_json` wrote down."""
        columns = {name: ColumnPin.from_json(pin) for name, pin in data["columns"]}
        return cls(
            n_rows=data["n_rows"],
            digest=data["digest"],
            columns=columns,
            primary_key=data["primary_key"],
            start=data["start"],
        )


def pin_column(name: str, column: pa.ChunkedArray, *, text: bool) -> tuple[ColumnPin, pa.Array]:
    """Return what is to be remembered of a column, and the column in canonical form.

    Raises
    ------
    DataError
        No learner can use its type; or it has more different strings than can be levels.
    """
    array = canonical_column(name, column, text=text)
    del column
    info = column_info(array)
    if info.levels is not None and len(info.levels) > MOST_LEVELS:
        raise too_many_levels(name, len(info.levels))
    table = pa.table({name: array})
    kind = array.type
    is_time = info.type == "datetime"
    return ColumnPin(
        info=info,
        missing=missing_values(table)[name],
        infinite=infinite_values(table).get(name, 0),
        unit=kind.unit if is_time else "",
        zone=kind.tz if is_time else None,
    ), array


def too_many_levels(name: str, n: int) -> DataError:
    """Return the refusal of a column of strings that cannot be categories."""
    return DataError(
        f"column {name!r} has {n} or more different values, which is too many for categories: name it in text=, or "
        "leave it out of the query"
    )


def check_key(name: str, pin: ColumnPin, ids: NDArray[np.int64] | None) -> None:
    """Refuse a column that cannot hold row ids.

    Raises
    ------
    DataError
        It is no whole number, or has missing or duplicated values.
    """
    if pin.info.type != "integer":
        raise DataError(
            f"primary key {name!r} is {pin.info.type}: row ids are whole numbers; name another column, or none"
        )
    if pin.missing:
        raise DataError(f"primary key {name!r} has {pin.missing} missing values: each row needs an id")
    if ids is not None:
        ordered = np.sort(ids)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if twice.size:
            raise DataError(f"primary key {name!r} has duplicated row ids, the first of them {twice[0]}")


def fitted(name: str, column: pa.ChunkedArray | pa.Array, pin: ColumnPin) -> pa.Array:
    """Return values as read, in the canonical form that was pinned.

    Raises
    ------
    DataError
        They do not fit: the data have changed.
    """
    info = pin.info
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # combining a column of several gigabytes of text leaves chunks
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    try:
        if info.levels is not None:
            return _with_levels(name, array, info)
        if info.type == "integer":
            return _numbers(array).cast(pa.int64())
        if info.type == "numeric":
            return canonical_column(name, pa.chunked_array([_numbers(array).cast(pa.float64(), safe=False)]))
        if info.type == "logical":
            return array.cast(pa.bool_())
        if info.type == "text":
            return array.cast(pa.large_string())
        return array.cast(pa.timestamp(pin.unit, tz=pin.zone))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
        reason = str(problem).splitlines()[0]
        message = f"column {name!r} is not {info.type} any more: the data have changed ({reason})"
        raise DataError(message) from problem


def _numbers(array: pa.Array) -> pa.Array:
    return array.cast(pa.int8()) if pa.types.is_boolean(array.type) else array


def _with_levels(name: str, array: pa.Array, info: ColumnInfo) -> pa.Array:
    assert info.levels is not None
    kind = pa.array(list(info.levels)).type if info.levels else pa.string()
    levels = pa.array(list(info.levels), type=kind)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary.take(array.indices)
    codes = pc.index_in(array.cast(kind), levels, skip_nulls=True)
    if codes.null_count > (missing := pc.is_null(array, nan_is_null=True)).true_count:
        new = array.filter(pc.and_not(pc.is_null(codes), missing))[0].as_py()
        raise DataError(f"column {name!r} has the new value {new!r}: the data have changed since the design was added")
    return pa.DictionaryArray.from_arrays(codes.cast(pa.int32()), levels, ordered=info.type == "ordered")
