"""What R returned, case by case, and what became of each case here.

``TOPIC.json`` holds the facts: inputs, and the output or error of R. ``golden_TOPIC.py`` holds a `Ledger` that says of
each case whether it is replayed, different on purpose, not applicable, or not there yet. ``test_golden.py`` runs them.
The table is written by ``python tests/golden/golden_ledger.py``; a test compares it.
"""

from __future__ import annotations

import importlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs/reference/golden.md"
WORDS = {"NaN": math.nan, "Inf": math.inf, "-Inf": -math.inf}
TOLERANCE = 1e-10

REPLAYED, DIFFERENT, NOT_APPLICABLE, LATER = "replayed", "different on purpose", "not applicable", "not yet"


@dataclass(frozen=True)
class Case:
    """A case: what went in and what R returned."""

    id: str
    about: str
    inputs: Any
    output: Any
    error: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What became of a case: a word, the reason or restriction, and the check that shows it."""

    word: str
    why: str = ""
    check: Any = None


@dataclass
class Ledger:
    """The cases of a topic and their verdicts."""

    topic: str
    about: str = ""
    cases: dict[str, Case] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    endings: list[Any] = field(default_factory=list)

    def __post_init__(self):
        data = json.loads((FOLDER / f"{self.topic}.json").read_text(encoding="utf-8"))
        self.about = data["about"]
        self.cases = {one["id"]: Case(**one) for one in data["cases"]}

    def _enter(self, names, verdict):
        for name in names:
            if name not in self.cases:
                raise KeyError(f"{self.topic} has no case {name}")
            if name in self.verdicts:
                raise KeyError(f"{self.topic}/{name} has two verdicts")
            self.verdicts[name] = verdict

    def replays(self, *names, but=""):
        """Decorate a function that takes a case and asserts that batchml agrees with R (but for a detail)."""
        return lambda check: self._enter(names, Verdict(REPLAYED, but and f"but: {but}", check)) or check

    def differs(self, *names, why):
        """Decorate a function that takes a case and asserts what batchml does instead."""
        return lambda check: self._enter(names, Verdict(DIFFERENT, why, check)) or check

    def not_applicable(self, *names, why):
        """Say why there is nothing to compare."""
        self._enter(names, Verdict(NOT_APPLICABLE, why))

    def afterwards(self, function):
        """Decorate a function that is called when all cases are done."""
        self.endings.append(function)
        return function

    def later(self, *names, why):
        """Say what has to be built first."""
        self._enter(names, Verdict(LATER, why))


def plain(value):
    """Return numbers for R's words of numbers, lists for tuples, and Python's own scalars."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return WORDS.get(value, value) if isinstance(value, str) else value


def same(found, wanted, at=""):
    """Assert that values agree: numbers to 1e-10, NaN and R's NA alike."""
    found, wanted = plain(found), plain(wanted)
    if isinstance(wanted, dict):
        assert isinstance(found, dict), at
        assert sorted(found) == sorted(wanted), at
        for key, value in wanted.items():
            same(found[key], value, f"{at}.{key}")
    elif isinstance(wanted, list):
        assert isinstance(found, list), at
        assert len(found) == len(wanted), at
        for i, (one, other) in enumerate(zip(found, wanted, strict=True)):
            same(one, other, f"{at}[{i}]")
    elif isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        gone = found is None or math.isnan(found)
        assert gone if math.isnan(wanted) else math.isclose(found, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE), (
            f"{at}: {found} is not {wanted}"
        )
    elif wanted is None:
        assert found is None or found != found, at  # noqa: PLR0124
    else:
        assert found == wanted, f"{at}: {found} is not {wanted}"


def rows(table):
    """Return the rows of an R table."""
    return table["__table__"]["rows"]


def ledgers():
    """Return the ledger of each topic that there are facts of."""
    topics = sorted(path.stem for path in FOLDER.glob("*.json"))
    return {topic: importlib.import_module(f"golden_{topic}").ledger for topic in topics}


def _cell(text):
    return " ".join(str(text).split()).replace("|", "\\|")


def page():
    """Return the table of all cases as Markdown."""
    found = ledgers()
    words = (REPLAYED, DIFFERENT, NOT_APPLICABLE, LATER)
    lines = [
        "# What R returned, and what batchml returns",
        "",
        "The R packages that batchml takes after were run on small inputs; what they returned is kept in",
        "`tests/golden`. Each case is *replayed* (a test asserts that batchml returns the same, numbers to 1e-10),",
        "*different on purpose* (a test asserts what it does instead), *not applicable*, or *not yet* there. R counts",
        "rows and iterations from 1, batchml from 0; what hangs on R's random numbers is compared by sizes and",
        "invariants.",
        "This page is written by `python tests/golden/golden_ledger.py`, and a test compares it.",
        "",
        f"| topic | {' | '.join(words)} | cases |",
        f"|---|{'--:|' * (len(words) + 1)}",
    ]
    counts = {
        topic: [sum(one.word == word for one in ledger.verdicts.values()) for word in words]
        for topic, ledger in found.items()
    }
    lines += [f"| {topic} | {' | '.join(map(str, row))} | {sum(row)} |" for topic, row in counts.items()]
    total = [sum(column) for column in zip(*counts.values(), strict=True)]
    lines.append(f"| all | {' | '.join(map(str, total))} | {sum(total)} |")
    for topic, ledger in found.items():
        lines += ["", f"## {topic}", "", ledger.about, "", "| case | about | here | why |", "|---|---|---|---|"]
        for name, case in ledger.cases.items():
            verdict = ledger.verdicts[name]
            lines.append(f"| `{name}` | {_cell(case.about)} | {verdict.word} | {_cell(verdict.why)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import golden_ledger  # the ledgers import this module by its name

    PAGE.write_text(golden_ledger.page(), encoding="utf-8")
