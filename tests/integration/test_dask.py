"""Jobs on a Dask cluster: crashes, lost workers, late ones, foreign disks, certificates; nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from dask_cluster import DaskCluster, certificates
from dask_study import Study, until

import batchml as bm
from batchml.errors import ConfigError


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "witness_of_dask", raising=False)
    study = Study(tmp_path)
    yield study
    study.close()


@pytest.fixture
def cluster(tmp_path):
    """A scheduler of the test's own."""
    cluster = DaskCluster(tmp_path / "dask")
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A scheduler, and a Dask worker of two threads below a nanny, for tests that leave them as they were."""
    cluster = DaskCluster(tmp_path_factory.mktemp("dask"))
    cluster.nannied = cluster.worker(2, "--resources", "GPU=1", nanny=True)
    yield cluster.ready()
    cluster.stop()


def test_a_killed_dask_worker_costs_what_ran_there_and_nothing_that_waited(study, shared):
    doomed = shared.worker(2)
    study.fill_watched(12, 200.0)
    submission = study.submit(bm.Dask(shared.address))
    until(lambda: sorted(study.places().values()) == [2, 2], study.words)
    doomed.kill()
    study.hurry()
    assert submission.wait(120), study.words()
    outcomes = study.outcomes()
    assert outcomes["lost"] == 2
    assert set(outcomes) <= {"done", "lost", "released"}
    assert outcomes["done"] == study.done() == 12


def test_a_learner_that_crashes_costs_its_job_not_the_dask_worker(study, shared):
    study.fill(4, segfault_train=1.0)
    submission = study.submit(bm.Dask(shared.address))
    assert submission.wait(120), study.words()
    assert study.outcomes() == {"crashed": 4}, study.words()
    assert shared.nannied.poll() is None
    assert "exited" not in shared.words("worker-1")


def test_a_killed_supervisor_leaves_nobody_suspect_and_resume_goes_on(study, shared):
    study.fill(12, 0.4)
    submission = study.submit(bm.Dask(shared.address))
    until(lambda: study.done() >= 2, study.words)
    os.kill(submission.handles[0].pid, signal.SIGKILL)
    submission.handles[0].wait(10)
    report = study.registry.resume()
    study.submissions += report.submissions
    assert study.registry.wait(120), study.words()
    assert study.done() == 12
    assert study.blamed() == 0


def test_stop_and_cancel_reach_what_runs_in_dask(study, shared):
    study.fill_watched(30, 200.0)
    submission = study.submit(bm.Dask(shared.address))
    until(lambda: len(study.runs()) == 2, study.words)
    assert submission.cancel() == 30
    until(lambda: study.registry.tally()["running"] == 0, study.words)
    assert submission.stop(now=True, timeout=60)
    assert "cancelled" in study.outcomes()
    # The threads of the Dask worker are free again.
    study.fill(4, name="others")
    study.submit(bm.Dask(shared.address))
    until(lambda: study.done() == 4, study.words)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide a folder from a process")
def test_tables_go_once_to_workers_that_do_not_see_the_folder(study, cluster):
    study.fill(6, 0.1)
    cluster.worker(2, hide=study.registry._store.artifact_path)
    submission = study.submit(bm.Dask(cluster.address))
    assert submission.wait(120), study.words()
    assert study.done() == 6, study.words()
    assert len(list(cluster.folder.glob("**/batchml-*/table/*/*"))) == 1


def test_a_resource_of_dask_s_limits_what_runs_at_once(study, shared):
    study.fill(6, 0.3)
    submission = study.submit(bm.Dask(shared.address), gpus=1)
    assert submission.wait(120), study.words()
    assert study.done() == 6, study.words()
    assert study.ask("select slots from worker") == [(1,)]
    spans = study.ask("select julianday(max(ended_at)) - julianday(min(started_at)) from attempt")
    assert spans[0][0] * 86400 > 6 * 0.3


def test_a_worker_without_the_user_s_module_is_named(study, shared, tmp_path, monkeypatch):
    """The module lies where the session sees it and, by its permissions, the Dask worker does not."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "own_learner.py").write_text("raise ImportError('no such library on this node')\n")
    monkeypatch.syspath_prepend(str(folder))
    from batchml.executors.base import Launch

    study.fill(1)
    from batchml.registry.submissions import submit

    number, _ = submit(study.registry._store)
    launch = Launch(
        url=f"sqlite:///{study.file}",
        registry=study.registry._store.uuid,
        submission=number,
        artifacts=study.registry._store.artifact_path,
        paths=(str(folder),),
        trust=("own_learner",),
    )
    (handle,) = bm.Dask(shared.address).start(launch)
    assert handle.wait(120), handle.tail(60)
    assert handle.status != 0
    reason = study.ask("select reason from worker")[0][0]
    assert "infrastructure" in reason
    assert "own_learner" in reason
    assert "tcp://127.0.0.1" in reason
    assert study.ask("select count(*) from attempt") == [(0,)]


def test_certificates_are_used(study, tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    cluster = DaskCluster(folder, tls=certificates(folder))
    try:
        cluster.worker(1)
        study.fill(3)
        security = {
            "tls_ca_file": folder / "ca-file.pem",
            "tls_client_cert": folder / "cert.pem",
            "tls_client_key": folder / "key.pem",
        }
        submission = study.submit(bm.Dask(cluster.address, security=security))
        assert submission.wait(120), study.words()
        assert study.done() == 3, study.words()
    finally:
        cluster.stop()


def test_a_cluster_of_its_own_starts_and_ends_with_the_supervisor(study):
    study.fill(8, 0.05)
    submission = study.submit(bm.Dask(workers=1, slots=2))
    assert submission.wait(120), study.words()
    assert study.done() == 8, study.words()
    assert submission.handles[0].wait(60)
    assert submission.handles[0].status == 0
    assert "Traceback" not in study.words()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: bm.Dask("inproc://1/2/3"), "own process"),
        (lambda: bm.Dask(object()), "no client"),
        (lambda: bm.Dask(workers=0), "whole number"),
        (lambda: bm.Dask("tcp://head:8786", slots=2), "is as it is"),
        (lambda: bm.Dask(callback=print), "another process"),
        (lambda: bm.Dask(resources={"GPU": "many"}), "no number"),
        (lambda: bm.Dask(resources={"GPU": 0}), "positive"),
        (lambda: bm.Dask("x", security={"tls_client_crt": "a"}), "tls_client_cert"),
    ],
)
def test_what_cannot_work_is_refused_at_once(wrong, words):
    with pytest.raises(ConfigError, match=words):
        wrong()


def test_an_address_where_nobody_listens_is_refused_before_anything_is_queued(study):
    study.fill(2)
    with pytest.raises(ConfigError, match="no Dask scheduler answers"):
        study.submit(bm.Dask("127.0.0.1:9"))
    with pytest.raises(ConfigError, match="names its port: tcp://head:8786"):
        study.submit(bm.Dask("head"))
    assert study.registry.tally()["defined"] == 2


def test_an_executor_is_made_again_from_its_settings():
    own = bm.Dask(workers=2, slots=3, memory_limit="1GB", resources={"GPU": 1}, ahead="5s", detach=True)
    assert bm.Dask(**own.settings).settings == own.settings
    assert repr(bm.Dask("head:8786")) == "Dask('tcp://head:8786')"


def test_keys_that_are_in_no_file_are_stored_nowhere():
    security = SimpleNamespace(tls_ca_file="ca.pem", tls_client_cert="cert.pem", tls_client_key="-----BEGIN\nPRIVATE")
    client = SimpleNamespace(scheduler=SimpleNamespace(address="tls://head:8786"), security=security)
    executor = bm.Dask(client)
    assert "PRIVATE" not in repr(executor)
    assert "PRIVATE" not in str(executor.settings)
    assert executor.settings == {"cluster": "tls://head:8786"}


SESSION = """
import sys
import joblib
from distributed import Client
import batchml as bm

def found():
    learners = [bm.lrn("classif.random_forest", n_estimators=3), bm.lrn("classif.tree", encapsulate="process")]
    result = bm.benchmark(bm.benchmark_grid("penguins", learners, bm.rsmp("cv", folds=2), seed=5))
    results = [result.resample_result(place) for place in range(2)]
    return [one.to_arrow() for rr in results for one in rr.predictions()]

if __name__ == "__main__":
    alone = found()
    with Client(sys.argv[1]), joblib.parallel_config("dask"):
        assert found() == alone
    print("equal")
"""


def test_a_session_s_benchmark_on_joblib_s_dask_backend_gives_the_same_bytes(shared):
    done = subprocess.run(
        [sys.executable, "-c", SESSION, shared.address], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == "equal\n", done.stderr
