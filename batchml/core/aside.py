"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["written_aside"]


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
