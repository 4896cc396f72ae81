"""Jobs whose Dask worker died are tried again alone on one Dask worker, while others go on elsewhere."""

from __future__ import annotations

import sys

import pytest
from dask_cluster import DaskCluster
from dask_study import Study, until

import batchml as bm


@pytest.fixture
def cluster(tmp_path):
    """A scheduler of the test's own."""
    cluster = DaskCluster(tmp_path / "dask")
    yield cluster
    cluster.stop()


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "witness_of_dask", raising=False)
    study = Study(tmp_path)
    yield study
    study.close()


def beside(run, runs):
    """Return what ran in the same Dask worker at the same time."""
    _, place, start, end = run
    return [
        other
        for other in runs
        if other is not run
        and other[1] == place
        and other[2] < (end or start + 0.01)
        and (other[3] or other[2] + 0.01) > start
    ]


def test_a_job_that_kills_dask_workers_is_found_out_and_costs_nobody_else_anything(study, cluster):
    """It kills as soon as it begins: its Dask worker must have said so before, and Dask must not try it on the next."""
    for _ in range(4):
        cluster.worker(2)
    cluster.ready(4)
    study.fill_watched(8, 0.5, name="others").fill_watched(1, name="killer", kill=True)
    submission = study.submit(bm.Dask(cluster.address))
    submission.wait(150)
    tally = study.registry.tally()
    assert (tally["done"], tally["error"]) == (8, 1), study.words()
    assert study.ask("select state, charged, lost_alone from job where lost_alone > 0") == [("error", 2, 2)]
    assert study.ask("select count(*) from job where state = 'done' and charged > 0") == [(0,)]
    runs = study.runs()
    killers = [run for run in runs if run[0] == "killer"]
    assert len(killers) == 3
    assert [beside(run, runs) for run in killers[1:]] == [[], []]


def test_suspects_run_at_once_each_with_a_dask_worker_and_others_go_on_elsewhere(study, cluster):
    """Of another supervisor, too, which only the Dask worker itself can keep out."""
    for _ in range(2):
        cluster.worker(2)
    study.fill_watched(2, 200.0, name="suspects")
    with study.registry._store.write() as connection:
        connection.exec_driver_sql("update job set suspect = 1")
    first = study.submit(bm.Dask(cluster.address))
    until(lambda: len(study.runs()) == 2, study.words)
    with study.registry._store.write() as connection:
        connection.exec_driver_sql("update job set suspect = 0")
    cluster.worker(2)
    study.fill_watched(6, 0.3, name="others")
    study.submit(bm.Dask(cluster.address))
    until(lambda: study.done() == 6, study.words)
    study.hurry()
    assert first.wait(120), study.words()
    runs = study.runs()
    suspects, others = runs[:2], runs[2:]
    assert len({place for _, place, _, _ in suspects}) == 2
    assert max(start for _, _, start, _ in suspects) < min(end for _, _, _, end in suspects)
    assert [beside(run, runs) for run in suspects] == [[], []]
    assert len(others) == 6
    assert set(study.outcomes()) <= {"done", "released"}
