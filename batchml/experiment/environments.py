"""In what the environments of results differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["COLUMNS", "differences", "mixture"]

COLUMNS = ("environment_id", "python", "platform", "cpu", "cpu_level", "blas", "packages", "code", "n_jobs")

# What computes, first; what differs besides is only counted.
_FIRST = ("batchml", "scikit-learn", "numpy", "scipy", "pandas", "pyarrow", "torch", "xgboost", "lightgbm", "catboost")
_SHOWN = 5


def differences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return in what environments differ, in words.

    Parameters
    ----------
    rows
        With `COLUMNS`; packages map names to versions, code is a list of mappings with commit and dirty.

    Examples
    --------
    >>> same = {"python": "3.11.7", "platform": "Linux", "cpu_level": "x86-64-v3", "cpu": "", "blas": "", "code": []}
    >>> differences([same | {"packages": {"numpy": "2.3.0"}}, same | {"packages": {"numpy": "2.4.1"}}])
    ['numpy 2.3.0 and 2.4.1']
    """
    found = [f"{name} {_and(values)}" for name, values in _packages(rows)]
    more = found[_SHOWN:]
    found = found[:_SHOWN] + ([f"{len(more)} more packages"] if more else [])
    for column, words in (("python", "Python"), ("platform", "platforms"), ("cpu_level", "CPU levels")):
        if len(values := _values(row[column] for row in rows)) > 1:
            found.append(f"{words} {_and(values)}")
    if len(values := _values(row["blas"] for row in rows)) > 1:
        found.append(f"BLAS {_and(values)}")
    if not found and len(values := _values(row["cpu"] for row in rows)) > 1:
        found.append(f"CPUs {_and(values)}")
    return found + _code(rows)


def mixture(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the line on mixed environments, None if there is one, or none that is known."""
    words = differences(rows)
    if len(rows) < 2 or not words:
        return None
    digits = any(word.startswith(("CPU", "BLAS")) for word in words)
    ending = ": results may differ in the last digits" if digits else ""
    return f"made in {len(rows)} environments: {'; '.join(words)}{ending}"


def _packages(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    names = dict.fromkeys(name for row in rows for name in row["packages"])
    order = [*(name for name in _FIRST if name in names), *sorted(set(names).difference(_FIRST))]
    versions = {name: _values(row["packages"].get(name, "none") for row in rows) for name in order}
    return [(name, values) for name, values in versions.items() if len(values) > 1]


def _code(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    commits = _values(str(one["commit"])[:10] for row in rows for one in row["code"] if one.get("commit"))
    dirty = {any(one.get("dirty") for one in row["code"]) for row in rows}
    found = [f"code at {_and(commits)}"] if len(commits) > 1 else []
    return [*found, "code with and without uncommitted changes"] if len(dirty) > 1 else found


def _values(values: Any) -> list[str]:
    return sorted({str(value) for value in values})


def _and(values: Sequence[str]) -> str:
    return " and ".join(values) if len(values) < 3 else f"{', '.join(values[:-1])} and {values[-1]}"
