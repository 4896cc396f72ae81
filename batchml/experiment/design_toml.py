"""A design from the tables of a TOML file."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from batchml.core.retry import Retry
from batchml.core.trust import Trust
from batchml.errors import DesignError, nearest
from batchml.experiment.design import BenchmarkDesign, Cell
from batchml.experiment.design_entries import read_learner, read_resampling, read_task
from batchml.experiment.design_values import check_keys, located, take_text, take_texts
from batchml.experiment.grid import cross, refuse_duplicates
from batchml.experiment.preflight import measures_for, warn_of_unscored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from batchml.core.measure import Measure

__all__ = ["design_from_tables"]

_TABLES = ("benchmark", "task", "learner", "resampling", "exclude")
_BENCHMARK_KEYS = ("name", "seed", "measures", "modules", "store_models", "retry")


def design_from_tables(tables: Mapping[str, Any], path: Path, trust: Trust | None = None) -> BenchmarkDesign:
    """Return the design that the parsed file describes.

    Raises
    ------
    ConfigError
        For the first thing that makes no sense, naming the file, the table and its number or id.
    """
    file = path.name
    check_keys(tables, _TABLES, file)
    head = _head(tables, file)
    where = f"{file}: [benchmark]"
    modules = tuple(take_texts(head, "modules", where))
    folder = path.parent.resolve()
    with located(where):
        retry = Retry.parse(head.get("retry"))
        trust = (trust or Trust.default()).with_modules(modules)
        if modules:
            _put_on_path(folder, modules)
    tasks = [read_task(entry, here, folder) for entry, here in _entries(tables, "task", file)]
    learners = [read_learner(entry, here, trust) for entry, here in _entries(tables, "learner", file)]
    resamplings = [read_resampling(entry, here, trust) for entry, here in _entries(tables, "resampling", file)]
    with located(file):
        refuse_duplicates("task", [task.id for task in tasks])
        refuse_duplicates("learner", [name for name, _ in learners])
        refuse_duplicates("resampling", [resampling.id for resampling in resamplings])
        variants = [variant for _, of_one in learners for variant in of_one]
        cells = _without(cross([(task, resamplings) for task in tasks], variants), tables, file)
        measures = measures_for(cells, _measures(head, where, trust))
        warn_of_unscored(cells, measures)
        return BenchmarkDesign(
            cells=cells,
            name=take_text(head, "name", where) or path.stem,
            seed=_seed(head, where),
            measures=measures,
            modules=modules,
            paths=(str(folder),) if modules else (),
            store_models=_flag(head, "store_models", where),
            retry=retry,
        )


def _head(tables: Mapping[str, Any], file: str) -> Mapping[str, Any]:
    head = tables.get("benchmark", {})
    if not isinstance(head, dict):
        raise DesignError(f"{file}: write [benchmark] in single brackets")
    check_keys(head, _BENCHMARK_KEYS, f"{file}: [benchmark]")
    return head


def _entries(tables: Mapping[str, Any], noun: str, file: str) -> list[tuple[Mapping[str, Any], str]]:
    """Return the entries of an array of tables, each with the words that say where it is."""
    found = tables.get(noun, [])
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise DesignError(f"{file}: write [[{noun}]] in double brackets, once for each {noun}")
    if not found and noun != "exclude":
        raise DesignError(f"{file}: there is no [[{noun}]]")
    named = []
    for number, entry in enumerate(found, start=1):
        name = entry.get("id", entry.get("key", entry.get("class")))
        label = f" ('{name}')" if isinstance(name, str) else ""
        named.append((entry, f"{file}: [[{noun}]] {number}{label}"))
    return named


def _without(cells: Sequence[Cell], tables: Mapping[str, Any], file: str) -> tuple[Cell, ...]:
    """Return the cells that no ``[[exclude]]`` names."""
    kept = list(cells)
    nouns = ("task", "learner", "resampling")
    for entry, where in _entries(tables, "exclude", file):
        check_keys(entry, nouns, where)
        if not entry:
            raise DesignError(f"{where}: name a task, a learner or a resampling to leave out")
        wanted = {noun: set(take_texts(entry, noun, where)) for noun in nouns if noun in entry}
        for noun, names in wanted.items():
            known = list(dict.fromkeys(getattr(cell, noun).id for cell in cells))
            for name in names:
                if name not in known:
                    raise DesignError(f"{where}: no {noun} is called '{name}'{nearest(name, known)}")
        kept = [cell for cell in kept if not all(getattr(cell, noun).id in names for noun, names in wanted.items())]
    if not kept:
        raise DesignError(f"{file}: every combination is excluded, nothing is left to run")
    return tuple(kept)


def _seed(head: Mapping[str, Any], where: str) -> int | None:
    seed = head.get("seed")
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise DesignError(f"{where}: seed must be a whole number from 0 to 2**63 - 1, not {seed!r}")
    return seed


def _flag(head: Mapping[str, Any], key: str, where: str) -> bool:
    value = head.get(key, False)
    if not isinstance(value, bool):
        raise DesignError(f"{where}: {key} must be true or false, not {value!r}")
    return value


def _measures(head: Mapping[str, Any], where: str, trust: Trust) -> list[Measure]:
    from batchml.core.measure import as_measure

    with located(where):
        return [as_measure(measure, trust=trust) for measure in take_texts(head, "measures", where)]


def _put_on_path(folder: Path, modules: Sequence[str]) -> None:
    """Make the user's own modules importable here as they are on workers."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    importlib.invalidate_caches()
    for module in modules:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            raise DesignError(f"there is no module '{module}' in {folder} nor installed")
