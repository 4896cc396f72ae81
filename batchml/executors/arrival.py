"""Workers that were started and are not in the registry yet: meanwhile nobody else shall start them once more."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

from batchml.executors.process import LocalHandle
from batchml.registry.backlog import has_greeted
from batchml.worker.home import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from batchml.executors.submission import Submission
    from batchml.registry.store import Store

__all__ = ["await_arrival", "departed", "starting"]

_PATIENCE_S = 10.0
_POLL_S = 0.05


@contextlib.contextmanager
def starting(registry: str) -> Iterator[None]:
    """Be the only session of this user that starts workers where none is alive; wait for others that do.

    A lock of the file system, since what it guards is not only in the database: a worker that has been started is
    there before the registry knows of it. Where nothing can be locked, workers may be started twice, which costs time
    and no result.
    """
    folder = state_folder() / "workers" / registry
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(folder / "starting", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def await_arrival(store: Store, submission: Submission) -> None:
    """Wait until a worker of this machine that was started has said hello, or is gone; not for long."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and any(
        isinstance(handle, LocalHandle) and handle.alive() for handle in submission.handles
    ):
        if has_greeted(store, submission.id):
            return
        time.sleep(_POLL_S)


def departed(submissions: Iterable[Submission]) -> list[int]:
    """Return the submissions whose workers were all of this machine and have ended: none of them will say hello."""
    return [
        each.id
        for each in submissions
        if each.handles and all(isinstance(handle, LocalHandle) and not handle.alive() for handle in each.handles)
    ]
