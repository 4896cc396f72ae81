"""What workers complain about, as far as it can be known here: their logs on this machine, and their silence."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchml.registry.workers import live_workers
from batchml.worker.home import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from batchml.executors.submission import Submission
    from batchml.registry.store import Store

__all__ = ["complaints", "standing"]

_LINE = re.compile(r"\S+ \S+ (INFO|WARNING|ERROR|CRITICAL) (.*)")
_WORKER = re.compile(r"worker (\d+), submission \d+, ")
_LEFT = re.compile(r"left \(.*\): .* (\d+) undelivered")
_SETTLED = ("the registry answers again", "left (")
_TAIL = 1 << 14
"""Bytes of a log that are read, from each of its ends."""
_RECENT_S = 7 * 86_400
_MOST = 3


@dataclass(slots=True)
class Said:
    """What a log says: whose it is, None before the registry gave it a number, and what is not settled."""

    worker: int | None = None
    complaints: dict[str, str] = field(default_factory=dict)


def complaints(store: Store, submissions: Iterable[Submission] = ()) -> list[str]:
    """Return a sentence for each worker that cannot do all it should, and one if the disk of the registry is full.

    Parameters
    ----------
    submissions
        Whose logs are read, wherever they are; of others those on this machine.
    """
    full = _full(store)
    live = {row.id: row for row in live_workers(store)}
    found: dict[str, str] = {}
    own = [handle.log for each in submissions for handle in each.handles if handle.log is not None and handle.alive()]
    for path in dict.fromkeys([*own, *_logs_here(store)]):
        said = standing(path)
        # A worker that was not entered is somebody's who waits for it; of others nobody knows whether they live.
        if said.complaints and (said.worker in live or (said.worker is None and path in own)):
            name = "a worker that starts" if said.worker is None else f"worker {said.worker}"
            found[name] = f"{name}: {'; '.join(list(said.complaints.values())[-_MOST:])}"
    for row in live.values():
        name = f"worker {row.id}"
        if name not in found and not full and row.silent_s > row.lease_s / 2:
            found[name] = (
                f"{name} on {row.host} was not heard of for {row.silent_s:.0f} s: what it finishes is kept there until "
                "it can be delivered"
            )
    # All of them suffer from a full disk; it is said once.
    return [full, *(words for words in found.values() if "is full;" not in words)] if full else list(found.values())


def standing(path: Path) -> Said:
    """Return what a worker's log says at its end that has not been settled; nothing if it cannot be read."""
    said = Said()
    try:
        with path.open("rb") as file:
            head = file.read(_TAIL)
            file.seek(max(len(head), file.seek(0, os.SEEK_END) - _TAIL))
            text = (head + b"\n" + file.read()).decode("utf-8", "replace")
    except OSError:
        return said
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        level, words = match.groups()
        if known := _WORKER.match(words):
            said.worker = int(known[1])
        if known or words.startswith(_SETTLED):
            said.complaints.clear()
            if (left := _LEFT.fullmatch(words)) and left[1] != "0":
                said.complaints["left"] = f"it has left, {left[1]} outcomes undelivered; `batchml resume` goes on"
        else:
            # Of those that say the same with other numbers the last one; an INFO that begins so settles it.
            kind = " ".join([word for word in words.split() if not word.isdecimal()][:2])
            said.complaints.pop(kind, None)
            if level != "INFO":
                said.complaints[kind] = words
    return said


def _logs_here(store: Store) -> list[Path]:
    """Return the logs of workers of this machine that were written to not long ago."""
    since = time.time() - _RECENT_S
    found = []
    for path in (state_folder() / "workers" / store.uuid).glob("*.log"):
        with contextlib.suppress(OSError):
            found += [path] if path.stat().st_mtime > since else []
    return sorted(found)


def _full(store: Store) -> str:
    path = store.place.path
    with contextlib.suppress(OSError):
        if path is not None and os.statvfs(path.parent).f_bavail == 0:
            return f"the disk that holds {path} is full: free some space; what workers finish is kept meanwhile"
    return ""
