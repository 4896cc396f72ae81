"""How parameter sets and designs print."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from batchml.params.param_set import ParamSet

__all__ = ["as_html", "as_table", "as_text", "html_rows"]


def as_table(param_set: ParamSet) -> pd.DataFrame:
    """Return a row for each parameter."""
    import pandas as pd

    rows = [
        {
            "id": name,
            "kind": domain.kind,
            "lower": domain.lower if domain.is_number else None,
            "upper": domain.upper if domain.is_number else None,
            "levels": list(domain.levels) or None,
            "nlevels": domain.nlevels,
            "is_bounded": domain.is_bounded,
            "special_vals": list(domain.special_vals),
            "default": domain.default,
            "tags": sorted(domain.tags),
            "depends": " and ".join(map(str, domain.depends)),
            "value": param_set.values.get(name),
        }
        for name, domain in param_set.domains.items()
    ]
    columns = list(rows[0]) if rows else ["id", "kind", "lower", "upper", "levels", "nlevels", "value"]
    return pd.DataFrame(rows, columns=columns)


def as_text(param_set: ParamSet) -> str:
    """Return a line for each parameter: its domain, and its value if it has one."""
    return "\n".join([_title(param_set), *(f"* {name}: {text}" for name, text in _lines(param_set))])


def as_html(param_set: ParamSet) -> str:
    """Return the same as a table."""
    rows = [
        (name, repr(domain), repr(param_set.values[name]) if name in param_set.values else "")
        for name, domain in param_set.domains.items()
    ]
    return f"<p>{html.escape(_title(param_set))}</p>{html_rows(('parameter', 'domain', 'value'), rows)}"


def html_rows(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return an HTML table of text."""
    head = "".join(f"<th>{html.escape(str(cell))}</th>" for cell in columns)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _title(param_set: ParamSet) -> str:
    count = f"{len(param_set)} parameter{'' if len(param_set) == 1 else 's'}"
    owner = "" if param_set.owner == "parameter set" else f", {param_set.owner}"
    return f"<ParamSet: {count}{owner}>"


def _lines(param_set: ParamSet) -> list[tuple[str, str]]:
    lines = []
    for name, domain in param_set.domains.items():
        value = f" = {param_set.values[name]!r}" if name in param_set.values else ""
        lines.append((name, f"{domain!r}{value}"))
    if param_set.extra_trafo is not None:
        lines.append(("extra_trafo", getattr(param_set.extra_trafo, "__name__", repr(param_set.extra_trafo))))
    return lines
