"""Tasks of openml.org with their official splits, kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.core.aside import written_aside
from batchml.core.catalog import rsmp
from batchml.core.task import as_task_classif, as_task_regr
from batchml.data.openml import openml_table
from batchml.data.remote import cache_folder
from batchml.errors import DataError, DataUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from batchml.core.resampling import Resampling
    from batchml.core.task import Task

__all__ = ["OpenMLTask", "openml_task"]

_TASK = "https://www.openml.org/api/v1/json/task/{}"
_TYPES = {"1": "classif", "2": "regr"}
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenMLTask:
    """A task with the splits that everybody uses for it.

    Attributes
    ----------
    task
        The data and their target.
    resampling
        The official splits, in the order of repeats and folds; only for this task.
    """

    task: Task
    resampling: Resampling


def openml_task(
    number: int,
    *,
    cache: Path | None = None,
    fetch: Callable[[int], Any] | None = None,
    read: Callable[[str], str] | None = None,
) -> OpenMLTask:
    """Return a task of openml.org with its official splits: from the cache, else downloaded once.

    What is submitted holds data and splits, so that machines that run iterations need no network.

    Parameters
    ----------
    number
        The task's id, as in ``https://www.openml.org/t/59``.
    cache
        The folder; by default `cache_folder`.
    fetch, read
        What downloads a data set by its id, and the text of a URL.

    Raises
    ------
    DataUnavailableError
        It is not cached and openml.org cannot be reached.
    DataError
        There is no such task, or it is of a type that batchml does not have.
    """
    if isinstance(number, bool) or not isinstance(number, int):
        raise DataError(f"openml_task is the number of a task, not {number!r}")
    folder = (cache or cache_folder()) / "openml"
    about = _cached(folder / f"task-{number}.json")
    if about is None:
        about = _described(number, read or _download)
        _keep(folder / f"task-{number}.json", about)
    table = openml_table(about["data"], cache=cache, fetch=fetch)
    make = as_task_classif if about["type"] == "classif" else as_task_regr
    name = f"openml_task_{number}"
    sets = {part: [np.array(rows) for rows in about[part]] for part in ("train", "test")}
    most = max(int(rows.max()) for parts in sets.values() for rows in parts if len(rows))
    if most >= table.num_rows:
        raise DataError(f"OpenML task {number}: its splits name row {most}, its data have {table.num_rows} rows")
    splits: Resampling = rsmp("custom", train_sets=sets["train"], test_sets=sets["test"])
    splits.id = name
    return OpenMLTask(task=make(table, about["target"], id=name), resampling=splits)


def _described(number: int, read: Callable[[str], str]) -> dict[str, Any]:
    where = f"OpenML task {number}"
    try:
        task = json.loads(_read(read, _TASK.format(number), where))["task"]
        inputs = {entry["name"]: entry for entry in task["input"]}
        source = inputs["source_data"]["data_set"]
        splits = inputs["estimation_procedure"]["estimation_procedure"]["data_splits_url"]
        data, target = int(source["data_set_id"]), str(source["target_feature"])
    except (KeyError, TypeError, ValueError) as problem:
        raise DataError(f"{where} cannot be used: its description is not what was expected ({problem!r})") from problem
    if str(task["task_type_id"]) not in _TYPES:
        kinds = "classification and regression"
        raise DataError(f"{where} is of the type {task.get('task_type')!r}; only {kinds} tasks can be used")
    sets = _splits(_read(read, splits, where), where)
    return {"format": 1, "data": data, "target": target, "type": _TYPES[str(task["task_type_id"])], **sets}


def _read(read: Callable[[str], str], url: str, where: str) -> str:
    from urllib.error import HTTPError

    try:
        return read(url)
    except HTTPError as problem:
        if problem.code in {404, 412}:  # 412 is how openml.org says that there is none
            raise DataError(f"{where} does not exist, or has no splits (HTTP {problem.code})") from problem
        raise DataUnavailableError(f"{where}: openml.org answers HTTP {problem.code}: try again later") from problem
    except OSError as problem:
        reason = str(getattr(problem, "reason", problem)).splitlines()[0]
        raise DataUnavailableError(
            f"{where} is not in the cache and openml.org cannot be reached ({reason}): get it once on a machine with a "
            "network, or point BATCHML_CACHE at a folder that has it"
        ) from problem


def _download(url: str) -> str:
    from urllib.request import Request, urlopen

    with urlopen(Request(url, headers={"User-Agent": "batchml"}), timeout=_TIMEOUT_S) as answer:  # noqa: S310 - https
        text: str = answer.read().decode("utf-8")
    return text


def _splits(text: str, where: str) -> Mapping[str, list[list[int]]]:
    """Return the row ids of each repeat and fold from an ARFF file of (type, row, repeat, fold)."""
    names: list[str] = []
    found: dict[tuple[int, int], dict[str, list[int]]] = defaultdict(lambda: {"TRAIN": [], "TEST": []})
    in_data = False
    for line in (line.strip() for line in text.splitlines()):
        if not line or line.startswith("%"):
            continue
        if line.lower().startswith("@attribute"):
            names.append(line.split()[1].strip("'\"").lower())
        elif line.lower().startswith("@data"):
            in_data = True
        elif in_data:
            row = dict(zip(names, (word.strip().strip("'\"") for word in line.split(",")), strict=False))
            try:
                found[int(row["repeat"]), int(row["fold"])][row["type"].upper()].append(int(float(row["rowid"])))
            except (KeyError, ValueError) as problem:
                raise DataError(f"{where}: its splits cannot be read at {line[:80]!r}") from problem
    if not found:
        raise DataError(f"{where} has no splits")
    return {part.lower(): [sorted(found[key][part]) for key in sorted(found)] for part in ("TRAIN", "TEST")}


def _cached(path: Path) -> dict[str, Any] | None:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) and about.get("format") == 1 else None


def _keep(path: Path, about: Mapping[str, Any]) -> None:
    """A cache that cannot be written costs a download, nothing else."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path) as aside:
            aside.write_text(json.dumps(about), encoding="utf-8")
