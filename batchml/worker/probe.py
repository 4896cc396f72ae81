"""The environment of this worker, found out by a process of its own while jobs run already."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Probe"]


class Probe:
    """Looks once; nobody waits for it before the end. What goes wrong costs the provenance, never a job.

    Parameters
    ----------
    folders
        Of the user's own code; none for the working directory.
    """

    def __init__(self, folders: Iterable[str] = ()) -> None:
        self._folders = list(folders) or [str(Path.cwd())]
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False

    def look(self, patience_s: float = 0.0) -> dict[str, Any] | None:
        """Start looking at the first call; return what was found, once, when it is there."""
        if self._over:
            return None
        if self._process is None:
            self._start()
            return None
        try:
            output, _ = self._process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            return None
        except (OSError, ValueError):
            output = b""
        self._over = True
        try:
            found: dict[str, Any] = json.loads(output)
        except ValueError:
            return None
        return found

    def news(self, patience_s: float = 0.0) -> list[tuple[dict[str, Any], str, str]]:
        """Return what `look` returns as environment, host and name, the last two "": the worker's own."""
        found = self.look(patience_s)
        return [] if found is None else [(found, "", "")]

    def close(self) -> None:
        """End the process if it still looks."""
        self._over = True
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            with contextlib.suppress(OSError):
                self._process.communicate()

    def _start(self) -> None:
        import batchml

        root = str(Path(batchml.__file__).resolve().parents[1])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        # -P: a module of the user's in the working directory must not stand in for one of Python's.
        words = [sys.executable, "-P", "-m", "batchml.execution.environment", str(os.getpid()), *self._folders]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter with fixed words
                words,
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            self._over = True
