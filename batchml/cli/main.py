"""`batchml`: the top command and the way into every other."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import click

from batchml.cli import administer, boundary, change, look, plans, results, work
from batchml.cli.groups import write_commands
from batchml.cli.session import make_session
from batchml.core.configuration import load_configuration

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["SECTIONS", "batchml", "main"]

_LITTER = 500_000
"""Objects between two collections of garbage: importing makes 350 000 and no garbage, and is an eighth faster so."""

SECTIONS: dict[str, ModuleType] = {
    "Designs": plans,
    "Running": work,
    "Looking": look,
    "Results": results,
    "Changing": change,
    "Registry and configuration": administer,
}


class Sections(click.Group):
    """A group whose help lists the commands by what they are for, in the order of the work."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each module of commands."""
        for title, module in SECTIONS.items():
            write_commands(formatter, title, module.COMMANDS)
        del ctx


@click.group(
    cls=Sections,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="COMMAND ...",
)
@click.option("--registry", metavar="URL", help="Registry to use; else $BATCHML_REGISTRY, configuration, batchml.db.")
@click.version_option(package_name="batchml", message="batchml %(version)s")
@click.pass_context
def batchml(context: click.Context, registry: str | None) -> None:
    """Machine-learning benchmarks as jobs in a database.

    Exit status: 0 all well, 1 some jobs failed or are missing, 2 wrong use or configuration.
    """
    context.obj = make_session(registry, load_configuration())


for section in SECTIONS.values():
    for each in section.COMMANDS:
        batchml.add_command(each)


def main(args: list[str] | None = None) -> None:
    """Run the command line and leave with its exit status."""
    gc.set_threshold(_LITTER, *gc.get_threshold()[1:])
    sys.exit(boundary.guard(batchml, args))
