"""Every channel keeps the contract that the loop relies on."""

from __future__ import annotations

import pytest
from made_outcome import outcome

from batchml.registry.store import Store
from batchml.testing import ChannelContract, MemoryHarness
from batchml.worker.direct import DirectChannel


class TestMemoryChannel(ChannelContract):
    def make(self, jobs):
        return MemoryHarness(jobs)


class DirectHarness:
    """A registry with the iterations of one experiment."""

    def __init__(self, url, jobs):
        import batchml as bm
        from batchml.registry.benchmarks import add
        from batchml.registry.submissions import submit

        self.url = url
        self.store = Store.create(self.url, seed=1)
        design = bm.benchmark_grid("iris", "classif.featureless", bm.rsmp("subsampling", repeats=jobs))
        add(self.store, design, "b")
        self.submission, n = submit(self.store)
        assert n == jobs
        self._stores = [self.store]

    def connect(self):
        from batchml.registry.workers import register_worker

        store = Store.open(self.url)
        self._stores.append(store)
        return DirectChannel(store, register_worker(store, self.submission, slots=2))

    outcome = staticmethod(outcome)

    def states(self):
        from batchml.registry.jobs import find

        frame = find(self.store)
        return dict(zip(frame["job_id"].tolist(), frame["state"].tolist(), strict=True))

    def cancel(self, job_id):
        from batchml.registry.moves import cancel

        cancel(self.store, [job_id], running=True)

    def lose(self, channel):
        from batchml.registry.rescue import reconcile

        reconcile(self.store, assume_dead=[channel.worker_id])

    def close(self):
        for store in self._stores:
            store.close()


class TestDirectChannel(ChannelContract):
    @pytest.fixture(autouse=True)
    def _registry(self, registry_url):
        self.url = registry_url
        self.harness = None
        yield
        if self.harness is not None:
            self.harness.close()

    def make(self, jobs):
        self.harness = DirectHarness(self.url, jobs)
        return self.harness
