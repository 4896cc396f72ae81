"""SLURM's commands, run with patience: what fails for now is tried again, what is refused is said in SLURM's words."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchml.errors import ConfigError, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["TRIES_S", "Answer", "ask", "is_temporary", "order", "pause", "require"]

TRIES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Pauses between tries of what fails for now."""
_log = logging.getLogger("batchml.executors")

_OWN_NAME = re.compile(r"^\w+: (?:error: |fatal: )?")
_TIMEOUT_S = 60.0
_TEMPORARY = (
    "socket timed out",
    "unable to contact slurm controller",
    "connection refused",
    "connection timed out",
    "resource temporarily unavailable",
    "temporarily unable to accept job",
    "zero bytes were transmitted",
    "transport endpoint is not connected",
    "unexpected message received",
    "message connection failure",
    "slurm backup controller in standby mode",
    "can not be altered now",
    "did not answer",
)
# What nobody's job has any business with: SLURM keeps the environment that a job was submitted with.
_SECRETS = ("BATCHML_REGISTRY", "PGPASSWORD")
# What makes SLURM's commands leave out jobs, and what an allocation in which this session runs says of itself: a job
# that is submitted there would take it for its own.
_MISLEADING = ("SQUEUE_", "SACCT_", "SCANCEL_", "SLURM_JOB_", "SLURM_ARRAY_", "SLURM_RESTART_COUNT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said: its status, 0 for all well, and its two outputs."""

    status: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """What it complains of, without its own name."""
        lines = [_OWN_NAME.sub("", line.strip()) for line in self.err.splitlines()]
        return "; ".join(filter(None, lines)) or f"ended with status {self.status}"


def require(program: str) -> None:
    """Refuse to go on where a command of SLURM is not there.

    Raises
    ------
    ConfigError
        Naming it.
    """
    if shutil.which(program) is None:
        raise ConfigError(f"there is no {program} on the path: submit from a machine that belongs to a SLURM cluster")


def ask(*words: str, timeout_s: float = _TIMEOUT_S, without: Collection[str] = ()) -> Answer:
    """Run a command once; one that does not answer in time, or cannot be started, has failed.

    Parameters
    ----------
    without
        Variables of the environment that it must not see.
    """
    try:
        done = subprocess.run(  # noqa: S603 - no shell; words of our own, and of the submitting user
            words,
            env=_environment(without),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(status=-1, out="", err=f"{words[0]} did not answer for {timeout_s:g} s")
    except OSError as error:
        return Answer(status=-1, out="", err=f"{words[0]}: {error.strerror}")
    return Answer(status=done.returncode, out=done.stdout, err=done.stderr.strip())


def order(*words: str, patient: bool = True) -> str:
    """Run a command until SLURM has taken it, and return what it says.

    Parameters
    ----------
    patient
        Try for a minute what fails for now.

    Raises
    ------
    SchedulerError
        SLURM refuses, or has not answered after all tries.
    """
    for wait in (*(TRIES_S if patient else ()), None):
        answer = ask(*words)
        if answer.status == 0:
            return answer.out
        if not is_temporary(answer):
            break
        if wait is not None:
            pause(wait, answer)
    remedy = "; try again when `scontrol ping` finds the controller up" if is_temporary(answer) else ""
    raise SchedulerError(f"{words[0]}: {answer.words}{remedy}")


def pause(wait_s: float, answer: Answer) -> None:
    """Wait before another try, which takes a minute in all: say so."""
    if wait_s == TRIES_S[0]:
        _log.warning("SLURM does not take this now, trying on: %s", answer.words)
    time.sleep(wait_s)


def is_temporary(answer: Answer) -> bool:
    """Whether the same may go well later."""
    words = answer.err.lower()
    return any(sign in words for sign in _TEMPORARY)


def _environment(without: Collection[str]) -> dict[str, str]:
    hidden = {*_SECRETS, *without}
    return {k: v for k, v in os.environ.items() if k not in hidden and not k.startswith(_MISLEADING)}
