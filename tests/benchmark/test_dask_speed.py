"""What Dask's pool costs against plain `client.map` on the same cluster, with the same granularity and threads.

The plain side trains and predicts the same learner on the same data in a Dask task for each iteration: no registry, no
sandbox, no limits, nothing stored. The bare loops do so in one process for each thread. Overhead of a job is
(span x threads - time of the same jobs in bare loops) / jobs; all count from the first task to the last. Scale-up is
the time from the submission until the first job has ended.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import time

import pytest
from dask_cluster import DaskCluster

import batchml as bm

THREADS = 2
JOBS = {2: 2000, 200: 60}  # by milliseconds

TRAIN = """
import json, sys, time
from batchml.core.catalog import lrn, tsk

def train(number, seconds):
    learner, task = lrn("classif.debug", sleep_train=seconds), tsk("iris")
    learner.train(task, range(100))
    return learner.predict(task, range(100, 150)).to_arrow()
"""

LOOP = f"""{TRAIN}
seconds, count = float(sys.argv[1]), int(sys.argv[2])
train(0, 0.0)
sys.stdin.readline()
begin = time.perf_counter()
for number in range(count):
    train(number, seconds)
print(time.perf_counter() - begin)
"""

PLAIN = f"""{TRAIN}
from distributed import Client, as_completed
address, seconds, count = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
if __name__ == "__main__":
    begin = time.perf_counter()
    with Client(address) as client:
        first = client.submit(train, -1, seconds, pure=False)
        first.result()
        scale_up = time.perf_counter() - begin
        client.gather(client.map(train, range(-8, 0), seconds=0.0, pure=False))  # imports in each thread
        begin = time.perf_counter()
        client.gather(client.map(train, range(count), seconds=seconds, pure=False))
        print(json.dumps([scale_up, time.perf_counter() - begin]))
"""


@pytest.fixture
def cluster(tmp_path):
    cluster = DaskCluster(tmp_path / "dask")
    cluster.worker(THREADS)
    yield cluster
    cluster.stop()


@pytest.mark.parametrize("milliseconds", sorted(JOBS))
def test_overhead_and_scale_up_against_client_map(cluster, tmp_path, monkeypatch, milliseconds):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    count = JOBS[milliseconds]
    bare = loops(milliseconds / 1000, count // THREADS)
    words = [cluster.address, str(milliseconds / 1000), str(count)]
    plain_up, plain = json.loads(run(PLAIN, *words))
    up, span = own(tmp_path, bm.Dask(cluster.address), milliseconds, count)

    def overhead(seconds):
        return (seconds - bare) * THREADS / count * 1000

    print(
        f"\n{count} jobs of {milliseconds} ms on {THREADS} threads:"
        f"\n  bare loops {bare:6.2f} s"
        f"\n  client.map {plain:6.2f} s, overhead {overhead(plain):6.2f} ms a job, scale-up {plain_up:.2f} s"
        f"\n  batchml    {span:6.2f} s, overhead {overhead(span):6.2f} ms a job, scale-up {up:.2f} s"
        f"\n  asked: not slower than client.map; it took {span / plain - 1:+.1%}"
    )


def run(script, *words):
    return subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True).stdout


def loops(seconds, count):
    """Return how long the slowest of so many concurrent loops takes."""
    words = [sys.executable, "-c", LOOP, str(seconds), str(count)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [subprocess.Popen(words, text=True, **pipes) for _ in range(THREADS)]
    time.sleep(3)  # imports
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return max(float(process.communicate()[0]) for process in processes)


def own(folder, executor, milliseconds, count):
    """Return seconds from submit to the first end, and from the first claim to the last end."""
    file = folder / "study.db"
    with bm.Registry.create(f"sqlite:///{file}", seed=1) as registry:
        learner = bm.lrn("classif.debug", sleep_train=milliseconds / 1000)
        registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("subsampling", repeats=count)), "b")
        begin = time.time()
        assert registry.submit(executor=executor).wait(280)
    seconds = "(julianday({}) - 2440587.5) * 86400"
    names = ", ".join(seconds.format(name) for name in ("min(started_at)", "min(ended_at)", "max(ended_at)"))
    with contextlib.closing(sqlite3.connect(file)) as connection:
        claimed, first, last = connection.execute(f"select {names} from attempt").fetchone()
    return first - begin, last - claimed
