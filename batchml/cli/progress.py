"""Progress of jobs: a bar on a terminal, a line now and then anywhere else; both on standard error."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Protocol, Self

import click

from batchml.core.show import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Reporter", "Tally", "reporter", "sentence"]

_EVERY_S = 10.0
"""Seconds between two lines where no bar can be drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Where a run stands.

    Attributes
    ----------
    total, done, failed, running
        Numbers of jobs; failed are those in state error or cancelled.
    eta_s
        Expected seconds until the end from measured runtimes, None before there are any.
    """

    total: int
    done: int
    failed: int
    running: int = 0
    eta_s: float | None = None

    @property
    def left(self) -> int:
        """Jobs that have not come to an end."""
        return self.total - self.done - self.failed


class Reporter(Protocol):
    """Where progress is shown."""

    def show(self, tally: Tally) -> None:
        """Show where the run stands."""
        ...

    def tell(self, words: str) -> None:
        """Say something else in a line."""
        ...


@contextmanager
def reporter(*, quiet: bool = False) -> Iterator[Reporter]:
    """Yield the reporter that suits standard error."""
    if quiet:
        yield _Silent()
    elif sys.stderr.isatty():
        with _Bar() as bar:
            yield bar
    else:
        lines = _Lines()
        yield lines
        lines.end()


def sentence(tally: Tally, rate: float | None = None) -> str:
    """Say where a run stands.

    Examples
    --------
    >>> sentence(Tally(total=150, done=90, failed=2, eta_s=61.0), rate=12.345)
    '92/150 jobs, 90 done, 2 failed, 12.3/s, 1 min 1 s left'
    """
    if not tally.total:
        return "no job has been submitted"
    words = [
        f"{tally.total - tally.left}/{tally.total} jobs",
        f"{tally.done} done",
        f"{tally.failed} failed",
    ]
    if rate:
        words.append(f"{rate:.1f}/s")
    if tally.left and tally.eta_s is not None:
        words.append(f"{duration(tally.eta_s)} left")
    return ", ".join(words)


class _Rate:
    """Jobs a second, over the jobs that ended while we watched."""

    def __init__(self) -> None:
        self._start: tuple[float, int] | None = None

    def update(self, tally: Tally) -> float | None:
        now, ended = monotonic(), tally.total - tally.left
        if self._start is None:
            self._start = (now, ended)
        since, before = self._start
        return (ended - before) / (now - since) if ended > before and now > since else None


class _Silent:
    def show(self, tally: Tally) -> None:
        pass

    def tell(self, words: str) -> None:
        click.echo(words, err=True)


class _Lines:
    """One line at the start, every ten seconds, and at the end; none where nothing is left to wait for."""

    def __init__(self) -> None:
        self._rate = _Rate()
        self._due = 0.0
        self._line = self._printed = ""

    def show(self, tally: Tally) -> None:
        if not self._line and not tally.left:
            return
        self._line = sentence(tally, self._rate.update(tally))
        if monotonic() >= self._due:
            self._print()
            self._due = monotonic() + _EVERY_S

    def tell(self, words: str) -> None:
        click.echo(words, err=True)

    def end(self) -> None:
        if self._line != self._printed:
            self._print()

    def _print(self) -> None:
        self._printed = self._line
        click.echo(self._line, err=True)


class _Bar:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._rate = _Rate()
        self._progress = Progress(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True))
        self._task = self._progress.add_task("starting", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, tally: Tally) -> None:
        self._progress.update(
            self._task,
            description=sentence(tally, self._rate.update(tally)),
            total=max(tally.total, 1),
            completed=tally.total - tally.left,
        )

    def tell(self, words: str) -> None:
        self._progress.console.print(words, markup=False, highlight=False, soft_wrap=True)
