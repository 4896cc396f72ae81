"""Tables for people and for pipes: rich on a terminal, plain and stable columns anywhere else."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from batchml.cli.secrets import clean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["echo", "echo_facts", "echo_frame", "echo_json", "echo_rows", "frame_records", "plain", "say", "text"]

_EMPTY = "-"


def echo(line: str = "") -> None:
    """Print a line on standard output, without passwords."""
    click.echo(clean(line))


def echo_json(value: Any) -> None:
    """Print plain data as JSON; what JSON cannot say (nan, inf) becomes null."""
    click.echo(clean(json.dumps(jsonable(value), indent=2, ensure_ascii=False)))


def say(data: Any, words: str, *, as_json: bool) -> None:
    """Print the same thing as data or in words."""
    if as_json:
        echo_json(data)
    else:
        echo(words)


def echo_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print names and values, one a line."""
    if as_json:
        echo_json(facts)
    else:
        width = max(len(name) for name in facts)
        echo("\n".join(f"{name.ljust(width)}  {text(value)}" for name, value in facts.items()))


def echo_frame(frame: pd.DataFrame, *, as_json: bool, empty: str = "nothing to show", title: str | None = None) -> None:
    """Print a table; an empty one as a sentence, as JSON a list of records."""
    if as_json:
        echo_json(frame_records(frame))
    elif frame.empty:
        echo(empty)
    else:
        echo_rows([str(c) for c in frame.columns], frame.itertuples(index=False, name=None), title=title)


def echo_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print rows under their columns."""
    body = [list(row) for row in rows]
    right = [_is_numeric([row[i] for row in body]) for i in range(len(columns))]
    words = [[clean(text(cell)) for cell in row] for row in body]
    if sys.stdout.isatty():
        _rich(columns, words, right, title)
        return
    if title:
        echo(title)
    echo(plain(columns, words, right))


def plain(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Return a table of aligned columns, two spaces apart, never cut; one line per row, no empty cell."""
    width = [max(len(name), *(len(row[i]) for row in rows), 0) for i, name in enumerate(columns)]
    lines = [
        "  ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, width, right, strict=True)).rstrip()
        for row in [columns, *rows]
    ]
    return "\n".join(lines)


def text(value: Any) -> str:
    """Return one cell as text on one line; a missing value is a dash.

    Examples
    --------
    >>> text(0.123456), text(1e-7), text(3), text(None)
    ('0.1235', '1e-07', '3', '-')
    """
    if _is_missing(value):
        return _EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (Mapping, list, tuple)):
        value = json.dumps(jsonable(value), ensure_ascii=False)
    return " ".join(str(value).split()) or _EMPTY


def frame_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as plain data."""
    columns = [str(c) for c in frame.columns]
    return [dict(zip(columns, row, strict=True)) for row in frame.itertuples(index=False, name=None)]


def jsonable(value: Any) -> Any:
    """Return plain data for JSON."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    if isinstance(value, (bool, str)):
        return value
    if _is_missing(value):
        return None
    item = getattr(value, "item", None)
    if callable(item):  # a numpy scalar
        return jsonable(item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) else str(value)


def _is_missing(value: Any) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    # pandas has two more words for nothing; their names are asked for so that pandas need not be loaded.
    return type(value).__name__ in {"NAType", "NaTType"}


def _is_numeric(values: Sequence[Any]) -> bool:
    present = [v for v in values if not _is_missing(v)]
    return bool(present) and all(hasattr(v, "__float__") and not isinstance(v, (str, bool)) for v in present)


def _number(value: float) -> str:
    size = abs(value)
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= size < 1e6:
        return f"{value:.4f}"
    return f"{value:.4g}"


def _rich(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], title: str | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name, is_right in zip(columns, right, strict=True):
        table.add_column(name, justify="right" if is_right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: square brackets in a message are no markup
    Console().print(table)
