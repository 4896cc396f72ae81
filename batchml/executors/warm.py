"""A worker that is started before anybody knows what for, since its imports take as long as reading a design."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from batchml.executors.base import NEEDS
from batchml.executors.process import LocalHandle, spawn
from batchml.worker.home import worker_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchml.executors.base import Launch

__all__ = ["take_waiting", "warm_worker"]

_waiting: list[LocalHandle] = []


@contextlib.contextmanager
def warm_worker() -> Iterator[None]:
    """Have a worker warm up meanwhile; the next `Local` of this process takes it, else it leaves at the end."""
    with contextlib.suppress(OSError):  # no folder for its log, no more processes: then it takes a little longer
        _waiting.append(spawn((), {}, worker_log("waiting", 0), lifeline=True))
    try:
        yield
    finally:
        while _waiting:
            _waiting.pop().let_go()


def take_waiting(launch: Launch, slots: int) -> LocalHandle | None:
    """Give a waiting worker its task and return it; None if there is none."""
    told = {
        "url": launch.url,
        "submission": launch.submission,
        "artifacts": str(launch.artifacts),
        "slots": slots,
        "paths": [str(path) for path in launch.paths],
        "trust": list(launch.trust),
        "needs": {name: launch.resources[name] for name in NEEDS if launch.resources.get(name)},
    }
    while _waiting:
        handle = _waiting.pop()
        if handle.tell(told):
            return handle
    return None
