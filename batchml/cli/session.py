"""What every command shares: the registry's URL, the configuration, and one way to open the registry."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchml.cli.program import program
from batchml.cli.secrets import mask, remember
from batchml.core.configuration import DEFAULT_REGISTRY, Configuration

if TYPE_CHECKING:
    from batchml.study import Registry

__all__ = ["Session", "agree", "command", "make_session"]

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One call of the command line."""

    url: str
    configuration: Configuration

    @property
    def shown_url(self) -> str:
        """The registry's URL as it may be shown."""
        return mask(self.url)

    def open(self, *, readonly: bool = False) -> Registry:
        """Open the registry; it must be there."""
        from batchml.study import Registry

        return Registry.open(self.url, readonly=readonly)

    @contextmanager
    def attend(self) -> Iterator[Registry]:
        """Open the registry for looking; where workers have no database, also to take in what they have left."""
        from batchml.errors import RegistryError

        with ExitStack() as stack:
            registry = stack.enter_context(self.open(readonly=True))
            if registry.spooled:
                with contextlib.suppress(RegistryError):  # somebody may look who may not write
                    registry = stack.enter_context(self.open())
            yield registry

    def open_or_create(self) -> Registry:
        """Open the registry, or make one where there is none."""
        from batchml.study import Registry

        return Registry.create(self.url, exist_ok=True)

    @contextmanager
    def peek(self) -> Iterator[Registry]:
        """Open the registry for looking; where there is none, an empty one that is gone afterwards."""
        from batchml.errors import NotARegistryError
        from batchml.registry.founding import is_vacant
        from batchml.study import Registry

        with ExitStack() as stack:
            try:
                registry = self.open(readonly=True)
            except NotARegistryError:
                if not is_vacant(self.url):
                    raise
                folder = stack.enter_context(TemporaryDirectory(prefix="batchml-"))
                registry = Registry.create(f"sqlite:///{folder}/empty.db")
            yield stack.enter_context(registry)

    def hint(self, words: str) -> str:
        """Return a command line for the user to type next, aimed at the same registry."""
        if self.url in {DEFAULT_REGISTRY, self.configuration.registry}:
            return f"{program()} {words}"
        return f"{program()} --registry {shlex.quote(self.shown_url)} {words}"


def make_session(url: str | None, configuration: Configuration) -> Session:
    """Return the session of one call; every password it knows is struck out of all output."""
    session = Session(url=url or configuration.registry, configuration=configuration)
    for secret in (session.url, *configuration.sources.values()):
        remember(secret)
    remember(f"?password={os.environ.get('PGPASSWORD', '')}")
    return session


def command(function: Command) -> Command:
    """Give a command ``--json`` (as `as_json`) and the session as its first argument."""

    @click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
    @click.pass_obj
    @functools.wraps(function)
    def wrapped(session: Session, /, *args: Any, **kwargs: Any) -> Any:
        return function(session, *args, **kwargs)

    return wrapped  # type: ignore[return-value]


def agree(question: str, *, yes: bool) -> None:
    """Ask before what cannot be taken back, unless the user said ``--yes``.

    Raises
    ------
    click.UsageError
        The answer is no, or there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Say --yes", click.get_current_context())
    if not click.confirm(question, err=True):
        raise click.UsageError("nothing was changed", click.get_current_context())
