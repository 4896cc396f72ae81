"""The channel through a folder keeps the contract that the loop relies on, as long as somebody syncs."""

from __future__ import annotations

from dataclasses import replace

import pytest

import batchml as bm
from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.registry.benchmarks import add
from batchml.registry.processes import here
from batchml.registry.store import Store
from batchml.registry.submissions import submit
from batchml.testing import ChannelContract
from batchml.worker.spool import SpoolChannel
from batchml.worker.spool_plan import open_spool
from batchml.worker.spool_segment import SpoolWorker


class Attended(SpoolChannel):
    """A channel beside which somebody syncs all the time."""

    def __init__(self, harness, *args, **keys):
        self._harness = harness
        super().__init__(*args, **keys)

    def exchange(self, outcomes, released, want):
        self._harness.sync()
        answer = super().exchange(outcomes, released, want)
        self._harness.sync()
        return replace(answer, waiting=self._waiting())


class SpoolHarness:
    """A registry with the iterations of one experiment, and a folder."""

    def __init__(self, url, root, jobs):
        self.store = Store.create(url, seed=1)
        design = bm.benchmark_grid("iris", "classif.featureless", bm.rsmp("subsampling", repeats=jobs))
        add(self.store, design, "b")
        submission, n = submit(self.store, resources={"spool": str(root)})
        assert n == jobs
        self.spool = open_spool(self.store, submission, str(root))
        self.spool.prepare(workers=2, slots=2)
        self.workers = 0

    def sync(self):
        self.spool.ingest()
        self.spool.tidy(thorough=True)
        self.spool.deal()
        self.spool.tell()

    def connect(self):
        self.workers += 1
        process = replace(here(), pid=10_000_000 + self.workers, pid_ns="another")
        worker = SpoolWorker(process=process, slots=2)
        return Attended(self, self.spool.folder, self.store.uuid, worker, orders_s=0.0)

    def outcome(self, assignment, ending=Ending.DONE):
        scores = tuple((key, 0.5) for key, _ in assignment.experiment.measures)
        done = JobResult(completeness="full", predictions={"test": b"arrow"}, scores=scores, n=10)
        return Outcome(
            attempt_id=assignment.attempt_id,
            job_id=assignment.job_id,
            ending=ending,
            wall_s=0.01,
            message=None if ending is Ending.DONE else str(ending),
            result=done if ending is Ending.DONE else None,
        )

    def states(self):
        from batchml.registry.jobs import find

        self.sync()
        frame = find(self.store)
        return dict(zip(frame["job_id"].tolist(), frame["state"].tolist(), strict=True))

    def cancel(self, job_id):
        from batchml.registry.moves import cancel

        cancel(self.store, [job_id], running=True)

    def lose(self, channel):
        from batchml.registry.rescue import reconcile
        from batchml.registry.spool import segments

        self.sync()
        reconcile(self.store, assume_dead=[segments(self.store, [channel.name])[channel.name].id])


class TestSpoolChannel(ChannelContract):
    @pytest.fixture(autouse=True)
    def _registry(self, registry_url, tmp_path):
        self.url, self.root = registry_url, tmp_path / "spool"
        self.harness = None
        yield
        if self.harness is not None:
            self.harness.store.close()

    def make(self, jobs):
        self.harness = SpoolHarness(self.url, self.root, jobs)
        return self.harness
