"""A slot as its supervisor sees it: links, log and process ids."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
from collections import OrderedDict
from typing import TYPE_CHECKING

from batchml.execution.sandbox import proc
from batchml.execution.sandbox.protocol import Frame, ProtocolError, pair
from batchml.execution.sandbox.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchml.execution.sandbox.family import Family

__all__ = ["Handle"]

_KNOWN = 256
_PIPE_BYTES = 1024 * 1024


class Handle:
    """One slot of a pool. What it owns is replaced piece by piece: a new slot process, or a new keeper."""

    def __init__(self, family: Family, memory: int | None = None, devices: str = "") -> None:
        self._family = family
        self._memory = memory
        self._devices = devices
        self.born = False
        self.keeper: int | None = None
        self.pidfd: int | None = None
        self.control = family.birth()
        self._fresh()

    def _fresh(self) -> None:
        """Give the keeper the ends of a new link and log, from which it forks a slot; does not wait."""
        self.nonce = secrets.token_hex(4)
        self.known: OrderedDict[str, None] = OrderedDict()
        self.alive = True  # as far as we know
        self.up = False
        # The slot's end is kept here, too: whoever reads a job first has it, so one that has not begun can be recalled.
        self.link, self._inbox = pair()
        order = {"t": "slot", "nonce": self.nonce, "memory": self._memory, "devices": self._devices}
        reader, writer = _pipe()
        self.sink = Sink(reader, nonce=self.nonce)
        try:
            with contextlib.suppress(OSError):  # the keeper's death is noticed by its pidfd
                self.control.send(order, fds=[self._inbox.fileno(), writer])
        finally:
            os.close(writer)

    def limit(self, memory: int | None) -> bool:
        """Give slots started from now on so many bytes; say whether that is another number than before."""
        before, self._memory = self._memory, memory
        return before != memory

    def renew(self) -> None:
        """Replace the slot process; whatever the old one left is ended by the keeper."""
        self._close_slot()
        self._fresh()

    def rebirth(self) -> None:
        """Replace a dead keeper and its slot."""
        self.close()
        self.born = False
        self.control = self._family.birth()
        self._fresh()

    def orphaned(self) -> bool:
        """Say whether the template, which would have forked the keeper, is dead."""
        return proc.exited(self._family.pidfd)

    def hello(self, pid: int) -> int:
        """Take note of the keeper's process; return a pidfd."""
        self.keeper, self.pidfd, self.born = pid, os.pidfd_open(pid), True
        return self.pidfd

    def close(self) -> None:
        """Free descriptors; the keeper ends its slot and itself when it sees that."""
        self.control.close()
        self._close_slot()
        if self.pidfd is not None:
            os.close(self.pidfd)
        self.pidfd = self.keeper = None

    def _close_slot(self) -> None:
        self.link.close()
        self._inbox.close()
        self.sink.close()

    # -- frames --------------------------------------------------------------------------------------------------

    def start(self, attempt: int, iteration: int, key: str, experiment: bytes) -> Sink:
        """Send a job and return its log; the experiment goes along only once to each slot process."""
        header: dict[str, object] = {"t": "job", "a": attempt, "i": iteration, "e": key}
        blobs: list[bytes] = []
        if key in self.known:
            self.known.move_to_end(key)
        else:
            self.known[key] = None
            blobs.append(experiment)
            if len(self.known) > _KNOWN:
                header["drop"] = [self.known.popitem(last=False)[0]]
        with contextlib.suppress(OSError):  # a slot that has just died is reported by its keeper
            self.link.send(header, blobs)
        return self.sink

    def unread(self) -> int | None:
        """Return the attempt of the first job that was sent and that the slot has not read, None if it has them all."""
        try:
            frame = self._inbox.receive(block=False, peek=True)
        except (EOFError, OSError, ProtocolError):
            return None
        return None if frame is None else int(frame.header["a"])

    def recall(self) -> set[int]:
        """Take back all jobs that were sent and that the slot has not read; return their attempts.

        The slot reads meanwhile: which of the jobs it gets is left to chance. One whose experiment came with a job that
        we got, it sends back.
        """
        taken: set[int] = set()
        with contextlib.suppress(EOFError, OSError, ProtocolError):
            while (frame := self._inbox.receive(block=False)) is not None:
                taken.add(frame.header["a"])
                if frame.blobs:
                    self.known.pop(frame.header["e"], None)
        return taken

    def frames(self, most: int) -> Iterator[Frame]:
        """Return at most so many frames that this slot process has sent; what claims to be of another is dropped."""
        link = self.link
        for _ in range(most):
            if link is not self.link:
                return
            try:
                frame = link.receive(block=False, views=True)
            except ProtocolError:
                continue
            except (EOFError, OSError):
                return
            if frame is None:
                return
            if frame.header.get("n") == self.nonce:
                self.up = True
                yield frame

    def news(self) -> Iterator[Frame]:
        """Return what the keeper has sent. Raises EOFError after the last when it is gone."""
        while (frame := self.control.receive(block=False)) is not None:
            yield frame

    # -- ending --------------------------------------------------------------------------------------------------

    def end(self, *, dump: bool) -> None:
        """Have the keeper end the slot and everything below it; its exit is news from the keeper."""
        try:
            self.control.send({"t": "end", "dump": dump})
        except OSError:
            self.kill()

    def wake(self) -> None:
        """Let a keeper go on that its slot's user code has stopped."""
        if self.pidfd is not None and self.keeper is not None:
            with contextlib.suppress(ChildProcessError, ProcessLookupError):
                if os.waitid(os.P_PIDFD, self.pidfd, os.WSTOPPED | os.WNOHANG) is not None:
                    os.kill(self.keeper, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the keeper, and with it its slot."""
        if self.keeper is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.keeper, signal.SIGCONT)
                os.kill(self.keeper, signal.SIGKILL)


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # more than this user may have
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return reader, writer
