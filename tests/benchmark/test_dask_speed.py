"""What Dask's pool costs against plain `client.map` on the same cluster, with the same granularity and threads.

The plain side is a Dask task for each iteration that sleeps as long as the learner does and does nothing else: no
registry, no sandbox, no result. Both count from the first task to the last, and from the call to the first end.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time

import pytest
from dask_cluster import DaskCluster

import batchml as bm

THREADS = 2
JOBS = {2: 2000, 200: 60}  # by milliseconds

PLAIN = """
import sys, time
from distributed import Client
from batchml.core.catalog import lrn, tsk

def train(number, seconds):
    learner, task = lrn("classif.debug", sleep_train=seconds), tsk("iris")
    learner.train(task, range(100))
    return learner.predict(task, range(100, 150)).to_arrow()

address, seconds, count = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
if __name__ == "__main__":
    with Client(address) as client:
        for number in range(8):  # imports
            client.submit(train, -number, 0.0, pure=False).result()
        begin = time.perf_counter()
        futures = client.map(train, range(count), seconds=seconds, pure=False)
        client.gather(futures)
        print(time.perf_counter() - begin)
"""


@pytest.mark.parametrize("milliseconds", sorted(JOBS))
def test_overhead_and_scale_up_against_client_map(tmp_path, monkeypatch, milliseconds):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    count = JOBS[milliseconds]
    folder = tmp_path / "dask"
    folder.mkdir()
    cluster = DaskCluster(folder)
    try:
        cluster.worker(THREADS)
        words = [cluster.address, str(milliseconds / 1000), str(count)]
        done = subprocess.run([sys.executable, "-c", PLAIN, *words], capture_output=True, text=True, check=True)
        plain = float(done.stdout)
        first, span = own(tmp_path, bm.Dask(cluster.address), milliseconds, count)
    finally:
        cluster.stop()
    ideal = count * milliseconds / 1000 / THREADS
    print(
        f"\n{count} jobs of {milliseconds} ms on {THREADS} threads: client.map {plain:.2f} s "
        f"({(plain - ideal) * THREADS / count * 1000:.2f} ms a job), batchml {span:.2f} s "
        f"({(span - ideal) * THREADS / count * 1000:.2f} ms a job), the first claim {first:.2f} s after submit"
    )


def own(folder, executor, milliseconds, count):
    """Return seconds from submit to the first claim, and from that to the last end."""
    file = folder / "study.db"
    with bm.Registry.create(f"sqlite:///{file}", seed=1) as registry:
        learner = bm.lrn("classif.debug", sleep_train=milliseconds / 1000)
        registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("subsampling", repeats=count)), "b")
        begin = time.time()
        assert registry.submit(executor=executor).wait(280)
    seconds = "(julianday({}) - 2440587.5) * 86400"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        query = f"select {seconds.format('min(started_at)')}, {seconds.format('max(ended_at)')} from attempt"
        first, last = connection.execute(query).fetchone()
    return first - begin, last - first
