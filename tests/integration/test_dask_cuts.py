"""A Dask cluster that is cut off, restarted, suspended or gone: nothing is lost, nothing is charged, nothing twice."""

from __future__ import annotations

import os
import signal
import socket
import sys

import pytest
from chaos_proxy import Proxy
from dask_cluster import DaskCluster
from dask_study import Study, until

import batchml as bm

PATIENCE = "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT"


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    monkeypatch.setenv(PATIENCE, "90s")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "witness_of_dask", raising=False)
    study = Study(tmp_path)
    yield study
    study.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = DaskCluster(tmp_path_factory.mktemp("dask"), DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="5s")
    cluster.worker(2, nanny=True)
    yield cluster
    cluster.stop()


@pytest.fixture
def proxy(cluster):
    proxy = Proxy(int(cluster.address.rpartition(":")[2]))
    yield proxy
    proxy.close()


def test_a_cut_between_supervisor_and_scheduler_is_borne(study, proxy):
    study.fill_watched(10, 200.0)
    submission = study.submit(bm.Dask(f"127.0.0.1:{proxy.port}"))
    until(lambda: len(study.runs()) == 2, study.words)
    proxy.set("cut")
    until(lambda: "is cut" in study.words(), study.words)
    assert "connection to the Dask scheduler is cut" in str(study.registry.complaints())
    proxy.set("open")
    study.hurry()
    assert submission.wait(120), study.words()
    assert study.done() == 10
    assert len(study.ask("select id from worker")) == 1
    assert set(study.outcomes()) <= {"done", "preempted", "released"}
    assert study.blamed() == 0


def test_a_scheduler_out_of_reach_ends_the_supervisor_and_resume_goes_on(study, proxy, monkeypatch):
    monkeypatch.setenv(PATIENCE, "4s")
    study.fill(12, 0.4)
    submission = study.submit(bm.Dask(f"127.0.0.1:{proxy.port}"))
    until(lambda: study.done() >= 1, study.words)
    proxy.set("cut")
    assert submission.handles[0].wait(120), study.words()
    assert submission.handles[0].status not in {0, None}
    ((reason,),) = study.ask("select reason from worker")
    assert reason.startswith("infrastructure: ")
    assert f"the Dask scheduler at tcp://127.0.0.1:{proxy.port} is gone" in reason
    assert "Traceback" not in study.words()
    assert study.registry.tally()["queued"] == 12 - study.done()
    assert study.blamed() == 0
    proxy.set("open")
    study.submissions += study.registry.resume().submissions
    assert study.registry.wait(120), study.words()
    assert study.done() == 12


def test_a_scheduler_that_is_started_again_at_its_address_is_used_again(study, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    old = DaskCluster(tmp_path / "old", port=port)
    new = None
    try:
        old.worker(2)
        study.fill_watched(10, 200.0)
        submission = study.submit(bm.Dask(old.address))
        until(lambda: len(study.runs()) == 2, study.words)
        old.processes[0].kill()
        old.processes[0].wait()
        study.hurry()
        new = DaskCluster(tmp_path / "new", port=port)
        new.worker(2)
        assert submission.wait(120), study.words()
        assert len(study.ask("select id from worker")) == 1
        assert study.done() == 10
        assert study.blamed() == 0
    finally:
        for cluster in filter(None, (old, new)):
            cluster.stop()


def test_a_dask_worker_that_was_taken_for_dead_and_comes_back_brings_nothing_twice(study, cluster):
    """It is suspended for longer than the scheduler waits for it: what it ran runs again elsewhere."""
    frozen = cluster.worker(2)
    study.fill_watched(12, 1.0)
    submission = study.submit(bm.Dask(cluster.address))
    until(lambda: {place for _, place, _, _ in study.runs()} >= {frozen.pid}, study.words)
    os.kill(frozen.pid, signal.SIGSTOP)
    until(lambda: study.outcomes()["lost"] > 0, study.words)
    os.kill(frozen.pid, signal.SIGCONT)
    assert submission.wait(120), study.words()
    assert study.done() == 12
    outcomes = study.outcomes()
    assert outcomes["done"] == 12
    assert outcomes["lost"] >= 1
    assert study.ask("select count(*) from result") == [(12,)]
    assert study.ask("select count(*) from job where charged > 0") == [(0,)]
    frozen.kill()
