"""Write down a registry of this revision, for the tests of later ones: ``python tests/migration/dump.py``.

To be run once a revision, when it is finished and before the next one is begun. It runs a small benchmark with an
error, a fallback, a second attempt, a lost worker, a tag, a cancelled and an unfinished job on each database, and
writes ``dumps/<revision>.sqlite.sql`` and ``dumps/<revision>.postgresql.sql``: statements, ended by semicolons.
"""

from __future__ import annotations

import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import batchml as bm
from batchml.core.attempt import Ending
from batchml.registry.exchange import exchange
from batchml.registry.programs import account_for, find_programs
from batchml.registry.schema import HEAD
from batchml.registry.server import serve, stop
from batchml.registry.store import Store
from batchml.registry.workers import end_worker, register_worker

FOLDER = Path(__file__).parent / "dumps"
REPOSITORY = Path(__file__).parents[2]


def fill(url: str) -> None:
    """Run the benchmark."""
    guarded = bm.lrn("classif.debug", id="guarded", error_train=0.7, encapsulate="capture")
    guarded.fallback = bm.lrn("classif.featureless")
    learners = ["classif.tree", guarded, bm.lrn("classif.debug", id="bare", error_train=1.0, warning_predict=1.0)]
    design = bm.benchmark_grid("iris", learners, bm.rsmp("cv", folds=3), measures=["classif.acc", "classif.ce"], seed=4)
    with bm.Registry.create(url, seed=7) as registry:
        registry.add(design, name="small")
        registry.submit(executor=bm.Local(slots=2))
        assert registry.wait(120)
        failed = registry.jobs(state="error")["job_id"].tolist()
        registry.tag(failed, "to be looked at")
        registry.retry(failed[:1])
        registry.submit(failed[:1], executor=bm.Local(slots=1))
        registry.resume()
        assert registry.wait(120)
        more = bm.benchmark_grid("wine", "classif.featureless", bm.rsmp("cv", folds=5), measures="classif.acc", seed=4)
        new = registry.add(more, name="unfinished")
        registry.cancel(new[:1])
        registry.submit(new[1:4], executor=_Nobody())
    with Store.open(url) as store:
        with store.read() as connection:
            submission = connection.exec_driver_sql("SELECT max(id) FROM submission").scalar_one()
        worker = register_worker(store, submission, slots=1)
        assert exchange(store, worker, [], [], 1).assignments
        with store.write() as connection:
            end_worker(connection, worker, "lost", "its process is gone", Ending.LOST)


class _Nobody:
    """An executor without workers."""

    name = "nobody"
    settings: dict[str, object] = {}  # noqa: RUF012

    def check(self, resources: object) -> None:
        """Accept all."""

    def start(self, *arguments: object, **options: object) -> list[object]:
        """Start nothing."""
        return []


def anonymous(text: str) -> str:
    """Strike out what belongs to the place where the dump was made."""
    text = text.replace(str(REPOSITORY), "/srv/batchml").replace(sys.prefix, "/srv/python")
    text = text.replace(sys.base_prefix, "/usr").replace(socket.gethostname(), "node1")
    return re.sub(r"/tmp/[\w./-]+", "/tmp/place", text)


def sqlite(folder: Path) -> str:
    """Return the statements that make the registry on SQLite."""
    fill(f"sqlite:///{folder}/study.db")
    connection = sqlite3.connect(folder / "study.db")
    text = "\n".join(connection.iterdump())
    connection.close()
    return text


def postgresql(folder: Path) -> str:
    """Return the statements that make the registry on PostgreSQL: no others, so that any version takes them."""
    server = serve(folder, durable=False)
    try:
        fill(server.url)
        programs = find_programs(account_for(folder))
        plain = ["--inserts", "--no-owner", "--no-acl", "--no-comments", "--schema=public"]
        text = subprocess.run(
            [programs.folder / "pg_dump", server.url, *plain], check=True, capture_output=True, text=True
        ).stdout
    finally:
        stop(folder)
    left_out = ("--", "\\", "SET ", "SELECT pg_catalog.set_config", "CREATE SCHEMA public")
    kept = [line for line in text.splitlines() if line and not line.startswith(left_out)]
    return "\n".join(kept)


def main() -> None:
    """Write both."""
    for name, make in {"sqlite": sqlite, "postgresql": postgresql}.items():
        with tempfile.TemporaryDirectory(prefix="batchml-dump-") as folder:
            Path(folder).chmod(0o755)
            text = make(Path(folder))
        file = FOLDER / f"{HEAD}.{name}.sql"
        file.write_text(anonymous(text) + "\n", encoding="utf-8")
        print(file, file.stat().st_size)


if __name__ == "__main__":
    main()
