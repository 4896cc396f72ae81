"""How long it takes to reduce and aggregate 100 000 finished jobs, and how much memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np

from batchml.core.measure import as_measure
from batchml.registry import tables as t
from batchml.registry.specs import put_specs
from batchml.registry.store import Store

CELLS, ITERATIONS = int(os.environ.get("BATCHML_BENCH_CELLS", "10000")), 10  # 100 000 cells: a million jobs

# In a process of its own, so that the peak is that of reducing alone.
MEASURED = """
import json, resource, sys, time
from batchml.registry.store import Store
from batchml.reduce.collect import reduce
start = time.perf_counter()
with Store.open(sys.argv[1], readonly=True) as store:
    result = reduce(store)
    reduced = time.perf_counter()
    table = result.aggregate(conditions=True, stats=("mean", "sd"))
    end = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"cells": len(table), "jobs": len(result), "reduce_s": reduced - start, "aggregate_s": end - reduced,
                  "peak_mb": peak, "mean": float(table["classif.acc"].mean())}))
"""


def fill(store):
    """Enter finished jobs with two scores and a prediction each; return the mean score."""
    jobs = np.arange(1, CELLS * ITERATIONS + 1).tolist()
    values = np.random.default_rng(1).random(len(jobs)).tolist()
    with store.write() as connection:

        def put(table, rows):
            connection.execute(table.insert(), rows)

        bodies = {"task": {"t": 1}, "policy": {"format": 1}, "resampling": {"key": "cv"}}
        model = {"format": 1, "type": "classif", "key": "classif.featureless"}
        rows = {kind: put_specs(connection, kind, {kind: body})[kind] for kind, body in bodies.items()}
        rows["model"] = put_specs(connection, "model", {"model": model})["model"]
        measures = {name: as_measure(name) for name in ("classif.acc", "classif.ce")}
        keys = put_specs(connection, "measure", {name: one.spec() for name, one in measures.items()})
        put(t.benchmark, [{"id": 1, "name": "b", "modules": [], "paths": []}])
        named = [{"benchmark_id": 1, "measure_id": keys[n], "position": i, "name": n} for i, n in enumerate(measures)]
        put(t.benchmark_measure, named)
        cells = [
            {
                "id": i + 1, "digest": f"e{i}", "cell_digest": f"c{i}", "seed": 1, "n_jobs": ITERATIONS,
                "task_id": rows["task"], "model_id": rows["model"], "policy_id": rows["policy"],
                "resampling_id": rows["resampling"], "n_iterations": ITERATIONS,
                "task": f"t{i // 100}", "learner": f"l{i % 100}", "resampling": "cv",
            }
            for i in range(CELLS)
        ]  # fmt: skip
        put(t.experiment, cells)
        own = ("n_iterations", "resampling_id", "task", "learner", "resampling")
        shown = [
            {"benchmark_id": 1, "experiment_id": c["id"], "position": c["id"], **{k: c[k] for k in own}} for c in cells
        ]
        put(t.benchmark_experiment, shown)
        put(t.resource, [{"id": 1, "digest": "r", "body": {}}])
        put(t.submission, [{"id": 1, "resource_id": 1, "executor": "local", "settings": {}}])
        about = {"host": "h", "boot_id": "b", "pid": 1, "pid_start": 1, "pid_ns": "n", "slots": 1, "beat_s": 1.0}
        put(t.worker, [{"id": 1, "submission_id": 1, **about}])
        states = {"state": "done", "resource_id": 1}
        put(t.job, [{"id": j, "experiment_id": (j - 1) // 10 + 1, "iteration": (j - 1) % 10, **states} for j in jobs])
        ended = {"worker_id": 1, "policy_id": rows["policy"], "generation": 0, "ended_at": "2024-01-01 00:00:00.000"}
        times = {"outcome": "done", "fit_s": 0.1, "predict_s": 0.1}
        put(t.attempt, [{"id": j, "job_id": j, **ended, **times} for j in jobs])
        put(t.result, [{"job_id": j, "attempt_id": j, "completeness": "full", "n": 10} for j in jobs])
        for key in keys.values():
            finite = [{"job_id": j, "measure_id": key, "kind": "finite", "value": values[j - 1]} for j in jobs]
            put(t.score, finite)
        put(t.prediction, [{"job_id": j, "predict_set": "test", "data": b"x" * 2000} for j in jobs])
        warned = {"number": 0, "stage": "train", "level": "warning", "message": "did not converge", "fingerprint": "f"}
        put(t.condition, [{"attempt_id": j, **warned} for j in jobs[::10]])
    return float(np.mean(values))


def test_reducing_100_000_jobs(bench_url, wal):
    url = bench_url
    with Store.create(url, seed=1) as store:
        mean = fill(store)
        with wal(store).watched() as written:
            done = measured(store, url)
    print(
        f"\n{store.engine.dialect.name}: {written.mb:.1f} MB of write-ahead log while another writes (SQLite: limit 64)"
    )
    print_and_check(done, mean)


def measured(store, url):
    """Reduce in a process of its own while this one writes."""
    child = subprocess.Popen([sys.executable, "-c", MEASURED, url], stdout=subprocess.PIPE, text=True)
    number = 0
    while child.poll() is None:
        number += 1
        with store.write() as connection:
            connection.execute(t.log.insert(), [{"attempt_id": number, "body": os.urandom(5000).hex()}])
        time.sleep(0.002)
    return child


def print_and_check(done, mean):
    said, _ = done.communicate()
    assert done.returncode == 0
    figures = json.loads(said)
    print(
        f"{figures['jobs']} jobs in {figures['cells']} cells: reduce {figures['reduce_s']:.2f} s, "
        f"aggregate {figures['aggregate_s']:.2f} s, peak {figures['peak_mb']:.0f} MB"
    )
    seconds, peak = (3, 500) if CELLS <= 10_000 else (5, 1500)
    print(f"limits: {seconds} s together, peak {peak} MB")
    assert abs(figures["mean"] - mean) < 1e-9
