"""Commands that only look: status, summary, jobs, tags, errors, log, grep, attempts, why, estimate, test-job."""

from __future__ import annotations

import faulthandler
import json
from typing import TYPE_CHECKING, Any

import click

from batchml.cli.boundary import OK, SOME_JOBS
from batchml.cli.following import follow
from batchml.cli.secrets import clean
from batchml.cli.selection import Filters, job_filters
from batchml.cli.session import Session, command
from batchml.cli.tables import echo, echo_facts, echo_frame, echo_json, frame_records, say
from batchml.errors import UnknownKeyError

if TYPE_CHECKING:
    from batchml.study import Registry

__all__ = ["COMMANDS"]

_SPARE = (
    "fingerprint",
    "environment_id",
    "experiment_id",
    "resampling",
    "level",
    "threads",
    "cpu_s",
    "predict_s",
    "fit_s",
    "prediction",
    "host",
    "executor",
    "submission_id",
    "boot_id",
    "peak_mb",
    "error_type",
    "alone",
    "worker_id",
    "ended_at",
    "started_at",
    "attempts",
    "wall_s",
    "benchmark",
    "params",
)
"""What a narrow terminal does without, first of all the first."""

job_argument = click.argument("job", type=int)


@click.command("status")
@click.option("--watch", is_flag=True, help="Go on showing progress until nothing is queued or running.")
@click.option("--cumulative", is_flag=True, help="Count how far jobs have come: submitted, started, done.")
@command
def status(session: Session, *, watch: bool, cumulative: bool, as_json: bool) -> None:
    """Count the jobs of current benchmarks by state, and the workers."""
    with session.attend() as registry:
        if watch:
            follow(session, registry, (), quiet=as_json)
        _echo_status(session, registry, cumulative=cumulative, as_json=as_json)


@click.command("summary")
@click.option("--by", "keys", multiple=True, metavar="KEY", help="Default: task and learner; several make pairs.")
@job_filters
@command
def summary(session: Session, keys: tuple[str, ...], filters: Filters, *, as_json: bool) -> None:
    """Count jobs by state in groups: by task, learner, tag, host, iteration, a parameter of learners, ..."""
    with session.attend() as registry:
        frame = registry.summary(keys or ("task", "learner"), **filters)
    echo_frame(frame, as_json=as_json, empty="no such job")


@click.command("tags")
@command
def tags(session: Session, *, as_json: bool) -> None:
    """List the tags that jobs have, with these jobs by state."""
    with session.attend() as registry:
        echo_frame(registry.tags(), as_json=as_json, empty="no job has a tag")


@click.command("jobs")
@job_filters
@click.option("-n", "--limit", type=click.IntRange(min=1), help="At most so many.")
@command
def jobs(session: Session, filters: Filters, *, limit: int | None, as_json: bool) -> None:
    """List jobs."""
    with session.attend() as registry:
        frame = registry.jobs(**filters)
    frame = frame if limit is None else frame.head(limit)
    if not as_json:
        frame = frame.assign(params=frame["params"].map(_params))
    echo_frame(frame, as_json=as_json, empty="no such job", spare=_SPARE)


@click.command("errors")
@click.option("--all", "everything", is_flag=True, help="One line per error instead of one per kind of error.")
@click.option("--benchmark", metavar="NAME", help="Of this benchmark only.")
@command
def errors(session: Session, *, everything: bool, benchmark: str | None, as_json: bool) -> None:
    """List errors, alike ones together: how many jobs, which tasks and learners, a job to look at."""
    with session.attend() as registry:
        frame = registry.errors(benchmark, grouped=not everything)
    echo_frame(frame, as_json=as_json, empty="no errors", spare=_SPARE)


@click.command("log")
@job_argument
@command
def log(session: Session, job: int, *, as_json: bool) -> None:
    """Print what the attempts at JOB printed, warned and raised."""
    with session.attend() as registry:
        written = registry.log(job)
    if as_json:
        echo_json({"job_id": job, "log": written})
    else:
        echo(written or "the log is empty")


@click.command("grep")
@click.argument("pattern")
@click.option("-i", "--ignore-case", is_flag=True, help="Upper and lower case are the same.")
@click.option("-F", "--fixed", is_flag=True, help="PATTERN is a text, not a regular expression.")
@job_filters
@command
def grep(session: Session, pattern: str, filters: Filters, *, ignore_case: bool, fixed: bool, as_json: bool) -> None:
    """Find the jobs whose log or conditions match the regular expression PATTERN."""
    with session.attend() as registry:
        jobs = registry.jobs(**filters) if filters else None
        found = registry.grep_logs(pattern, ignore_case=ignore_case, fixed=fixed, jobs=jobs)
    echo_frame(found, as_json=as_json, empty="no match", spare=_SPARE)


@click.command("attempts")
@job_argument
@command
def attempts(session: Session, job: int, *, as_json: bool) -> None:
    """List the attempts of JOB: where, when, and how each ended."""
    with session.attend() as registry:
        echo_frame(registry.attempts(job), as_json=as_json, empty="not attempted yet", spare=_SPARE)


@click.command("why")
@job_argument
@command
def why(session: Session, job: int, *, as_json: bool) -> None:
    """Say why JOB is in its state: what it waits for, or what ended it."""
    with session.attend() as registry:
        reason = registry.why(job)
    if as_json:
        echo_json({"job_id": job, "why": reason})
    else:
        echo(reason)


def _params(written: str) -> str:
    """Return the parameters of a variant as people write them, without spaces: ``max_depth=3,splitter="best"``."""
    values = json.loads(written)
    return ",".join(f"{name}={json.dumps(value, separators=(',', ':'))}" for name, value in values.items())


def _warn_of_crash(registry: Registry, job: int) -> None:
    """Say what a job may do to this process, and have it show where, if it does."""
    faulthandler.enable()
    ends = registry.attempts(job)["outcome"].dropna().tolist()
    if ends and ends[-1] in {"crashed", "out_of_memory", "lost"}:
        words = f"job {job} ended as {ends[-1]} before: if it takes this process along, use --external"
        click.echo(f"batchml: {words}", err=True)


@click.command("test-job")
@job_argument
@click.option("--external", is_flag=True, help="In a sandboxed process, as a worker would.")
@click.option("--pdb", "debug", is_flag=True, help="In this process; start the debugger where it fails.")
@command
def test_job(session: Session, job: int, *, external: bool, debug: bool, as_json: bool) -> int:
    """Run JOB here without writing anything; status 1 if it fails."""
    if external and debug:
        raise click.UsageError("--external and --pdb exclude each other", click.get_current_context())
    with session.open(readonly=True) as registry:
        if not external:
            _warn_of_crash(registry, job)
        try:
            outcome = registry.test_job(job, external=external, debug=debug)
        except UnknownKeyError:
            raise
        except Exception as error:
            if not debug:
                raise
            _look_into(error)
            return SOME_JOBS
    if as_json:
        echo_json(outcome)
    else:
        _echo_trial(outcome)
    return OK if outcome["ending"] == "done" else SOME_JOBS


@click.command("estimate")
@click.option("--slots", type=click.IntRange(min=1), help="As if so many iterations ran at once; default: those alive.")
@command
def estimate(session: Session, *, slots: int | None, as_json: bool) -> None:
    """Estimate the work that is left from measured runtimes."""
    with session.open(readonly=True) as registry:
        found = registry.estimate(slots)
    say(found.as_json(), str(found), as_json=as_json)


def _look_into(error: Exception) -> None:
    """Show where a job failed, and stop there."""
    import pdb  # noqa: T100 - what `--pdb` asks for
    import traceback

    traceback.print_exception(error)
    pdb.post_mortem(error.__traceback__)


def _echo_trial(outcome: dict[str, Any]) -> None:
    long = ("conditions", "traceback", "log")
    echo_facts({name: value for name, value in outcome.items() if name not in long}, as_json=False)
    for condition in outcome["conditions"]:
        echo(f"[{condition['stage']} {condition['level']}] {condition['message']}")
    for name in ("traceback", "log"):
        if outcome[name]:
            echo(f"{name}:\n{outcome[name].rstrip()}")


def _echo_status(session: Session, registry: Registry, *, cumulative: bool, as_json: bool) -> None:
    frame, workers, arrays = registry.status(cumulative=cumulative), registry.workers(), registry.allocations()
    said = [clean(words) for words in registry.complaints()]
    if as_json:
        facts = {"benchmarks": frame_records(frame), "workers": frame_records(workers), "complaints": said}
        echo_json({"registry": session.shown_url, **facts, "allocations": frame_records(arrays)})
        return
    if workers["scheduler_id"].isna().all():
        workers = workers.drop(columns=["scheduler_id", "scheduler_state"])
    echo(f"registry {session.shown_url}")
    echo_frame(frame, as_json=False, empty="no benchmark yet: batchml add DESIGN")
    echo_frame(workers, as_json=False, empty="no worker is running", title="workers", spare=_SPARE)
    if len(arrays):
        echo_frame(arrays, as_json=False, empty="", title="SLURM")
    for words in said:
        echo(words)


COMMANDS = (status, summary, jobs, tags, errors, log, grep, attempts, why, test_job, estimate)
