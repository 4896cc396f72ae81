"""Wait for jobs while showing progress; on Ctrl-C let the workers finish and say how to go on."""

from __future__ import annotations

import math
from time import monotonic
from typing import TYPE_CHECKING

import click

from batchml.cli.progress import Reporter, Tally, reporter

if TYPE_CHECKING:
    from batchml.cli.session import Session
    from batchml.study import Registry, Submission

__all__ = ["follow", "tally"]

_EVERY_S = 0.5
"""Seconds between two looks at the registry."""


def tally(registry: Registry) -> Tally:
    """Return where the jobs of current benchmarks stand."""
    status = registry.status()
    return Tally(
        total=status.total - status.defined,
        done=status.done,
        failed=status.error + status.cancelled,
        running=status.running,
        eta_s=registry.estimate().remaining_s,
    )


def follow(
    session: Session, registry: Registry, submission: Submission | None, *, quiet: bool, timeout: float = math.inf
) -> bool:
    """Show progress until every queued job has ended.

    Parameters
    ----------
    submission
        The workers that this command has started, to be drained on Ctrl-C; None if it has started none.
    timeout
        Seconds after which to give up.

    Returns
    -------
    bool
        False if it was interrupted, or if nobody is there to run what is queued; the reason has been said.
    """
    try:
        with reporter(quiet=quiet) as shown:
            reason = _look(registry, shown, monotonic() + timeout)
    except KeyboardInterrupt:
        _drain(session, submission)
        return False
    if reason:
        click.echo(f"batchml: {reason}", err=True)
    return not reason


def _look(registry: Registry, shown: Reporter, deadline: float) -> str | None:
    while True:
        ended, reason = registry.await_end(_EVERY_S)
        shown.show(tally(registry))
        if ended or reason:
            return reason
        if monotonic() >= deadline:
            return "time is up, jobs are still queued or running"


def _drain(session: Session, submission: Submission | None) -> None:
    if submission is not None:
        click.echo("\nfinishing what runs (Ctrl-C again: leave at once) ...", err=True)
        try:
            submission.drain()
        except KeyboardInterrupt:
            submission.kill()
    click.echo(f"interrupted; to go on: {session.hint('resume')}", err=True)
