"""Wait for jobs while showing progress; on Ctrl-C let the workers finish and say how to go on."""

from __future__ import annotations

import contextlib
import math
from time import monotonic, sleep
from typing import TYPE_CHECKING

import click

from batchml.cli.progress import Reporter, Tally, reporter
from batchml.cli.secrets import clean

if TYPE_CHECKING:
    from pathlib import Path

    from batchml.cli.session import Session
    from batchml.study import Registry, Submission

__all__ = ["follow", "tally"]

_EVERY_S = 0.5
"""Seconds between two looks at the registry."""


def tally(registry: Registry, eta: Eta | None = None) -> Tally:
    """Return where the jobs of current benchmarks that were ever submitted stand."""
    states = registry.tally()
    return Tally(
        total=sum(states.values()) - states["defined"],
        done=states["done"],
        failed=states["error"] + states["cancelled"],
        running=states["running"],
        eta_s=None if eta is None else eta.seconds(registry),
    )


def follow(
    session: Session, registry: Registry, submissions: tuple[Submission, ...], *, quiet: bool, timeout: float = math.inf
) -> bool:
    """Show progress until every queued job has ended.

    Parameters
    ----------
    submissions
        Whose workers this command has started: they are drained on Ctrl-C.
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
        _drain(session, submissions)
        return False
    if reason:
        words = " ".join(each.last_words() for each in submissions if not each.alive)
        said = f"; its worker said: {words}" if words else f"; what workers of this machine said is in {_logs()}"
        click.echo(clean(f"batchml: {reason}{said}; to go on: {session.hint('resume')}"), err=True)
    return not reason


def _logs() -> Path:
    from batchml.worker.home import state_folder

    return state_folder() / "workers"


class Eta:
    """Expected seconds until the end: measured as often as costs a tenth of the time, counted down meanwhile."""

    def __init__(self) -> None:
        self._due = 0.0
        self._end: float | None = None

    def seconds(self, registry: Registry) -> float | None:
        """Return the seconds left from now, None while nothing has been measured."""
        start = monotonic()
        if start >= self._due:
            left = registry.estimate(submitted=True).remaining_s
            now = monotonic()
            self._due = now + max(1.0, 10 * (now - start))
            self._end = None if left is None else now + left
        return None if self._end is None else max(0.0, self._end - monotonic())


def _look(registry: Registry, shown: Reporter, deadline: float) -> str | None:
    eta = Eta()
    while True:
        start = monotonic()
        backlog = registry.backlog()
        shown.show(tally(registry, eta))
        if backlog.stalled or not backlog.queued + backlog.running:
            return backlog.stalled
        if monotonic() >= deadline:
            return "time is up, jobs are still queued or running"
        # Looking costs more where there are many jobs: at most a tenth of the time.
        sleep(max(_EVERY_S, 10 * (monotonic() - start)))


def _drain(session: Session, submissions: tuple[Submission, ...]) -> None:
    """Let the workers of this command finish what runs; at another Ctrl-C end that, at a third leave them alone."""
    with contextlib.suppress(KeyboardInterrupt):
        try:
            own = [each for each in submissions if not each.outlives]
            if own:
                click.echo("\nfinishing what runs (Ctrl-C again: end it) ...", err=True)
            for each in own:
                each.stop()
        except KeyboardInterrupt:
            for each in own:
                each.stop(now=True, timeout=5.0)
    if len(own) < len(submissions):
        click.echo(f"\nits workers go on; to end them: {session.hint('stop')}", err=True)
    click.echo(f"interrupted; to go on: {session.hint('resume')}", err=True)
