"""From row ids to positions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowIndex", "decode_rows", "encode_rows"]

_Ids = NDArray[np.int64]
_BLOCK = 1 << 20


class RowIndex:
    """Row ids and their positions, both ways; consecutive ids (the usual case) are not kept and need no search."""

    def __init__(self, ids: _Ids) -> None:
        self._n = n = len(ids)
        self._start = int(ids[0]) if n else 0
        counted = not n or (int(ids[-1]) - self._start == n - 1 and _consecutive(ids))
        self._ids = None if counted else ids
        self._sorted: tuple[_Ids, _Ids] | None = None

    def __len__(self) -> int:
        return self._n

    def at(self, positions: _Ids) -> _Ids:
        """Return the ids at positions, as an array of its own."""
        if self._ids is not None:
            found: _Ids = self._ids[positions]
            return found
        return np.asarray(positions + self._start, dtype=np.int64)

    def find(self, rows: _Ids) -> tuple[_Ids, NDArray[np.bool_]]:
        """Return positions and whether each id is known; the position of an unknown one means nothing."""
        if self._ids is None:
            positions = rows - self._start
            return positions, (positions >= 0) & (positions < self._n)
        if self._sorted is None:
            order = np.argsort(self._ids, kind="stable")
            self._sorted = order, self._ids[order]
        order, ids = self._sorted
        place = np.minimum(np.searchsorted(ids, rows), self._n - 1)
        return order[place], ids[place] == rows


def _consecutive(ids: _Ids) -> bool:
    """Look at a block at a time: the differences of ten million ids need not be in memory together."""
    return all(bool((np.diff(ids[i : i + _BLOCK + 1]) == 1).all()) for i in range(0, len(ids), _BLOCK))


def encode_rows(ids: _Ids) -> dict[str, Any]:
    """Write row ids down as plain data: runs of consecutive ids where that is short, else packed.

    Examples
    --------
    >>> encode_rows(np.array([0, 1, 2, 7, 8]))
    {'runs': [[0, 3], [7, 9]]}
    """
    import base64
    import zlib

    ids = np.ascontiguousarray(ids, dtype="<i8")
    cuts = np.flatnonzero(np.diff(ids) != 1) + 1
    if len(cuts) < 64:
        runs = [part for part in np.split(ids, cuts) if len(part)]
        return {"runs": [[int(part[0]), int(part[-1]) + 1] for part in runs]}
    return {"packed": base64.b64encode(zlib.compress(np.diff(ids, prepend=0).astype("<i8").tobytes(), 6)).decode()}


def decode_rows(data: dict[str, Any]) -> _Ids:
    """Return the row ids that `encode_rows` wrote."""
    import base64
    import zlib

    if "runs" in data:
        parts = [np.arange(start, stop, dtype=np.int64) for start, stop in data["runs"]]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
    steps = np.frombuffer(zlib.decompress(base64.b64decode(data["packed"])), dtype="<i8")
    return np.cumsum(steps).astype(np.int64)
