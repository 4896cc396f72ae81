"""The edge of the program: every foreseen failure becomes one line on standard error and an exit status."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import TextIO

import click

from batchml.cli.secrets import clean
from batchml.errors import BatchmlError, IncompleteError

__all__ = ["OK", "SOME_JOBS", "WRONG_USE", "guard"]

OK, SOME_JOBS, WRONG_USE = 0, 1, 2


def guard(group: click.Group, args: list[str] | None = None) -> int:
    """Run the command line and return its exit status, without ever raising.

    Parameters
    ----------
    group
        The top command.
    args
        Words of the command line, None for those of the process.
    """
    warnings.showwarning = _notice
    _reopen()
    try:
        status = group.main(args=args, prog_name="batchml", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        return fail("interrupted; say it again to go on, nothing is done twice", SOME_JOBS)
    except BrokenPipeError:
        # The reader (`| head`) has had enough. Standard output goes nowhere, or the interpreter complains at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:  # noqa: BLE001 - the one place that turns every failure into a status
        return report(error)
    return status if isinstance(status, int) else OK


def _reopen() -> None:
    """Let closed streams (`>&-`) lead nowhere: Python has None there, and the next file, a database, their number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open to the end


def report(error: Exception) -> int:
    """Say what went wrong and return the exit status."""
    if isinstance(error, IncompleteError):
        return fail(str(error), SOME_JOBS)
    if isinstance(error, BatchmlError):
        return fail(str(error))
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return WRONG_USE
    if isinstance(error, click.UsageError):
        return fail(usage(error))
    if isinstance(error, click.ClickException):
        return fail(error.format_message())
    if type(error).__module__.startswith("sqlalchemy"):
        return fail(f"the database refused: {getattr(error, 'orig', None) or error}")
    if isinstance(error, OSError):
        return fail(system(error))
    text = "".join(traceback.format_exception(error))
    click.echo(clean(text), err=True, nl=False)
    return fail("the error above is a mistake in batchml; please report it")


def fail(message: str, status: int = WRONG_USE) -> int:
    """Print one line on standard error and return `status`."""
    line = " ".join(clean(message).split())
    click.echo(f"batchml: {line}", err=True)
    return status


def usage(error: click.UsageError) -> str:
    """One line about wrong use of a command, with where to read on."""
    path = error.ctx.command_path if error.ctx else "batchml"
    if isinstance(error, click.NoSuchOption) and error.option_name == "--registry":
        return "--registry belongs before the command: batchml --registry URL COMMAND"
    return f"{error.format_message().rstrip('.')}; see {path} --help"


def _notice(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Say a warning in a line; where in Python's code it was given means nothing here."""
    del category, filename, lineno, file, line
    click.echo(f"batchml: note: {' '.join(clean(str(message)).split())}", err=True)


def system(error: OSError) -> str:
    """One line about a refusal of the operating system."""
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"
