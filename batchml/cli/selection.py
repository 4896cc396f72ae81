"""Which jobs a command means: ids, or the filters of `jobs`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    import pandas as pd

    from batchml.study import Registry

__all__ = ["Filters", "chosen", "job_filters", "job_selection"]

Command = TypeVar("Command", bound=Callable[..., Any])
Filters = dict[str, Any]

STATES = ("defined", "queued", "running", "done", "error", "cancelled", "expired")
_NAMES = ("state", "outcome", "task", "learner", "resampling", "iteration", "tag", "benchmark", "params")


def job_filters(function: Command) -> Command:
    """Give a command the filters of `jobs`, as one dict `filters` of those that were used."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        found = {name: kwargs.pop(name) for name in _NAMES}
        filters = {name: list(values) for name, values in found.items() if values}
        return function(*args, filters=filters, **kwargs)

    command: Callable[..., Any] = wrapped
    for option in (
        _option("--benchmark", metavar="NAME", help="Jobs of this benchmark."),
        _option("--tag", metavar="TAG", help="Jobs with this tag."),
        _option(
            "--param",
            "params",
            metavar="CONDITION",
            help="Jobs of learners with e.g. max_depth=3 or 'C<0.1'; of several all hold.",
        ),
        _option("--iteration", type=click.IntRange(min=0), help="Jobs of this iteration, from 0."),
        _option("--resampling", metavar="ID", help="Jobs of this resampling."),
        _option("--learner", metavar="ID", help="Jobs of this learner; patterns such as 'classif.*' will do."),
        _option("--task", metavar="ID", help="Jobs of this task."),
        _option("--outcome", metavar="OUTCOME", help="Jobs whose last attempt ended so, e.g. timeout."),
        _option("--state", type=click.Choice(STATES), help="Jobs in this state; expired: running, with a dead worker."),
    ):
        command = option(command)
    return command  # type: ignore[return-value]


def _option(*names: str, **about: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return an option that may be given several times: any of its values will do."""
    return click.option(*names, multiple=True, **about)


def job_selection(function: Command) -> Command:
    """Give a command job ids (`ids`) and the filters of `jobs` (`filters`)."""
    return job_filters(click.argument("ids", metavar="[JOB]...", nargs=-1, type=int)(function))


def chosen(registry: Registry, ids: tuple[int, ...], filters: Filters) -> list[int] | pd.DataFrame:
    """Return the jobs that were asked for.

    Raises
    ------
    click.UsageError
        Neither ids nor filters, or both: a command that changes jobs never guesses which.
    """
    if ids and filters:
        raise click.UsageError("name jobs by ids or by filters, not both", click.get_current_context())
    if ids:
        return list(ids)
    if not filters:
        raise click.UsageError("which jobs? Name ids, or filters such as --state error", click.get_current_context())
    return registry.jobs(**filters)
