"""The digest of what splits depend on."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["row_digest"]

_Ids = NDArray[np.int64]


def row_digest(rows: _Ids, strata: _Ids | None, groups: _Ids | None, order: _Ids | None) -> str:
    """Return the digest of row ids, stratum codes, group codes and row order.

    Tasks with equal rows, strata and groups share their splits, whatever their features are.
    """
    state = hashlib.sha256(b"batchml rows 1")
    for word, codes in (("rows", rows), ("strata", strata), ("groups", groups), ("order", order)):
        if codes is not None:
            state.update(f"{word}:{len(codes)}:".encode())
            state.update(np.ascontiguousarray(codes, dtype="<i8").data)
    return state.hexdigest()
