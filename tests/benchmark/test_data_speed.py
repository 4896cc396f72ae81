"""What data that lie elsewhere cost in time and memory, in one run; each figure with the one that is asked for.

A Parquet table of 10 000 000 x 20, 20 subsampling iterations with ratio 0.001: peak memory, and the time of an
iteration against a DuckDB query for the same rows written by hand. A task of 1 GB in memory, long and wide, on 4 slots:
memory of all processes together (PSS), against handing the frame to joblib's loky and to Dask's scatter. A snapshot of
a file, and a CSV file that is read again. ``BATCHML_DATA_ROWS`` makes it smaller; then figures are only printed.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchml as bm

ROWS = int(os.environ.get("BATCHML_DATA_ROWS", "10000000"))
COLUMNS = 20
WHOLE = ROWS >= 10_000_000
SHAPES = [(40, 500), (10, 125)]  # a table of 1 GB in memory: a part of the rows, and columns
MOST_MB, MOST_RATIO, MOST_PSS_GIB, MOST_SNAPSHOT_MB = 600, 1.5, 1.5, 300

pytestmark = pytest.mark.timeout(1800)

ITERATIONS = """
import json, statistics, sys, time
from pathlib import Path
import duckdb, numpy as np, pyarrow as pa
import batchml as bm

def most_mb():  # of this program alone: what getrusage says counts the process that started it
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024

path, sets, repeats = sys.argv[1], sys.argv[2].split(","), int(sys.argv[3])
task = bm.as_task_regr(path, "y", id="large")
learner = bm.lrn("regr.tree", max_depth=5, predict_sets=tuple(sets))
split = bm.rsmp("subsampling", ratio=0.001, repeats=repeats).instantiate(task, seed=1)
opened = most_mb()
read, real = [], type(task.backend).lookup
def lookup(self, *args):
    start = time.perf_counter()
    found = real(self, *args)
    read.append(time.perf_counter() - start)
    return found
type(task.backend).lookup = lookup
start = time.perf_counter()
result = bm.resample(task, learner, split, seed=1)
mean = (time.perf_counter() - start) / repeats
peak = most_mb()
by_hand = []
names = ", ".join(task.feature_names)
for i in range(min(repeats, 5)):
    ids = pa.table({"id": split.train_set(i)})
    start = time.perf_counter()
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.register("ids", ids)
        query = f"SELECT file_row_number, y, {names} FROM read_parquet('{path}') SEMI JOIN ids ON file_row_number = id"
        assert connection.sql(query).to_arrow_table().num_rows == len(ids)
    by_hand.append(time.perf_counter() - start)
print(json.dumps([mean, sum(read) / repeats, statistics.median(by_hand), opened, peak, len(read) / repeats]))
"""


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "large.parquet"
    draw = np.random.default_rng(0)
    names = ["y", *(f"x{i}" for i in range(COLUMNS - 1))]
    with pq.ParquetWriter(path, pa.schema([(name, pa.float64()) for name in names])) as writer:
        for _ in range(0, ROWS, 100_000):
            writer.write_table(pa.table({name: draw.normal(size=100_000) for name in names}))
    return path


@pytest.mark.parametrize(("sets", "repeats"), [("train", 20), ("test", 1)])
def test_iterations_on_a_large_file(parquet, sets, repeats):
    words = [sys.executable, "-c", ITERATIONS, str(parquet), sets, str(repeats)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    mean, read, by_hand, opened, peak, queries = json.loads(done.stdout)
    print(
        f"\n{ROWS} x {COLUMNS} Parquet, ratio 0.001, predicting {sets}, {repeats} iterations"
        f"\n  an iteration         {mean:8.2f} s, of it {read:.2f} s in {queries:g} queries"
        f"\n  the query by hand    {by_hand:8.2f} s (training rows)"
        f"\n  ratio                {mean / by_hand:8.2f}   (asked: < {MOST_RATIO} where the same rows are read)"
        f"\n  peak memory          {peak:8.0f} MB (asked: < {MOST_MB}; {opened:.0f} when opened)"
    )
    if sets == "train" and WHOLE:  # the rows of the query by hand
        assert mean / by_hand < MOST_RATIO
        assert peak < MOST_MB


def test_predicting_a_large_file_through_a_registry(parquet, tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    task = bm.as_task_regr(parquet, "y", id="large")
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as registry:
        split = bm.rsmp("subsampling", ratio=0.001, repeats=4)
        registry.add(bm.benchmark_grid(task, bm.lrn("regr.tree", max_depth=5), split, seed=1))
        del task
        start = time.perf_counter()
        with Pss(own=False) as taken:
            registry.submit(executor=bm.Local(slots=1))
            assert registry.wait(timeout=600)
        seconds = (time.perf_counter() - start) / 4
        assert set(registry.jobs()["state"]) == {"done"}
    print(
        f"\n{ROWS} x {COLUMNS} Parquet, ratio 0.001, predicting test, 4 iterations through SQLite, 1 slot: "
        f"{taken.most / 2**20:.0f} MB PSS of worker and slot, {seconds:.1f} s an iteration with the start"
    )


SNAPSHOT = """
import json, sys, threading, time
from pathlib import Path
import batchml as bm

def own():
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index("RssAnon:") + 1]) / 1024

most = [0.0]
def watch():
    while True:
        most[0] = max(most[0], own())
        time.sleep(0.01)
threading.Thread(target=watch, daemon=True).start()
start = time.perf_counter()
taken = bm.as_data_backend(sys.argv[1], snapshot=True)
seconds = time.perf_counter() - start
print(json.dumps([8 * taken.n_rows * taken.n_cols / 1e9, seconds, most[0]]))
"""


def test_a_snapshot_of_a_large_file(parquet, tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", SNAPSHOT, str(parquet)], capture_output=True, text=True, check=True)
    size, seconds, peak = json.loads(done.stdout)
    print(
        f"\nsnapshot of {size:.2f} GB: {seconds:.1f} s, {peak:.0f} MB of its own (asked: < {MOST_SNAPSHOT_MB} for 1 GB)"
    )


def test_a_csv_file_that_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "cache"))
    n = ROWS // 20
    draw = np.random.default_rng(0)
    pd.DataFrame({f"x{i}": draw.normal(size=n).round(6) for i in range(COLUMNS)}).to_csv(
        tmp_path / "t.csv", index=False
    )
    backend = bm.as_data_backend(tmp_path / "t.csv")
    rows = np.sort(draw.choice(n, n // 50, replace=False))
    seconds = []
    for _ in range(2):
        other = pickle.loads(pickle.dumps(backend))  # as a process that has read nothing yet
        start = time.perf_counter()
        other.data(rows)
        seconds.append(time.perf_counter() - start)
    print(
        f"\n{n} x {COLUMNS} CSV: {seconds[0]:.2f} s to read rows the first time, {seconds[1]:.3f} s in another process"
    )
    assert seconds[1] < seconds[0] / 2


class Pss(threading.Thread):
    """The most that this process's descendants, or it with them, took together."""

    def __init__(self, *, own):
        super().__init__(daemon=True)
        self.own, self.most, self.done = own, 0, threading.Event()

    def run(self):
        me = psutil.Process()
        while not self.done.wait(0.05):
            total = 0
            for process in [*me.children(recursive=True), *([me] if self.own else [])]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.most = max(self.most, total)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


BY_HAND = """
from sklearn.tree import DecisionTreeRegressor

def fitted(frame, rows, test):
    names = [name for name in frame.columns if name != "y"]
    model = DecisionTreeRegressor(max_depth=5).fit(frame.loc[rows, names], frame.loc[rows, "y"])
    return float(((model.predict(frame.loc[test, names]) - frame.loc[test, "y"]) ** 2).mean())
"""


@pytest.mark.parametrize(("part", "wide"), SHAPES)
def test_a_table_of_a_gigabyte_on_four_slots(tmp_path, monkeypatch, part, wide):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    n = ROWS // part
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(n, wide)), columns=["y", *(f"x{i}" for i in range(wide - 1))])
    size = frame.memory_usage(index=False).sum() / 1e9
    task = bm.as_task_regr(frame, "y", id="large")
    split = bm.rsmp("subsampling", ratio=0.02, repeats=8).instantiate(task, seed=1)
    sets = [(split.train_set(i), split.test_set(i)) for i in range(4)]
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as registry:
        learner = bm.lrn("regr.tree", max_depth=5)
        registry.add(bm.benchmark_grid(task, learner, bm.rsmp("subsampling", ratio=0.02, repeats=8), seed=1))
        start = time.perf_counter()
        with Pss(own=False) as ours:  # what this session holds besides is no part of it
            registry.submit(executor=bm.Local(slots=4))
            assert registry.wait(timeout=600)
        seconds = time.perf_counter() - start
        assert set(registry.jobs()["state"]) == {"done"}
    print(
        f"\n{n} x {wide} in memory, {size:.2f} GB, ratio 0.02, 8 iterations on 4 slots: "
        f"{ours.most / 2**30:.2f} GiB PSS (asked: < {MOST_PSS_GIB}), {seconds:.1f} s"
    )
    del task, split
    (tmp_path / "by_hand.py").write_text(BY_HAND, encoding="utf-8")  # a module that workers can import
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    print(f"joblib loky, 4 workers, 4 iterations: {_loky(frame, sets)}")
    print(f"dask scatter, 4 workers, 4 iterations: {_dask(frame, sets)}")
    if WHOLE:
        assert ours.most / 2**30 < MOST_PSS_GIB


def _loky(frame, sets):
    import joblib
    from by_hand import fitted

    start = time.perf_counter()
    with Pss(own=False) as taken:
        joblib.Parallel(4, backend="loky")(joblib.delayed(fitted)(frame, *each) for each in sets)
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)  # or it counts as ours in the next measurement
    return f"{taken.most / 2**30:.2f} GiB PSS, {time.perf_counter() - start:.1f} s"


def _dask(frame, sets):
    from by_hand import fitted
    from distributed import Client, LocalCluster

    start = time.perf_counter()
    cluster = LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address="127.0.0.1:0")
    with Pss(own=False) as taken, cluster, Client(cluster) as client:
        there = client.scatter(frame, broadcast=True)
        client.gather([client.submit(fitted, there, *each) for each in sets])
    return f"{taken.most / 2**30:.2f} GiB PSS, {time.perf_counter() - start:.1f} s"
