"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import secrets
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ABANDONED_S", "is_aside", "remove_abandoned", "written_aside"]

ABANDONED_S = 86400.0
"""Clocks of hosts that write to one disk may differ, and a large table takes its time."""


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to, then move what was written into place of `path`.

    Readers see the old content or the new. The name is nobody else's, whichever process or thread of which host writes
    the same file; nothing half-written stays if writing fails.
    """
    aside = path.with_name(f".{path.name}.tmp-{secrets.token_hex(8)}")  # listings of bundles and the like skip it
    try:
        yield aside
        aside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def is_aside(name: str) -> bool:
    """Whether a file of this name is being written, or was by a process that did not live to finish it."""
    return name.startswith("tmp-") or (name.startswith(".") and ".tmp-" in name)


def remove_abandoned(folder: Path) -> None:
    """Remove what was being written in a folder, not below it, a day ago."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if is_aside(path.name) and time.time() - path.stat().st_mtime > ABANDONED_S:
                path.unlink(missing_ok=True)
