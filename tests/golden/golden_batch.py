"""batchtools and mlr3batchmark: designs, jobs, their states, results. One study is run by real workers."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from golden_ledger import Ledger, plain, rows, same

import batchml as bm
from batchml.errors import BatchmlError

ledger = Ledger("batch")

# R's experiments as a benchmark: problems are tasks (p1 with k = 1 and 2, p2), algorithms are learners (a1 with
# u = 1, 2, 3, of which u = 2 fails, and a2), replications are iterations. R's jobs 1 to 12, which are submitted, are
# those of p1 and a1.
PROBLEMS = {(1, "p1", 1): "p1_k1", (2, "p1", 2): "p1_k2", (3, "p2", None): "p2"}
ALGORITHMS = {("a1", 1): "a1_u1", ("a1", 2): "a1_u2", ("a1", 3): "a1_u3", ("a2", None): "a2"}


def task_of(name, k):
    table = {"x": np.arange(20.0) + k, "y": ["a", "b"] * 10}
    return bm.as_task_classif(table, "y", id=name)


def experiments():
    tasks = [task_of(name, number) for (number, _, _), name in PROBLEMS.items()]
    learners = [
        bm.lrn("classif.debug", id=name, x=(u or 0) / 10, error_train=float(u == 2))
        for (_, u), name in ALGORITHMS.items()
    ]
    return bm.benchmark_grid(tasks, learners, bm.rsmp("subsampling", repeats=2), seed=1)


def r_number(job):
    """Return R's job id of one of our rows: its order is problem, algorithm, k, u, replication."""
    table = rows(ledger.cases["experiments_order"].output)
    problem, k = next((problem, k) for (_, problem, k), name in PROBLEMS.items() if name == job["task"])
    algorithm, u = next(pair for pair, name in ALGORITHMS.items() if name == job["learner"])
    wanted = [problem, algorithm, int(job["iteration"]) + 1, k, u]
    return next(row[0] for row in table if row[1:] == wanted)


def numbers(frame):
    """Return the jobs of a frame as R's job ids, in R's order."""
    return sorted(r_number(job) for job in frame.to_dict("records"))


@functools.cache
def folder():
    """Return a folder with the study after the workers, kept for all cases of this run."""
    found = Path(tempfile.mkdtemp(prefix="batchml-golden-"))
    with bm.Registry.create(f"sqlite:///{found}/study.db", seed=1) as reg:
        reg.add(experiments())
        jobs = reg.jobs()
        reg.submit(jobs[[r_number(job) <= 12 for job in jobs.to_dict("records")]], executor=bm.Local(slots=2))
        assert reg.wait(timeout=120)
    return found


@ledger.afterwards
def forget():
    """Remove the folder."""
    if folder.cache_info().currsize:
        shutil.rmtree(folder())
        folder.cache_clear()


def study():
    return bm.Registry.open(f"sqlite:///{folder()}/study.db", readonly=True)


class Copy:
    """The study again, to be changed."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        with bm.Registry.create(f"sqlite:///{self.folder.name}/study.db", seed=1) as fresh:
            fresh.add(experiments())
        self.reg = bm.Registry.open(f"sqlite:///{self.folder.name}/study.db")
        return self.reg

    def __exit__(self, *_):
        self.reg.close()
        self.folder.cleanup()


def of(frame, *wanted):
    """Return the rows of R's jobs."""
    return frame[[r_number(job) in wanted for job in frame.to_dict("records")]]


@ledger.differs(
    "experiments_order", why="the order is that of mlr3batchmark: task, learner, iteration; the same jobs are there"
)
def order(case):
    with study() as reg:
        jobs = reg.jobs()
    assert numbers(jobs) == [row[0] for row in rows(case.output)]
    names = [(task, learner, i) for task in PROBLEMS.values() for learner in ALGORITHMS.values() for i in range(2)]
    assert list(zip(jobs["task"], jobs["learner"], jobs["iteration"], strict=True)) == names


@ledger.replays("status_table", but="queued, running, done, error and cancelled are states; the rest are derived")
def status(case):
    with study() as reg:
        found = reg.tally()
        submitted = len(reg.jobs()) - found.get("defined", 0)
        started = len(reg.sql("SELECT job_id FROM jobs WHERE attempts > 0"))
        expired = len(reg.jobs(outcome="lost"))
    words = {name: found.get(name, 0) for name in ("done", "error", "queued", "running")}
    derived = {"defined": sum(found.values()), "submitted": submitted, "started": started, "system": 0}
    same(words | derived | {"expired": expired}, case.output)


@ledger.replays("find_functions", but="by filters of jobs()")
def find(case):
    with study() as reg:
        jobs = reg.jobs()
        state = {name: jobs[jobs["state"] == name] for name in ("defined", "queued", "running", "done", "error")}
        lost = reg.jobs(outcome="lost")
    found = {
        "jobs": numbers(jobs),
        "submitted": numbers(jobs[jobs["state"] != "defined"]),
        "not_submitted": numbers(state["defined"]),
        "done": numbers(state["done"]),
        "not_done": numbers(jobs[jobs["state"] != "done"]),
        "errors": numbers(state["error"]),
        "expired": numbers(lost),
        "on_system": numbers(state["running"]),
        "queued": numbers(state["queued"]),
        "running": numbers(state["running"]),
        "started": numbers(jobs[jobs["attempts"] > 0]),
        "not_started": numbers(jobs[jobs["attempts"] == 0]),
    }
    same(found, case.output)


@ledger.replays("error_messages", but="the message is the learner's own")
def messages(case):
    with study() as reg:
        errors = reg.errors()
    assert numbers(errors) == [row[0] for row in rows(case.output)]
    assert set(errors["message"]) == {"Error from classif.debug->train()"}


@ledger.replays("find_experiments", but="problem and algorithm with their parameters are tasks and learners")
def find_experiments(case):
    with study() as reg:
        found = {
            "p1": numbers(reg.jobs(task=["p1_k1", "p1_k2"])),
            "a2": numbers(reg.jobs(learner="a2")),
            "u3": numbers(reg.jobs(learner="a1_u3")),
            "k2r1": numbers(reg.jobs(task="p1_k2", iteration=0)),
        }
    same(found, case.output)


@ledger.differs("job_table_columns", why="columns have names of their own; states are one column, times are UTC")
def columns(case):
    ours = {
        "job.id": "job_id", "submitted": "state", "started": "started_at", "done": "ended_at", "error": "outcome",
        "mem.used": "peak_mb", "repl": "iteration", "time.running": "wall_s", "problem": "task",
        "algorithm": "learner", "algo.pars": "params", "job.name": "experiment_id",
    }  # fmt: skip
    with study() as reg:
        assert set(ours.values()) <= set(reg.jobs().columns)
    assert set(ours) < set(case.output)


@ledger.replays("job_pars_unwrapped", but="parameters of problems are in the task's id")
def parameters(case):
    with study() as reg:
        jobs = reg.jobs().to_dict("records")
    table = {row[0]: row[1:] for row in rows(case.output)}
    problems = {name: [problem, k] for (_, problem, k), name in PROBLEMS.items()}
    algorithms = {name: list(pair) for pair, name in ALGORITHMS.items()}
    for job in jobs:
        (problem, k), (algorithm, u) = problems[job["task"]], algorithms[job["learner"]]
        same([problem, algorithm, k, u], table[r_number(job)])


@ledger.replays("load_result_error", "load_result_undone")
def no_result(case):
    number = int(case.error.split("id ")[1].split()[0])
    with study() as reg, pytest.raises(BatchmlError):
        reg.reduce(of(reg.jobs(), number), strict=True)


@ledger.replays("reduce_fun", but="a result holds predictions, so there is nothing for a function to pick out")
def reduced(case):
    with study() as reg:
        jobs = reg.jobs(state="done")
        result = reg.reduce(jobs)
    assert numbers(jobs) == [row[0] for row in rows(case.output)]
    assert len(result.score()) == len(rows(case.output))


@ledger.replays("reset", but="job 3 failed: resetting takes done and failed jobs back")
def reset(case):
    with Copy() as reg:
        jobs = reg.jobs()
        reg.submit(of(jobs, *range(1, 13)), executor=bm.Local(slots=2))
        assert reg.wait(timeout=120)
        reg.reset(of(jobs, 1, 2, 3))
        found = {"not_submitted": numbers(reg.jobs(state="defined")), "errors": numbers(reg.jobs(state="error"))}
    same(found, case.output)


@ledger.replays("remove", "remove_problem", but="failed jobs are named by R's ids, p1 by its tasks")
def remove(case):
    with Copy() as reg:
        jobs = reg.jobs()
        gone = set(range(1, 25)) - set(case.output)
        reg.remove(of(jobs, *gone))
        same(numbers(reg.jobs()), case.output)


@ledger.replays("grep_logs", but="the pattern is the debug learner's message")
def logs(case):
    with study() as reg:
        found = reg.jobs()
        matches = set(reg.grep_logs("Error from classif.debug")["job_id"])
        same(numbers(found[found["job_id"].isin(matches)]), case.output)


def batchmark(tasks=("iris", "wine"), learners=None):
    saved = bm.lrn("classif.debug", id="saved", error_train=1.0, x=0.5)  # else it would be the same model
    saved.fallback = "classif.featureless"
    three = ["classif.featureless", bm.lrn("classif.debug", id="failing", error_train=1.0), saved]
    return bm.benchmark_grid(list(tasks), learners or three, bm.rsmp("cv", folds=3), seed=1)


OURS = {"sonar": "wine", "classif.rpart": "classif.tree"}


@ledger.replays("batchmark_ids", but="iterations count from 0; wine takes the place of sonar")
def ids(case):
    with tempfile.TemporaryDirectory() as place, bm.Registry.create(f"sqlite:///{place}/a.db", seed=1) as reg:
        found = reg.add(batchmark())
        jobs = reg.jobs()
    wanted = [
        [OURS.get(task, task), resampling, learner, repl - 1]
        for _, task, resampling, learner, repl, _ in rows(case.output["table"])
    ]
    same(jobs[["task", "resampling", "learner", "iteration"]].to_numpy(dtype=object), wanted)
    named = jobs.groupby("experiment_id").size().tolist()
    same(
        {"n": len(found), "n_job_names": len(named), "jobs_per_name": named, "n_problems": jobs["task"].nunique()},
        {name: case.output[name] for name in ("n", "n_job_names", "jobs_per_name", "n_problems")},
    )


@ledger.replays("batchmark_results", but="failed iterations stay in the result, as missing; R drops them")
def batchmark_results(case):
    with tempfile.TemporaryDirectory() as place, bm.Registry.create(f"sqlite:///{place}/a.db", seed=1) as reg:
        reg.add(batchmark())
        jobs = reg.jobs()
        reg.submit(executor=bm.Local(slots=2))
        assert reg.wait(timeout=120)
        failed = np.flatnonzero((reg.jobs()["state"] == "error").to_numpy()) + 1
        text = set(reg.errors()["message"])
        with pytest.warns(UserWarning, match="6 of 18"):
            table = reg.reduce().aggregate("classif.ce")
    assert len(jobs) == 18
    same(failed, case.output["errors"])
    assert all(next(iter(text)) in one for one in case.output["messages"])
    there = table[table["n_missing"] == 0]
    wanted = [[OURS.get(task, task), *rest] for _, task, *rest in rows(case.output["aggregate"])]
    same(there[["task", "learner", "resampling", "n"]].to_numpy(dtype=object), wanted)
    score = {learner: part["classif.ce"].tolist() for learner, part in there.groupby("learner")}
    assert np.allclose(score["saved"], score["classif.featureless"]) == case.output["saved_equals_featureless"]


@ledger.replays("batchmark_equals_benchmark", but="equal to the last bit")
def batchmark_equals_benchmark(case):
    design = batchmark(learners=["classif.tree"])
    with tempfile.TemporaryDirectory() as place, bm.Registry.create(f"sqlite:///{place}/a.db", seed=1) as reg:
        reg.add(design)
        reg.submit(executor=bm.Local(slots=2))
        assert reg.wait(timeout=120)
        stored = plain(reg.reduce().score("classif.ce")["classif.ce"])
    session = plain(bm.benchmark(design).score("classif.ce")["classif.ce"])
    same({"identical": stored == session, "n": len(stored)}, case.output)


ledger.not_applicable(
    "chunk_n_more", "chunk_both", "lpt_2", "lpt_sums", "binpack_too_big",
    why="workers pull jobs, so nobody cuts them into chunks beforehand",
)  # fmt: skip
ledger.not_applicable("experiments_bind", why="designs are made of cells and added with +; there are no tables to bind")
ledger.not_applicable(
    "map_registry", "btlapply", "batchmark_wrong_registry",
    why="a registry holds benchmarks only; for functions of one's own there are joblib and Dask",
)  # fmt: skip
ledger.not_applicable(
    "lgr_levels", "lgr_json", "lgr_inherit", "lgr_filter",
    why="batchml logs through Python's logging, which has its own levels, formatters, inheritance and filters",
)  # fmt: skip
