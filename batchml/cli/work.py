"""Commands that get jobs run: submit, worker, wait, resume, stop, sync."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from batchml.cli.boundary import OK, SOME_JOBS, WRONG_USE
from batchml.cli.following import follow, tally
from batchml.cli.progress import sentence
from batchml.cli.selection import Filters, chosen, job_selection
from batchml.cli.session import Session, command
from batchml.cli.tables import echo, say
from batchml.core.resources import parse_duration
from batchml.core.show import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchml.executors.base import Executor
    from batchml.executors.local import Local
    from batchml.study import Registry, Submission

__all__ = ["COMMANDS", "local", "slots_option", "snapshot_option", "verdict", "watch"]

_EXECUTORS = click.Choice(["local", "slurm", "dask"])

slots_option = click.option(
    "--slots", type=click.IntRange(min=1), help="Iterations at once in each worker; default: CPUs."
)
snapshot_option = click.option(
    "--snapshot", is_flag=True, help="Run a copy of your own modules as they are now, whatever you edit."
)
detach_option = click.option("--detach", is_flag=True, help="Return at once; workers outlive this command.")


def _resource_option(words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("-r", "--resource", "resources", multiple=True, metavar="NAME=VALUE", help=words)


@click.command("submit")
@click.option("--executor", type=_EXECUTORS, help="Where workers run; default: local.")
@click.option("--workers", type=click.IntRange(min=1), help="Supervising processes to start; default 1.")
@slots_option
@_resource_option("What each iteration and allocation needs: cpus, memory, walltime, partition, ...")
@click.option("--priority", type=click.IntRange(-500, 500), default=0, help="Claimed before lower ones; default 0.")
@snapshot_option
@click.option("--spool", is_flag=True, help="Workers open no database; they are served by files on a shared disk.")
@click.option(
    "--spool-folder", type=click.Path(file_okay=False), metavar="DIR", help="The same, by files in this folder."
)
@detach_option
@click.option("--dry-run", is_flag=True, help="Say what would be queued and started; change nothing.")
@click.option("--check", is_flag=True, help="Have one element of the cluster see whether a worker could work there.")
@job_selection
@command
def submit(  # noqa: PLR0913 - one for each option
    session: Session,
    ids: tuple[int, ...],
    filters: Filters,
    *,
    executor: str | None,
    workers: int | None,
    slots: int | None,
    resources: tuple[str, ...],
    priority: int,
    snapshot: bool,
    spool: bool,
    spool_folder: str | None,
    detach: bool,
    dry_run: bool,
    check: bool,
    as_json: bool,
) -> int:
    """Queue jobs (default: all that are defined) and start workers; wait for them unless --detach."""
    needs = dict(_pair(word) for word in resources)
    served = spool_folder or spool or None
    where = _executor(executor, workers=workers, slots=slots, detach=detach or None, spool=served)
    with session.open() as registry:
        asked = registry.preview(where, needs)
        if check:
            return _check(registry, where, needs, as_json=as_json)
        jobs = registry.submittable(chosen(registry, ids, filters) if ids or filters else None)
        if dry_run:
            words = [f"would queue {counted(len(jobs), 'job')}; nothing was changed", *asked.values()]
            say({"would_queue": len(jobs), **asked}, "\n".join(words), as_json=as_json)
            return OK
        if not jobs:
            which = "none of these jobs is defined; retry takes failed ones, reset finished ones"
            if not (ids or filters):
                queued = registry.tally().get("queued", 0)
                more = f"; {counted(queued, 'job')} queued already: {session.hint('resume')}" if queued else ""
                which = f"no job is defined{more}"
            say({"queued": 0}, f"nothing to submit: {which}", as_json=as_json)
            return OK
        if "sum" in asked and not as_json:
            echo(asked["sum"])
        submission = registry.submit(jobs, executor=where, resources=needs, priority=priority, snapshot=snapshot)
        return watch(session, registry, (submission,), detach=detach, as_json=as_json)


@click.command("worker")
@click.option("--submission", type=int, help="The submission whose jobs it may claim.")
@click.option("--spool", metavar="DIR", help="Folder with the work, where no registry can be reached.")
@slots_option
@click.option(
    "--path",
    "paths",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Folder of the user's own modules.",
)
@click.option("--trust", multiple=True, metavar="NAME", help="Module prefix that specs may name.")
@click.option("--need", "needs", multiple=True, metavar="NAME=NUMBER", help="Of each iteration: cpus, memory_mb, gpus.")
@click.option("--check", is_flag=True, help="Only see whether a worker could work here; claim nothing.")
@click.option("--dask", metavar="ADDRESS", help="Run iterations on the workers of this Dask scheduler.")
@click.option("--registry", "url", hidden=True, metavar="URL")
@command
def worker(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    submission: int | None,
    spool: str | None,
    slots: int | None,
    paths: tuple[str, ...],
    trust: tuple[str, ...],
    needs: tuple[str, ...],
    check: bool,
    dask: str | None,
    url: str | None,
    as_json: bool,
) -> int:
    """Claim and run jobs until none is left; what an executor starts on a node."""
    from batchml.worker.main import check_worker, run_worker

    url = url or session.url
    if check:
        words = check_worker(url, spool=spool, paths=paths, trust=trust)
        say({"fit": True, "log": words}, words, as_json=as_json)  # as `submit --check`; else a worker prints nothing
        return OK
    return run_worker(
        url,
        submission=submission,
        spool=spool,
        slots=slots,
        paths=paths,
        trust=trust,
        needs=dict(map(_need, needs)),
        dask=dask,
    )


@click.command("wait")
@click.option("--timeout", metavar="TIME", help="Give up after so long (status 1): seconds, 90s, 60m, 2h.")
@command
def wait(session: Session, *, timeout: str | None, as_json: bool) -> int:
    """Wait until nothing is queued or running; status 1 if jobs failed or nobody is there to run them."""
    limit = math.inf if timeout is None else parse_duration(timeout)
    with session.attend() as registry:
        ended = follow(session, registry, (), quiet=as_json, timeout=limit)
        return verdict(registry, ended=ended, as_json=as_json)


@click.command("resume")
@click.option("--executor", type=_EXECUTORS, help="Where workers run; default: as the last submission's.")
@click.option("--workers", type=click.IntRange(min=1), help="Supervising processes to start; default: as before.")
@click.option("--slots", type=click.IntRange(min=1), help="Iterations at once in each worker; default: as before.")
@_resource_option("What each iteration and allocation needs, instead of all that was said at first.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
@detach_option
@click.option("--assume-dead", type=int, multiple=True, metavar="WORKER", help="Take this worker for dead.")
@command
def resume(
    session: Session,
    *,
    executor: str | None,
    workers: int | None,
    slots: int | None,
    resources: tuple[str, ...],
    dry_run: bool,
    detach: bool,
    assume_dead: tuple[int, ...],
    as_json: bool,
) -> int:
    """Find what was lost, queue it again, and start workers as the last submission did, or as said here."""
    needs = dict(_pair(word) for word in resources) or None
    where = None
    if executor is not None:
        where = _executor(executor, workers=workers, slots=slots, detach=detach or None)
    with session.open() as registry:
        report = registry.resume(
            where,
            needs,
            dry_run,
            assume_dead=assume_dead,
            detach=detach,
            workers=workers,
            slots=slots,
        )
        if dry_run or detach:
            say(report.as_json(), str(report), as_json=as_json)
            return OK
        if not as_json:
            echo(str(report))
        ended = follow(session, registry, report.submissions, quiet=as_json)
        status = verdict(registry, ended=ended, as_json=as_json, more=report.as_json())
        waiting = registry.tally()["defined"]
        if waiting and not as_json:
            # A command that dies between adding and submitting leaves them so.
            are = "job has" if waiting == 1 else "jobs have"
            echo(f"{waiting} {are} not been submitted yet; next: {session.hint('submit')}")
        return status


@click.command("stop")
@click.argument("workers", metavar="[WORKER]...", nargs=-1, type=int)
@click.option("--now", is_flag=True, help="End running iterations too, instead of letting them finish.")
@command
def stop(session: Session, workers: tuple[int, ...], *, now: bool, as_json: bool) -> None:
    """Tell workers (default: all) to finish what runs and end."""
    with session.open() as registry:
        count = len(registry.stop(list(workers) or None, now=now))
    say({"stopping": count}, f"told {counted(count, 'worker')} to stop", as_json=as_json)


def _executor(kind: str | None, **wishes: Any) -> Executor:
    """Return what the command line says, else the configuration, else the default of the executor."""
    from batchml.executors.configured import configured_executor

    return configured_executor(kind, **wishes)


def _check(registry: Registry, executor: Executor, needs: Mapping[str, Any], *, as_json: bool) -> int:
    """Run one element that claims nothing, and show what it says."""
    fit, words = registry.check_node(executor, needs)
    say({"fit": fit, "log": words}, words, as_json=as_json)
    return OK if fit else WRONG_USE


def local(session: Session, *, slots: int | None = None, workers: int | None = None, detach: bool = False) -> Local:
    """Return the local executor: what the command line says, else the configuration, else its own defaults."""
    from batchml.executors.local import Local

    wishes = {"slots": slots, "workers": workers}
    given: dict[str, Any]
    given = {k: session.configuration.executor.get(k) if v is None else v for k, v in wishes.items()}
    return Local(detach=detach, **{k: v for k, v in given.items() if v is not None})


def watch(
    session: Session, registry: Registry, submissions: tuple[Submission, ...], *, detach: bool, as_json: bool
) -> int:
    """Follow submissions to their end, or say how to when their workers go on alone; return the exit status."""
    if detach:
        data = [{"submission": each.id, "workers": list(each.workers)} for each in submissions]
        words = [f"submission {each.id}: workers {', '.join(each.workers)} go on by themselves" for each in submissions]
        say(data, "\n".join([*words, f"next: {session.hint('wait')}"]), as_json=as_json)
        return OK
    ended = follow(session, registry, submissions, quiet=as_json)
    return verdict(registry, ended=ended, as_json=as_json)


def verdict(registry: Registry, *, ended: bool, as_json: bool, more: Mapping[str, Any] | None = None) -> int:
    """Print how jobs ended (as JSON with `more`); status 1 if some failed or did not end."""
    found = tally(registry)
    data = {**(more or {}), "total": found.total, "done": found.done, "failed": found.failed, "left": found.left}
    say(data, sentence(found), as_json=as_json)
    return OK if ended and not found.failed and not found.left else SOME_JOBS


def _pair(word: str) -> tuple[str, str]:
    name, found, value = word.partition("=")
    if not found or not name:
        raise click.UsageError(f"--resource needs NAME=VALUE, not {word!r}", click.get_current_context())
    return name, value


def _need(word: str) -> tuple[str, int]:
    name, _, number = word.partition("=")
    if not name or not (number.isascii() and number.isdigit()):
        raise click.UsageError(f"--need needs NAME=NUMBER, not {word!r}", click.get_current_context())
    return name, int(number)


@click.command("sync")
@command
def sync(session: Session, *, as_json: bool) -> None:
    """Take in what workers without a database have left on the shared disk; other commands do it, too."""
    with session.open() as registry:
        found = registry.sync()
    words = f"{counted(found.delivered, 'outcome')} taken in, {counted(found.dealt, 'job')} dealt out again"
    say({"delivered": found.delivered, "dealt": found.dealt, "returned": found.returned}, words, as_json=as_json)


COMMANDS = (submit, worker, wait, resume, stop, sync)
