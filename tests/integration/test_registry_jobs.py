"""What users ask of jobs and do with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from sqlalchemy import select

import batchml as bm
from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.core.conditions import Condition
from batchml.errors import ConfigError, RegistryError, UnknownKeyError
from batchml.registry import tables
from batchml.registry.benchmarks import add
from batchml.registry.care import problems
from batchml.registry.dialects import utc_now
from batchml.registry.errors import errors
from batchml.registry.exchange import exchange
from batchml.registry.history import attempts, grep_logs, log_of
from batchml.registry.jobs import cancel, find, remove, reset, retry, status, submit, tag, tally, untag
from batchml.registry.processes import here
from batchml.registry.reasons import why
from batchml.registry.rescue import reconcile
from batchml.registry.store import Store
from batchml.registry.workers import register_worker


@pytest.fixture
def store(registry_url):
    with Store.create(registry_url, seed=1) as store:
        yield store


@pytest.fixture
def ids(store):
    tasks, learners = ["iris", "wine"], ["classif.tree", "classif.featureless"]
    return add(store, bm.benchmark_grid(tasks, learners, bm.rsmp("cv", folds=3)), "b")


def outcome(assignment, ending=Ending.DONE, **fields):
    result = JobResult(completeness="full", predictions={"test": b"x"}, scores=(), n=5) if ending == "done" else None
    return Outcome(attempt_id=assignment.attempt_id, job_id=assignment.job_id, ending=ending, result=result, **fields)


def finish(store, jobs, ending=Ending.DONE, **fields):
    """Bring some jobs to an end."""
    submission, _ = submit(store, jobs)
    worker = register_worker(store, submission, slots=20)
    back = []
    while True:
        answer = exchange(store, worker, back, [], 20)
        back = [outcome(one, ending, **fields) for one in answer.assignments]
        if not back:
            return worker


def test_jobs_are_found_by_what_they_are(store, ids):
    finish(store, ids[:2])
    finish(store, ids[2:3], Ending.LEARNER_ERROR, message="boom")
    assert find(store, state="done")["job_id"].tolist() == ids[:2]
    assert find(store, state=["done", "error"])["job_id"].tolist() == ids[:3]
    assert find(store, outcome="learner_error")["job_id"].tolist() == ids[2:3]
    assert len(find(store, task="wine", learner="classif.tree")) == 3
    assert len(find(store, iteration=0)) == 4
    assert len(find(store, iteration=[0, 2], task="iris")) == 4
    assert find(store, jobs=ids[3:5])["job_id"].tolist() == ids[3:5]
    assert find(store, state="cancelled").empty
    assert len(find(store, resampling="cv", benchmark="b")) == 12


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"state": "finished"}, "there is no state 'finished'.*done"),
        ({"outcome": "timeuot"}, "did you mean 'timeout'"),
        ({"task": "irsi"}, "did you mean 'iris'"),
        ({"learner": "classif.tre"}, "did you mean 'classif.tree'"),
        ({"benchmark": "zzz"}, "there is b"),
        ({"tag": "x"}, "no job has one"),
        ({"state": []}, "empty"),
    ],
)
def test_a_filter_that_names_nothing_is_an_error(store, ids, filters, words):
    with pytest.raises(ConfigError, match=words):
        find(store, **filters)


def test_tags_come_and_go(store, ids):
    assert tag(store, ids[:3], "hard") == 3
    assert tag(store, ids[2:4], "hard") == 1
    assert len(find(store, tag="hard")) == 4
    assert untag(store, ids, "hard") == 4
    with pytest.raises(ConfigError, match="a tag is"):
        tag(store, ids, "  ")


def test_status_counts_by_benchmark(store, ids):
    finish(store, ids[:2])
    frame = status(store)
    assert frame.to_dict("records") == [
        {"benchmark": "b", "defined": 10, "queued": 0, "running": 0, "done": 2, "error": 0, "cancelled": 0, "total": 12}
    ]
    assert tally(store)["done"] == 2
    with pytest.raises(UnknownKeyError, match="zzz"):
        status(store, "zzz")


def test_retry_queues_failures_with_a_clean_slate_and_nothing_else(store, ids):
    finish(store, ids[:1])
    finish(store, ids[1:2], Ending.CRASHED, signal=11)
    cancel(store, ids[2:3])
    assert retry(store, ids[:4]) == 2
    frame = find(store, jobs=ids[:4])
    assert frame["state"].tolist() == ["done", "queued", "defined", "defined"]  # the cancelled one was never submitted
    with store.read() as connection:
        charged = connection.execute(tables.job.select().where(tables.job.c.id == ids[1])).one().charged
    assert charged == 0


def test_reset_drops_results_but_keeps_history(store, ids):
    finish(store, ids[:2])
    assert reset(store, ids[:3]) == 2
    assert set(find(store, jobs=ids[:3])["state"]) == {"defined"}
    with store.read() as connection:
        for name in ("result", "prediction"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() == 0
    assert attempts(store, ids[0])["outcome"].tolist() == ["done"]
    assert "reset" in why(store, ids[0])


def test_remove_takes_everything_of_a_job_and_nothing_of_others(store, ids):
    finish(store, ids[:4], log="printed", conditions=(Condition(stage="train", level="warning", message="w"),))
    tag(store, ids, "t")
    assert remove(store, ids[:2]) == 2
    with store.read() as connection:
        counts = {
            name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar()
            for name in ("job", "attempt", "result", "prediction", "condition", "log", "job_tag")
        }
    assert problems(store) == []
    assert counts == {"job": 10, "attempt": 2, "result": 2, "prediction": 2, "condition": 2, "log": 2, "job_tag": 10}


def test_running_jobs_are_not_removed(store, ids):
    submission, _ = submit(store, ids[:1])
    worker = register_worker(store, submission, slots=1)
    exchange(store, worker, [], [], 1)
    with pytest.raises(RegistryError, match="1 of these jobs are running"):
        remove(store, ids)
    assert len(find(store)) == 12


@pytest.mark.parametrize("move", [retry, reset, cancel, remove, submit])
def test_an_unknown_job_stops_everything(store, ids, move):
    with pytest.raises(UnknownKeyError, match="there is no job 999"):
        move(store, [ids[0], 999])
    assert len(find(store, state="defined")) == 12


def test_errors_logs_and_attempts_tell_what_happened(store, ids):
    event = Condition(stage="train", level="error", message="row 7", kind="ValueError", traceback="Traceback ...")
    finish(
        store,
        ids[:1],
        Ending.LEARNER_ERROR,
        message="row 7",
        error_type="ValueError",
        conditions=(event,),
        log="hello\n",
    )
    frame = errors(store)
    assert frame[["job_id", "stage", "message"]].to_numpy().tolist() == [[ids[0], "train", "row 7"]]
    text = log_of(store, ids[0])
    for word in ("learner_error", "Traceback ...", "hello", "[train error] ValueError: row 7"):
        assert word in text
    found = grep_logs(store, "^hel+o")
    assert found["job_id"].tolist() == [ids[0]]
    assert len(grep_logs(store, "ROW", ignore_case=True)) == 1
    with pytest.raises(ConfigError, match="regular expression"):
        grep_logs(store, "(")
    assert attempts(store, ids[1]).empty
    for ask in (attempts, log_of, why):
        with pytest.raises(UnknownKeyError, match="no job 999"):
            ask(store, 999)


def test_grep_pages_through_many_logs(store, ids):
    worker = finish(store, ids[:1], log="x")
    with store.write() as connection:
        policy = connection.execute(select(tables.experiment.c.policy_id)).scalars().first()
        row = {"job_id": ids[0], "worker_id": worker, "policy_id": policy, "generation": 0, "outcome": "lost"}
        row["ended_at"] = connection.execute(select(utc_now())).scalar_one()
        connection.execute(tables.attempt.insert(), [row] * 2500)
        connection.exec_driver_sql("DELETE FROM log")
        connection.exec_driver_sql("INSERT INTO log SELECT id, 'line ' || id FROM attempt WHERE outcome = 'lost'")
    assert len(grep_logs(store, "line")) == 2500


def test_why_names_the_cause(store, ids):
    assert "not been submitted" in why(store, ids[0])
    submission, _ = submit(store, ids[:2], {"memory_mb": 8192})
    assert "no live worker takes jobs with memory_mb=8192" in why(store, ids[0])
    worker = register_worker(store, submission, slots=1)
    [one] = exchange(store, worker, [], [], 1).assignments
    assert f"worker {worker}" in why(store, one.job_id)
    assert "waits for its turn" in why(store, ids[1])
    exchange(store, worker, [outcome(one, Ending.INFRASTRUCTURE, message="disk gone")], [], 0)
    assert "held back" in why(store, one.job_id)
    assert "disk gone" in why(store, one.job_id)
    cancel(store, ids[2:3])
    assert "cancelled" in why(store, ids[2])


def test_a_submission_queues_what_is_defined_and_no_more(store, ids):
    first, number = submit(store, ids[:5], {"cpus": 1}, "local", {"slots": 2})
    assert number == 5
    second, number = submit(store, ids[:6])
    assert number == 1
    assert second > first
    _, rest = submit(store)
    assert rest == 6
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM resource").scalar() == 2


def lost_worker(store, submission, command=(sys.executable, "-c", "import time; time.sleep(60)")):
    """Enter a worker that is a real process, and kill it."""
    child = subprocess.Popen(command)
    worker = register_worker(store, submission, slots=1, process=here(child.pid))
    answer = exchange(store, worker, [], [], 1)
    return child, worker, answer.assignments


def test_reconciling_finds_a_killed_worker_by_its_process(store, ids):
    submission, _ = submit(store, ids)
    child, worker, [held] = lost_worker(store, submission)
    assert reconcile(store).alive == (worker,)
    os.kill(child.pid, signal.SIGSTOP)
    assert reconcile(store).alive == (worker,)
    child.kill()
    child.wait()
    looked = reconcile(store, dry_run=True)
    assert (list(looked.dead), looked.requeued, looked.running) == ([worker], 1, 1)
    assert "would be queued again" in str(looked)
    found = reconcile(store)
    assert (found.requeued, found.failed, found.running, found.queued) == (1, 0, 0, 12)
    assert f"worker {worker} is dead: process {child.pid}" in str(found)
    assert attempts(store, held.job_id)["outcome"].tolist() == ["lost"]
    again = reconcile(store)
    assert (dict(again.dead), again.requeued) == ({}, 0)


def test_a_worker_that_died_before_its_first_exchange_is_found_too(store, ids):
    submission, _ = submit(store, ids)
    child = subprocess.Popen([sys.executable, "-c", ""])
    worker = register_worker(store, submission, slots=1, process=here(child.pid))
    child.wait()
    assert list(reconcile(store).dead) == [worker]


def test_a_reused_pid_is_another_process(store, ids):
    submission, _ = submit(store, ids)
    me = here()
    former = type(me)(host=me.host, boot_id=me.boot_id, pid=me.pid, pid_start=me.pid_start - 1, pid_ns=me.pid_ns)
    worker = register_worker(store, submission, slots=1, process=former)
    assert list(reconcile(store).dead) == [worker]


def test_a_reboot_is_a_proof(store, ids):
    submission, _ = submit(store, ids)
    me = here()
    former = type(me)(host=me.host, boot_id="before", pid=1, pid_start=me.pid_start, pid_ns=me.pid_ns)
    worker = register_worker(store, submission, slots=1, process=former)
    assert list(reconcile(store).dead) == [worker]


def test_another_host_is_not_judged_by_this_ones_processes(store, ids):
    submission, _ = submit(store, ids)
    me = here()
    other = type(me)(host="elsewhere", boot_id="other", pid=1, pid_start=1, pid_ns=me.pid_ns)
    worker = register_worker(store, submission, slots=1, process=other)
    assert reconcile(store).alive == (worker,)
    with store.write() as connection:
        # A server that was started just now lets no lease expire before one has passed.
        silenced = tables.worker.update().values(beat_s=tables.worker.c.beat_s - 10, lease_s=2)
        connection.execute(silenced)
    silent = reconcile(store)
    assert silent.silent == (worker,)
    assert f"--assume-dead {worker}" in str(silent)
    assert list(reconcile(store, assume_dead=[worker]).dead) == [worker]
    with pytest.raises(UnknownKeyError, match="no worker 99"):
        reconcile(store, assume_dead=[99])


def test_a_worker_taken_for_dead_comes_back(store, ids):
    submission, _ = submit(store, ids)
    worker = register_worker(store, submission, slots=1)
    [held] = exchange(store, worker, [], [], 1).assignments
    assert reconcile(store, assume_dead=[worker]).requeued == 1
    answer = exchange(store, worker, [outcome(held)], [], 0)
    assert answer.lost == ()
    assert find(store, jobs=[held.job_id])["state"].tolist() == ["done"]
    assert reconcile(store).alive == (worker,)
