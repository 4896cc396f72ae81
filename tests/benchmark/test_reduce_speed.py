"""How long it takes to reduce, aggregate and rescore 100 000 and 1 000 000 finished jobs, and how much memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from sqlalchemy import text

from batchml.core.measure import as_measure
from batchml.core.prediction import PredictionClassif
from batchml.registry import tables as t
from batchml.registry.specs import put_specs
from batchml.registry.store import Store

SIZES = [int(cells) for cells in os.environ.get("BATCHML_BENCH_CELLS", "10000 100000").split()]
ITERATIONS = 10
LIMITS = {10_000: (3, 500), 100_000: (5, 1500)}  # seconds to reduce and aggregate, MB

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
                  "cpu_s": time.process_time(), "peak_mb": peak, "mean": float(table["classif.acc"].mean())}))
"""
RESCORED = """
import json, resource, sys, time
from batchml.registry.store import Store
from batchml.reduce.rescore import rescore
start = time.perf_counter()
with Store.open(sys.argv[1]) as store:
    done = rescore(store, ["classif.bacc"])
    middle = time.perf_counter()
    assert rescore(store, ["classif.bacc"]).scores == 0
    end = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"scores": done.scores, "seconds": middle - start, "each_ms": (middle - start) / done.scores * 1e3,
                  "again_s": end - middle, "peak_mb": peak}))
"""


# One text for both databases: a driver would take minutes for six million rows.
FILLED = [
    """INSERT INTO experiment (digest, cell_digest, seed, task_id, model_id, policy_id, resampling_id, n_iterations,
    n_jobs, task, learner, resampling) SELECT 'e' || i, 'c' || i, 1, :task, :model, :policy, :resampling, :iterations,
    :iterations, 't' || (i / 100), 'l' || (i % 100), 'cv' FROM n""",
    """INSERT INTO benchmark_experiment (benchmark_id, experiment_id, position, n_iterations, resampling_id, task,
    learner, resampling) SELECT 1, id, id, n_iterations, resampling_id, task, learner, resampling FROM experiment""",
    """INSERT INTO job (experiment_id, iteration, state, resource_id, attempts) SELECT i / :iterations + 1,
    i % :iterations, 'done', 1, 1 FROM n""",
    """INSERT INTO attempt (job_id, worker_id, policy_id, generation, ended_at, outcome, fit_s, predict_s, wall_s)
    SELECT id, 1, :policy, 0, '2024-01-01 00:00:00.000', 'done', 0.1, 0.1, 0.2 FROM job ORDER BY id""",
    "INSERT INTO result (job_id, attempt_id, completeness, n) SELECT job_id, id, 'full', 10 FROM attempt ORDER BY id",
    """INSERT INTO score (job_id, measure_id, kind, value) SELECT id, :acc, 'finite', (id % 1009) / 1009.0 FROM job
    ORDER BY id""",
    """INSERT INTO score (job_id, measure_id, kind, value) SELECT id, :ce, 'finite', 1 - (id % 1009) / 1009.0 FROM job
    ORDER BY id""",
    "INSERT INTO prediction (job_id, predict_set, data) SELECT id, 'test', :blob FROM job ORDER BY id",
    """INSERT INTO condition (attempt_id, number, stage, level, message, fingerprint) SELECT id, 0, 'train', 'warning',
    'did not converge', 'f' FROM attempt WHERE id % 10 = 0 ORDER BY id""",
]
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :many)"


def fill(store, cells, rows=30):
    """Enter finished jobs with two scores and a prediction of some rows each; return the mean score."""
    labels = ["a", "b", "c"]
    truth, response = np.random.default_rng(1).choice(labels, (2, rows))
    predicted = PredictionClassif(row_ids=np.arange(rows), truth=truth, response=response, classes=labels)
    with store.write() as connection:
        bodies = {
            "task": {"t": 1},
            "policy": {"format": 1},
            "resampling": {"key": "cv"},
            "model": {"format": 1, "type": "classif", "key": "classif.featureless"},
        }
        values = {kind: put_specs(connection, kind, {kind: body})[kind] for kind, body in bodies.items()}
        measures = {name: as_measure(f"classif.{name}") for name in ("acc", "ce")}
        values |= put_specs(connection, "measure", {name: one.spec() for name, one in measures.items()})
        values |= {"iterations": ITERATIONS, "blob": predicted.to_arrow()}

        def put(table, *rows):
            connection.execute(table.insert(), list(rows))

        put(t.benchmark, {"id": 1, "name": "b", "modules": [], "paths": []})
        named = [("acc", "classif.acc"), ("ce", "classif.ce")]
        listed = [{"measure_id": values[key], "position": i, "name": name} for i, (key, name) in enumerate(named)]
        put(t.benchmark_measure, *({"benchmark_id": 1, **one} for one in listed))
        put(t.resource, {"id": 1, "digest": "r", "body": {}})
        put(t.submission, {"id": 1, "resource_id": 1, "executor": "local", "settings": {}})
        about = {"host": "h", "boot_id": "b", "pid": 1, "pid_start": 1, "pid_ns": "n", "slots": 1, "beat_s": 1.0}
        put(t.worker, {"id": 1, "submission_id": 1, **about})
        for statement in FILLED:
            whole = statement.replace("SELECT", f"{NUMBERS} SELECT", 1) if "FROM n" in statement else statement
            many = cells if "INTO experiment" in statement else cells * ITERATIONS
            connection.execute(text(whole), {"many": many, **values})
    return float(np.mean(np.arange(1, cells * ITERATIONS + 1) % 1009 / 1009))


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("cells", SIZES)
def test_reducing_and_rescoring(bench_url, wal, cells):
    with Store.create(bench_url, seed=1) as store:
        mean = fill(store, cells)
        with wal(store).watched() as written:
            done = measured(store, bench_url)
    about = f"{store.engine.dialect.name}, {cells * ITERATIONS:,} jobs"
    print(f"\n{about}: {written.mb:.1f} MB of write-ahead log while another writes (limit on SQLite 64)")
    figures = said(done)
    seconds, peak = LIMITS.get(cells, LIMITS[100_000])
    print(
        f"{about}: reduce {figures['reduce_s']:.2f} s + aggregate {figures['aggregate_s']:.2f} s (limit {seconds} s), "
        f"own CPU {figures['cpu_s']:.2f} s, peak {figures['peak_mb']:.0f} MB (limit {peak})"
    )
    assert (figures["jobs"], figures["cells"]) == (cells * ITERATIONS, cells)
    assert abs(figures["mean"] - mean) < 1e-9
    figures = said(subprocess.Popen([sys.executable, "-c", RESCORED, bench_url], stdout=subprocess.PIPE, text=True))
    print(
        f"{about}: one more measure {figures['seconds']:.1f} s ({figures['each_ms']:.3f} ms a job), "
        f"again {figures['again_s']:.2f} s, peak {figures['peak_mb']:.0f} MB (limit {peak})"
    )
    assert figures["scores"] == cells * ITERATIONS


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


def said(child):
    text, _ = child.communicate()
    assert child.returncode == 0
    return json.loads(text)
