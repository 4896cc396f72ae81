"""Tasks, learners and resamplings of a design file."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.core.learner_policy import unannounced
from batchml.errors import DataError, DesignError
from batchml.experiment.design_values import (
    build_object,
    check_keys,
    located,
    take_table,
    take_text,
    take_texts,
    value_of,
)
from batchml.experiment.grid import vary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.core.learner import Learner
    from batchml.core.resampling import Resampling
    from batchml.core.task import Task
    from batchml.core.trust import Trust
    from batchml.data.openml_task import OpenMLTask

__all__ = ["read_learner", "read_resampling", "read_task"]

_SOURCES = ("key", "parquet", "csv", "openml", "openml_task", "duckdb", "sql")
_TASK_FIELDS = ("positive", "group", "stratify", "weights", "drop", "text", "primary_key")
_DATA_FIELDS = ("source", "table", "query", "files", "snapshot", "check")
_TASK_KEYS = (*_SOURCES, "id", "type", "target", *_DATA_FIELDS, *_TASK_FIELDS)
_LEARNER_FIELDS = ("predict_type", "predict_sets", "encapsulate", "fallback", "when", "timeout", "threads")
_LEARNER_KEYS = ("key", "class", "steps", "id", "params", "grid", "preprocess", *_LEARNER_FIELDS)


def read_task(entry: Mapping[str, Any], where: str, folder: Path) -> Task:
    """Return the task of a ``[[task]]`` entry; paths are relative to `folder`."""
    check_keys(entry, _TASK_KEYS, where)
    source = _one_of(entry, _SOURCES, where)
    with located(where):
        if source == "key":
            return _task_by_key(entry, where)
        if source == "openml_task":
            check_keys(entry, ("openml_task", "id"), where, hint="; an OpenML task knows its data and its target")
            return _renamed(_openml_task(entry, where).task, entry, where)
        task_type, target = take_text(entry, "type", where), take_text(entry, "target", where)
        if task_type not in {"classif", "regr"}:
            raise DesignError(f'{where}: write type = "classif" or type = "regr"')
        if target is None:
            raise DesignError(f"{where}: write target = the column to predict")
        data = _read_data(entry, source, where, folder)
        name = take_text(entry, "id", where) or _default_id(entry[source], source)
        return _make_task(task_type, data, target, name, {key: entry[key] for key in _TASK_FIELDS if key in entry})


def read_learner(
    entry: Mapping[str, Any], where: str, trust: Trust
) -> tuple[str, list[tuple[Learner, Mapping[str, Any]]]]:
    """Return the id of a ``[[learner]]`` entry and its variants, one if it has no grid."""
    hint = "; parameters of the learner go into params = { name = value }"
    check_keys(entry, _LEARNER_KEYS, where, hint=hint)
    with located(where):
        learner = _learner(entry, where, trust)
        with unannounced():
            for field in _LEARNER_FIELDS:
                if field in entry:
                    setattr(learner, field, _learner_field(entry, field, where, trust))
        return learner.id, _variants(learner, entry, where, trust)


def read_resampling(entry: Mapping[str, Any], where: str, trust: Trust) -> Resampling:
    """Return the resampling of a ``[[resampling]]`` entry: a key with its parameters, or a splitter's class."""
    from batchml.core import catalog
    from batchml.core.resampling import as_resampling

    kind = _one_of(entry, ("key", "class", "openml_task"), where)
    name = take_text(entry, "id", where)
    with located(where):
        if kind == "openml_task":
            check_keys(entry, ("openml_task", "id"), where)
            made = _openml_task(entry, where).resampling
        elif kind == "class":
            check_keys(entry, ("class", "id", "params"), where)
            made = as_resampling(build_object({k: v for k, v in entry.items() if k != "id"}, trust=trust, where=where))
        else:
            beside = {k: v for k, v in entry.items() if k not in {"key", "id", "params"}}
            params = beside | take_table(entry, "params", where)
            made = catalog.rsmp(entry["key"], **{k: value_of(v, trust=trust, where=where) for k, v in params.items()})
        if name is not None:
            made.id = name
        return made


def _one_of(entry: Mapping[str, Any], choices: tuple[str, ...], where: str) -> str:
    """Return the one of the choices that the entry has."""
    found = [choice for choice in choices if choice in entry]
    if len(found) != 1:
        what = "none is there" if not found else f"{' and '.join(found)} are there"
        raise DesignError(f"{where}: give exactly one of {', '.join(choices)}; {what}")
    return found[0]


def _task_by_key(entry: Mapping[str, Any], where: str) -> Task:
    from batchml.core import catalog

    key = take_text(entry, "key", where)
    fields = {name: value for name, value in entry.items() if name not in {"key", "type"}}
    task: Task = catalog.tsk(key, **fields)
    wanted = entry.get("type")
    if wanted is not None and wanted != task.task_type:
        raise DesignError(f"{where}: task '{key}' is {task.task_type}, not {wanted}")
    return task


def _make_task(task_type: str, data: Any, target: str, name: str, fields: dict[str, Any]) -> Task:
    from batchml.core.task import as_task_classif, as_task_regr

    if task_type == "classif":
        return as_task_classif(data, target, id=name, **fields)
    if "positive" in fields:
        raise DataError("positive is for classification tasks")
    return as_task_regr(data, target, id=name, **fields)


def _openml_task(entry: Mapping[str, Any], where: str) -> OpenMLTask:
    from batchml.data.openml_task import openml_task

    number = entry["openml_task"]
    if isinstance(number, bool) or not isinstance(number, int):
        raise DesignError(f"{where}: openml_task is the number of a task, not {number!r}")
    return openml_task(number)


def _renamed(task: Task, entry: Mapping[str, Any], where: str) -> Task:
    task.id = take_text(entry, "id", where) or task.id
    return task


def _read_data(entry: Mapping[str, Any], source: str, where: str, folder: Path) -> Any:
    from batchml.data.sources import as_data_backend

    options = {name: entry[name] for name in _DATA_FIELDS if name in entry}
    _check_options(options, source, where)
    if source == "openml":
        from batchml.data.openml import openml_table

        number = entry["openml"]
        if isinstance(number, bool) or not isinstance(number, int):
            raise DesignError(f"{where}: openml is the number of a data set, not {number!r}")
        return openml_table(number)
    if source == "sql":
        data: Any = take_text(entry, "sql", where)
        options["source"] = _anchored(str(take_text(entry, "source", where)), folder)
    else:
        listed = [path if "://" in path else str(folder / path) for path in take_texts(entry, source, where)]
        data = listed[0] if len(listed) == 1 else listed
    if source == "duckdb" and not options.keys() & {"table", "query"}:
        options["table"] = ""  # the only one
    if "files" in options:
        options["files"] = [str(folder / path) for path in take_texts(entry, "files", where)]
    key = take_text(entry, "primary_key", where)
    return as_data_backend(data, key, text=take_texts(entry, "text", where) if "text" in entry else (), **options)


#: Which of `_DATA_FIELDS` a source of data takes.
_OPTIONS = {"sql": ("source", "snapshot", "check"), "duckdb": ("table", "query", "files", "snapshot"), "openml": ()}


def _check_options(options: Mapping[str, Any], source: str, where: str) -> None:
    allowed = _OPTIONS.get(source, ("snapshot",))
    for name, value in options.items():
        if name not in allowed:
            raise DesignError(f"{where}: {name} does not go with {source}")
        kind = {"snapshot": bool, "files": list}.get(name, str)
        if not isinstance(value, kind):
            raise DesignError(f"{where}: {name} = {value!r} is of the wrong type: it is {_WORDS[kind]}")
    if source == "sql" and "source" not in options:
        raise DesignError(f'{where}: write source = "NAME" of a database below [sources] in batchml.toml')


_WORDS: dict[type, str] = {bool: "true or false", list: "a list of paths", str: "a text"}


def _anchored(source: str, folder: Path) -> str:
    """Return a source; a SQLite file is looked for beside the design."""
    prefix = "sqlite:///"
    return f"{prefix}{folder.absolute() / source.removeprefix(prefix)}" if source.startswith(prefix) else source


def _default_id(value: Any, source: str) -> str:
    if isinstance(value, list):
        value = value[0] if value else source
    if source == "sql":
        raise DesignError("a task by sql needs an id")
    return f"openml_{value}" if source == "openml" else Path(str(value)).stem


def _learner(entry: Mapping[str, Any], where: str, trust: Trust) -> Learner:
    from batchml.core import catalog
    from batchml.core.learner import as_learner

    kind = _one_of(entry, ("key", "class", "steps"), where)
    name = take_text(entry, "id", where)
    preprocess = take_text(entry, "preprocess", where)
    options = {} if preprocess is None else {"preprocess": preprocess}
    if kind == "class":
        table = {key: entry[key] for key in ("class", "params") if key in entry}
        return as_learner(build_object(table, trust=trust, where=where), id=name, **options)
    if kind == "steps":
        if "params" in entry:
            raise DesignError(f"{where}: parameters of a step stand beside its class, not in params")
        return as_learner(_pipeline(entry["steps"], where, trust), id=name or "pipeline", **options)
    params = take_table(entry, "params", where)
    values = {key: value_of(value, trust=trust, where=where) for key, value in params.items()}
    fields = options if name is None else {"id": name, **options}
    learner: Learner = catalog.lrn(entry["key"], **values, **fields)
    return learner


def _pipeline(steps: Any, where: str, trust: Trust) -> Any:
    from sklearn.pipeline import make_pipeline

    if not isinstance(steps, list) or not steps:
        raise DesignError(f"{where}: steps must be a list of class paths, the last of a classifier or regressor")
    made = []
    for number, step in enumerate(steps, start=1):
        place = f"{where}, step {number}"
        if isinstance(step, dict):
            check_keys(step, ("class", "params"), place)
        elif not isinstance(step, str):
            raise DesignError(f'{place}: write a class path, or {{ class = "...", params = {{ ... }} }}, not {step!r}')
        made.append(build_object(step, trust=trust, where=place))
    if not callable(getattr(made[-1], "predict", None)):
        raise DesignError(
            f"{where}: the last of steps must be a classifier or regressor, not {type(made[-1]).__name__}"
        )
    return make_pipeline(*made)


def _learner_field(entry: Mapping[str, Any], field: str, where: str, trust: Trust) -> Any:
    from batchml.core.learner import as_learner

    value = entry[field]
    if field == "fallback":
        return as_learner(str(take_text(entry, field, where)))
    if field == "when":
        return trust.resolve(str(take_text(entry, field, where)))
    if field == "predict_sets":
        return tuple(take_texts(entry, field, where))
    return value


def _variants(
    learner: Learner, entry: Mapping[str, Any], where: str, trust: Trust
) -> list[tuple[Learner, Mapping[str, Any]]]:
    grid = entry.get("grid", {})
    if not isinstance(grid, dict) or not all(isinstance(values, list) and values for values in grid.values()):
        raise DesignError(f"{where}: grid must be a table of lists, {{ max_depth = [3, 5] }}, not {grid!r}")
    if not grid:
        return [(learner, {})]
    twice = [name for name in grid if name in take_table(entry, "params", where)]
    if twice:
        raise DesignError(f"{where}: '{twice[0]}' is in params and in grid: leave it out of one")
    resolved = {name: value_of(values, trust=trust, where=where) for name, values in grid.items()}
    settings = (dict(zip(resolved, values, strict=True)) for values in itertools.product(*resolved.values()))
    return [vary(learner, one) for one in settings]
