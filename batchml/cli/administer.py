"""Commands for the registry itself and the configuration: db, config."""

from __future__ import annotations

import click

from batchml.cli.boundary import OK, WRONG_USE
from batchml.cli.secrets import mask
from batchml.cli.session import Session, agree, command
from batchml.cli.settings import user_file
from batchml.cli.tables import echo_facts, say

__all__ = ["COMMANDS"]


@click.group("db")
def db() -> None:
    """Look after the registry's database."""


@db.command("upgrade")
@command
def upgrade(session: Session, *, as_json: bool) -> None:
    """Bring the schema to this version of batchml; keep a backup."""
    from batchml.study import Registry

    before, after = Registry.upgrade(session.url)
    words = f"upgraded from {before} to {after}" if before != after else f"the schema is at {after} already"
    say({"before": before, "after": after}, words, as_json=as_json)


@db.command("check")
@command
def check(session: Session, *, as_json: bool) -> int:
    """Look for damage in database and artifacts; status 2 if there is any."""
    with session.open(readonly=True) as registry:
        problems = registry.check()
    say({"problems": problems}, "\n".join(problems) or "no problem was found", as_json=as_json)
    return WRONG_USE if problems else OK


@db.command("info")
@command
def info(session: Session, *, as_json: bool) -> None:
    """Describe the registry: where it is, its schema, its size."""
    with session.open(readonly=True) as registry:
        facts = registry.info()
    echo_facts(facts, as_json=as_json)


@db.command("unlock")
@click.option("--yes", is_flag=True, help="Do not ask.")
@command
def unlock(session: Session, *, yes: bool, as_json: bool) -> None:
    """Take the ownership from a host that died while it held a registry on a network file system."""
    from batchml.study import Registry

    agree("Is the process that held the registry surely gone?", yes=yes)
    holder = Registry.unlock(session.url)
    say({"released": holder}, f"released: {holder}" if holder else "nobody holds it", as_json=as_json)


@click.group("config")
def config() -> None:
    """Look at the configuration."""


@config.command("show")
@command
def show(session: Session, *, as_json: bool) -> None:
    """Print the configuration that holds here, without passwords, and the files it comes from."""
    settings = session.settings
    facts = {
        "registry": session.shown_url,
        "trusted_modules": list(settings.trusted_modules),
        "executor": dict(settings.executor),
        "sources": {name: mask(url) for name, url in settings.sources.items()},
        "files": [str(file) for file in settings.files],
        "user_file": str(user_file()),
    }
    echo_facts(facts, as_json=as_json)


COMMANDS = (db, config)
