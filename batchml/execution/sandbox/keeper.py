"""The parent of one slot: it forks slot and partner, waits for them, and ends all that descends from them.

A keeper is forked from the template before any user code ran and never runs any itself, so it can fork again after a
crash, and it answers whatever its slot is doing. It is a child subreaper: orphans of user code (daemons, double forks)
become its children and cannot get out of its reach. That it stands between slot and supervisor also means that a
learner which kills its parent costs one slot, not the worker.

In a session the exec'ed template itself is the keeper, without a slot, of one partner.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchml.execution.sandbox import ending, proc, scales
from batchml.execution.sandbox.gauge import Gauge
from batchml.execution.sandbox.protocol import Frame, Link, ProtocolError, pair

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["LEAVE", "Keeper", "clear", "ignore_stops", "run", "watch_parent"]

_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
LEAVE = 0.4
"""Seconds that keepers have to end all below them when their supervisor is gone; normally milliseconds."""


def ignore_stops() -> None:
    """Ignore what terminals and SLURM send: the supervisor decides what becomes of its family."""
    for signum in _IGNORED:
        signal.signal(signum, signal.SIG_IGN)


def watch_parent(parent: int) -> int:
    """Return a descriptor that becomes readable when the parent may be dead; ignore what terminals and SLURM send."""
    ignore_stops()
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(proc.PARENT_GONE, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    proc.die_with_parent(parent, proc.PARENT_GONE)
    return reader


def clear(fd: int) -> None:
    """Empty a wake-up pipe."""
    with contextlib.suppress(BlockingIOError):
        os.read(fd, 4096)


def run(fd: int, parent: int, setup: Mapping[str, Any]) -> None:
    """Be the keeper behind `fd`; never returns."""
    with contextlib.suppress(OSError):
        os.setsid()
    proc.name_process("batchml-keeper")
    gone = watch_parent(parent)
    proc.adopt_orphans()
    link = Link.from_fd(fd)
    link.send({"t": "hello", "pid": os.getpid()})
    Keeper(link, parent, gone, setup).serve()


@dataclass(slots=True)
class _Child:
    """A process that runs user code: the slot or its partner."""

    pid: int
    pidfd: int
    gauge: Gauge
    link: Link | None = None  # to its keeper
    nonce: str = ""
    memory: str | None = None  # why it is being ended: it took too much

    def close(self) -> None:
        os.close(self.pidfd)
        self.gauge.close()
        if self.link is not None:
            self.link.close()

    def last_words(self, ended: Sequence[proc.Ended], starved: Callable[[], str | None]) -> dict[str, Any]:
        """Return how it ended and what its job took until then."""
        status = next((one.status for one in ended if one.pid == self.pid), 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        memory = self.memory or (starved() if killed else None)
        return {"status": status, "memory": memory, "spent": self.gauge.read(self.pid, ended)}


class Keeper:
    """The loop of a keeper.

    Parameters
    ----------
    link
        To the supervisor or session.
    parent
        Its process id.
    gone
        See `watch_parent`.
    setup
        What the template was told.
    """

    def __init__(self, link: Link, parent: int, gone: int, setup: Mapping[str, Any]) -> None:
        self._link = link
        self._parent = parent
        self._gone = gone
        self._setup = setup
        self._slot: _Child | None = None
        self._partner: _Child | None = None
        self._scales = scales.Scales(setup.get("group"), f"{setup['tag']}-{os.getpid()}")
        if setup["role"] == "session":
            proc.adopt_orphans()

    def serve(self) -> None:
        """Serve until the other end is gone, then end everything below; never returns."""
        try:
            while self._turn():
                pass
        finally:
            self._kill_all()
            self._scales.close()
            os._exit(0)

    def _kill_all(self) -> list[proc.Ended]:
        self._scales.kill()
        return proc.kill_all()

    def _turn(self) -> bool:
        sources: list[int] = [self._link.fileno(), self._gone]
        sources += [child.pidfd for child in (self._slot, self._partner) if child is not None]
        if self._slot is not None and self._slot.link is not None:
            sources.append(self._slot.link.fileno())
        ready = proc.readable(sources, scales.BEAT if self._scales.watched else math.inf)
        if self._gone in ready:
            clear(self._gone)
            if os.getppid() != self._parent:
                return False
        if self._partner is not None and self._partner.pidfd in ready:
            self._partner_died()
        if self._slot is not None and self._slot.pidfd in ready:
            self._slot_died()
        elif self._slot is not None and self._slot.link is not None and self._slot.link.fileno() in ready:
            self._hear_slot(self._slot.link)
        if self._scales.watched and not ready:
            self._weigh()
        return self._link.fileno() not in ready or self._hear(self._link, trusted=True)

    # -- requests ------------------------------------------------------------------------------------------------

    def _hear(self, link: Link, *, trusted: bool) -> bool:
        try:
            frame = link.receive(block=False)
        except (EOFError, ProtocolError):
            return False
        if frame is not None:
            self._obey(frame, trusted=trusted)
        return True

    def _hear_slot(self, link: Link) -> None:
        """A slot may only ask for partners; what else it says, or nonsense, ends the conversation, not the keeper."""
        if not self._hear(link, trusted=False) and self._slot is not None:
            link.close()
            self._slot.link = None

    def _obey(self, frame: Frame, *, trusted: bool) -> None:
        header, fds = frame.header, list(frame.fds)
        kind = header.get("t")
        try:
            if kind == "partner" and len(fds) == 2:
                self._start_partner(fds)
            elif kind == "end_partner":
                self._end_partner(dump=bool(header.get("dump")))
            elif kind == "slot" and trusted and len(fds) == 2:
                self._start_slot(header, fds)
            elif kind == "end" and trusted:
                self._end(dump=bool(header.get("dump")), grace=float(header.get("grace", ending.GRACE)))
        finally:
            for fd in fds:
                with contextlib.suppress(OSError):
                    os.close(fd)

    # -- slot ----------------------------------------------------------------------------------------------------

    def _start_slot(self, header: Mapping[str, Any], fds: list[int]) -> None:
        """Fork a fresh slot with its own link and log; an old one and all it left are ended first."""
        if self._slot is not None or self._partner is not None:
            self._kill_all()
            self._forget()
        from batchml.execution.sandbox import slot

        mine, its = pair()
        self._scales.set(header.get("memory"))
        if header.get("devices"):
            os.environ["CUDA_VISIBLE_DEVICES"] = header["devices"]  # slot and partner inherit it
        self._slot = self._fork(lambda settings: slot.run(fds[0], fds[1], its, settings), header["nonce"], mine)
        its.close()

    def _fork(self, body: Callable[[Mapping[str, Any]], None], nonce: str = "", link: Link | None = None) -> _Child:
        gauge, keeper = Gauge(), os.getpid()
        pid = os.fork()
        if pid:
            return _Child(pid, os.pidfd_open(pid), gauge, link, nonce)
        status = 70  # EX_SOFTWARE: the sandbox itself failed
        try:
            signal.set_wakeup_fd(-1)
            proc.adopt_orphans()
            for own in (self._link, self._slot.link if self._slot else None):
                if own is not None:
                    own.close()
            os.close(self._gone)
            self._scales.enter()
            memory = self._scales.limit
            body({**self._setup, "nonce": nonce, "memory": memory, "parent": keeper, "gauge": gauge})
            status = 0
        except BaseException:  # noqa: BLE001 - said where its supervisor reads, which tells the user
            traceback.print_exc()
        finally:
            os._exit(status)

    def _slot_died(self) -> None:
        assert self._slot is not None
        words = self._slot.last_words(self._kill_all(), self._scales.starved)
        words |= {"t": "exit", "n": self._slot.nonce}
        self._forget()
        with contextlib.suppress(OSError):
            self._link.send(words)

    def _forget(self) -> None:
        for child in (self._slot, self._partner):
            if child is not None:
                child.close()
        self._slot = self._partner = None
        self._scales.limit = None

    def _end(self, *, dump: bool, grace: float) -> None:
        """End the slot and everything below: stack dump, TERM, grace, KILL; then report its exit."""
        if self._slot is None:
            return
        own = [child.pid for child in (self._partner, self._slot) if child is not None]
        if dump:
            ending.dump(own)
        ending.ask(own, grace)
        proc.send([self._slot.pid], signal.SIGKILL)
        proc.readable([self._slot.pidfd], ending.GRACE)
        self._slot_died()

    # -- partner -------------------------------------------------------------------------------------------------

    def _start_partner(self, fds: list[int]) -> None:
        """Fork a partner with the link and the log it came with; an old one is ended first."""
        if self._partner is not None:
            self._end_partner(dump=False)
        from batchml.execution.sandbox import partner

        self._partner = self._fork(lambda settings: partner.run(fds[0], fds[1], settings))

    def _end_partner(self, *, dump: bool) -> None:
        if self._partner is None:
            self._tell_slot({"t": "gone", "status": 0})
            return
        if dump:
            ending.dump([self._partner.pid])
        proc.send([self._partner.pid], signal.SIGKILL)
        proc.readable([self._partner.pidfd], ending.GRACE)
        self._partner_died()

    def _partner_died(self) -> None:
        assert self._partner is not None
        partner, self._partner = self._partner, None
        ended = proc.kill_all(keep=() if self._slot is None else (self._slot.pid,))
        words = partner.last_words(ended, self._scales.starved)
        partner.close()
        self._tell_slot({"t": "gone", **words})

    def _tell_slot(self, header: Mapping[str, Any]) -> None:
        """Tell whoever uses the partner: the slot, or the session if there is none."""
        link = self._link if self._setup["role"] == "session" else self._slot.link if self._slot else None
        if link is not None:
            with contextlib.suppress(OSError):
                link.send(header)

    # -- memory --------------------------------------------------------------------------------------------------

    def _weigh(self) -> None:
        """End what has outgrown the memory: a partner first, which its slot survives."""
        if self._partner is not None and (words := self._scales.excess()) is not None:
            self._partner.memory = words
            self._end_partner(dump=True)
        elif self._slot is not None and (words := self._scales.excess()) is not None:
            self._slot.memory = words
            self._end(dump=True, grace=0.0)
