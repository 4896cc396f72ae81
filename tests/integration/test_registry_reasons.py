"""What a plan says is new and why, and why a job is in its state: every cause."""

from __future__ import annotations

import pytest

import batchml as bm
from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.registry.benchmarks import add, plan
from batchml.registry.exchange import exchange
from batchml.registry.jobs import cancel, find, reset, retry, submit
from batchml.registry.reasons import why
from batchml.registry.rescue import reconcile
from batchml.registry.store import Store
from batchml.registry.workers import register_worker, stop_worker


@pytest.fixture
def store(registry_url):
    with Store.create(registry_url, seed=1) as store:
        yield store


def grid(learner=None, task="iris", folds=2, **more):
    return bm.benchmark_grid(task, learner or bm.lrn("classif.tree", max_depth=3), bm.rsmp("cv", folds=folds), **more)


def finish(store, jobs=None, ending=Ending.DONE, **fields):
    submission, _ = submit(store, jobs)
    worker = register_worker(store, submission, slots=20)
    held = exchange(store, worker, [], [], 20).assignments
    while held:
        result = JobResult(completeness=fields.pop("kind", "full"), predictions={"test": b"x"}, scores=(), n=5)
        base = {"ending": ending, "result": result if ending is Ending.DONE else None, **fields}
        back = [Outcome(attempt_id=one.attempt_id, job_id=one.job_id, **base) for one in held]
        held = exchange(store, worker, back, [], 20).assignments
    stop_worker(store, worker, "done")


@pytest.fixture
def ids(store):
    return add(store, grid(), "b")


def table(rows):
    import numpy as np
    import pandas as pd

    values = np.arange(rows, dtype=float)
    return pd.DataFrame({"x": values, "y": ["a", "b"] * (rows // 2)})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"learner": bm.lrn("classif.tree", max_depth=5)}, "learner 'classif.tree' changed (max_depth 3 -> 5)"),
        ({"learner": bm.lrn("classif.tree")}, "learner 'classif.tree' changed (max_depth 3 -> default)"),
        ({"folds": 3}, "resampling 'cv' changed (folds 2 -> 3)"),
        ({"seed": 9}, "the seed changed (1 -> 9)"),
    ],
)
def test_a_plan_names_the_component_that_makes_jobs_new(store, ids, changed, words):
    said = plan(store, grid(**changed), "b")
    assert said.new == changed.get("folds", 2)
    assert said.because == (f"{said.new} new since {words}",)
    assert words in str(said)
    assert said.as_json()["because"] == list(said.because)


def test_a_plan_tells_other_data_from_another_target_role(store):
    tasks = [bm.as_task_classif(table(rows), "y", id="t") for rows in (20, 22)]
    add(store, grid(task=tasks[0]), "b")
    assert plan(store, grid(task=tasks[1]), "b").because == ("2 new since task 't' changed (other data)",)
    positive = bm.as_task_classif(table(20), "y", id="t", positive="b")
    [said] = plan(store, grid(task=positive), "b").because
    assert "positive" in said


@pytest.mark.parametrize(
    "more",
    [
        {"learner": [bm.lrn("classif.tree", max_depth=3), "classif.knn"]},
        {"task": ["iris", "wine"]},
        {"measures": ["classif.ce", "classif.acc"]},
        {},
    ],
)
def test_what_is_added_needs_no_reason_and_runs_nothing_again(store, ids, more):
    finish(store)
    said = plan(store, grid(**more), "b")
    assert (said.because, said.reused, dict(said.again)) == ((), 2, {})
    assert len(add(store, grid(**more), "b")) == said.new


def test_more_repeats_are_no_changed_resampling(store):
    def repeats(number, learners=("classif.tree",)):
        return bm.benchmark_grid("iris", list(learners), bm.rsmp("repeated_cv", folds=2, repeats=number))

    add(store, repeats(1), "b")
    finish(store)
    said = plan(store, repeats(2, ("classif.tree", "classif.knn")), "b")
    assert (said.because, said.new, said.reused) == ((), 6, 2)


def test_a_policy_that_changes_nothing_that_ran_is_named(store, ids):
    finish(store, fit_s=1.0, predict_s=0.1)
    limited = bm.lrn("classif.tree", max_depth=3)
    limited.encapsulate = "process"
    limited.timeout = {"train": 60}
    said = plan(store, grid(limited), "b")
    assert (said.new, said.reused, dict(said.again)) == (0, 2, {})
    [words] = said.changed
    assert words.startswith("policy of learner 'classif.tree' changed (")
    assert words.endswith("): 2 finished jobs could not end otherwise and are kept")


def test_a_default_that_an_upgrade_changed_is_named(store, ids, monkeypatch):
    finish(store)
    from batchml.core import spec

    monkeypatch.setattr(
        spec, "class_defaults", lambda *_: {"sklearn.tree.DecisionTreeClassifier": {"criterion": "entropy"}}
    )
    [said] = plan(store, grid(), "b").changed
    assert said.startswith("defaults changed of sklearn.tree.DecisionTreeClassifier (")
    assert 'criterion "gini" -> "entropy"' in said
    assert "since 2 finished jobs ran" in said


def test_defaults_that_an_older_registry_did_not_keep_are_no_change(store, ids):
    finish(store)
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE attempt SET source_id = NULL")
    assert plan(store, grid(), "b").changed == ()


def test_why_a_job_is_new_although_its_like_has_run(store, ids):
    finish(store)
    [new, _] = add(store, grid(bm.lrn("classif.tree", max_depth=5)), "b")
    assert "not reused: learner: max_depth 3 -> 5" in why(store, new)
    assert "in no current benchmark" in why(store, ids[0])


def test_why_a_job_runs_again(store, ids):
    finish(store, ids[:1])
    reset(store, ids[:1])
    assert "runs again since a user reset it after attempt" in why(store, ids[0])
    finish(store, ids, Ending.TIMEOUT)
    assert why(store, ids[0]).startswith(f"job {ids[0]} is in error: attempt")
    longer = bm.lrn("classif.tree", max_depth=3)
    longer.fallback = bm.lrn("classif.featureless")
    add(store, grid(longer), "b")
    said = why(store, ids[0])
    assert "runs again since the policy changed (" in said
    assert 'fallback default -> "classif.featureless"' in said


def test_why_a_job_waits(store, ids):
    submit(store, ids[:1], {"memory_mb": 8192})
    assert "no live worker takes jobs with memory_mb=8192; resume" in why(store, ids[0])
    other, _ = submit(store, ids[1:])
    worker = register_worker(store, other, slots=1)
    assert "(those alive take jobs with no special resources)" in why(store, ids[0])
    assert why(store, ids[1]).endswith("it waits for its turn; 1 live worker for no special resources")
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE worker SET pid_start = pid_start - 1")
    assert "no live worker takes jobs with no special resources; resume" in why(store, ids[1])
    assert worker


def test_why_a_job_waits_after_it_was_tried(store, ids):
    submission, _ = submit(store, ids)
    worker = register_worker(store, submission, slots=1)
    [one] = exchange(store, worker, [], [], 1).assignments
    back = Outcome(attempt_id=one.attempt_id, job_id=one.job_id, ending=Ending.PREEMPTED, message="the node was wanted")
    exchange(store, worker, [back], [], 0)
    assert "tried before: attempt" in why(store, one.job_id)
    assert "preempted (the node was wanted)" in why(store, one.job_id)
    [one] = exchange(store, worker, [], [], 1).assignments
    reconcile(store, assume_dead=[worker])
    register_worker(store, submission, slots=1)
    assert "waits for a worker that runs nothing else" in why(store, one.job_id)


def test_why_a_running_job_may_not_end(store, ids):
    submission, _ = submit(store, ids)
    worker = register_worker(store, submission, slots=1)
    [one] = exchange(store, worker, [], [], 1).assignments
    assert why(store, one.job_id).count(";") == 0
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE worker SET pid_start = pid_start - 1")
    assert "is gone; resume queues the job again" in why(store, one.job_id)


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Ending.LEARNER_ERROR, "a fallback learner would impute it"),
        (Ending.CONFIG_ERROR, "mend the cause, then retry"),
        (Ending.TIMEOUT, "raise its limits, or retry"),
        (Ending.OUT_OF_MEMORY, "raise its limits, or retry"),
        (Ending.CRASHED, "encapsulate='process'"),
    ],
)
def test_why_a_job_failed_and_what_to_do(store, ids, ending, words):
    finish(store, ids[:1], ending, message="row 7")
    said = why(store, ids[0])
    assert f"ended as {ending}: row 7; " in said
    assert words in said
    retry(store, ids[:1])
    assert f"ended as {ending}" in why(store, ids[0])


def test_why_a_job_is_done_or_cancelled(store, ids):
    finish(store, ids[:1])
    assert "brought a result at" in why(store, ids[0])
    cancel(store, ids[1:])
    assert "a user cancelled it; retry queues it again" in why(store, ids[1])
    assert len(find(store, state="cancelled")) == 1


def test_a_job_that_is_done_without_a_prediction_says_so(store, ids):
    finish(store, ids[:1], kind="none")
    assert "without a prediction: the learner failed and has no fallback" in why(store, ids[0])
