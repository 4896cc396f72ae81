"""What workers without a database have written and nobody has taken in, for those who only look."""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, Any

from batchml.registry import spool, spool_workers
from batchml.registry.outlook import Unread
from batchml.registry.processes import Process
from batchml.worker.frames import ending_of
from batchml.worker.spool_folder import SpoolFolder
from batchml.worker.spool_segment import SpoolWorker, heard, read_segment

if TYPE_CHECKING:
    from pathlib import Path

    from batchml.registry.store import Store

__all__ = ["unread"]

_log = logging.getLogger(__name__)


def unread(store: Store) -> list[Unread]:
    """Return what is new in the segments of all spools that can be seen from here; nothing is changed."""
    found = []
    for row in spool.spools(store):
        folder = SpoolFolder(row.spool)
        names = folder.segment_names()
        known = spool_workers.segments(store, names)
        for name in names:
            try:
                news = _look(folder.segments / name, known.get(name), row.id)
            except FileNotFoundError:
                continue  # somebody has just closed this spool
            except (ValueError, KeyError, TypeError, struct.error) as error:
                _log.error("%s was altered, or written by another version of batchml: %s", name, error)
                continue
            if news is not None:
                found.append(news)
    return found


def _look(path: Path, row: Any, resource_id: int) -> Unread | None:
    begun: set[int] = set()
    released: set[int] = set()
    ended = {}
    bye = None
    process: Process | None = None
    with path.open("rb") as file:
        for each in read_segment(file, 0 if row is None else row.synced):
            said = heard(each)
            if said is None:
                ended[each.key] = ending_of(each.payload)
                continue
            match said["say"]:
                case "hello":
                    process = SpoolWorker.from_json(said).process
                case "begin":
                    begun.update(said["ids"])
                case "release":
                    released.update(said["ids"])
                case "bye":
                    bye = said["reason"]
                case _:
                    pass
    if row is not None:
        process = Process.of(row)
    if process is None:
        return None  # its first words are not there yet
    return Unread(
        worker=None if row is None else row.id,
        resource_id=resource_id,
        process=process,
        begun=frozenset(begun),
        released=frozenset(released),
        ended=ended,
        bye=bye,
    )
