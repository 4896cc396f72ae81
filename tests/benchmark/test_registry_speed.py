"""The registry with 1 000 000 jobs: adding, counting, exchanging. Prints figures; opt-in.

Specs are made up, so that nothing but the registry is measured.
"""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pandas as pd  # noqa: F401 - 0.2 s that the first frame of a process takes, whatever is in the registry
import pytest

from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.core.conditions import Condition
from batchml.core.digest import digest
from batchml.registry import benchmarks
from batchml.registry.estimates import estimate
from batchml.registry.exchange import exchange
from batchml.registry.jobs import find, retry, status, submit, tally
from batchml.registry.lock import FairLock
from batchml.registry.rescoring import ask_for, put_scores, unscored
from batchml.registry.specs import put_specs
from batchml.registry.store import Store
from batchml.registry.workers import register_worker

TASKS, LEARNERS, ITERATIONS = int(os.environ.get("BATCHML_BENCH_TASKS", "100")), 100, 100  # 10 tasks: 100 000 jobs
JOBS = TASKS * LEARNERS * ITERATIONS
LIMITS = {"sqlite": 8.0, "postgresql": 20.0}  # seconds to add a million, on a machine that does nothing else
PEAK_MB = 1500


@dataclass(eq=False)
class Part:
    """A task, learner, resampling or measure by name only."""

    id: str
    task_type: str = "classif"
    params: dict = field(default_factory=dict)
    is_instantiated: bool = False

    @property
    def digest(self):
        return digest(["part", self.id])

    family_digest = digest

    def spec(self):
        return {"key": self.id, "type": "classif"}

    model_spec = spec

    def policy_spec(self, *, store_models=False):
        return {"format": 1}

    def check(self, task):
        pass

    def n_iterations(self, task):
        return ITERATIONS


def design(n_learners):
    tasks = [Part(f"task{i}") for i in range(TASKS)]
    learners = [Part(f"learner{i}") for i in range(n_learners)]
    cv = Part("cv")
    cells = tuple(
        SimpleNamespace(task=task, learner=learner, resampling=cv, params={}, iters=ITERATIONS)
        for task in tasks
        for learner in learners
    )
    measures = ("classif.acc", "classif.ce")
    rest = {"modules": (), "paths": (), "store_models": False, "retry": None}
    return SimpleNamespace(cells=cells, name="big", seed=1, measures=measures, **rest)


TURNS = []


@pytest.fixture(autouse=True)
def _watched_lock(monkeypatch):
    """Note how long each write transaction keeps the other writers out."""
    held = FairLock.held

    @contextlib.contextmanager
    def watched(self):
        with held(self):
            began = time.perf_counter()
            yield
            TURNS.append(time.perf_counter() - began)

    monkeypatch.setattr(FairLock, "held", watched)


def timed(name, call, issued=None, limit=None):
    TURNS.clear()
    if issued is not None:
        issued.clear()
    began, own = time.perf_counter(), time.process_time()
    found = call()
    took, own = time.perf_counter() - began, time.process_time() - own
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    said = "" if issued is None else f"   {len(issued)} statements"
    said += f"   {len(TURNS)} write transactions, longest {max(TURNS) * 1e3:.0f} ms" if TURNS else ""
    said += "" if limit is None else f"   limit {limit:g} s"
    print(f"{name:36s} {took:9.3f} s   own CPU {own:.2f} s   peak {peak} MB{said}", flush=True)
    return found, took


BLOB = os.urandom(2000)
WARNING = Condition(stage="train", level="warning", message="did not converge", kind="ConvergenceWarning")


def outcome(assignment, number):
    scores = tuple((key, 0.5) for key, _ in assignment.experiment.measures)
    result = JobResult(completeness="full", predictions={"test": BLOB}, scores=scores, n=100)
    return Outcome(
        attempt_id=assignment.attempt_id,
        job_id=assignment.job_id,
        ending=Ending.DONE,
        log="fitted in 12 steps\n",
        conditions=(WARNING,) if number % 10 == 0 else (),
        fit_s=0.01,
        predict_s=0.01,
        wall_s=0.02,
        cpu_s=0.02,
        peak_mb=100.0,
        threads=1,
        result=result,
    )


def work(store, worker, jobs, size=64):
    """Exchange until so many jobs are done; return seconds spent in exchanges, per job, and the longest exchange."""
    back, number, spent, longest = [], 0, 0.0, 0.0
    while number < jobs:
        began = time.perf_counter()
        answer = exchange(store, worker, back, [], size)
        took = time.perf_counter() - began
        spent, longest = spent + took, max(longest, took)
        back = [outcome(one, number + i) for i, one in enumerate(answer.assignments)]
        number += len(back)
        assert back
    began = time.perf_counter()
    exchange(store, worker, back, [], 0)
    return (spent + time.perf_counter() - began) / number, longest


@pytest.mark.timeout(1800)
def test_a_million_jobs(bench_url, statements, wal, tmp_path):  # noqa: PLR0915 - a list of things to time
    store = Store.create(bench_url, seed=1)
    database = store.engine.dialect.name
    print(f"\n{JOBS:,} jobs, {database}")

    def clocked(name, call, limit=None):
        return timed(name, call, statements, limit)

    whole, most = design(LEARNERS), design(LEARNERS - 1)
    clocked("plan", lambda: benchmarks.plan(store, whole))
    with wal(store).watched() as written:
        ids, _ = clocked("add 99 %", lambda: benchmarks.add(store, most), LIMITS[database] * JOBS / 1e6)
    print(f"{'':36s} {written.mb:9.0f} MB of write-ahead log")
    assert len(ids) == JOBS * 99 // 100
    clocked("add again: nothing new", lambda: benchmarks.add(store, most))
    fresh, _ = clocked("add one learner (1 %)", lambda: benchmarks.add(store, whole))
    assert len(fresh) == JOBS // 100
    (submission, number), _ = clocked("submit all", lambda: submit(store))
    assert number == JOBS
    clocked("status", lambda: status(store), 0.3)
    clocked("status again", lambda: status(store), 0.3)
    clocked("tally", lambda: tally(store))
    worker = register_worker(store, submission, slots=64)
    work(store, worker, 500)
    clocked("estimate", lambda: estimate(store, 8))
    each, longest = clocked("exchange of 10 000 by 64", lambda: work(store, worker, 10_000))[0]
    print(f"{'':36s} {each * 1e3:9.4f} ms a job, longest {longest * 1e3:.1f} ms")
    few, many = (per_exchange(store, worker, statements, size) for size in (64, 640))
    print(f"{'statements an exchange':36s} by 64: {few:.1f}, by 640: {many:.1f} (limit: no more for more jobs)")
    assert many <= few + 3
    clocked("estimate with 10 000 done", lambda: estimate(store, 8))
    number, _ = clocked("rescore these by one more measure", lambda: rescored(store))
    print(f"{'':36s} {number} scores")
    assert number >= min(10_000, JOBS // 2)
    clocked("jobs(state='done')", lambda: find(store, state="done"))
    middle, slice_ = JOBS // 2, min(10_000, JOBS // 100)
    failed = range(middle + 1, middle + slice_ + 1)
    set_state(store, "error", middle, middle + slice_)
    assert len(clocked("jobs(state='error')", lambda: find(store, state="error"))[0]) == slice_
    clocked(f"retry {slice_:,}", lambda: retry(store, failed))
    set_state(store, "done", 0, JOBS * 9 // 10)
    if database == "postgresql":
        late = statistics_of(store, worker, times=20)
        print(f"{'the same, none of it cleaned up':36s} {late[0] * 1e3:9.3f} ms, worst {late[1] * 1e3:.1f} ms")
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE job")  # as the server does by itself within a minute
    late = statistics_of(store, worker)
    print(f"{'exchange by 64 at 90 % done':36s} {late[0] * 1e3:9.3f} ms, worst {late[1] * 1e3:.1f} ms   limit 10 ms")
    alone = statistics_of(store, worker, size=1)
    print(f"{'exchange by 1 at 90 % done':36s} {alone[0] * 1e3:9.3f} ms, worst {alone[1] * 1e3:.1f} ms   limit 10 ms")
    clocked("status at 90 % done", lambda: status(store), 0.3)
    clocked("jobs(state='error') of none", lambda: find(store, state="error"))
    clocked("plan at 90 % done", lambda: benchmarks.plan(store, whole))
    if store.place.path is not None:
        size = sum(path.stat().st_size for path in tmp_path.iterdir() if path.is_file()) / 2**20
        print(f"database: {size:.0f} MB")
    store.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{'peak':36s} {peak:9d} MB, limit {PEAK_MB} MB")
    assert peak < 2 * PEAK_MB


def per_exchange(store, worker, statements, size):
    """Return how many statements an exchange issues."""
    statements.clear()
    work(store, worker, size, size=size)
    return len(statements) / sum("UPDATE worker" in query for query, _ in statements)


def rescored(store):
    """Ask for one more measure of all that is done, and store made-up scores: what rescoring costs the registry."""
    measure = Part("more")
    ask_for(store, [1], [measure])
    spec = digest(measure.spec())
    with store.write() as connection:
        key = put_specs(connection, "measure", {spec: measure.spec()})[spec]
    return sum(
        put_scores(store, [(one.job_id, one.attempt_id, lack, 0.5) for one in page for lack in one.lacks])
        for page in unscored(store, [1], [key])
    )


def set_state(store, state, after, last):
    with store.write() as connection:
        connection.exec_driver_sql(f"UPDATE job SET state = '{state}' WHERE id > {after} AND id <= {last}")


def statistics_of(store, worker, size=64, times=60):
    """Exchange with everything given back each time; return median and worst seconds."""
    back, took = [], []
    for number in range(times):
        began = time.perf_counter()
        answer = exchange(store, worker, back, [], size)
        took.append(time.perf_counter() - began)
        back = [outcome(one, number) for one in answer.assignments]
        assert back
    exchange(store, worker, back, [], 0)
    return statistics.median(took[5:]), max(took[5:])


WRITER = """
import sys, time
sys.path.insert(0, sys.argv[1])
import test_registry_speed as speed
from batchml.registry.store import Store
from batchml.registry.workers import register_worker
store = Store.open(sys.argv[2])
worker = register_worker(store, int(sys.argv[3]), slots=64)
print("ready", flush=True)
sys.stdin.readline()
end, number, longest, back = time.monotonic() + 8, 0, 0.0, []
while time.monotonic() < end:
    began = time.perf_counter()
    answer = speed.exchange(store, worker, back, [], 64)
    longest = max(longest, time.perf_counter() - began)
    back = [speed.outcome(one, i) for i, one in enumerate(answer.assignments)]
    number += len(back)
print(number, longest)
"""


@pytest.mark.timeout(300)
def test_four_supervisors_of_one_file_get_fair_shares(tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    with Store.create(url, seed=1) as store:
        benchmarks.add(store, design(20))
        submission, _ = submit(store)
        work(store, register_worker(store, submission, slots=64), 64)
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", WRITER, here, url, str(submission)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate(timeout=60)[0].split() for child in children]
    shares, worst = [int(words[0]) for words in said], max(float(words[1]) for words in said)
    print(f"\nfour supervisors, 8 s, by 64: {shares} jobs, longest exchange {worst * 1e3:.0f} ms")
    assert min(shares) * 3 > max(shares)
