"""Looking after a registry: what it is, whether it is sound, and freeing one whose holder is gone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, cast, func, inspect, select

from batchml.core.digest import digest
from batchml.errors import ArtifactError, ConfigError, SpecError
from batchml.registry import tables as t
from batchml.registry.engine import check_file, parse_url
from batchml.registry.owner import owner_path
from batchml.registry.schema import current_revision
from batchml.registry.views import NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from batchml.registry.store import Store

__all__ = ["describe", "problems", "unlock"]

_SHOWN = 20


def describe(store: Store) -> dict[str, Any]:
    """Return facts about a registry: where it is, its schema, how much is in it."""
    counted = {
        "benchmarks": t.benchmark,
        "experiments": t.experiment,
        "jobs": t.job,
        "attempts": t.attempt,
        "environments": t.environment,
    }
    with store.read() as connection:
        numbers = {
            name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for name, table in counted.items()
        }
        about = connection.execute(select(t.registry.c.created_at)).scalar_one()
        revision = current_revision(connection)
    path = store.place.path
    return {
        "registry": str(store.place),
        "file": None if path is None else str(path),
        "size_mb": None if path is None else round(_size(path) / 2**20, 3),
        "id": store.uuid,
        "schema": revision,
        "seed": store.root_seed,
        "created_at": str(about),
        "single_host": store.place.shared,
        "artifacts": str(store.artifact_path),
        **numbers,
    }


def _size(path: Path) -> int:
    files = (path.with_name(path.name + ending) for ending in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def problems(store: Store) -> list[str]:
    """Return what is wrong with a registry in sentences, nothing if it is sound."""
    with store.read() as connection:
        found = _damage(connection) if store.place.path is not None else []
        if lost := _lost(connection):
            return found + lost  # whatever else is asked asks them
        found += _contradictions(connection)
        tasks, altered = _specs(connection)
    data = [body.get("data", {}) for body in tasks]
    wanted = sorted({each["digest"] for each in data if each.get("kind") == "artifact"})
    return found + altered + [problem for name in wanted for problem in _data_damage(store, name)]


def _lost(connection: Connection) -> list[str]:
    there = {*inspect(connection).get_table_names(), *inspect(connection).get_view_names()}
    lost = [f"the table {name} is gone: restore a copy" for name in t.metadata.tables if name not in there]
    return lost + [f"the view {name} is gone: `batchml db upgrade` makes it" for name in NAMES if name not in there]


def _specs(connection: Connection) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the bodies of tasks, and sentences on specs that are not what their digests say."""
    tasks, altered = [], []
    for row in connection.execute(select(t.spec.c.kind, t.spec.c.digest, cast(t.spec.c.body, Text))):
        try:
            body = json.loads(row[2])
            sound = isinstance(body, dict) and digest(body) == row.digest
        except (ValueError, SpecError):
            body, sound = None, False
        if row.kind == "task":
            sound = isinstance(body, dict)  # where its data lie may change
        if not sound:
            altered.append(f"the {row.kind} {row.digest} is not what its digest says: it was altered; restore a copy")
        elif row.kind == "task":
            tasks.append(body)
    return tasks, altered


def _data_damage(store: Store, name: str) -> list[str]:
    from batchml.data.tables import open_table

    try:
        open_table(store.artifacts, name, verify=True)
    except ArtifactError as problem:
        return [str(problem)]
    return []


def _damage(connection: Connection) -> list[str]:
    rows = connection.exec_driver_sql(f"PRAGMA quick_check({_SHOWN})").scalars().all()
    found = [f"the database is damaged: {row}" for row in rows if row != "ok"]
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    return found + [f"a row of table {row[0]} refers to a row of {row[2]} that is gone" for row in orphans[:_SHOWN]]


def _contradictions(connection: Connection) -> list[str]:
    has_result = select(t.result.c.job_id).where(t.result.c.job_id == t.job.c.id).exists()
    is_open = select(t.attempt.c.id).where(t.attempt.c.job_id == t.job.c.id, t.attempt.c.ended_at.is_(None)).exists()
    rules = {
        "done without a result": (t.job.c.state == "done") & ~has_result,
        "running without an open attempt": (t.job.c.state == "running") & ~is_open,
        "not running, with an open attempt": (t.job.c.state != "running") & is_open,
    }
    counts = {words: select(func.count()).select_from(t.job).where(rule) for words, rule in rules.items()}
    numbers = {words: int(connection.execute(count).scalar_one()) for words, count in counts.items()}
    return [f"{number} jobs are {words}" for words, number in numbers.items() if number]


def unlock(url: str) -> str | None:
    """Remove the claim of another host on a registry on a network file system; return who held it, None if nobody."""
    place = parse_url(url)
    if place.path is None:
        raise ConfigError(f"{place} is no file: only a SQLite registry on a network file system is ever held by a host")
    check_file(place.path)
    file = owner_path(place.path)
    try:
        holder = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    file.unlink(missing_ok=True)
    return holder
