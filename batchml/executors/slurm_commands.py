"""SLURM's commands, run with patience: what fails for now is tried again, what is refused is said in SLURM's words."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass

from batchml.errors import ConfigError, SchedulerError

__all__ = ["Answer", "ask", "is_temporary", "order", "require"]

_TIMEOUT_S = 60.0
_TRIES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said: its status, 0 for all well, and its two outputs."""

    status: int
    out: str
    err: str


def require(program: str) -> None:
    """Refuse to go on where a command of SLURM is not there.

    Raises
    ------
    ConfigError
        Naming it.
    """
    if shutil.which(program) is None:
        raise ConfigError(f"there is no {program} on the path: submit from a machine that belongs to a SLURM cluster")


def ask(*words: str, timeout_s: float = _TIMEOUT_S) -> Answer:
    """Run a command once; one that does not answer in time, or cannot be started, has failed."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell; words of our own, and of the submitting user
            words,
            env=_environment(),
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
    for wait in (*(_TRIES_S if patient else ()), None):
        answer = ask(*words)
        if answer.status == 0:
            return answer.out
        if wait is None or not is_temporary(answer):
            break
        time.sleep(wait)
    raise SchedulerError(f"{words[0]}: {' '.join(answer.err.split()) or f'ended with status {answer.status}'}")


def is_temporary(answer: Answer) -> bool:
    """Whether the same may go well later."""
    words = answer.err.lower()
    return any(sign in words for sign in _TEMPORARY)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _SECRETS}
