"""From what is known about a finished attempt to its outcome."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Assignment, Ending, JobResult, Outcome
from batchml.core.conditions import Condition
from batchml.core.text import clean
from batchml.execution.sandbox.gauge import MEASURES
from batchml.execution.sandbox.hygiene import LINK_LOST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.execution.sandbox.protocol import Frame

__all__ = ["ended_outcome", "exit_outcome", "frame_outcome"]

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


def _result(header: Mapping[str, Any], blobs: tuple[Any, ...]) -> JobResult:
    names = header["predictions"]
    return JobResult(
        completeness=header["completeness"],
        predictions=dict(zip(names, blobs, strict=False)),
        scores=tuple((int(row), None if value is None else float(value)) for row, value in header["scores"]),
        n=header["n_rows"],
        n_missing=header["n_missing"],
        n_imputed=header["n_imputed"],
        model=bytes(blobs[len(names)]) if header["model"] else None,
    )


def ended_outcome(
    assignment: Assignment,
    ending: Ending,
    reason: str = "",
    log: str = "",
    wall_s: float = 0.0,
    spent: Mapping[str, float] | None = None,
) -> Outcome:
    """Return the outcome of an attempt that was ended on purpose; `spent` is what its keeper has measured."""
    error_type = "StageTimeoutError" if ending is Ending.TIMEOUT else None
    return Outcome(
        attempt_id=assignment.attempt_id,
        job_id=assignment.job_id,
        ending=ending,
        error_type=error_type,
        message=reason or None,
        log=log,
        wall_s=wall_s,
        threads=_threads(assignment),
        **_measured(spent),
    )


def exit_outcome(assignment: Assignment, log: str, wall_s: float, words: Mapping[str, Any] | None = None) -> Outcome:
    """Return the outcome of an attempt whose process has ended by itself.

    Parameters
    ----------
    words
        Of its keeper: `status` as `os.waitpid` gives it, `memory` (why, if it was for want of memory) and what it
        `spent`; None if the keeper is dead, too.
    """
    words = words or {}
    memory = words.get("memory")
    code = os.waitstatus_to_exitcode(words["status"]) if "status" in words else None
    ending = Ending.OUT_OF_MEMORY if memory else Ending.CRASHED
    if code == -signal.SIGBUS and (cut := _cut_short(assignment)) is not None:
        return replace(
            ended_outcome(assignment, Ending.CONFIG_ERROR, cut, clean(log), wall_s, words.get("spent")),
            error_type="DataError",
        )
    return Outcome(
        attempt_id=assignment.attempt_id,
        job_id=assignment.job_id,
        ending=ending,
        signal=-code if code is not None and code < 0 else None,
        error_type="MemoryError" if ending is Ending.OUT_OF_MEMORY else "ProcessDiedError",
        message=memory or _last_message(code),
        log=clean(log),
        wall_s=wall_s,
        threads=_threads(assignment),
        **_measured(words.get("spent")),
    )


def _threads(assignment: Assignment) -> int:
    return int(assignment.experiment.policy.get("threads", 1))


def _measured(spent: Mapping[str, float] | None) -> dict[str, Any]:
    return {name: float(spent[name]) for name in MEASURES if name in spent} if spent else {}


def _cut_short(assignment: Assignment) -> str | None:
    """Return which data file of a job, mapped into memory, was made shorter: reading what is gone is a SIGBUS."""
    from batchml.data.files import PinnedFile, cut_short

    files = assignment.experiment.task.get("data", {}).get("files", ())
    return cut_short(PinnedFile.from_json(file) for file in files)


def _last_message(code: int | None) -> str:
    if code is None:
        return "the process that ran the job, or its parent, was killed from within the job"
    if code == LINK_LOST:
        return "the process closed its link to the supervisor: the learner closes descriptors that it did not open"
    text = f"process exited with status {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            text += f" ({signal.Signals(-code).name})"
    if code == -signal.SIGBUS:
        text += ": a file that was mapped into memory has become shorter, or its disk fails"
    return text
