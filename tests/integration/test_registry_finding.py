"""Finding jobs and counting them: patterns, parameters, tags, groups, and what has expired."""

from __future__ import annotations

import re

import pytest

import batchml as bm
from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.core.conditions import Condition
from batchml.errors import ConfigError, UnknownKeyError
from batchml.registry.benchmarks import add
from batchml.registry.errors import errors, overview
from batchml.registry.exchange import exchange
from batchml.registry.history import grep_logs
from batchml.registry.jobs import cancel, find, status, submit, summary, tag, tags
from batchml.registry.parameters import parse_condition
from batchml.registry.store import Store
from batchml.registry.workers import register_worker, stop_worker


@pytest.fixture
def store(registry_url):
    with Store.create(registry_url, seed=1) as store:
        yield store


@pytest.fixture
def ids(store):
    """Jobs 1-2: tree depth 2, 3-4: depth 5, 5-6: unlimited (iris), 7-8: knn; 9-16: the same on wine."""
    learners = ["classif.tree", bm.lrn("classif.knn", n_neighbors=3)]
    variants = [[{"max_depth": 2}, {"max_depth": 5}, {"max_depth": None}], [{}]]
    design = bm.benchmark_grid(["iris", "wine"], learners, bm.rsmp("cv", folds=2), param_values=variants)
    return add(store, design, "b")


def finish(store, jobs, ending=Ending.DONE, **fields):
    submission, _ = submit(store, jobs)
    worker = register_worker(store, submission, slots=20)
    held = exchange(store, worker, [], [], 20).assignments
    while held:
        result = JobResult(completeness="full", predictions={"test": b"x"}, scores=(), n=5)
        base = {"ending": ending, "result": result if ending is Ending.DONE else None, **fields}
        back = [Outcome(attempt_id=one.attempt_id, job_id=one.job_id, **base) for one in held]
        held = exchange(store, worker, back, [], 20).assignments
    stop_worker(store, worker, "done")


def found(store, **filters):
    return find(store, **filters)["job_id"].tolist()


def test_names_are_found_by_pattern(store, ids):
    assert len(found(store, learner="*tree")) == 12
    assert found(store, learner="classif.k?n", task="i*") == ids[6:8]
    assert len(found(store, learner=re.compile("^classif"))) == 16
    assert len(found(store, task=["iris", "w[hi]ne"])) == 16
    assert len(found(store, benchmark="*")) == 16
    with pytest.raises(UnknownKeyError, match="no learner 'regr\\."):
        found(store, learner="regr.*")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("max_depth=2", [1, 2, 9, 10]),
        ("max_depth>=2", [1, 2, 3, 4, 9, 10, 11, 12]),
        ("max_depth < 5", [1, 2, 9, 10]),
        ("max_depth=None", [5, 6, 13, 14]),
        ("max_depth!=2", [3, 4, 5, 6, 11, 12, 13, 14]),
        (["max_depth>1", "max_depth!=2"], [3, 4, 11, 12]),
        ({"n_neighbors": 3}, [7, 8, 15, 16]),
        ("n_neighbors='3'", []),
    ],
)
def test_jobs_are_found_by_parameters(store, ids, params, expected):
    assert found(store, params=params) == [ids[number - 1] for number in expected]


def test_parameters_of_steps_are_found_by_step_and_name(store):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipes = [bm.as_learner(make_pipeline(StandardScaler(), LogisticRegression(C=c)), id=f"c{c}") for c in (0.1, 10)]
    add(store, bm.benchmark_grid("iris", pipes, "holdout"), "b")
    assert set(find(store, params="logisticregression__C<1")["learner"]) == {"c0.1"}


@pytest.mark.parametrize("text", ["", "max_depth", "=3", "max_depth=", "a b=3"])
def test_what_is_no_condition_is_an_error(store, ids, text):
    with pytest.raises(ConfigError, match="max_depth=3"):
        found(store, params=text)


def test_a_name_that_could_be_a_pattern_means_itself_alone(store, ids):
    for job_id, word in zip(ids, ("a?", "ab", "[x]", "x"), strict=False):
        tag(store, [job_id], word)
    assert [found(store, tag=word) for word in ("a?", "[x]", "a*")] == [ids[:1], ids[2:3], ids[:2]]


def test_a_parameter_that_nobody_has_is_an_error(store, ids):
    with pytest.raises(UnknownKeyError, match="did you mean 'max_depth'"):
        found(store, params="max_dept=3")
    with pytest.raises(ConfigError, match="empty"):
        found(store, params=[])
    with pytest.raises(ConfigError, match="max_depth < asks for a number, not 'five'"):
        found(store, params="max_depth<five")


def test_values_of_conditions_are_python_or_words():
    values = ["1", "1.5", "'x'", "x", "true", "None", "(1, 2)", "[1]", "1e-3", "__import__('os')"]
    expected = [1, 1.5, "x", "x", True, None, (1, 2), [1], 1e-3, "__import__('os')"]
    assert [parse_condition(f"a={value}")[2] for value in values] == expected


@pytest.mark.parametrize("wrong", ["x", 1.5, [None], "0"])
def test_an_iteration_is_a_whole_number(store, ids, wrong):
    with pytest.raises(ConfigError, match="iteration= is a whole number"):
        found(store, iteration=wrong)


def test_running_jobs_of_a_dead_worker_are_expired(store, ids):
    submission, _ = submit(store, ids[:3])
    worker = register_worker(store, submission, slots=5)
    exchange(store, worker, [], [], 1)
    assert found(store, state="expired") == []
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE worker SET pid_start = pid_start - 1")
    assert found(store, state="expired") == ids[:1]
    assert len(found(store, state=["expired", "queued"])) == 3
    assert status(store, cumulative=True)["expired"].tolist() == [1]


def test_a_cumulative_status_counts_how_far_jobs_have_come(store, ids):
    finish(store, ids[:3])
    finish(store, ids[3:4], Ending.LEARNER_ERROR, message="boom")
    submission, _ = submit(store, ids[4:8])
    worker = register_worker(store, submission, slots=1)
    exchange(store, worker, [], [], 1)
    cancel(store, ids[7:9])
    [row] = status(store, cumulative=True).to_dict("records")
    assert row == {
        "benchmark": "b", "defined": 16, "submitted": 8, "started": 5, "queued": 2, "running": 1, "expired": 0,
        "done": 3, "error": 1, "cancelled": 2,
    }  # fmt: skip
    assert status(store, "b*", cumulative=True)["defined"].tolist() == [16]


def test_jobs_are_counted_in_any_groups(store, ids):
    finish(store, ids[:3])
    frame = summary(store)
    assert frame[["task", "learner", "defined", "done", "total"]].to_numpy().tolist() == [
        ["iris", "classif.knn", 2, 0, 2],
        ["iris", "classif.tree", 3, 3, 6],
        ["wine", "classif.knn", 2, 0, 2],
        ["wine", "classif.tree", 6, 0, 6],
    ]
    assert summary(store, "iteration")["done"].tolist() == [2, 1]
    assert summary(store, ["learner"], task="iris")["total"].tolist() == [2, 6]
    by_depth = summary(store, "max_depth")
    assert dict(zip(by_depth["max_depth"].fillna("-"), by_depth["total"], strict=True)) == {
        "2": 4, "5": 4, "None": 4, "-": 4,
    }  # fmt: skip
    assert summary(store, "outcome")["total"].sum() == 16
    with pytest.raises(UnknownKeyError, match="did you mean 'learner'"):
        summary(store, "lerner")
    with pytest.raises(ConfigError, match="empty"):
        summary(store, [])


def test_a_job_of_two_benchmarks_counts_once(store, ids):
    add(store, bm.benchmark_grid("iris", bm.lrn("classif.knn", n_neighbors=3), bm.rsmp("cv", folds=2)), "other")
    assert summary(store, "task")["total"].tolist() == [8, 8]
    assert summary(store, ["benchmark"])["total"].tolist() == [16, 2]


def test_tags_are_listed_with_the_states_of_their_jobs(store, ids):
    assert tags(store).empty
    tag(store, ids[:4], "hard")
    tag(store, ids[3:6], "again")
    finish(store, ids[:2])
    assert tags(store)[["tag", "defined", "done", "total"]].to_numpy().tolist() == [
        ["again", 3, 0, 3],
        ["hard", 2, 2, 4],
    ]
    assert found(store, tag="h*") == ids[:4]
    assert found(store, tag=["hard", "again"]) == ids[:6]


def fail(store, jobs, words):
    event = Condition(stage="train", level="error", message=words, kind="ValueError")
    finish(store, jobs, Ending.LEARNER_ERROR, message=words, error_type="ValueError", conditions=(event,))


def test_errors_that_are_alike_are_counted_together(store, ids):
    for number, job_id in enumerate(ids[:3]):
        fail(store, [job_id], f"row {number} is odd")
    fail(store, ids[8:9], "no space left")
    frame = overview(store)
    assert frame[["jobs", "failed", "tasks", "learners", "stage", "job"]].to_numpy().tolist() == [
        [3, 3, "iris", "classif.tree", "train", ids[0]],
        [1, 1, "wine", "classif.tree", "train", ids[8]],
    ]
    assert frame["message"].tolist() == ["row 0 is odd", "no space left"]
    assert len(errors(store, "b")) == 4
    assert len(overview(store, "b")) == 2
    with pytest.raises(UnknownKeyError, match="no benchmark 'zzz'"):
        errors(store, "zzz")


def test_an_example_is_a_job_that_still_fails(store, ids):
    from batchml.registry.moves import retry

    fail(store, ids[:2], "odd")
    retry(store, ids[:1])
    [row] = overview(store).to_dict("records")
    assert (row["jobs"], row["failed"], row["job"]) == (2, 1, ids[1])


def test_logs_are_searched_for_texts_and_within_jobs(store, ids):
    finish(store, ids[:2], log="loss (nan)\nLOSS [1]\n")
    assert grep_logs(store, "(nan)", fixed=True)["job_id"].tolist() == ids[:2]
    assert len(grep_logs(store, "loss", ignore_case=True)) == 4
    assert len(grep_logs(store, "loss", ignore_case=True, jobs=ids[1:3])) == 2
    fail(store, ids[2:3], "message of its end")
    assert grep_logs(store, "its end")["job_id"].tolist() == ids[2:3]
    with pytest.raises(UnknownKeyError, match="no job 999"):
        grep_logs(store, "x", jobs=[999])
