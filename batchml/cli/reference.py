"""The page `docs/reference/cli.md`, written from the commands themselves: ``python -m batchml.cli.reference``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batchml.cli.main import SECTIONS, batchml

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["commands", "page"]

_HEAD = """# Command line

<!-- Written by: python -m batchml.cli.reference > docs/reference/cli.md -->

Exit status: 0 all well, 1 some jobs failed or are missing, 2 wrong use or configuration (one line on standard error).
Tables are for people on a terminal, which shows as many columns as fit, and plain aligned columns in a pipe; times are
UTC. `--json` is for programs. Progress goes to standard error.
Where jobs are meant, name ids or the filters of `batchml jobs`; a command that changes jobs refuses to guess.
"""


def page() -> str:
    """Return the whole page."""
    parts = [_HEAD, _block("batchml", batchml)]
    for title, module in SECTIONS.items():
        parts.append(f"## {title}\n")
        parts.extend(_block(name, each) for top in module.COMMANDS for name, each in commands(top))
    return "\n".join(parts)


def commands(command: click.Command, before: str = "batchml") -> Iterator[tuple[str, click.Command]]:
    """Yield a command, or those of a group, with their full names."""
    name = f"{before} {command.name}"
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from commands(each, name)
    else:
        yield name, command


def _block(name: str, command: click.Command) -> str:
    # Help is wrapped to the width of the terminal, so the page asks for one.
    with click.Context(command, info_name=name, terminal_width=100, help_option_names=["-h", "--help"]) as context:
        text = command.get_help(context)
    title = f"### {name}\n\n" if command is not batchml else ""
    return f"{title}```text\n{text}\n```\n"


if __name__ == "__main__":
    click.echo(page(), nl=False)
