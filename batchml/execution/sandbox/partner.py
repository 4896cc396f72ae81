"""A partner: the child in which the stages of an ``encapsulate="process"`` learner run, kept warm between them."""

from __future__ import annotations

import gc
import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.core.text import safe_str
from batchml.execution.sandbox import hygiene, proc
from batchml.execution.sandbox.child import (
    Log,
    Meter,
    close_unknown_fds,
    ignore_stop_signals,
    limit_memory,
    offer_to_oom_killer,
)
from batchml.execution.sandbox.client import KEPT_TASKS
from batchml.execution.sandbox.pickles import dumps, loads
from batchml.execution.sandbox.protocol import Frame, Link

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.core.learner import Learner
    from batchml.core.task import Task
    from batchml.execution.call import StageReply

__all__ = ["run"]


_BADNESS = 600
"""More than a slot's: that survives its partner."""


def run(fd: int, pipe: int, settings: Mapping[str, Any]) -> None:
    """Be a partner: run stages until the client closes the link."""
    os.setsid()
    proc.name_process("batchml-partner")
    ignore_stop_signals()
    proc.die_with_parent(settings["parent"])
    log = Log(pipe)
    close_unknown_fds({fd, log.dump_fd, log.fd})
    limit_memory(settings["memory"])
    offer_to_oom_killer(_BADNESS)
    gc.enable()
    _Partner(Link.from_fd(fd), settings).serve()


class _Partner:
    def __init__(self, link: Link, settings: Mapping[str, Any]) -> None:
        self._link = link
        self._settings = settings
        self._pid = os.getpid()
        self._tasks: OrderedDict[int, Task] = OrderedDict()
        self._model: tuple[int, Any] = (0, None)
        self._last: tuple[bytes, Any] = (b"", None)
        self._loaded = False
        self._meter = Meter(settings["gauge"])
        self._state = hygiene.State(own_fds={link.fileno(), self._meter.fd})

    def serve(self) -> None:
        self._link.send({"t": "ready"})
        while True:
            try:
                frame = self._link.receive()
            except EOFError:
                return
            if frame is not None:
                header, blobs = self._stage(frame)
                try:
                    self._link.send(header, blobs)
                except OSError:
                    os._exit(hygiene.LINK_LOST)

    def _stage(self, frame: Frame) -> tuple[dict[str, Any], list[bytes]]:
        from batchml.execution.execute import execute

        self._state.prepare()
        self._meter.start()
        self._loaded = False
        call = self._call(frame)
        if self._loaded:
            self._state.mark()
        reply = execute(call, timeout=frame.header["timeout"])
        if os.getpid() != self._pid:  # the learner forked, and this is the copy
            os._exit(0)
        header, blobs = self._answer(reply, call.stage, frame.header["token"])
        header |= self._meter.read()
        header["dirty"] = self._state.changes()
        hygiene.flush()
        return header, blobs

    def _call(self, frame: Frame) -> Any:
        from batchml.execution.call import StageCall

        header = frame.header
        blobs = list(frame.blobs)
        learner = self._learner(blobs.pop(0))
        row_ids = np.frombuffer(blobs.pop(0), dtype=np.int64)
        task = self._task(header["task"], blobs.pop(0) if header["with_task"] else None, header.get("spec"))
        model = None
        if header["model"] == "bytes":
            model = loads(blobs.pop(0))
        elif header["model"] == "kept":
            model = self._model[1]
        stage, seed, threads = header["stage"], header["seed"], header["threads"]
        return StageCall(
            stage=stage, learner=learner, task=task, row_ids=row_ids, seed=seed, threads=threads, model=model
        )

    def _learner(self, data: bytes) -> Learner:
        """Return the untrained learner; the next stage mostly brings the same."""
        if data != self._last[0]:
            self._last = data, loads(data)
            self._loaded = True
        learner: Learner = self._last[1]
        return learner

    def _task(self, key: int, data: bytes | None, spec: Mapping[str, Any] | None) -> Task:
        self._loaded = self._loaded or key not in self._tasks
        if data is not None:
            self._tasks[key] = loads(data)
        elif spec is not None:
            from batchml.execution.sandbox.job import build_task

            self._tasks[key] = build_task(spec, self._settings["artifacts"])
        self._tasks.move_to_end(key)
        while len(self._tasks) > KEPT_TASKS:
            self._tasks.popitem(last=False)
        return self._tasks[key]

    def _answer(self, reply: StageReply, stage: str, token: int) -> tuple[dict[str, Any], list[bytes]]:
        from batchml.execution.capture import error_condition

        header: dict[str, Any] = {"t": "stage", "token": token, "elapsed": reply.elapsed, "failure": None}
        conditions = [condition.as_json() for condition in reply.conditions]
        blobs: list[bytes] = []
        if reply.failure is not None:
            header["failure"] = reply.failure.kind
        else:
            try:
                blobs.append(dumps(reply.value))
                self._model = (token, reply.value) if stage == "train" else self._model
            except BaseException as error:  # noqa: BLE001 - user objects may raise anything while they are pickled
                why = f"{type(error).__name__}: {safe_str(error, 500)}"
                cause = TypeError(f"the value of stage {stage} cannot leave its process: {why}")
                header["failure"] = "error"
                conditions.append(error_condition(stage, cause).as_json())  # type: ignore[arg-type]
        header["conditions"] = conditions
        return header, blobs
