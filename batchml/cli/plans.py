"""Commands that take a design: plan, add, run."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchml.cli.boundary import OK, SOME_JOBS
from batchml.cli.following import follow
from batchml.cli.results import echo_aggregate
from batchml.cli.session import Session, command
from batchml.cli.tables import echo, say
from batchml.cli.work import local, slots_option, snapshot_option
from batchml.core.show import counted

if TYPE_CHECKING:
    from batchml.executors.local import Local
    from batchml.experiment.design import BenchmarkDesign
    from batchml.registry.plan import Plan
    from batchml.study import Registry, Submission

__all__ = ["COMMANDS"]

design_argument = click.argument("design", metavar="DESIGN", type=click.Path(path_type=Path))
name_option = click.option("--name", metavar="NAME", help="Name of the benchmark, instead of the design's own.")
pickle_option = click.option(
    "--allow-pickle", is_flag=True, help="Take what has no import path (lambdas, ...), as pickles that you sign."
)


@click.command("plan")
@design_argument
@name_option
@pickle_option
@command
def plan(session: Session, design: Path, *, name: str | None, allow_pickle: bool, as_json: bool) -> None:
    """Say what DESIGN (a TOML or Python file) would add, reuse and change, and why; change nothing."""
    loaded = read_design(design)
    planned = look_ahead(session, loaded, name, allow_pickle=allow_pickle)
    say(planned.as_json(), f"{loaded!r}\n{planned}", as_json=as_json)


@click.command("add")
@design_argument
@name_option
@pickle_option
@command
def add(session: Session, design: Path, *, name: str | None, allow_pickle: bool, as_json: bool) -> None:
    """Add the jobs of DESIGN (a TOML or Python file) that are not there yet."""
    loaded = read_design(design)
    planned = look_ahead(session, loaded, name, allow_pickle=allow_pickle)
    with session.open_or_create() as registry:
        ids = registry.add(loaded, name, allow_pickle=allow_pickle)
    words = f"\nadded {counted(len(ids), 'job')} to {session.shown_url}\nnext: {session.hint('submit')}" if ids else ""
    say({**planned.as_json(), "job_ids": list(ids)}, f"{loaded!r}\n{planned}{words}", as_json=as_json)


@click.command("run")
@design_argument
@name_option
@slots_option
@pickle_option
@snapshot_option
@command
def run(
    session: Session,
    design: Path,
    *,
    name: str | None,
    slots: int | None,
    allow_pickle: bool,
    snapshot: bool,
    as_json: bool,
) -> int:
    """Add DESIGN (a TOML or Python file), run here what is not done, and print the aggregated table."""
    from batchml.executors.warm import warm_worker

    # Reading a design imports what a worker imports, too: side by side that takes half the time.
    with warm_worker(), contextlib.ExitStack() as stack:
        loaded = read_design(design)
        planned = look_ahead(session, loaded, name, allow_pickle=allow_pickle)
        if not as_json:
            echo(f"{loaded!r}\n{planned}")
        registry = stack.enter_context(session.open_or_create())
        registry.add(loaded, name, allow_pickle=allow_pickle)
        started = _start(registry, planned.benchmark, local(session, slots=slots), snapshot=snapshot)
        if not follow(session, registry, started, quiet=as_json or not started):
            return SOME_JOBS
        complete = echo_aggregate(registry.reduce(benchmark=planned.benchmark), None, as_json=as_json)
        if not as_json:
            _echo_next(session, registry, complete=complete)
    return OK if complete else SOME_JOBS


def read_design(path: Path) -> BenchmarkDesign:
    """Read a design file."""
    from batchml.experiment.design_file import load_design

    return load_design(path)


def look_ahead(session: Session, design: BenchmarkDesign, name: str | None, *, allow_pickle: bool) -> Plan:
    """Plan a design, which refuses one that could not run, before a registry is made for it."""
    with session.peek() as registry:
        return registry.plan(design, name, allow_pickle=allow_pickle)


def _start(registry: Registry, benchmark: str, executor: Local, *, snapshot: bool) -> tuple[Submission, ...]:
    """Start workers for what is not done: they also take what an earlier run left in the queue."""
    jobs = registry.jobs(benchmark=benchmark, state="defined")
    if len(jobs):
        return (registry.submit(jobs, executor=executor, snapshot=snapshot),)
    return registry.resume(executor=executor).submissions


def _echo_next(session: Session, registry: Registry, *, complete: bool) -> None:
    words = ["status", 'sql "SELECT task, learner, measure, mean, sd FROM aggregates"', "export results"]
    if not complete:
        words = ["errors", "retry --state error", "resume"]
    file = registry.info()["file"]
    echo(f"\nregistry: {session.shown_url}" + (f" ({file})" if file else ""))
    echo("next:")
    for word in words:
        echo(f"  {session.hint(word)}")


COMMANDS = (plan, add, run)
