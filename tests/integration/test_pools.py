"""Every pool keeps the contract that the loop relies on."""

from __future__ import annotations

import dask
import pytest
from dask_cluster import DaskCluster
from dask_study import until
from made_experiment import made_experiment

from batchml.core.attempt import Assignment, Ending
from batchml.core.catalog import lrn
from batchml.data.artifacts import ArtifactFolder
from batchml.errors import ConfigError, PoolError
from batchml.testing import PoolContract
from batchml.worker.dask import DaskPool
from batchml.worker.dask_bundle import Setup
from batchml.worker.dask_calls import versions
from batchml.worker.dask_link import Link
from batchml.worker.fitness import UnfitError
from batchml.worker.slots import SandboxPool


def experiment(folder, number, **params):
    return made_experiment(folder, lrn("classif.debug", **params), number, registry="ab" * 16)


class Contract(PoolContract):
    @pytest.fixture(autouse=True)
    def place(self, pool):
        self._pool = pool
        self._folder = ArtifactFolder(self.artifacts)
        yield
        pool.close()

    def make(self):
        return self._pool

    def experiment(self, **params):
        PoolContract._attempts += 1
        return experiment(self._folder, PoolContract._attempts, **params)


class TestSandboxPool(Contract):
    @pytest.fixture
    def pool(self, tmp_path):
        self.artifacts = tmp_path
        return SandboxPool(2, tmp_path, timeout_s=self.timeout_s)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = DaskCluster(tmp_path_factory.mktemp("dask"))
    cluster.worker(2)
    yield cluster.ready()
    cluster.stop()


class TestDaskPool(Contract):
    @pytest.fixture
    def pool(self, cluster):
        self.artifacts = cluster.folder / "artifacts"
        self.artifacts.mkdir(exist_ok=True)
        setup = Setup(registry="ab" * 16, artifacts=str(self.artifacts), timeout_s=self.timeout_s, versions=versions())
        pool = DaskPool(Link(address=cluster.address), setup)
        pool.open()
        return pool


def test_another_version_on_the_dask_worker_is_named(cluster, tmp_path):
    setup = Setup(registry="cd" * 16, artifacts=str(tmp_path), versions={**versions(), "batchml": "0.0.7"})
    pool = DaskPool(Link(address=cluster.address), setup)
    with pytest.raises(UnfitError, match=r"infrastructure: .*tcp://127.*batchml is .* there and 0\.0\.7 for the"):
        pool.open()
    assert pool.close() == []


def test_a_cluster_that_offers_less_than_an_iteration_takes_is_named(cluster, tmp_path):
    pool = DaskPool(
        Link(address=cluster.address, resources={"LICENCE": 1}), Setup(registry="cd", artifacts=str(tmp_path))
    )
    with pytest.raises(UnfitError, match=r"tcp://127.*\): offers less than an iteration takes: LICENCE=1"):
        pool.open()
    pool.close()


def test_what_waits_for_a_fit_dask_worker_is_not_charged_for_unfit_ones_that_come(tmp_path, caplog):
    """Two supervisors: for one both Dask workers that come are unfit, and it gives up; for the other one the second."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "moody.py").write_text("import os\nif os.path.exists(__file__ + '.ill'): raise ImportError('ill')\n")
    (folder / "moody.py.ill").touch()
    about = {"registry": "ab" * 16, "artifacts": str(tmp_path), "paths": (str(folder),)}
    cluster = DaskCluster(tmp_path / "dask")
    link = Link(address=cluster.address)
    hopeful = DaskPool(link, Setup(**about, trust=("moody",), versions=versions()))
    hopeless = DaskPool(link, Setup(**about, versions={**versions(), "batchml": "0.0.7"}), unfit_s=0.1)
    try:
        for pool in (hopeful, hopeless):
            pool.open()
            one = experiment(ArtifactFolder(tmp_path), 1)
            pool.submit(Assignment(attempt_id=1, job_id=1, iteration=0, experiment=one))
        cluster.worker(1)
        assert [(one.ending, one.host) for one in outcomes(hopeless)] == [(Ending.RELEASED, "")]
        with pytest.raises(PoolError, match=r"infrastructure: no Dask worker is fit: .*tcp://127.*0\.0\.7 for the "):
            hopeless.wait(0)
        until(lambda: "moody: ImportError: ill" in caplog.text, caplog.text)
        assert hopeful.wait(0) == []
        (folder / "moody.py.ill").unlink()
        cluster.worker(1)
        assert [one.ending for one in outcomes(hopeful)] == [Ending.DONE]
    finally:
        hopeful.close()
        hopeless.close()
        cluster.stop()


def outcomes(pool):
    """Wait for all that was submitted."""
    found = []
    until(lambda: found.extend(pool.wait(0.1)) or not pool.running, found)
    return found


def test_a_patience_that_dask_does_not_understand_is_refused():
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "2min"}),
        pytest.raises(ConfigError, match=r"distributed\.comm\.timeouts\.connect: '2min' is no time"),
    ):
        _ = Link(address="tcp://127.0.0.1:9").patience_s


def test_a_scheduler_that_is_not_there_is_named():
    pool = DaskPool(Link(address="tcp://127.0.0.1:9"), Setup(registry="ef" * 16, artifacts="x"))
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ConfigError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
    ):
        pool.open()
    pool.close()
