"""What it costs that any learner may do anything: a process for a stage, a slot for a job, a crash, a slot more."""

from __future__ import annotations

import gc
import json
import os
import re
import statistics
import sys
import time
from pathlib import Path

import pytest
from made_experiment import made_experiment

import batchml as bm
from batchml.core.attempt import Assignment, Ending
from batchml.core.learner import as_learner
from batchml.core.trust import Trust
from batchml.data.artifacts import ArtifactFolder
from batchml.execution.sandbox import proc
from batchml.execution.sandbox.job import JobRunner
from batchml.execution.sandbox.protocol import Link, pair
from batchml.worker.slots import SandboxPool

NASTY = Path(__file__).parent.parent / "integration"
MODULES = ("nasty_learners",)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(NASTY))
    return ArtifactFolder(tmp_path)


def nasty(folder, deed, number):
    import nasty_learners

    return made_experiment(folder, as_learner(nasty_learners.Nasty(deed=deed), preprocess="none"), number)


def run_all(pool, work):
    """Run assignments through a pool and return their outcomes."""
    todo, outcomes = list(reversed(work)), []
    while len(outcomes) < len(work):
        while todo and pool.room:
            pool.submit(todo.pop())
        outcomes += pool.wait(1.0)
    return outcomes


def quantile(values, share):
    """Return a low quantile where others use the machine, too."""
    return sorted(values)[int(len(values) * share)]


def assignments(one, n, first=1):
    return [
        Assignment(attempt_id=i, job_id=i, iteration=i % 3, experiment=one, expected_s=0.002)
        for i in range(first, first + n)
    ]


def test_a_stage_in_a_process_of_its_own_costs_little_more():
    task = bm.tsk("iris")
    learners = {method: bm.lrn("classif.featureless", encapsulate=method) for method in ("none", "capture", "process")}
    times = {method: [] for method in learners}
    for _ in range(300):
        for method, learner in learners.items():
            start = time.perf_counter()
            learner.train(task, seed=1)
            learner.predict(task)
            times[method].append(time.perf_counter() - start)
    least, half = ({m: 1e3 * quantile(found[50:], share) for m, found in times.items()} for share in (0.1, 0.5))
    print(
        "\ntrain + predict of featureless on iris, tenth and half of the tries: "
        + ", ".join(f"{m} {least[m]:.2f} {half[m]:.2f} ms" for m in times)
        + f": {least['process'] - least['none']:.2f} {half['process'] - half['none']:.2f} ms more (at most 1)"
    )


def test_a_slot_costs_little_more_than_the_supervisor_itself(folder):
    """In CPU time, too: other users of the machine do not count in that.

    The supervisor's own share runs beside the slot. What is left is the slot's reading, looking and reporting, the
    waking of a supervisor that sleeps (0.07 ms on an idle virtual machine), and colder caches.
    """
    one = made_experiment(folder, bm.lrn("classif.featureless"), 1)
    mine, its = pair()
    link = Link.from_fd(mine.detach())
    settings = {"artifacts": str(folder.root), "trust": Trust.default().prefixes}
    runner = JobRunner(settings, link, lambda _seconds: None)
    runner.learn("1", json.dumps(one.as_json()).encode())
    pool = SandboxPool(1, folder.root)
    run_all(pool, assignments(one, 20))
    slot = proc.child_pids(pool._seats[0].handle.keeper)[0]
    here, there, n = [], [], 100
    used = {"here": 0.0, "slot": 0.0, "supervisor": 0.0}
    for turn in range(40):
        gc.collect()
        start, before = time.perf_counter(), time.process_time()
        for i in range(n):
            report, _blobs = runner.run("1", i % 3, lambda: None)
            assert report["ending"] is Ending.DONE
        here.append((time.perf_counter() - start) / n)
        used["here"] += time.process_time() - before
        start, before, busy = time.perf_counter(), time.process_time(), cpu_s(slot)
        outcomes = run_all(pool, assignments(one, n, 1000 * (turn + 1)))
        there.append((time.perf_counter() - start) / n)
        used["slot"] += cpu_s(slot) - busy
        used["supervisor"] += time.process_time() - before
        assert all(outcome.ending is Ending.DONE for outcome in outcomes)
    pool.close()
    link.close()
    its.close()
    inside, outside = ([1e3 * quantile(found, share) for share in (0.1, 0.5)] for found in (here, there))
    print(
        "\na job of featureless on iris, tenth and half of the tries: "
        f"in this process {inside[0]:.3f} {inside[1]:.3f} ms, in a slot {outside[0]:.3f} {outside[1]:.3f} ms: "
        f"{outside[0] - inside[0]:.3f} {outside[1] - inside[1]:.3f} ms more (at most 0.1); "
        "CPU: " + ", ".join(f"{name} {1e3 * seconds / (40 * n):.3f} ms" for name, seconds in used.items())
    )


def cpu_s(pid):
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def test_after_a_crash_the_next_job_starts_soon(folder):
    crash, say = nasty(folder, "say_when_and_crash", 1), nasty(folder, "say_when", 2)
    pool = SandboxPool(1, folder.root, Trust.default().with_modules(MODULES), [NASTY])
    run_all(pool, assignments(say, 3))
    gaps = []
    for turn in range(1, 21):
        first = Assignment(attempt_id=100 * turn, job_id=1, iteration=0, experiment=crash)
        second = Assignment(attempt_id=100 * turn + 1, job_id=2, iteration=0, experiment=say)
        (died,) = run_all(pool, [first])
        (spoke,) = run_all(pool, [second])
        assert died.ending is Ending.CRASHED
        moments = [float(re.search(r"at ([0-9.]+)", outcome.log)[1]) for outcome in (died, spoke)]
        gaps.append(1e3 * (moments[1] - moments[0]))
    pool.close()
    print(
        f"\nfrom a segmentation fault to the next learner's fit: median {statistics.median(gaps):.0f} ms, "
        f"most {max(gaps):.0f} (at most 100)"
    )
    assert statistics.median(gaps) <= 100


def test_memory_grows_by_what_slots_do_not_share(folder):
    one = made_experiment(folder, bm.lrn("classif.tree"), 1)
    words = []
    for slots in (1, 2, 4):
        pool = SandboxPool(slots, folder.root)
        run_all(pool, [*assignments(one, 40 * slots)])
        family = [pid for pid in proc.tagged(pool._family.tag) if pid != os.getpid()]
        words.append(f"{slots}: {sum(map(pss_mb, family)):.0f} MB")
        pool.close()
    print(f"\nPSS of template, keepers and slots, by slots: {', '.join(words)} (Python {sys.version.split()[0]})")


def pss_mb(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0
