"""Commands that change what is registered: retry, reset, cancel, remove, tag, untag."""

from __future__ import annotations

import click

from batchml.cli.selection import Filters, chosen, job_selection
from batchml.cli.session import Session, agree, command
from batchml.cli.tables import say
from batchml.core.show import counted

__all__ = ["COMMANDS"]


@click.command("retry")
@job_selection
@command
def retry(session: Session, ids: tuple[int, ...], filters: Filters, *, as_json: bool) -> None:
    """Queue failed or cancelled jobs again; what was logged stays."""
    with session.open() as registry:
        count = registry.retry(chosen(registry, ids, filters))
        _report("retried", count, none="is failed or cancelled", then=session.hint("resume"), as_json=as_json)


@click.command("reset")
@job_selection
@command
def reset(session: Session, ids: tuple[int, ...], filters: Filters, *, as_json: bool) -> None:
    """Drop the results of jobs; they are defined again, as if never submitted."""
    with session.open() as registry:
        count = registry.reset(chosen(registry, ids, filters))
        _report("reset", count, none="has been submitted", then=session.hint("submit"), as_json=as_json)


@click.command("cancel")
@click.option("--running", is_flag=True, help="Also end those that run now.")
@job_selection
@command
def cancel(session: Session, ids: tuple[int, ...], filters: Filters, *, running: bool, as_json: bool) -> None:
    """Cancel jobs that have not started."""
    with session.open() as registry:
        count = registry.cancel(chosen(registry, ids, filters), running=running)
        none = "is defined, queued or running" if running else "is defined or queued"
        _report("cancelled", count, none=none, as_json=as_json)


@click.command("remove")
@click.option("--yes", is_flag=True, help="Do not ask.")
@job_selection
@command
def remove(session: Session, ids: tuple[int, ...], filters: Filters, *, yes: bool, as_json: bool) -> None:
    """Delete jobs with their results, attempts and logs."""
    with session.open() as registry:
        jobs = chosen(registry, ids, filters)
        agree(f"Delete {counted(len(jobs), 'job')} with their results and logs?", yes=yes)
        _report("removed", registry.remove(jobs), as_json=as_json)


@click.command("tag")
@click.argument("word", metavar="TAG")
@job_selection
@command
def tag(session: Session, ids: tuple[int, ...], filters: Filters, *, word: str, as_json: bool) -> None:
    """Mark jobs with TAG, to find them again with --tag."""
    with session.open() as registry:
        _report("tagged", registry.tag(chosen(registry, ids, filters), word), as_json=as_json)


@click.command("untag")
@click.argument("word", metavar="TAG")
@job_selection
@command
def untag(session: Session, ids: tuple[int, ...], filters: Filters, *, word: str, as_json: bool) -> None:
    """Take TAG from jobs."""
    with session.open() as registry:
        gone = registry.untag(chosen(registry, ids, filters), word)
        _report("untagged", gone, none=f"has the tag '{word}'", as_json=as_json)


def _report(verb: str, count: int, *, as_json: bool, none: str | None = None, then: str | None = None) -> None:
    """Say how many jobs were changed; `none`: what holds for none of them, if so."""
    words = f"{verb} {counted(count, 'job')}"
    if count and then:
        words += f"\nnext: {then}"
    elif not count and none:
        words += f": none of them {none}"
    say({verb: count}, words, as_json=as_json)


COMMANDS = (retry, reset, cancel, remove, tag, untag)
