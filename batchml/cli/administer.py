"""Commands for the registry itself and the configuration: db, config."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchml.cli.boundary import OK, SOME_JOBS, WRONG_USE
from batchml.cli.groups import Listing
from batchml.cli.secrets import mask
from batchml.cli.session import Session, agree, command
from batchml.cli.tables import echo, echo_facts, echo_json, say
from batchml.core.configuration import user_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchml.core.configuration import Configuration
    from batchml.registry.server import Server

__all__ = ["COMMANDS"]


@click.group("db", cls=Listing, subcommand_metavar="COMMAND ...")
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


@db.command("serve")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Where its data are kept.")
@click.option("--port", type=int, help="Port to listen on; the one used before, or a free one.")
@click.option("--listen", metavar="ADDRESS", help="Address, host name or * (all hosts); 127.0.0.1 unless said.")
@click.option("--assume-dead", is_flag=True, help="The host that ran the server is down for good.")
@click.option("--stop", "wanted", flag_value="stop", help="Stop the server.")
@click.option("--status", "wanted", flag_value="status", help="Say whether it runs; status 1 if not.")
@command
def serve(
    session: Session,
    *,
    folder: Path | None,
    port: int | None,
    listen: str | None,
    assume_dead: bool,
    wanted: str | None,
    as_json: bool,
) -> int:
    """Start a PostgreSQL server of your own, without root, and print the URL of its registry.

    Where it runs already, or has crashed, it is found or started again. The URL names a file that holds the password,
    which only you can read: workers with the same home need nothing else.
    """
    from batchml.registry import server

    del session
    folder = folder or server.default_folder()
    if wanted == "stop":
        ran = server.stop(folder)
        say({"stopped": ran}, "stopped" if ran else "it did not run", as_json=as_json)
        return OK
    if wanted == "status":
        found = server.look(folder)
    else:
        found = server.serve(folder, port=port, listen=listen, assume_dead=assume_dead)
    facts = _about(folder, found)
    for warning in found.warnings if found is not None else ():
        warnings.warn(warning, UserWarning, stacklevel=2)
    # The URL alone, for `export BATCHML_REGISTRY=$(batchml db serve)`.
    if wanted == "status" or as_json or found is None:
        echo_facts(facts, as_json=as_json)
    else:
        click.echo(found.url)
    return OK if found is not None and found.running else SOME_JOBS


def _about(folder: Path, found: Server | None) -> dict[str, Any]:
    if found is None:
        return {"folder": str(folder), "running": False, "url": None}
    return {
        "folder": str(found.folder),
        "running": found.running,
        "url": found.url,
        "pid": found.pid,
        "listen": found.listen,
        "passfile": str(found.passfile),
        "log": str(found.log),
    }


@click.group("config", cls=Listing, subcommand_metavar="COMMAND ...")
def config() -> None:
    """Look at the configuration."""


@config.command("show")
@command
def show(session: Session, *, as_json: bool) -> None:
    """Print the configuration that holds here, without passwords, and where each value comes from."""
    configuration = session.configuration
    facts = {key: {"value": value, "from": origin} for key, value, origin in _origins(configuration, session)}
    if as_json:
        files = [str(file) for file in configuration.files]
        ignored = [str(file) for file in configuration.ignored]
        echo_json({"values": facts, "files": files, "ignored": ignored, "user_file": str(user_file())})
        return
    for key, fact in facts.items():
        echo(f"{key} = {json.dumps(fact['value'], ensure_ascii=False)}    # {fact['from']}")
    for file in configuration.ignored:
        echo(f"not read, since neither you nor root own it, or you may not read it: {file}")
    echo(f"your own file: {user_file()}" + ("" if user_file() in configuration.files else " (there is none)"))


def _origins(configuration: Configuration, session: Session) -> Iterator[tuple[str, Any, str]]:
    """Yield keys with values and their origin: what was set, and the registry, which always has a value."""
    yield "registry", session.shown_url, _origin_of_registry(configuration, session)
    for key, value in configuration.values.items():
        if key != "registry":
            yield key, mask(value) if isinstance(value, str) else value, configuration.origins[key]


def _origin_of_registry(configuration: Configuration, session: Session) -> str:
    if session.url != configuration.registry:
        return "--registry"
    return configuration.origins.get("registry", "default")


COMMANDS = (db, config)
