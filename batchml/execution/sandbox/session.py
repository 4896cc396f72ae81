"""The partner of a session: where ``encapsulate="process"`` runs when nobody else provides a process."""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from batchml.execution.sandbox import proc
from batchml.execution.sandbox.client import PartnerClient
from batchml.execution.sandbox.family import Family, Setup

if TYPE_CHECKING:
    from batchml.execution.call import StageCall, StageReply

__all__ = ["SessionPartner", "session_partner"]


class SessionPartner:
    """A partner with a template of its own, which is started when first needed and again when it has died.

    A process that was forked from a session starts its own. All ends with the process that asked, however it ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._family: Family | None = None
        self._client: PartnerClient | None = None
        self._owner = 0

    def run(self, call: StageCall, timeout: float | None) -> StageReply:
        """Run one stage; see `batchml.execution.call.Partner`."""
        from batchml.execution.call import died_reply

        client = self._ready()
        start = time.perf_counter()
        try:
            return client.run(call, timeout)
        except ConnectionError:  # the stage has killed its parent, and so itself
            return died_reply(call.stage, -signal.SIGKILL, elapsed=time.perf_counter() - start)

    def _ready(self) -> PartnerClient:
        with self._lock:
            family, client = self._family, self._client
            if family is not None and self._owner != os.getpid():
                family.abandon()
            elif family is not None and proc.exited(family.pidfd):
                family.close()
            elif family is not None and client is not None:
                return client
            if self._owner != os.getpid():
                atexit.register(self.close)
            self._owner = os.getpid()
            self._family = Family(Setup(role="session"))
            self._client = PartnerClient(self._family.link)
            return self._client

    def close(self) -> None:
        """End the processes, if they are this process's own."""
        with self._lock:
            if self._family is not None and self._owner == os.getpid():
                self._family.close()
                if self._client is not None:
                    self._client.abandon()
                self._family = self._client = None


_partner = SessionPartner()


def session_partner() -> SessionPartner:
    """Return this process's partner."""
    return _partner
