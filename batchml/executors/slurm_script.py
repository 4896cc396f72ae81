"""The job script of a SLURM array: its `#SBATCH` lines and the template that takes them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Script", "default_template", "render"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a template is given.

    Attributes
    ----------
    submission
        The submission's number.
    directives
        What stands behind ``#SBATCH``, line by line.
    setup
        Shell lines to run before Python.
    env
        Variables to export.
    python
        The interpreter.
    command
        The worker's command line, quoted for the shell.
    slots
        Iterations at once in each element; None for as many as its processors allow.
    tmpdir
        ``TMPDIR``, in which the shell replaces variables; "" to leave it.
    """

    submission: int
    directives: Sequence[str]
    python: str
    command: str
    setup: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    slots: int | None = None
    tmpdir: str = ""


def default_template() -> str:
    """Return the text of batchml's own template."""
    return files("batchml.executors").joinpath("slurm.sh.jinja").read_text(encoding="utf-8")


def render(script: Script, template: str | None) -> str:
    """Return the text of a job script.

    Parameters
    ----------
    template
        Path of a jinja2 template; None for batchml's own.

    Raises
    ------
    ConfigError
        The template cannot be read, is none, names what there is not, or does not start the worker.
    """
    from jinja2 import Environment, StrictUndefined, TemplateSyntaxError

    try:
        text = default_template() if template is None else Path(template).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the template {template} cannot be read: {error}") from error
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - a shell script is no HTML; the template quotes
    environment.filters |= {"quote": lambda value: shlex.quote(str(value)), "expand": _expand}
    values = {name: getattr(script, name) for name in Script.__slots__}
    try:
        made = environment.from_string(text).render(**values)
    except Exception as error:  # a template is a program of the user's
        line = f", line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
        raise ConfigError(f"the template {template or 'of batchml'}{line} is wrong: {error}") from error
    if script.command not in made:
        raise ConfigError(f"the template {template} does not hold {{{{ command }}}}, which starts the worker")
    return made


def _expand(value: str) -> str:
    """Quote for the shell, but let it replace variables."""
    return '"' + re.sub(r'(["\\`]|\$\()', r"\\\1", value) + '"'
