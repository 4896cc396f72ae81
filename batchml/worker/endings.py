"""From what is known about a finished attempt to its outcome."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Assignment, Ending, JobResult, Outcome
from batchml.core.conditions import Condition
from batchml.core.text import clean
from batchml.execution.sandbox.hygiene import LINK_LOST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.execution.sandbox.protocol import Frame

__all__ = ["ended_outcome", "exit_outcome", "frame_outcome", "oom_kills"]

_MEASURED = ("fit_s", "predict_s", "wall_s", "cpu_s", "peak_mb", "threads", "error_type", "message", "traceback")


def frame_outcome(assignment: Assignment, frame: Frame, log: str) -> Outcome:
    """Return the outcome of an attempt whose slot has reported it.

    Raises
    ------
    KeyError, TypeError, ValueError
        The frame does not say what it should.
    """
    header = frame.header
    given = {name: value for name in _MEASURED if (value := header.get(name)) is not None}
    partner = header.get("partner")
    if partner:
        given["cpu_s"] = given["cpu_s"] + partner["cpu_s"]
        given["peak_mb"] = max(given["peak_mb"], partner["peak_mb"])
    ending = Ending(header["ending"])
    return Outcome(
        attempt_id=assignment.attempt_id,
        job_id=assignment.job_id,
        ending=ending,
        conditions=tuple(Condition(**fields) for fields in header["conditions"]),
        log=log,
        dirty=tuple(header["dirty"]),
        result=_result(header, frame.blobs) if ending is Ending.DONE else None,
        **given,
    )


def _result(header: Mapping[str, Any], blobs: tuple[bytes, ...]) -> JobResult:
    names = header["predictions"]
    return JobResult(
        completeness=header["completeness"],
        predictions=dict(zip(names, blobs, strict=False)),
        scores=tuple((int(row), None if value is None else float(value)) for row, value in header["scores"]),
        n=header["n_rows"],
        n_missing=header["n_missing"],
        n_imputed=header["n_imputed"],
        model=blobs[len(names)] if header["model"] else None,
    )


def ended_outcome(assignment: Assignment, ending: Ending, reason: str, log: str, wall_s: float) -> Outcome:
    """Return the outcome of an attempt that was ended on purpose."""
    error_type = "StageTimeoutError" if ending is Ending.TIMEOUT else None
    return Outcome(
        attempt_id=assignment.attempt_id,
        job_id=assignment.job_id,
        ending=ending,
        error_type=error_type,
        message=reason or None,
        log=log,
        wall_s=wall_s,
    )


def exit_outcome(assignment: Assignment, status: int | None, log: str, wall_s: float, *, oom: bool) -> Outcome:
    """Return the outcome of an attempt whose process has ended by itself; `status` as `os.waitpid` gives it.

    `oom` says that the kernel has killed for want of memory meanwhile.
    """
    code = None if status is None else os.waitstatus_to_exitcode(status)
    killed = code == -signal.SIGKILL
    ending = Ending.OUT_OF_MEMORY if oom and killed else Ending.CRASHED
    return Outcome(
        attempt_id=assignment.attempt_id,
        job_id=assignment.job_id,
        ending=ending,
        signal=-code if code is not None and code < 0 else None,
        error_type="MemoryError" if ending is Ending.OUT_OF_MEMORY else "ProcessDiedError",
        message=_last_message(code, oom=oom and killed),
        log=clean(log),
        wall_s=wall_s,
    )


def _last_message(code: int | None, *, oom: bool) -> str:
    if code is None:
        return "the process that ran the job, or its parent, was killed from within the job"
    if oom:
        return "the kernel killed the process for want of memory"
    if code == LINK_LOST:
        return "the process closed its link to the supervisor: the learner closes descriptors that it did not open"
    text = f"process exited with status {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            text += f" ({signal.Signals(-code).name})"
    return text


def oom_kills() -> int:
    """Return how often the kernel of this machine has killed for want of memory, as far as it says."""
    try:
        for line in Path("/proc/vmstat").read_text("ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0
