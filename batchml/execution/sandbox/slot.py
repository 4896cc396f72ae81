"""A slot: the long-lived child that runs one job after another."""

from __future__ import annotations

import gc
import importlib
import os
from typing import TYPE_CHECKING, Any

from batchml.execution.progress import observed
from batchml.execution.sandbox import hygiene, proc
from batchml.execution.sandbox.child import (
    Log,
    Meter,
    close_unknown_fds,
    ignore_stop_signals,
    limit_memory,
    offer_to_oom_killer,
)
from batchml.execution.sandbox.protocol import Frame, Link, Pieces
from batchml.execution.sandbox.sink import mark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchml.execution.sandbox.gauge import Gauge

__all__ = ["run"]


_BADNESS = 400
"""Of 1000: when memory is short, the kernel shall take a slot before the worker and before what else runs here."""


def run(link_fd: int, pipe: int, keeper: Link, settings: Mapping[str, Any]) -> None:
    """Be a slot: serve jobs until the supervisor closes the link; never returns for any other reason."""
    os.setsid()
    proc.name_process("batchml-slot")
    ignore_stop_signals()
    proc.die_with_parent(settings["parent"])
    log = Log(pipe)
    close_unknown_fds({link_fd, log.dump_fd, log.fd, keeper.fileno()})
    limit_memory(settings["memory"])
    offer_to_oom_killer(_BADNESS)
    gc.enable()
    Slot(Link.from_fd(link_fd), keeper, log, settings).serve()


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


class Slot:
    """The loop of a slot; what a job is, is the runner's business (see `batchml.execution.sandbox.job`)."""

    def __init__(self, link: Link, keeper: Link, log: Log, settings: Mapping[str, Any]) -> None:
        self._link = link
        self._log = log
        self._nonce = settings["nonce"]
        self._pid = os.getpid()
        self._attempt = 0
        self._known: set[str] = set()
        self._runner = _load(settings["runner"])(settings, keeper, self._announce)
        self._gauge: Gauge = settings["gauge"]
        self._meter = Meter(self._gauge)
        self._state = hygiene.State(own_fds={link.fileno(), keeper.fileno(), self._meter.fd, log.fd})

    def serve(self) -> None:
        """Run job after job."""
        self._send({"t": "up", "n": self._nonce}, [])
        while True:
            try:
                frame = self._link.receive()
            except EOFError:
                return
            if frame is not None:
                self._job(frame)

    def _job(self, frame: Frame) -> None:
        header = frame.header
        self._attempt = header["a"]
        if header.get("drop"):
            self._runner.forget(header["drop"])
            self._known.difference_update(header["drop"])
        if frame.blobs:
            self._runner.learn(header["e"], frame.blobs[0])
            self._known.add(header["e"])
        elif header["e"] not in self._known:  # it was to come with a job that was recalled meanwhile
            self._send({"t": "back", "a": self._attempt, "n": self._nonce}, [])
            return
        self._log.lead()
        self._state.prepare()
        self._meter.start()
        with observed(self._gauge.stage):
            report, blobs = self._runner.run(header["e"], header["i"], self._state.mark)
        if os.getpid() != self._pid:  # the learner forked, and this is the copy
            os._exit(0)
        report.update(self._meter.read())
        report["dirty"] = self._state.changes()
        report |= {"t": "done", "a": self._attempt, "n": self._nonce}
        hygiene.flush()
        # Whatever a process that leaves has printed belongs to its last job.
        if not report["dirty"] and not self._log.mark(mark(self._nonce, self._attempt)):
            report["dirty"].append("log")
        self._send(report, blobs)
        if report["dirty"]:
            os._exit(0)  # before another job begins

    def _announce(self, seconds: float | None) -> None:
        """Tell the supervisor that a stage with a limit begins (or, with None, that it is over)."""
        if os.getpid() != self._pid:
            os._exit(0)
        self._send({"t": "limit", "a": self._attempt, "n": self._nonce, "s": seconds}, [])

    def _send(self, header: Mapping[str, Any], blobs: Sequence[bytes | Pieces]) -> None:
        try:
            self._link.send(header, blobs)
        except OSError:  # user code has closed the descriptor; the supervisor learns of it by this death
            hygiene.flush()
            os._exit(hygiene.LINK_LOST)
