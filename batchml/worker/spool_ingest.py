"""From segments into the registry: what workers without a database have begun and how it ended.

How far a segment was read is stored in the transaction that closes the attempts, so nothing counts twice, whoever reads
it and whenever the reader dies. A torn end is read again the next time.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Ending, Outcome
from batchml.errors import BatchmlError, PoisonedError
from batchml.registry import spool, spool_workers
from batchml.registry.close import release
from batchml.registry.dialects import lease_seconds
from batchml.registry.environments import put_environment
from batchml.registry.exchange import close_checked, store_models
from batchml.registry.workers import end_worker
from batchml.worker.courier import stand_in
from batchml.worker.frames import decode_outcome
from batchml.worker.spool_segment import SpoolWorker, heard, read_segment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batchml.registry.store import Store
    from batchml.worker.frames import Frame
    from batchml.worker.spool_folder import SpoolFolder

__all__ = ["ingest_segments"]

_FIRST = 500
_MOST = 2_000
_LARGEST = 1 << 24  # bytes in one transaction
_AIM_S = 0.08
_SAME_S = 5.0
_log = logging.getLogger(__name__)


def ingest_segments(store: Store, resource_id: int, folder: SpoolFolder, only: str | None = None) -> int:
    """Take in what is new in the segments of a folder; return how many outcomes came.

    Parameters
    ----------
    only
        The name of one segment; None for all, those of earlier incarnations first.
    """
    names = [name for name in folder.segment_names() if only is None or name == only]
    spool_workers.set_clocks(store, names)
    known = spool_workers.segments(store, names)
    taken = 0
    for name in names:
        try:
            taken += _ingest(store, resource_id, folder.segments / name, known.get(name))
        except FileNotFoundError:
            continue  # somebody else has just closed this spool
        except (ValueError, KeyError, TypeError, struct.error) as error:
            if isinstance(error, BatchmlError):
                raise
            _log.error("%s was altered, or written by another version of batchml: %s", folder.segments / name, error)
    return taken


def _ingest(store: Store, resource_id: int, path: Path, row: Any) -> int:
    taken = 0
    # Opened each time: that makes a network file system ask its server how long the file is.
    with path.open("rb") as file:
        if row is None:
            row = _enter(store, resource_id, path.name, next(read_segment(file, 0), None))
            if row is None:
                return 0
        offset, size = row.synced, _FIRST
        if os.fstat(file.fileno()).st_size <= offset:
            return 0
        while batch := _some(itertools.islice(read_segment(file, offset), size)):
            start = time.perf_counter()
            if not _take_in(store, row, offset, batch):
                return taken  # somebody else reads it, too
            offset += sum(each.size for each in batch)
            taken += sum(each.key != 0 for each in batch)
            size = max(1, min(_MOST, int(size * min(2.0, _AIM_S / max(time.perf_counter() - start, 1e-4)))))
    return taken


def _some(frames: Any) -> list[Frame]:
    found: list[Frame] = []
    total = 0
    for each in frames:
        found.append(each)
        total += each.size
        if total > _LARGEST:
            break
    return found


def _enter(store: Store, resource_id: int, name: str, first: Frame | None) -> Any:
    """Enter the worker that begins a segment; None if its first words are not there yet, or are no such."""
    if first is None:
        return None
    said = heard(first)
    if said is None or said.get("say") != "hello":
        _log.warning("%s is no segment: it is left alone", name)
        return None
    worker = SpoolWorker.from_json(said)
    return spool_workers.enter(store, resource_id, name, first.size, said, worker.process)


@dataclass(slots=True)
class _News:
    """What some frames say."""

    outcomes: list[Outcome] = field(default_factory=list)
    begun: list[tuple[float, list[int]]] = field(default_factory=list)  # when, to some seconds
    released: list[int] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    environment: dict[str, Any] | None = None
    bye: str | None = None

    @classmethod
    def of(cls, frames: Sequence[Frame]) -> _News:
        news = cls()
        for each in frames:
            if each.key:
                news.outcomes.append(decode_outcome(each.payload))
            else:
                news._hear(json.loads(each.payload))
        return news

    def _hear(self, said: dict[str, Any]) -> None:
        match said["say"]:
            case "begin":
                # One statement for what began within seconds: the times are for people.
                if self.begun and 0 <= said["at"] - self.begun[-1][0] < _SAME_S:
                    self.begun[-1][1].extend(said["ids"])
                else:
                    self.begun.append((said["at"], said["ids"]))
            case "release":
                self.released += said["ids"]
            case "refuse":
                self.refused.append((said["bundle"], said["why"]))
            case "environment":
                self.environment = said["found"]
            case "bye":
                self.bye = said["reason"]
            case _:
                pass  # a beat


def _take_in(store: Store, row: Any, offset: int, frames: Sequence[Frame]) -> bool:
    """Do what some frames say, in one transaction; False if that has been done before."""
    news = _News.of(frames)
    size = sum(each.size for each in frames)
    try:
        done = _commit(store, row, offset, offset + size, news)
    except PoisonedError as error:
        if len(frames) > 1:
            half = len(frames) // 2
            first, second = frames[:half], frames[half:]
            middle = offset + sum(each.size for each in first)
            return _take_in(store, row, offset, first) and _take_in(store, row, middle, second)
        news.outcomes = [stand_in(each, error) for each in news.outcomes]
        try:
            done = _commit(store, row, offset, offset + size, news)
        except PoisonedError:  # not even its name is welcome: it must not block the others for ever
            _log.error("%s, byte %d: what is said there cannot be stored: dropped", row.segment, offset)
            done = _commit(store, row, offset, offset + size, _News())
    if done and news.environment is not None:
        put_environment(store, row.id, news.environment)
    return done


def _commit(store: Store, row: Any, old: int, new: int, news: _News) -> bool:
    models = store_models(store, news.outcomes)
    with store.write() as connection:
        values = {"worker": row.id, "old": old, "new": new, "beat": lease_seconds(connection)}
        if connection.execute(spool_workers.hear(), values).rowcount != 1:
            return False
        connection.execute(spool_workers.revive(), {"worker": row.id})
        for at, attempts in news.begun:
            spool_workers.begin(connection, row.id, attempts, at)
        if news.outcomes:
            close_checked(connection, row.id, news.outcomes, models)
        release(connection, row.id, news.released)
        spool_workers.forget(connection, news.released)
        for number, why in news.refused:
            spool_workers.refuse(connection, row.id, spool.planned(connection, [number]).get(number, ()), why)
        if news.bye is not None:
            broken = news.bye.startswith("infrastructure")
            end_worker(connection, row.id, "stopped", news.bye, Ending.INFRASTRUCTURE if broken else Ending.PREEMPTED)
    return True
