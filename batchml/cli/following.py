"""Wait for jobs while showing progress; on Ctrl-C let the workers finish and say how to go on."""

from __future__ import annotations

import contextlib
import math
from time import monotonic, sleep
from typing import TYPE_CHECKING

import click

from batchml.cli.progress import Reporter, Tally, reporter
from batchml.cli.secrets import clean
from batchml.core.show import duration
from batchml.errors import BusyError, UnreachableError
from batchml.worker.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from batchml.cli.session import Session
    from batchml.errors import BatchmlError
    from batchml.study import Registry, Submission

__all__ = ["follow", "tally"]

_EVERY_S = 0.5
"""Seconds between two looks at the registry."""
_LONGEST_S = 10.0
"""Seconds between two looks at the most."""
_AGAIN_S = 60.0
"""Seconds after which a complaint that stands is said again."""
_PATIENT_S = 3.0
"""Seconds without a worker after which SLURM's reasons are asked for."""


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
        words = words or next(iter(registry.allocations()["reason"]), "")
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
            self._due = now + _pause(1.0, now - start)
            self._end = None if left is None else now + left
        return None if self._end is None else max(0.0, self._end - monotonic())


def _pause(least: float, took: float) -> float:
    """Return the seconds until the next look: looking costs more where there are many jobs, a tenth of the time.

    What takes longer is not looking, but waiting for a database that is away.
    """
    return max(least, min(10 * took, _LONGEST_S))


class Grumbler:
    """Says what workers complain about, and that the registry does not answer: each thing once in a while."""

    def __init__(self, shown: Reporter, *, patient_s: float = _PATIENT_S) -> None:
        self._shown = shown
        self._told: dict[str, float] = {}
        self._look_at = 0.0
        self._idle_at = monotonic() + patient_s
        self._reasons: set[tuple[int, str]] = set()
        self._away_since: float | None = None

    def look(self, registry: Registry) -> None:
        """Say what is new; the registry has just answered."""
        start = monotonic()
        if self._away_since is not None:
            self._shown.tell(f"batchml: the registry answers again, after {duration(start - self._away_since)}")
            self._away_since = None
            self._told.clear()
        if start >= self._look_at:
            for words in registry.complaints():
                self._tell(words)
            self._look_at = start + _pause(1.0, monotonic() - start)

    def idle(self, registry: Registry) -> None:
        """Say why elements wait in SLURM, each reason once; there is no worker."""
        start = monotonic()
        if start < self._idle_at:
            return
        found = registry.allocations()
        for submission, states, reason in zip(found["submission"], found["states"], found["reason"], strict=True):
            if "PENDING" in states and reason and (submission, reason) not in self._reasons:
                self._reasons.add((submission, reason))
                self._shown.tell(f"batchml: SLURM, submission {submission}: {states} ({clean(reason)})")
        self._idle_at = start + _pause(_PATIENT_S, monotonic() - start)

    def away(self, error: BatchmlError) -> None:
        """Say that the registry does not answer; workers wait for it as long as this does.

        Raises
        ------
        BatchmlError
            The error, if they have given up.
        """
        self._away_since = self._away_since or monotonic()
        if monotonic() - self._away_since > Settings().outage_s:
            raise error
        self._tell(f"the registry does not answer, trying on; what runs goes on: {error}", kind="away")

    def _tell(self, words: str, *, kind: str | None = None) -> None:
        # The same with other numbers is the same.
        kind = kind or "".join(mark for mark in words if not mark.isdecimal())
        now = monotonic()
        if now - self._told.get(kind, -math.inf) > _AGAIN_S:
            self._told[kind] = now
            self._shown.tell(f"batchml: {' '.join(clean(words).split())}")


def _look(registry: Registry, shown: Reporter, deadline: float) -> str | None:
    eta, grumbler = Eta(), Grumbler(shown)
    while True:
        start = monotonic()
        try:
            backlog = registry.backlog()
            shown.show(tally(registry, eta))
            grumbler.look(registry)
            if backlog.queued and not backlog.slots:
                grumbler.idle(registry)
        except (UnreachableError, BusyError) as error:
            grumbler.away(error)
            sleep(_EVERY_S)
            if monotonic() < deadline:
                continue
            return "time is up, and the registry does not answer"
        if backlog.stalled or not backlog.queued + backlog.running:
            return backlog.stalled
        if monotonic() >= deadline:
            return "time is up, jobs are still queued or running"
        sleep(_pause(_EVERY_S, monotonic() - start))


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
