"""Tables for people and for pipes: rich on a terminal, plain and stable columns anywhere else."""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from batchml.cli.secrets import clean

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "echo",
    "echo_facts",
    "echo_frame",
    "echo_json",
    "echo_rows",
    "fitting",
    "frame_records",
    "plain",
    "say",
    "text",
]

_EMPTY = "-"

_WIDE = 32
"""Characters: longer texts may be folded on a terminal."""


def echo(line: str = "") -> None:
    """Print a line on standard output, without passwords."""
    click.echo(clean(line))


def echo_json(value: Any) -> None:
    """Print plain data as JSON, without passwords; what JSON cannot say (nan, inf) becomes null."""
    # Not the text as a whole: there a password is written otherwise, and a number may read like one.
    click.echo(json.dumps(jsonable(value, clean), indent=2, ensure_ascii=False))


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


def echo_frame(
    frame: pd.DataFrame,
    *,
    as_json: bool,
    empty: str = "nothing to show",
    title: str | None = None,
    spare: Sequence[str] = (),
) -> None:
    """Print a table; an empty one as a sentence, as JSON a list of records.

    `spare` names the columns that a terminal too narrow for all does without, the first of them first.
    """
    if as_json:
        echo_json(frame_records(frame))
    elif frame.empty:
        echo(empty)
    else:
        echo_rows([str(c) for c in frame.columns], frame.itertuples(index=False, name=None), title=title, spare=spare)


def echo_rows(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None, spare: Sequence[str] = ()
) -> None:
    """Print rows under their columns; see `echo_frame`."""
    body = [list(row) for row in rows]
    right = [_is_numeric([row[i] for row in body]) for i in range(len(columns))]
    words = [[clean(text(cell)) for cell in row] for row in body]
    if sys.stdout.isatty():
        _rich(columns, words, right, title, spare)
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
    """Return one cell as text on one line; a missing value is a dash, a moment is to the second.

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
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, (Mapping, list, tuple)):
        value = json.dumps(jsonable(value), ensure_ascii=False)
    return " ".join(str(value).split()) or _EMPTY


def frame_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as plain data."""
    columns = [str(c) for c in frame.columns]
    return [dict(zip(columns, row, strict=True)) for row in frame.itertuples(index=False, name=None)]


def jsonable(value: Any, shown: Callable[[str], str] = str) -> Any:
    """Return plain data for JSON; `shown` says how texts are, keys remain."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item, shown) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item, shown) for item in value]
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, bool):
        return value
    if _is_missing(value):
        return None
    item = getattr(value, "item", None)
    if callable(item):  # a numpy scalar
        return jsonable(item(), shown)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) else shown(str(value))


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


def fitting(columns: Sequence[str], rows: Sequence[Sequence[str]], spare: Sequence[str], width: int) -> list[int]:
    """Return which columns to show where only `width` characters fit: without the empty, the constant, then the spare.

    Examples
    --------
    >>> fitting(["job_id", "host", "signal", "state"], [["1", "vm", "-", "done"]], ["host"], 22)
    [0, 1, 3]
    """
    wide = _widths(columns, rows)
    kept = list(range(len(columns)))
    values = [{row[i] for row in rows} for i in kept]
    empty = [i for i in kept if values[i] == {_EMPTY}] if spare else []
    optional = sorted((columns.index(name) for name in spare if name in columns), key=lambda i: len(values[i]) > 1)
    for i in dict.fromkeys([*empty, *optional]):
        if _room(wide, kept) <= width:
            break
        kept.remove(i)
    return kept


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the characters that each column takes before it has to be folded."""
    return [min(_WIDE, max(len(cell) for cell in column)) for column in zip(columns, *rows, strict=True)]


def _room(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[i] + 2 for i in kept) - 2


def _rich(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[bool],
    title: str | None,
    spare: Sequence[str],
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    kept = fitting(columns, rows, spare, console.width)
    # What does not fit after all is the terminal's to wrap: names cut into pieces can neither be read nor copied.
    console.width = max(console.width, _room(_widths(columns, rows), kept))
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for i in kept:
        short = all(len(row[i]) <= _WIDE for row in [columns, *rows])
        table.add_column(columns[i], justify="right" if right[i] else "left", overflow="fold", no_wrap=short)
    for row in rows:
        table.add_row(*(Text(row[i]) for i in kept))  # Text: square brackets in a message are no markup
    console.print(table)
    if len(kept) < len(columns):
        left_out = ", ".join(name for i, name in enumerate(columns) if i not in kept)
        echo(f"not shown for want of width: {left_out}; --json has all")
