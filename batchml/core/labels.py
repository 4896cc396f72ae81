"""Labels as codes: positions in a tuple of classes, -1 for missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.arguments import shown
from batchml.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["UNKNOWN", "encode_labels", "is_missing", "sorted_classes"]

#: The code of a label that is no class.
UNKNOWN = -2


def is_missing(value: Any) -> bool:
    """Whether a label is None, NaN, NaT or pandas.NA."""
    if value is None:
        return True
    try:
        return not bool(value == value)  # noqa: PLR0124  # only NaN differs from itself
    except TypeError:  # pandas.NA has no truth value
        return True


def encode_labels(values: Any, classes: tuple[Any, ...]) -> NDArray[np.int64]:
    """Return the position of each label in `classes`; -1 for a missing one, `UNKNOWN` for one that is no class."""
    categories = getattr(values, "categories", None)
    if categories is None and hasattr(values, "cat"):
        values, categories = values.cat, values.cat.categories
    if categories is not None:
        place = {label: i for i, label in enumerate(classes)}
        lookup = np.array([*(place.get(_plain(one), UNKNOWN) for one in categories), -1], dtype=np.int64)
        found: NDArray[np.int64] = lookup[np.asarray(values.codes)]
        return found
    array = np.asarray(values)
    if array.dtype.kind in "iuU" and classes and _alike(array, classes):
        return _by_search(array, classes)
    place = {label: i for i, label in enumerate(classes)}
    return np.fromiter((_code(one, place) for one in array.ravel().tolist()), np.int64, count=array.size)


def _alike(array: NDArray[Any], classes: tuple[Any, ...]) -> bool:
    if array.dtype.kind == "U":
        return all(isinstance(one, str) for one in classes)
    return all(isinstance(one, int) and not isinstance(one, bool) for one in classes)


def _by_search(array: NDArray[Any], classes: tuple[Any, ...]) -> NDArray[np.int64]:
    known = np.array(classes)
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known, array, sorter=order), len(known) - 1)
    codes = order[place]
    return np.where(known[codes] == array, codes, UNKNOWN)


def _code(value: Any, place: dict[Any, int]) -> int:
    found = place.get(value) if value.__hash__ is not None else None
    if found is not None:
        return found
    return -1 if is_missing(value) else UNKNOWN


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def sorted_classes(*columns: Any) -> tuple[Any, ...]:
    """Return the classes that label columns have: a categorical column's own, else all values, sorted."""
    found: set[Any] = set()
    for values in columns:
        if values is None:
            continue
        categories = getattr(getattr(values, "cat", values), "categories", None)
        if categories is not None:
            return tuple(_plain(one) for one in categories)
        labels = np.asarray(values, dtype=object).ravel().tolist()
        try:
            found.update(one for one in labels if not is_missing(one))
        except TypeError:
            raise DataError(f"labels are texts or numbers, not {shown(labels)}") from None
    try:
        return tuple(sorted(_plain(one) for one in found))
    except TypeError:
        raise DataError(
            f"labels of several types cannot be put in order, so name the classes: {shown(found)}"
        ) from None
