"""Every pool keeps the contract that the loop relies on."""

from __future__ import annotations

import dask
import pytest
from dask_cluster import DaskCluster

from batchml.core.attempt import Experiment
from batchml.core.catalog import lrn, rsmp, tsk
from batchml.core.digest import digest
from batchml.core.measure import as_measure
from batchml.data.artifacts import ArtifactFolder
from batchml.data.tables import write_table
from batchml.errors import ConfigError
from batchml.testing import PoolContract
from batchml.worker.dask import DaskPool
from batchml.worker.dask_bundle import Setup
from batchml.worker.dask_calls import versions
from batchml.worker.dask_link import Link
from batchml.worker.fitness import UnfitError
from batchml.worker.slots import SandboxPool


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
        task, learner, resampling = tsk("iris"), lrn("classif.debug", **params), rsmp("cv", folds=3)
        write_table(self._folder, task.backend)
        return Experiment(
            id=PoolContract._attempts,
            digest=digest([task.digest, learner.hash, resampling.family_digest]),
            task=task.spec(),
            learner=learner.model_spec(),
            policy=learner.policy_spec(),
            resampling=resampling.spec(),
            measures=((1, as_measure("classif.acc").spec()),),
            seed=42,
            registry="ab" * 16,
        )


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


def test_a_scheduler_that_is_not_there_is_named():
    pool = DaskPool(Link(address="tcp://127.0.0.1:9"), Setup(registry="ef" * 16, artifacts="x"))
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ConfigError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
    ):
        pool.open()
    pool.close()
