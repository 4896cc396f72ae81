"""Who wants to know which stage runs: the measurements of jobs that do not live to report."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchml.execution.call import StageName

__all__ = ["observed", "tell"]

_listener: Callable[[StageName | None], None] | None = None


@contextlib.contextmanager
def observed(listener: Callable[[StageName | None], None]) -> Iterator[None]:
    """Tell `listener` of every stage of a learner that begins in the body (its name) and ends (None)."""
    global _listener  # noqa: PLW0603 - one job at a time runs in a process
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


def tell(stage: StageName | None) -> None:
    """Say that a stage begins, or with None that it is over."""
    if _listener is not None:
        _listener(stage)
