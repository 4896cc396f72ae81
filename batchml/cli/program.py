"""What a user types to run this installation of batchml."""

from __future__ import annotations

import functools
import shlex
import shutil
import sys
from pathlib import Path

__all__ = ["program"]


@functools.cache
def program() -> str:
    """Return ``batchml`` where the shell finds this installation under that name, else a command that works here.

    After ``make demo`` nothing is on the PATH: then it is ``.venv/bin/batchml``.
    """
    return program_for(Path(sys.executable), Path.cwd(), shutil.which("batchml"))


def program_for(python: Path, here: Path, found: str | None) -> str:
    """Return the command for an interpreter, seen from a folder.

    Parameters
    ----------
    python
        The interpreter that has batchml; its script is beside it, if it was installed.
    found
        What the shell runs as ``batchml``.
    """
    script = python.parent / "batchml"
    if not script.exists():
        return f"{_short(python, here)} -m batchml"
    if found is not None and Path(found).resolve() == script.resolve():
        return "batchml"
    return _short(script, here)


def _short(path: Path, here: Path) -> str:
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
