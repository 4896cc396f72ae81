"""How processes that run user code are made to end: first a look at where they hang, then a request, then no choice."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from batchml.execution.sandbox import proc

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["GRACE", "ask", "dump"]

GRACE = 0.5
"""Seconds between the request to end (TERM) and the kill."""

_DUMP_PATIENCE = 0.3


def dump(pids: Iterable[int]) -> None:
    """Let processes write their stacks into the log; wait until they have, but not for long."""
    asked = [pid for pid in pids if proc.catches(pid, proc.DUMP_SIGNAL)]
    proc.send(asked, proc.DUMP_SIGNAL)
    deadline = time.monotonic() + _DUMP_PATIENCE
    while asked and time.monotonic() < deadline:
        time.sleep(0.01)
        asked = [pid for pid in asked if proc.pending(pid, proc.DUMP_SIGNAL)]
    time.sleep(0.02)  # the handler that has been entered writes its last lines


def ask(own: Collection[int], grace: float) -> None:
    """TERM to what user code started, and time to obey; `own` slots and partners ignore TERM and are not asked."""
    deadline = time.monotonic() + grace
    targets = [pid for pid in proc.descendants() if pid not in own]
    proc.send(targets, signal.SIGTERM)
    while targets and time.monotonic() < deadline:
        time.sleep(0.01)
        targets = [pid for pid in proc.descendants() if pid not in own]
