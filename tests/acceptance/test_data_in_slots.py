"""Data that lie elsewhere, through registry, workers and slots: shared, noticed when they change, waited for."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchml as bm


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "cache"))


def table(n, columns=3, seed=0):
    draw = np.random.default_rng(seed)
    return pa.table({"y": draw.normal(size=n), **{f"x{i}": draw.normal(size=n) for i in range(columns)}})


def designed(backend, *learners, folds=2):
    return bm.benchmark_grid(bm.as_task_regr(backend, "y", id="t"), list(learners), bm.rsmp("cv", folds=folds), seed=1)


def finished(registry, slots=2):
    registry.submit(executor=bm.Local(slots=slots))
    assert registry.wait(timeout=120)
    return registry.jobs()


@pytest.fixture(params=["parquet", "duckdb", "sqlite", "csv", "arrow", "remote"])
def backend(request, tmp_path):
    path = tmp_path / f"t.{request.param}"
    if request.param == "duckdb":
        return bm.as_duckdb_backend(table(60), path)
    if request.param == "sqlite":
        return bm.as_sqlite_backend(table(60), path)
    if request.param == "csv":
        table(60).to_pandas().to_csv(path, index=False)
        return bm.as_data_backend(path)
    if request.param == "arrow":
        with pa.ipc.new_file(path, table(60).schema) as writer:
            writer.write_table(table(60))
        return bm.as_data_backend(path)
    pq.write_table(table(60), tmp_path / "t.parquet")
    return bm.as_data_backend((tmp_path / "t.parquet").as_uri() if request.param == "remote" else path)


def test_slots_and_partners_open_the_data_for_themselves(backend, tmp_path):
    guarded = bm.lrn("regr.tree", id="guarded", max_depth=2)
    guarded.encapsulate = "process"
    design = designed(backend, "regr.tree", guarded, folds=3)
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as registry:
        registry.add(design)
        jobs = finished(registry)
        assert set(jobs["state"]) == {"done"}, registry.errors().to_string()
        result = registry.reduce()
        new = registry.add(designed(bm.as_data_backend(table(60)), "regr.tree", guarded, folds=3))
        assert (new == []) == (backend.primary_key is None)  # the same table, unless a key was added to it
    session = bm.benchmark(design)
    one, other = (each.aggregate("regr.mse").set_index("learner")["regr.mse"] for each in (result, session))
    assert one.loc[["regr.tree", "guarded"]].tolist() == other.loc[["regr.tree", "guarded"]].tolist()


def test_changed_data_end_jobs_as_the_users_mistake_with_the_reason(tmp_path):
    pq.write_table(table(60), tmp_path / "t.parquet")
    url = f"sqlite:///{tmp_path}/d.db"
    bm.as_sqlite_backend(table(60), tmp_path / "d.db")
    tasks = [
        bm.as_task_regr(tmp_path / "t.parquet", "y", id="file"),
        bm.as_task_regr(bm.as_data_backend("data", source=url), "y", id="database"),
    ]
    fallback = bm.lrn("regr.tree", id="kept")
    fallback.fallback = "regr.featureless"  # which must not answer
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as registry:
        registry.add(bm.benchmark_grid(tasks, fallback, "holdout", seed=1))
        pq.write_table(table(60, seed=1), tmp_path / "t.parquet")
        with sqlite3.connect(tmp_path / "d.db") as connection:
            connection.execute("DELETE FROM data WHERE row_id = 3")
        connection.close()
        jobs = finished(registry)
        assert jobs["state"].tolist() == ["error", "error"]
        assert jobs["outcome"].tolist() == ["config_error", "config_error"]
        said = registry.errors().set_index("task")["message"]
        assert "t.parquet" in said["file"]
        assert "has changed since the design was added" in said["file"]
        assert "it has 59 rows, not 60" in said["database"]


@pytest.mark.parametrize("encapsulate", ["none", "process"])
def test_data_that_are_away_are_waited_for(tmp_path, encapsulate):
    backend = bm.as_sqlite_backend(table(60), tmp_path / "d.db")
    learner = bm.lrn("regr.tree")
    learner.encapsulate = encapsulate
    if encapsulate != "none":
        learner.fallback = "regr.featureless"
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as registry:
        (job,) = registry.add(bm.benchmark_grid(bm.as_task_regr(backend, "y"), learner, "holdout", seed=1))
        (tmp_path / "d.db").rename(tmp_path / "away.db")
        registry.submit(executor=bm.Local(slots=1))
        end = time.monotonic() + 60
        while not (attempts := registry.attempts(job))["outcome"].eq("infrastructure").any():
            assert time.monotonic() < end
            time.sleep(0.1)
        assert "d.db" in attempts["message"].dropna().iloc[0]
        (tmp_path / "away.db").rename(tmp_path / "d.db")
        assert registry.wait(timeout=120)
        assert registry.jobs()["state"].tolist() == ["done"]


def test_a_file_that_moved_is_no_new_task(tmp_path):
    pq.write_table(table(60), tmp_path / "one.parquet")
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as registry:
        assert len(registry.add(designed(tmp_path / "one.parquet", "regr.tree"))) == 2
        (tmp_path / "one.parquet").rename(tmp_path / "two.parquet")
        assert registry.add(designed(tmp_path / "two.parquet", "regr.tree")) == []
        assert set(finished(registry)["state"]) == {"done"}
        assert registry.add(designed(table(60), "regr.tree")) == []


def test_a_snapshot_is_shipped_and_the_source_does_not_matter_any_more(tmp_path):
    pq.write_table(table(60), tmp_path / "t.parquet")
    (tmp_path / "d.toml").write_text(
        """[benchmark]
name = "snap"
[[task]]
type = "regr"
parquet = "t.parq*t"
target = "y"
snapshot = true
[[learner]]
key = "regr.tree"
[[resampling]]
key = "holdout"
""",
        encoding="utf-8",
    )
    from batchml.experiment.design_file import load_design

    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as registry:
        registry.add(load_design(tmp_path / "d.toml"))
        (tmp_path / "t.parquet").unlink()
        assert set(finished(registry, 1)["state"]) == {"done"}


def test_artifacts_behind_a_url_reach_the_slots(tmp_path):
    place = f"local://{tmp_path}/bucket"
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db", artifacts=place) as registry:
        registry.add(designed(table(60), "regr.tree"))
        assert set(finished(registry)["state"]) == {"done"}, registry.errors().to_string()
    assert not (tmp_path / "study.db.artifacts").exists()


def shared_size(pid):
    """Return the bytes of a process, of shared ones its share (PSS)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except ProcessLookupError:  # it has just ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


def test_slots_share_one_copy_of_a_table(tmp_path):
    """Each further slot that only reads adds less than a tenth of the table, here of 160 MB, to the memory in use."""
    from batchml.registry.store import Store

    size = 20 * 8 * 1_000_000
    url = f"sqlite:///{tmp_path}/study.db"
    split = bm.rsmp("subsampling", ratio=0.02, repeats=3)
    with bm.Registry.create(url) as registry:
        jobs = {
            n: registry.add(
                bm.benchmark_grid(bm.as_task_regr(table(n, 19), "y"), "regr.lm", split, seed=1), name=str(n)
            )
            for n in (1000, 1_000_000)
        }
    with Store.open(url) as store:
        used = {(n, slots): memory_of(store, jobs[n][:slots]) for n in jobs for slots in (1, 3)}
    extra = {n: (used[n, 3] - used[n, 1]) / 2 for n in jobs}
    print({key: f"{value / 1e6:.0f} MB" for key, value in used.items()})
    assert used[1_000_000, 1] - used[1000, 1] > 0.9 * size
    assert extra[1_000_000] - extra[1000] < 0.1 * size


def memory_of(store, jobs):
    """Run each job in a slot of its own and return what the processes of the pool take together, once they are idle."""
    from batchml.core.attempt import Assignment
    from batchml.registry.experiments import read_job
    from batchml.worker.slots import SandboxPool

    pool = SandboxPool(len(jobs), store.artifact_path)
    try:
        for job in jobs:
            experiment, iteration = read_job(store, job)
            pool.submit(Assignment(attempt_id=job, job_id=job, iteration=iteration, experiment=experiment))
        outcomes = []
        while len(outcomes) < len(jobs):
            outcomes += pool.wait(1.0)
        assert {outcome.ending.value for outcome in outcomes} == {"done"}, outcomes
        return sum(shared_size(process.pid) for process in psutil.Process().children(recursive=True))
    finally:
        pool.close()
