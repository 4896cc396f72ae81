"""Environments of workers: found out beside the jobs, stored once, told when they are mixed."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pandas as pd
import pytest

import batchml as bm
from batchml.core.attempt import Ending, Outcome
from batchml.execution.environment import collect, cpu, cpu_level, project, scheduler_ids
from batchml.experiment.environments import differences, mixture
from batchml.registry.environments import put_environment
from batchml.registry.places import note_places
from batchml.registry.store import Store
from batchml.registry.submissions import submit
from batchml.registry.workers import register_worker
from batchml.worker.probe import Probe

V3 = "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3 abm avx avx2 bmi1 bmi2 f16c fma movbe xsave"


def git(folder, *words):
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, env=environment)


def test_a_look_finds_what_results_depend_on(tmp_path):
    found = collect([str(tmp_path)])
    assert found["python"].startswith("3.")
    assert found["packages"]["scikit-learn"].count(".") >= 1
    assert found["cpu"]["level"]
    assert any(one["user_api"] == "blas" for one in found["blas"])
    assert found["project"] == []
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("flags", "level"),
    [("sse2", "v1"), (V3[:44], "v2"), (V3, "v3"), (f"{V3} avx512f", "v3"), ("avx2 fma", "v1")],
)
def test_a_processor_has_the_level_whose_features_it_all_has(flags, level):
    assert cpu_level(flags.split()) == f"x86-64-{level}"
    info = f"processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: {flags}\n\nprocessor\t: 1\nmodel name\t: Other\n"
    assert cpu(info)["level"] == f"x86-64-{level}"
    assert cpu(info)["model"] == "Some CPU"


def test_a_machine_that_says_nothing_is_no_error():
    assert cpu("")["model"] is None


def test_the_commit_of_a_project_and_its_dirtiness_are_found(tmp_path):
    git(tmp_path, "init")
    assert project(str(tmp_path))["commit"] is None
    (tmp_path / "own.py").write_text("x = 1\n")
    assert project(str(tmp_path))["dirty"] is True
    git(tmp_path, "add", "own.py")
    git(tmp_path, "commit", "-m", "first")
    found = project(str(tmp_path))
    assert (len(found["commit"]), found["dirty"]) == (40, False)
    (tmp_path / "own.py").write_text("x = 2\n")
    assert project(str(tmp_path)) == found | {"dirty": True}


def test_without_git_or_folder_there_is_no_commit_and_no_error(tmp_path, monkeypatch):
    assert project(str(tmp_path)) is None
    assert project(str(tmp_path / "gone")) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert project(str(tmp_path)) is None


def test_a_repository_runs_nothing_when_it_is_asked(tmp_path):
    git(tmp_path, "init")
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    git(tmp_path, "config", "core.fsmonitor", str(trap))
    project(str(tmp_path))
    assert not (tmp_path / "sprung").exists()


def test_a_scheduler_is_known_by_its_variables():
    assert scheduler_ids({}) == {}
    found = scheduler_ids({"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "2"})
    assert found == {"kind": "slurm", "job": "7", "array_job": "5", "array_task": "2"}


def test_a_probe_answers_once_and_later(tmp_path):
    probe = Probe([str(tmp_path)])
    start = time.monotonic()
    assert probe.look() is None
    assert time.monotonic() - start < 0.5
    assert probe.look(60.0)["packages"]
    assert probe.look(60.0) is None
    probe.close()


def test_a_probe_that_is_closed_leaves_no_process(tmp_path):
    probe = Probe([str(tmp_path)])
    probe.look()
    process = probe._process
    probe.close()
    assert process.poll() is not None
    assert probe.look() is None


ONE = {
    "environment_id": 1,
    "python": "3.11.7 (CPython)",
    "platform": "Linux",
    "cpu": "A",
    "cpu_level": "x86-64-v3",
    "blas": "openblas 0.3.30 Haswell",
    "packages": {"scikit-learn": "1.8.0", "numpy": "2.4.1"},
    "code": [],
    "n_jobs": 1,
}


def test_differences_are_named():
    other = ONE | {"packages": ONE["packages"] | {"scikit-learn": "1.9.1"}, "cpu_level": "x86-64-v4"}
    assert differences([ONE, other]) == [
        "scikit-learn 1.8.0 and 1.9.1",
        "CPU levels x86-64-v3 and x86-64-v4",
    ]
    words = mixture([ONE, other])
    assert words.startswith("made in 2 environments: scikit-learn 1.8.0 and 1.9.1; CPU levels x86-64-v3 and x86-64-v4:")
    assert words.endswith("may differ in the last digits")
    assert mixture([ONE]) is mixture([]) is mixture([ONE, ONE]) is None
    assert "last digits" not in mixture([ONE, ONE | {"packages": {"numpy": "2.4.1"}}])
    assert differences([ONE, ONE | {"cpu": "B"}]) == ["CPUs A and B"]
    many = ONE | {"packages": {f"p{number}": "1" for number in range(20)}}
    assert len(differences([ONE, many])) == 6
    code = [ONE | {"code": [{"commit": letter * 40, "dirty": letter == "b"}]} for letter in "ab"]
    assert differences(code) == ["code at aaaaaaaaaa and bbbbbbbbbb", "code with and without uncommitted changes"]


def found(**more):
    base = {
        "python": "3.11",
        "platform": "Linux",
        "cpu": {"model": "A", "level": "x86-64-v3"},
        "packages": {"numpy": "2"},
    }
    return base | more


def test_equal_environments_share_a_row_and_mixed_ones_are_told(registry_url, tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    with bm.Registry.create(registry_url, seed=1) as registry:
        registry.add(bm.benchmark_grid("iris", "classif.featureless", bm.rsmp("cv", folds=3)))
        registry.submit(executor=bm.Local(slots=1))
        assert registry.wait(60)
        registry.stop()
        result = registry.reduce()
        deadline = time.monotonic() + 30
        while not len(environments := registry.reduce().environments) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert environments["n_jobs"].tolist() == [3]
        assert "numpy" in environments["packages"][0]
        assert "environments" not in repr(registry.reduce())
        with Store.open(registry_url) as store:
            number, _ = submit(store, [])
            workers = [register_worker(store, number, slots=1) for _ in range(3)]
            for worker, model in zip(workers, "AAB", strict=True):
                put_environment(store, worker, found(cpu={"model": model, "level": "x86-64-v2"}))
            with store.write() as connection:  # as if another worker had done one of the jobs
                connection.exec_driver_sql(f"UPDATE attempt SET worker_id = {workers[0]} WHERE job_id = 1")
            # And as if a third had sent one to a cluster: what counts is where it ran, even before that is known.
            place = Outcome(attempt_id=2, job_id=2, ending=Ending.DONE, host="n1", place="tcp://n1:1")
            with store.write() as connection:
                note_places(connection, workers[2], [place])
            assert sorted(registry.reduce().environments["n_jobs"]) == [1, 1]
            put_environment(store, workers[2], found(cpu={"model": "B"}), host="n1", name="tcp://n1:1")
        ids = registry.sql("SELECT environment_id FROM workers ORDER BY worker_id")["environment_id"].tolist()
        assert ids[1] == ids[2] != ids[3]
        mixed = registry.reduce()
        counts = registry.sql("SELECT n_workers, n_jobs FROM environments ORDER BY environment_id")
        registry.export(tmp_path / "out")
    exported = {name: pd.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("attempts", "environments")}
    assert sorted(exported["attempts"]["environment_id"]) == sorted(mixed.environments["environment_id"])
    assert set(exported["attempts"]["environment_id"]) < set(exported["environments"]["environment_id"])
    assert sorted(mixed.environments["n_jobs"]) == [1, 1, 1]
    assert counts.to_numpy().tolist() == [[1, 1], [2, 1], [1, 0], [1, 1]]
    assert "made in 3 environments:" in repr(mixed)
    assert "last digits" in repr(mixed)
    assert "environments" not in repr(result)


def test_a_worker_says_where_its_scheduler_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    with Store.create(f"sqlite:///{tmp_path}/a.db", seed=1) as store:
        number, _ = submit(store, [])
        register_worker(store, number, slots=1)
        with store.read() as connection:
            (text,) = connection.exec_driver_sql("SELECT allocation FROM workers").one()
    assert json.loads(text) == {"kind": "slurm", "job": "77", "restarts": "2"}
