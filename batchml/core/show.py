"""How objects print: a stable text of several lines, and the same as a small HTML table."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

__all__ = ["Shown", "counted", "duration", "html_table", "listing"]

_ROWS = 10


class Shown:
    """Gives a class with a `repr` of several lines its HTML for notebooks: the same facts as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        title, *lines = repr(self).splitlines()
        to_frame = getattr(self, "to_frame", None)
        if to_frame is not None:
            return html_table(title, frame=to_frame())
        return html_table(title, _facts(lines))


def html_table(title: str, facts: Iterable[tuple[str, str]] = (), frame: pd.DataFrame | None = None) -> str:
    """Return a title, facts as rows of name and text, and the first rows of a frame, as HTML; all text is escaped.

    Examples
    --------
    >>> html_table("<Tree>", [("Depth", "3")])
    '<p><b>&lt;Tree&gt;</b></p><table><tr><th style="text-align:left">Depth</th><td>3</td></tr></table>'
    """
    rows = "".join(
        f'<tr><th style="text-align:left">{html.escape(name)}</th><td>{html.escape(text)}</td></tr>'
        for name, text in facts
    )
    parts = [f"<p><b>{html.escape(title)}</b></p>"]
    if rows:
        parts.append(f"<table>{rows}</table>")
    if frame is not None:
        parts.append(frame.head(_ROWS).to_html(index=False, border=0))
        if len(frame) > _ROWS:
            parts.append(f"<p>... {len(frame) - _ROWS} more rows</p>")
    return "".join(parts)


def _facts(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return the lines of a `repr` as pairs of name and text; a line without a colon is a text."""
    pairs = (line.strip().lstrip("*- ").partition(":") for line in lines)
    return [(name, text.strip()) if colon else ("", name) for name, colon, text in pairs]


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


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "job"), counted(2, "job")
    ('1 job', '2 jobs')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Return a length of time in two units.

    Examples
    --------
    >>> duration(0.4), duration(75), duration(7265), duration(180000)
    ('1 s', '1 min 15 s', '2 h 1 min', '2 d 2 h')
    """
    whole = max(1, round(seconds))
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next(i for i, (n, _) in enumerate(parts) if n)
    return " ".join(f"{n} {unit}" for n, unit in parts[first : first + 2] if n)
