"""The allocation that a worker runs in: what its scheduler calls it, and how long it lasts."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ELEMENT", "KILL_WAIT", "Allocation", "own_allocation"]

ELEMENT = "BATCHML_ELEMENT"
"""Set by executors: the worker is an element of a job array of that scheduler."""
KILL_WAIT = "BATCHML_KILL_WAIT"
"""Set by executors: seconds between the scheduler's SIGTERM and SIGKILL."""

_RESERVE_S = 10.0
"""Kept of what is left, to report and leave."""
_LEAST_GRACE_S = 1.0
_ENDING = frozenset({"RUNNING", "SUSPENDED", "COMPLETING", "PREEMPTED"})
_PAIR = re.compile(r"(\w+)=(\S*)")
_log = logging.getLogger(__name__)
_LEFT = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Where a worker runs.

    Attributes
    ----------
    element
        The scheduler's name for it, ``"12_0@cluster"``; None for a worker that merely runs inside an allocation.
    restarts
        How often the scheduler has requeued it.
    ends_at
        When its walltime is over, by `clock`; None for never, or unknown.
    kill_wait_s
        Seconds between SIGTERM and SIGKILL.
    """

    element: str | None = None
    restarts: int = 0
    ends_at: float | None = None
    kill_wait_s: float = 30.0
    clock: Callable[[], float] = time.monotonic

    @property
    def left_s(self) -> float | None:
        """Seconds in which work can still be done, None for no end."""
        return None if self.ends_at is None else self.ends_at - self.clock() - _RESERVE_S

    def grace_s(self, *, killed_soon: bool) -> float | None:
        """Return how long what runs may go on when the worker is asked to leave; None for its own rule.

        Parameters
        ----------
        killed_soon
            It was asked by SIGTERM, after which SIGKILL comes; otherwise it has all of its walltime.
        """
        if killed_soon and self.element is not None:
            # Of a short wait a third goes to leaving.
            wait = max(self.kill_wait_s - _RESERVE_S, self.kill_wait_s / 3, _LEAST_GRACE_S)
            return wait if self.left_s is None else min(wait, max(self.left_s, _LEAST_GRACE_S))
        return None if self.left_s is None else max(0.0, self.left_s)

    def requeue_if_preempted(self) -> None:
        """Ask the scheduler to start this element again if the site is about to cancel it by preemption.

        Between SIGTERM and SIGKILL it still runs or already completes, with a time of preemption. Where the site
        requeues, or a user has cancelled it, nothing is done.
        """
        number = os.environ.get("SLURM_JOB_ID", "")
        if self.element is None or not number:
            return
        found = dict(_PAIR.findall(_ask("scontrol", "--oneliner", "show", "job", number)))
        preempted = found.get("PreemptTime", "None") not in {"None", "Unknown", ""}
        if preempted and found.get("Requeue") == "1" and found.get("JobState") in _ENDING:
            _log.info("preempted: asking SLURM to start %s again", self.element)
            _ask("scontrol", "requeue", number)


def own_allocation(environment: Mapping[str, str] | None = None) -> Allocation:
    """Return the allocation of this process; one without an end where there is no scheduler."""
    given = os.environ if environment is None else environment
    job = given.get("SLURM_JOB_ID", "")
    if not job:
        return Allocation()
    element = None
    if given.get(ELEMENT) == "slurm":
        array, index = given.get("SLURM_ARRAY_JOB_ID"), given.get("SLURM_ARRAY_TASK_ID")
        name = f"{array}_{index}" if array and index else job
        element = f"{name}@{given.get('SLURM_CLUSTER_NAME', '')}"
    left = _left_by_clock(given) if given.get("SLURM_JOB_END_TIME") else _left_by_asking(job)
    return Allocation(
        element=element,
        restarts=int(given.get("SLURM_RESTART_COUNT") or 0),
        ends_at=None if left is None else time.monotonic() + left,
        kill_wait_s=float(given.get(KILL_WAIT) or 30),
    )


def _left_by_clock(given: Mapping[str, str]) -> float | None:
    word = given["SLURM_JOB_END_TIME"]
    return float(word) - time.time() if word.isdecimal() else None


def _left_by_asking(job: str) -> float | None:
    """SLURM before 23.02 does not tell a job when it ends."""
    found = _LEFT.fullmatch(_ask("squeue", "--noheader", f"--jobs={job}", "--format=%L").strip())
    if found is None:
        return None
    days, hours, minutes, seconds = (int(word or 0) for word in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _ask(*words: str) -> str:
    """Return what a command of SLURM prints; nothing if it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            words, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("%s: %s", words[0], error)
        return ""
    return done.stdout
