"""What the costs of confusions may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchml.arguments import fraction, mapping, shown
from batchml.errors import ConfigError

__all__ = ["read_costs"]

_WHERE = "measure 'classif.costs': costs"


def read_costs(given: Any) -> Any:
    """Return costs as plain data, which can be written down: of a frame, a mapping of mappings; an array as it is.

    Raises
    ------
    ConfigError
        They are neither a frame, nor a mapping of responses to costs by truth, nor a square array of numbers.
    """
    if hasattr(given, "to_dict") and hasattr(given, "loc"):
        given = {said: dict(given.loc[said].items()) for said in given.index}
    if not isinstance(given, Mapping):
        _check_square(given)
        return given
    rows = {said: mapping(row, f"{_WHERE} of {said!r}", "true classes to numbers") for said, row in given.items()}
    for said, row in rows.items():
        for true, value in row.items():
            fraction(value, f"{_WHERE} of {said!r} for {true!r}")
    return rows


def _check_square(given: Any) -> None:
    import numpy as np

    try:
        shape = np.asarray(given, dtype=np.float64).shape
    except (TypeError, ValueError, OverflowError):
        shape = ()
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ConfigError(f"{_WHERE} are a frame of classes, rows responses, columns truth, not {shown(given)}")
