"""Where workers keep files on their machine: logs of their own, and outcomes that could not be delivered."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path

__all__ = ["state_folder", "undelivered_folder", "worker_log"]

_LOGS_KEPT = 50
_counter = itertools.count()


def state_folder() -> Path:
    """Return batchml's folder for state of this machine; `BATCHML_STATE` moves it."""
    given = os.environ.get("BATCHML_STATE")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_state_dir("batchml"))


def undelivered_folder(registry: str) -> Path:
    """Return the folder for outcomes on their way to a registry; it may not exist."""
    return state_folder() / "undelivered" / registry


def worker_log(registry: str, submission: int) -> Path:
    """Return a new file name for what a worker has to say about itself; old files go.

    Where the home folder cannot be written to, nobody keeps it.
    """
    folder = state_folder() / "workers" / registry
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return Path(os.devnull)
    if not os.access(folder, os.W_OK):
        return Path(os.devnull)
    for old in sorted(folder.glob("*.log"), key=_age)[:-_LOGS_KEPT]:
        with contextlib.suppress(OSError):
            old.unlink()
    return folder / f"{submission}-{os.getpid()}-{next(_counter)}.log"


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
