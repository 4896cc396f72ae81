"""What batchml costs a job, against bare loops over the same jobs in the same run.

Overhead = (span x slots - time of the same jobs in `slots` concurrent bare loops) / N. It is split in two:
*in-child service* (data, clone, capture, storing: what the iteration takes in its slot beyond the bare loop) and
*transport + registry* (the rest: claiming, frames, committing, probes and idling between jobs). The span runs from the
start of the first job in its slot to the last commit.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

LOOP = """
import json, os, sys, time
for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[name + "_NUM_THREADS"] = "1"
import sklearn.base
import batchml as bm
from batchml.core import seed as seeds
share, slots, repeats = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
work = []
for task in bm.tsks(["iris", "breast_cancer"]):
    resampling = bm.rsmp("subsampling", repeats=repeats, ratio=0.9).instantiate(task, seed=1)
    X, y = task.features(task.row_ids, array=True), task.truth(task.row_ids)
    for key in ("classif.featureless", "classif.tree"):
        from sklearn.dummy import DummyClassifier
        from sklearn.tree import DecisionTreeClassifier
        estimator = DummyClassifier() if key == "classif.featureless" else DecisionTreeClassifier(max_depth=3)
        for i in range(share, repeats, slots):
            work.append((estimator, X, y, resampling.train_set(i), resampling.test_set(i)))
print("ready", flush=True)
sys.stdin.readline()
start = time.perf_counter()
for estimator, X, y, train, test in work:
    model = sklearn.base.clone(estimator)
    model.fit(X[train], y[train])
    model.predict(X[test])
print(json.dumps({"seconds": time.perf_counter() - start, "jobs": len(work)}))
"""


def bare_loops(slots, repeats):
    """Seconds (summed over the loops) that the jobs take in `slots` concurrent loops."""
    loops = [
        subprocess.Popen(
            [sys.executable, "-c", LOOP, str(k), str(slots), str(repeats)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for k in range(slots)
    ]
    for loop in loops:
        assert loop.stdout.readline() == "ready\n"
    for loop in loops:
        loop.stdin.write("\n")
        loop.stdin.flush()
    done = [json.loads(loop.communicate()[0]) for loop in loops]
    return sum(d["seconds"] for d in done), sum(d["jobs"] for d in done)


def family_cpu(worker):
    """Seconds of CPU of a worker and all its descendants until now, by thread or process; imports are included."""
    parents, names = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            head, _, rest = (entry / "stat").read_text().rpartition(")")
        except OSError:
            continue
        parents[int(entry.name)], names[int(entry.name)] = int(rest.split()[1]), head.partition("(")[2]

    def belongs(pid):
        while pid and pid != worker:
            pid = parents.get(pid, 0)
        return pid == worker

    seconds = Counter()
    for pid in filter(belongs, names):
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            try:
                used = int((thread / "schedstat").read_text().split()[0]) / 1e9
            except OSError:
                continue
            main = "main thread" if int(thread.name) == worker else "other threads"
            seconds[main if pid == worker else names[pid]] += used
    return seconds


def through_the_registry(url, slots, repeats):
    """Span of the run and what the slots themselves measured."""
    import batchml as bm

    reg = bm.Registry.create(url, seed=1)
    design = bm.benchmark_grid(
        bm.tsks(["iris", "breast_cancer"]),
        [bm.lrn("classif.featureless"), bm.lrn("classif.tree", max_depth=3)],
        bm.rsmp("subsampling", repeats=repeats, ratio=0.9),
    )
    reg.add(design)
    reg.submit(executor=bm.Local(slots=slots))
    before, after = None, None
    while (done := reg.status()["done"].sum()) < 4 * repeats:
        if done >= repeats / 5:  # what is imported and built once is no cost of a job
            for worker in reg.sql("select pid from workers")["pid"]:
                after = (family_cpu(int(worker)), done)
                before = before or after
        time.sleep(0.2)
    assert reg.wait(timeout=240)
    times = reg.sql("select started_at, ended_at, wall_s, fit_s, predict_s from jobs where state = 'done'")
    reg.close()
    import pandas as pd

    # A job is claimed while the slots still import: it starts when its slot has it.
    ended = pd.to_datetime(times["ended_at"])
    span = (ended.max() - (ended - pd.to_timedelta(times["wall_s"], unit="s")).min()).total_seconds()
    cpu = {}
    if before and after[1] > before[1]:
        cpu = {name: 1e3 * (s - before[0][name]) / (after[1] - before[1]) for name, s in after[0].items()}
    return span, times, cpu


@pytest.mark.parametrize("slots", [1, 2])
def test_overhead_of_short_jobs(bench_url, slots):
    repeats = 1250
    bare, n = bare_loops(slots, repeats)
    span, times, cpu = through_the_registry(bench_url, slots, repeats)
    again, _ = bare_loops(slots, repeats)
    assert len(times) == n
    bare = (bare + again) / 2
    overhead = 1e3 * (span * slots - bare) / n
    service = 1e3 * (times["wall_s"].sum() - bare) / n
    database, limit = ("sqlite", 0.15) if bench_url.startswith("sqlite") else ("postgresql", 0.5)
    print(
        f"\n{database}, {n} jobs, {slots} slot(s): span {span:.2f} s, bare {1e3 * bare / n:.3f} ms a job; "
        f"overhead {overhead:.3f} ms = in-child service {service:.3f} + transport and registry "
        f"{overhead - service:.3f} (limit {limit}); CPU of a job once all is warm: "
        + ", ".join(f"{name} {used:.3f} ms" for name, used in cpu.items() if used >= 0.0005)
    )


FIRST = "SELECT min((julianday(ended_at) - 2440587.5) * 86400 - wall_s) FROM jobs WHERE state = 'done'"
"""When the first job began in its slot: it was claimed before, while its slot still imported."""


def test_time_from_the_command_to_the_first_job(tmp_path):
    design = tmp_path / "d.toml"
    design.write_text(
        '[benchmark]\nname="b"\nseed=1\n[[task]]\nkey="iris"\n[[learner]]\nkey="classif.tree"\n[[resampling]]\nkey="cv"\n'
    )
    ratios = []
    for k in range(5):
        start = time.time()
        subprocess.run([sys.executable, "-c", "import sklearn.ensemble, pandas"], check=True)
        bare = time.time() - start
        url = f"sqlite:///{tmp_path}/first{k}.db"
        start = time.time()
        subprocess.run(
            [sys.executable, "-m", "batchml", "--registry", url, "run", str(design), "--slots", "1"],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ,
        )
        (first,) = sqlite3.connect(url.removeprefix("sqlite:///")).execute(FIRST).fetchone()
        took = first - start
        ratios.append((took / bare, took, bare))
    ratios.sort()
    ratio, took, bare = ratios[2]
    print(f"\nfirst job after {took:.2f} s, {ratio:.2f} x a bare import ({bare:.2f} s); medians of 5")
