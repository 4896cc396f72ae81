"""Help of commands that have commands below them: each in full, however narrow the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Listing", "write_commands"]


class Listing(click.Group):
    """A group whose help does not cut off what its commands say of themselves."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line or more for each command."""
        write_commands(formatter, "Commands", [self.commands[name] for name in self.list_commands(ctx)])


def write_commands(formatter: click.HelpFormatter, title: str, commands: Iterable[click.Command]) -> None:
    """Write a section of help about commands."""
    names = [(command.name or "", command.get_short_help_str(limit=100)) for command in commands]
    with formatter.section(title):
        formatter.write_dl(names, col_max=12)
