"""Long changes in short transactions: no writer of a SQLite file may keep the others waiting for more than 250 ms."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from batchml.registry.store import Store

__all__ = ["chunked"]

_AIM_S = 0.08
_FIRST = 2_000
_MOST = 50_000
_MORE = 10  # times as much where writers do not wait for each other, and each commit for the disk

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def chunked(
    store: Store, items: Sequence[Item], act: Callable[[Connection, Sequence[Item]], Answer], first: int = _FIRST
) -> list[Answer]:
    """Call `act` on slices of `items`, each in a write transaction of its own, and return its answers.

    On SQLite they take about 100 ms, on a server a second.

    Each slice must leave the registry in a state from which doing it all again comes to the same end.
    """
    answers: list[Answer] = []
    more = 1 if store.place.path is not None else _MORE
    start, size = 0, first * more
    while start < len(items):
        part = items[start : start + size]
        with store.write() as connection:
            began = time.perf_counter()
            answers.append(act(connection, part))
            took = time.perf_counter() - began
        start += len(part)
        size = max(1, min(_MOST * more, int(size * min(2.0, _AIM_S * more / max(took, 1e-4)))))
    return answers
