"""How objects print: a stable text of several lines, and the same as HTML."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Shown", "listing"]


class Shown:
    """Gives a class with a `repr` of several lines its HTML for notebooks."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def listing(names: Iterable[object], limit: int = 12) -> str:
    """Return names with commas, cut after `limit` of them.

    Examples
    --------
    >>> listing(["a", "b", "c"], limit=2)
    'a, b, ... (1 more)'
    """
    words = [str(name) for name in names]
    if len(words) <= limit:
        return ", ".join(words)
    return ", ".join(words[:limit]) + f", ... ({len(words) - limit} more)"
