"""The other end of a partner: how a slot or a session has stages run there and survives whatever happens."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from batchml.execution.sandbox import proc
from batchml.execution.sandbox.pickles import dumps, loads
from batchml.execution.sandbox.protocol import Frame, Link, ProtocolError, pair
from batchml.execution.sandbox.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchml.core.task import Task
    from batchml.execution.call import StageCall, StageReply

__all__ = ["KEPT_TASKS", "KeptModel", "PartnerClient"]

KEPT_TASKS = 4
"""Tasks that a partner remembers; both sides count in the same way."""

_HARD = 0.3
"""Seconds that a stage has after its limit to stop by itself (Python code does) before its process is killed."""

_HIGH = 200

_START = 120.0
"""Seconds that a partner may take to be there: the template may still be importing on a busy machine."""


def _raised(fd: int) -> int:
    """Move a descriptor out of the range in which user code's own appear, so that what it leaks shows."""
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:  # few descriptors are allowed here
        return fd
    os.close(fd)
    return high


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A model that stays with the partner that trained it; its pickle is for a successor, and to be stored."""

    token: int
    data: bytes


class _Death(NamedTuple):
    """How a partner ended: its exit status (negative: by that signal), and if it was for want of memory, why."""

    status: int
    memory: str | None


class PartnerClient:
    """Runs stages in a partner process, started when first needed and kept (see `batchml.execution.call.Partner`).

    Parameters
    ----------
    keeper
        The process that forks partners and waits for them.
    describe
        Returns a spec by which the partner can build the task by itself; None, or without it, the task is pickled.
    keep_models
        Return `KeptModel` in place of models: for slots, which never look into them.
    """

    def __init__(
        self,
        keeper: Link,
        describe: Callable[[Task], Mapping[str, Any] | None] | None = None,
        *,
        keep_models: bool = False,
    ) -> None:
        self._keeper = keeper
        self._describe = describe
        self._keep_models = keep_models
        self._link: Link | None = None
        self._sink: Sink | None = None
        self._tasks: OrderedDict[int, tuple[int, Task]] = OrderedDict()  # id -> key, and the task, to keep its id taken
        self._count = 0
        self._token = 0  # of the model that the partner holds
        self._lock = threading.Lock()
        self.cpu_s = 0.0
        self.peak_mb = 0.0

    def run(self, call: StageCall, timeout: float | None) -> StageReply:
        """Run one stage in the partner; its death and its time limit are replies, too."""
        from batchml.execution.call import died_reply, timeout_reply

        with self._lock:
            if self._link is not None:
                self._await_news(0.0)  # it may have died after its last reply
            link = self._link or self._start()
            header, blobs = self._request(call, timeout)
            start = time.perf_counter()
            with contextlib.suppress(OSError):  # it died in between: the keeper says how
                link.send(header, blobs)
            answer = self._await(None if timeout is None else timeout + _HARD)
            elapsed = time.perf_counter() - start
            output = self._printed()
            if isinstance(answer, Frame):
                reply = self._reply(call, answer)
            elif answer is None:
                reply = timeout_reply(call.stage, elapsed, dump=self._end(dump=True) or None)
            else:
                reply = died_reply(call.stage, answer.status, elapsed=elapsed, memory=answer.memory)
            return replace(reply, output=output) if output else reply

    def close(self) -> None:
        """End the partner."""
        with self._lock:
            self._end(dump=False)

    def abandon(self) -> None:
        """Close what leads to a partner whose whole family has ended."""
        self._drop()
        if self._sink is not None:
            self._sink.close()
        self._sink = None

    # -- life of the process -------------------------------------------------------------------------------------

    def _start(self) -> Link:
        mine, its = pair()
        self._link = Link.from_fd(_raised(mine.detach()))
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            self._keeper.send({"t": "partner"}, fds=[its.fileno(), writer])
        except OSError as error:
            self._drop()
            raise ConnectionError("the process that starts encapsulated stages is gone") from error
        finally:
            its.close()
            os.close(writer)
        if self._sink is not None:
            self._sink.close()
        self._sink = Sink(_raised(reader))
        link, answer = self._link, self._await(_START)
        if not (isinstance(answer, Frame) and answer.header.get("t") == "ready"):
            self._drop()
            raise ConnectionError(f"no process for encapsulated stages could be started ({answer})")
        return link

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = None
        self._tasks.clear()
        self._token = 0

    def _end(self, *, dump: bool) -> str:
        """End the partner; return what it wrote meanwhile (its stacks, if `dump`)."""
        if self._link is not None:
            self._keeper.send({"t": "end_partner", "dump": dump})
            deadline = time.monotonic() + 10.0
            while self._await_news(0.05) is None and time.monotonic() < deadline:
                pass
            self._drop()
        return self._printed()

    def _printed(self) -> str:
        if self._sink is None:
            return ""
        self._sink.drain()
        return self._sink.take()

    # -- waiting -------------------------------------------------------------------------------------------------

    def _await(self, seconds: float | None) -> Frame | _Death | None:
        """Return what the partner sends, or how it died, or None after `seconds`."""
        assert self._link is not None
        link, end = self._link, math.inf if seconds is None else time.monotonic() + seconds
        talking = True
        while (left := end - time.monotonic()) > 0:
            death = self._await_news(left, link if talking else None)
            if death is not None:
                return death
            if not talking:
                continue
            try:
                frame = link.receive(block=False)
            except (EOFError, ProtocolError):  # it is dying, or it cannot talk any more: the keeper will know
                talking = False
                end = min(end, time.monotonic() + _HARD)
                continue
            if frame is not None:
                return frame
        return None

    def _await_news(self, seconds: float, link: Link | None = None) -> _Death | None:
        """Wait for the keeper, the log or `link`; return how the partner died if the keeper says so."""
        assert self._sink is not None
        spoken = -1 if link is None else link.fileno()
        sources = [self._keeper.fileno(), *([] if link is None else [spoken])]
        sources += [] if self._sink.ended else [self._sink.fd]
        ready = proc.readable(sources, seconds)
        if self._sink.fd in ready:
            self._sink.drain()
        if spoken in ready or self._keeper.fileno() not in ready:
            return None  # what the partner still said comes before the news of its death
        try:
            frame = self._keeper.receive(block=False)
        except EOFError as error:
            self._drop()
            if self._keep_models:  # a slot dies with its keeper, any moment now
                time.sleep(1.0)
            raise ConnectionError("the process that starts encapsulated stages is gone") from error
        if frame is None or frame.header.get("t") != "gone":
            return None
        self._drop()
        spent = frame.header.get("spent", {})
        self.cpu_s += spent.get("cpu_s", 0.0)
        self.peak_mb = max(self.peak_mb, spent.get("peak_mb", 0.0))
        return _Death(os.waitstatus_to_exitcode(frame.header["status"]), frame.header.get("memory"))

    # -- what is sent and what comes back ------------------------------------------------------------------------

    def _request(self, call: StageCall, timeout: float | None) -> tuple[dict[str, Any], list[bytes]]:
        self._count += 1
        header: dict[str, Any] = {"t": "stage", "stage": call.stage, "seed": call.seed, "threads": call.threads}
        header |= {"timeout": timeout, "token": self._count, "model": "none", "with_task": False}
        blobs = [dumps(call.learner), call.row_ids.tobytes()]
        self._add_task(call.task, header, blobs)
        if isinstance(call.model, KeptModel) and call.model.token == self._token:
            header["model"] = "kept"
        elif call.model is not None:
            header["model"] = "bytes"
            blobs.append(call.model.data if isinstance(call.model, KeptModel) else dumps(call.model))
        return header, blobs

    def _add_task(self, task: Task, header: dict[str, Any], blobs: list[bytes]) -> None:
        known = self._tasks.get(id(task))
        if known is None:
            known = self._tasks[id(task)] = (self._count, task)
            spec = None if self._describe is None else self._describe(task)
            if spec is not None:
                header["spec"] = spec
            else:
                header["with_task"] = True
                blobs.append(dumps(task))
        header["task"] = known[0]
        self._tasks.move_to_end(id(task))
        while len(self._tasks) > KEPT_TASKS:
            self._tasks.popitem(last=False)

    def _reply(self, call: StageCall, frame: Frame) -> StageReply:
        from batchml.core.conditions import Condition
        from batchml.execution.call import Failure, StageReply

        header = frame.header
        self.cpu_s += header["cpu_s"]
        self.peak_mb = max(self.peak_mb, header["peak_mb"])
        conditions = tuple(Condition(**fields) for fields in header["conditions"])
        failure = None
        value: Any = None
        if header["failure"] is not None:
            failure = Failure(kind=header["failure"], condition=conditions[-1])
        elif call.stage == "train" and self._keep_models:
            value = KeptModel(header["token"], frame.blobs[0])
            self._token = header["token"]
        else:
            value = loads(frame.blobs[0])
        if header["dirty"]:
            self._end(dump=False)
        return StageReply(value=value, conditions=conditions, elapsed=header["elapsed"], failure=failure)
