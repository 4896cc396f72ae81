"""In which component one cell differs from another: the data, a learner's parameter, the resampling, the seed."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from batchml.registry.dialects import among
from batchml.registry.specs import spec_bodies
from batchml.registry.tables import benchmark, benchmark_experiment, experiment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from sqlalchemy import Connection

    from batchml.registry.cells import CellRow, Survey

__all__ = ["differences", "why_new", "why_not_reused"]

_SHOWN = 3
_NOISE = re.compile(r"^estimator\.|\$tuple\.|params\.|\$object(?=$)|^object(?=$)")
_WIDTH = 40


def differences(old: Mapping[str, Any], new: Mapping[str, Any], absent: str = "default") -> list[str]:
    """Return what differs between two specs, as ``max_depth 3 -> 5``; `absent` stands for what one leaves out.

    Examples
    --------
    >>> differences({"key": "cv", "params": {"folds": 3}}, {"key": "cv", "params": {"folds": 5, "stratify": True}})
    ['folds 3 -> 5', 'stratify default -> true']
    """
    whole = {*old} ^ {*new}
    before, after = (
        dict(_flat({**spec, **{key: _word(spec[key]) for key in whole if key in spec}})) for spec in (old, new)
    )
    names = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    if "data.digest" in names:
        names = ["data.digest", *(name for name in names if not name.startswith("data."))]
    found = [_difference(name, before.get(name, absent), after.get(name, absent)) for name in names]
    return found[:_SHOWN] + ([f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else [])


def _difference(name: str, before: str, after: str) -> str:
    if name == "data.digest":
        return "other data"
    return f"{_NOISE.sub('', name) or 'class'} {_short(before)} -> {_short(after)}"


def _word(value: Any) -> Any:
    """Return what stands for a part that only one of two specs has."""
    if not isinstance(value, Mapping):
        return value
    return value.get("id") or value.get("key") or " ".join(f"{name}={item}" for name, item in value.items())


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of a spec by their path; a list of plain values is one leaf."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if path or key != "format":
                yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        for number, item in enumerate(value):
            yield from _flat(item, f"{path}.{number}")
    else:
        yield path, json.dumps(value)


def why_new(connection: Connection, design: Survey, known: Collection[str]) -> list[str]:
    """Say of the cells of a design that are not there, which component makes them new.

    Each is compared with the members that the benchmark has under the same labels; a label that it does not have at all
    is an addition, of which nothing needs saying.
    """
    new = [cell for cell in design.cells if cell.experiment not in known]
    if not new:
        return []
    held = _members(connection, design.name)
    bodies = spec_bodies(connection, {row[key] for row in held for key in ("task_id", "model_id", "resampling_id")})
    there = [cell for cell in design.cells if cell.experiment in known]
    counts: Counter[str] = Counter()
    for kind, label_of, spec_of, row_key in _COMPONENTS:
        before: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for row in held:
            body = bodies[row[row_key]]
            before[label_of(row["labels"])][json.dumps(body, sort_keys=True)] = body
        # What cells that are there have, too, is no reason: more repeats, for one.
        shared = {getattr(cell, spec_of) for cell in there}
        for cell in new:
            label = label_of(cell.labels)
            body = design.bodies[spec_of][getattr(cell, spec_of)]
            known_body = json.dumps(body, sort_keys=True) in before.get(label, {})
            if label in before and not known_body and getattr(cell, spec_of) not in shared:
                said = ", ".join(differences(list(before[label].values())[-1], body))
                counts[f"{kind} '{_name(label)}' changed ({said})"] += cell.n_iterations
    seeds = {row["seed"] for row in held}
    if seeds and design.seed not in seeds:
        counts[f"the seed changed ({', '.join(map(str, sorted(seeds)))} -> {design.seed})"] = _iterations(new)
    return [f"{number} new since {words}" for words, number in counts.items()]


_COMPONENTS: tuple[tuple[str, Any, str, str], ...] = (
    ("task", lambda labels: labels[0], "task", "task_id"),
    ("learner", lambda labels: (labels[1], labels[3]), "model", "model_id"),
    ("resampling", lambda labels: labels[2], "resampling", "resampling_id"),
)


def _name(label: Any) -> str:
    if isinstance(label, str):
        return label
    name, params = label
    return str(name) if params == "{}" else f"{name} {params}"


def _iterations(cells: Iterable[CellRow]) -> int:
    return sum(cell.n_iterations for cell in cells)


def _members(connection: Connection, name: str) -> list[dict[str, Any]]:
    member, cell = benchmark_experiment.c, experiment.c
    found = (
        select(cell.seed, cell.task_id, cell.model_id, *benchmark_experiment.c)
        .join_from(benchmark, benchmark_experiment, member.benchmark_id == benchmark.c.id)
        .join(experiment, cell.id == member.experiment_id)
        .where(benchmark.c.name == name)
        .order_by(member.position)
    )
    return [
        {
            "seed": row.seed,
            "task_id": row.task_id,
            "model_id": row.model_id,
            "resampling_id": row.resampling_id,
            "labels": (row.task, row.learner, row.resampling, row.params),
        }
        for row in connection.execute(found)
    ]


def why_not_reused(connection: Connection, experiment_id: int) -> str | None:
    """Say what keeps an experiment from using the results of the last one of the same labels; None if there is none."""
    cell = experiment.c
    [mine] = connection.execute(select(experiment).where(among(cell.id)), {"ids": [experiment_id]}).all()
    others = select(experiment).where(
        cell.task == mine.task,
        cell.learner == mine.learner,
        cell.params == mine.params,
        cell.resampling == mine.resampling,
        cell.id < experiment_id,
    )
    twin = connection.execute(others.order_by(cell.id.desc()).limit(1)).one_or_none()
    if twin is None:
        return None
    keys = ("task_id", "model_id", "resampling_id")
    bodies = spec_bodies(connection, {getattr(row, key) for row in (mine, twin) for key in keys})
    said = [
        f"{kind}: {', '.join(differences(bodies[getattr(twin, key)], bodies[getattr(mine, key)]))}"
        for kind, key in zip(("task", "learner", "resampling"), keys, strict=True)
        if getattr(twin, key) != getattr(mine, key)
    ]
    if twin.seed != mine.seed:
        said.append(f"seed: {twin.seed} -> {mine.seed}")
    return "; ".join(said) or None
