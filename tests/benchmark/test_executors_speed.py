"""What executors cost: time per job against bare loops, time until the first job runs and until all slots do, and one
large sbatch."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import batchml as bm
from batchml.core.resources import Resources
from batchml.executors.base import Launch

SLOTS = 2
JOBS = {2: 2000, 200: 60}  # by milliseconds
ASKED_MS = 1.15  # of each job: 0.15 for transport and registry on SQLite, 1 for its service


def executors():
    return {
        "local": bm.Local(slots=SLOTS),
        "slurm": bm.Slurm(workers=1, slots=SLOTS),
        "slurm, an element for each slot": bm.Slurm(workers=SLOTS, slots=1),
    }


def bare_loops(seconds, count):
    """Return how long the same naps take without batchml: they need no processor, so threads will do."""

    def nap(number):
        for _ in range(number):
            time.sleep(seconds)

    start = time.perf_counter()
    with ThreadPoolExecutor(SLOTS) as pool:
        list(pool.map(nap, [count // SLOTS] * SLOTS))
    return time.perf_counter() - start


@pytest.mark.parametrize("milliseconds", sorted(JOBS))
@pytest.mark.parametrize("name", sorted(executors()))
def test_overhead_and_scale_up(slurm, tmp_path, name, milliseconds):
    count = JOBS[milliseconds]
    file = tmp_path / "study.db"
    with bm.Registry.create(f"sqlite:///{file}", seed=1) as registry:
        learner = bm.lrn("classif.debug", sleep_train=milliseconds / 1000)
        registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("subsampling", repeats=count)), "b")
        start = time.time()
        assert registry.submit(executor=executors()[name]).wait(280)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        seconds = "(julianday({}) - 2440587.5) * 86400"
        times = connection.execute(
            f"select {seconds.format('min(started_at)')}, {seconds.format('max(ended_at)')} from attempt"
        ).fetchone()
        greeted = connection.execute(f"select {seconds.format('max(started_at)')} from worker").fetchone()[0]
    first, last = times
    bare = bare_loops(milliseconds / 1000, count)
    overhead = (last - first - bare) * SLOTS / count
    print(
        f"\n{name}, {count} jobs of {milliseconds} ms in {SLOTS} slots: first claim after {first - start:.2f} s, "
        f"last worker after {greeted - start:.2f} s, {last - first:.2f} s against {bare:.2f} s in bare loops, "
        f"overhead {overhead * 1000:.2f} ms a job (asked: {ASKED_MS})"
    )


def test_a_thousand_elements_in_one_call(slurm, tmp_path):
    executor = bm.Slurm(workers=1000, lines=["--hold"])
    launch = Launch(url="postgresql://db/x", registry="ab" * 16, submission=1, resources=Resources().as_json())
    start = time.perf_counter()
    handles = executor.start(launch)
    taken = time.perf_counter() - start
    assert len({handle.array for handle in handles}) == 1
    start = time.perf_counter()
    assert all(handle.alive() for handle in handles)
    asked = time.perf_counter() - start
    print(f"\n1000 elements: submitted in one call in {taken:.2f} s (asked: one call), asked for in {asked:.2f} s")
    handles[0].stop_all(handles)
