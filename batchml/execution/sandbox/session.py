"""The partner of a session: where ``encapsulate="process"`` runs when nobody else provides a process."""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass

from batchml.execution.sandbox import proc
from batchml.execution.sandbox.client import PartnerClient
from batchml.execution.sandbox.family import Family, Setup

__all__ = ["session_partner"]


@dataclass(frozen=True, slots=True)
class _Session:
    pid: int
    family: Family
    client: PartnerClient


_lock = threading.Lock()
_session: _Session | None = None


def session_partner() -> PartnerClient:
    """Return this process's partner, with its template started if there is none or it has died.

    A process that was forked from a session starts its own. All ends with the process that asked, however it ends.
    """
    global _session  # noqa: PLW0603 - one per process
    with _lock:
        if _session is not None and _session.pid == os.getpid() and not proc.exited(_session.family.pidfd):
            return _session.client
        if _session is None:
            atexit.register(_close)
        elif _session.pid == os.getpid():
            _session.family.close()
        else:
            _session.family.abandon()
        family = Family(Setup(role="session"))
        _session = _Session(os.getpid(), family, PartnerClient(family.link))
        return _session.client


def _close() -> None:
    global _session  # noqa: PLW0603 - one per process
    with _lock:
        if _session is not None and _session.pid == os.getpid():
            _session.family.close()
            _session = None
