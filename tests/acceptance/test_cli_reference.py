from pathlib import Path

import click
import pytest

from batchml.cli.main import batchml
from batchml.cli.reference import commands, page

ROOT = Path(__file__).parents[2]
LEAVES = dict(commands(batchml, before="")).items()

PROMISED = {
    "run", "plan", "add", "submit", "worker", "wait", "status", "resume", "stop", "jobs", "errors", "log", "grep",
    "attempts", "why", "test-job", "estimate", "retry", "reset", "cancel", "remove", "tag", "untag", "reduce",
    "rescore", "summary", "tags", "sql", "export", "db upgrade", "db check", "db info", "db unlock", "db serve",
    "config show", "sync",
}  # fmt: skip


def test_every_promised_command_is_there():
    assert {name.strip().removeprefix("batchml ") for name, _ in LEAVES} == PROMISED


@pytest.mark.parametrize(("name", "command"), LEAVES, ids=[name.strip() for name, _ in LEAVES])
def test_every_command_has_help_and_json(name, command):
    assert command.help
    options = [p for p in command.params if isinstance(p, click.Option)]
    assert any("--json" in option.opts for option in options)
    assert [option.name for option in options if not option.help and not option.hidden] == []


@pytest.mark.parametrize("group", ["db", "config"])
def test_a_narrow_terminal_cuts_off_no_help(group):
    help_text = batchml.commands[group].get_help(click.Context(batchml.commands[group], terminal_width=50))
    assert "..." not in help_text.partition("Commands:")[2]


def test_the_reference_page_is_what_the_commands_say():
    written = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m batchml.cli.reference > docs/reference/cli.md"
