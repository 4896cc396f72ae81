"""Dask clusters that grow and shrink: what comes is used, what retires loses nothing and nobody is charged."""

from __future__ import annotations

import signal
import sys

import pytest
from dask_cluster import DaskCluster
from dask_study import Study, until

import batchml as bm


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "witness_of_dask", raising=False)
    study = Study(tmp_path)
    yield study
    study.close()


@pytest.fixture(scope="module")
def growing():
    """A cluster of this process's own without workers."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster:
        yield cluster


def test_an_adaptive_cluster_grows_by_what_waits_and_shrinks_to_nothing(study, growing):
    growing.adapt(minimum=0, maximum=3, interval="200ms", wait_count=3, target_duration="1s")
    study.fill(20, 0.4)
    submission = study.submit(bm.Dask(growing))
    assert submission.wait(120), study.words()
    until(lambda: not growing.scheduler_info["workers"], growing)
    growing.adapt(minimum=0, maximum=0, interval="1h")
    assert study.done() == 20, study.words()
    assert study.ask("select max(c) from (select count(distinct place_id) c from attempt)")[0][0] >= 2
    assert set(study.outcomes()) <= {"done", "preempted", "released"}
    assert study.blamed() == 0


def test_workers_that_are_scaled_away_cost_no_job_and_charge_nobody(study, growing):
    """They come when jobs wait already, and go while jobs run on them."""
    growing._adaptive = None
    growing.scale(0)
    study.fill_watched(12, 200.0)
    submission = study.submit(bm.Dask(growing))
    growing.scale(3)
    until(lambda: len(study.places()) == 3, study.words)
    growing.scale(1)
    until(lambda: study.outcomes()["preempted"] == 2, study.words)
    study.hurry()
    assert submission.wait(120), study.words()
    assert study.done() == 12
    assert set(study.outcomes()) <= {"done", "preempted", "released"}
    assert study.blamed() == 0


def test_so_much_work_waits_in_the_cluster_as_was_asked_for(study, tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "10m")
    cluster = DaskCluster(tmp_path / "dask")
    try:
        cluster.worker(1)
        study.fill(60, 0.3)
        study.submit(bm.Dask(cluster.address, ahead="6s"))
        running = "select count(*) from attempt where ended_at is null"
        until(lambda: study.done() >= 2 and study.ask(running)[0][0] >= 18, study.words)
        assert study.ask(running)[0][0] <= 24
        cluster.processes[0].send_signal(signal.SIGSTOP)
        assert study.submissions[0].stop(now=True, timeout=90), "a scheduler that is out of reach keeps nobody"
    finally:
        cluster.stop()
