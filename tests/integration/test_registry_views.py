"""The views: the columns that are promised, and what stands in them."""

from __future__ import annotations

import statistics

import pytest

import batchml as bm
from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.core.conditions import Condition, fingerprint
from batchml.registry.benchmarks import add
from batchml.registry.exchange import exchange
from batchml.registry.moves import cancel
from batchml.registry.sql import sql
from batchml.registry.store import Store
from batchml.registry.submissions import submit
from batchml.registry.workers import end_worker, register_worker, stop_workers

COLUMNS = {
    "jobs": "job_id benchmark experiment_id task learner resampling params iteration state outcome prediction attempts "
    "host fit_s predict_s wall_s peak_mb started_at ended_at",
    "all_jobs": "job_id benchmark experiment_id task learner resampling params iteration state outcome prediction "
    "attempts host fit_s predict_s wall_s peak_mb started_at ended_at",
    "scores": "job_id benchmark experiment_id task learner resampling params iteration measure kind value n_imputed",
    "aggregates": "benchmark experiment_id task learner resampling params measure mean sd n n_missing n_imputed "
    "mean_finished",
    "errors": "job_id attempt_id benchmark task learner resampling iteration outcome stage level message fingerprint",
    "conditions": "job_id attempt_id task learner resampling iteration stage level message",
    "coverage": "benchmark task learner resampling defined done error cancelled missing",
    "runtimes": "task learner n_jobs fit_s_median predict_s_median peak_mb_max",
    "workers": "worker_id submission_id executor host pid state heartbeat_at environment_id allocation scheduler_id "
    "slots reason",
    "environments": "environment_id python platform cpu cpu_level blas packages code n_workers n_jobs",
}


@pytest.fixture
def store(registry_url):
    with Store.create(registry_url, seed=1) as store:
        yield store


def design(*learners):
    return bm.benchmark_grid("iris", list(learners), bm.rsmp("cv", folds=4), measures=["classif.acc", "classif.ce"])


@pytest.fixture
def mixed(store):
    """One learner that is done; another with a failure, an imputation, a job cancelled and one never submitted."""
    ids = add(store, design("classif.tree", "classif.featureless"), "b")
    submission, _ = submit(store, ids[:7])
    cancel(store, ids[6:7])
    worker = register_worker(store, submission, slots=8)
    outcomes, times = [], iter([3.0, 1.0, 2.0, 10.0, 1.0, 1.0])
    while True:
        answer = exchange(store, worker, outcomes, [], 8)
        outcomes = [outcome_of(assignment, ids, next(times)) for assignment in answer.assignments]
        if not outcomes and not answer.waiting:
            return ids, worker


def outcome_of(assignment, ids, fit_s):
    number = ids.index(assignment.job_id)
    (acc, _), (ce, _) = assignment.experiment.measures
    warning = Condition(stage="train", level="warning", message="careful", kind="UserWarning")
    base = {"attempt_id": assignment.attempt_id, "job_id": assignment.job_id, "fit_s": fit_s, "predict_s": 0.5}
    base |= {"wall_s": fit_s + 1, "peak_mb": 100.0 * number}
    if number == 4:
        error = Condition(stage="train", level="error", message="row 3 is bad", kind="ValueError")
        word = {"error_type": "ValueError", "message": "row 3 is bad", "conditions": (warning, error)}
        return Outcome(ending=Ending.LEARNER_ERROR, **base, **word)
    imputed = 12 if number == 5 else 0
    error = Condition(stage="predict", level="error", message="row 77 is bad", kind="ValueError")
    conditions = (error,) if imputed else ()
    result = JobResult(
        completeness="imputed" if imputed else "full",
        predictions={"test": b"x"},
        scores=((acc, 0.1 * (number + 1)), (ce, float("nan") if number == 1 else 0.5)),
        n=37,
        n_imputed=imputed,
    )
    return Outcome(ending=Ending.DONE, result=result, conditions=conditions, **base)


@pytest.mark.parametrize("view", COLUMNS)
def test_views_have_the_promised_columns(mixed, store, view):
    assert list(sql(store, f"SELECT * FROM {view}").columns) == COLUMNS[view].split()


def test_jobs_show_state_outcome_and_measurements(mixed, store):
    ids, _ = mixed
    frame = sql(store, "SELECT * FROM jobs ORDER BY job_id").set_index("job_id")
    assert frame["state"].tolist() == ["done"] * 4 + ["error", "done", "cancelled", "defined"]
    assert frame.loc[ids[4], "outcome"] == "learner_error"
    assert frame.loc[ids[5], "prediction"] == "imputed"
    assert frame.loc[ids[0], ["fit_s", "wall_s", "attempts"]].tolist() == [3.0, 4.0, 1]
    assert frame["started_at"].notna().sum() == 6
    assert (frame["ended_at"].dropna() >= frame["started_at"].dropna()).all()


def test_scores_have_a_row_for_each_submitted_job_and_measure(mixed, store):
    ids, _ = mixed
    frame = sql(store, "SELECT * FROM scores")
    assert len(frame) == 7 * 2
    assert ids[7] not in set(frame["job_id"])
    kinds = frame.set_index(["job_id", "measure"])["kind"]
    assert kinds[ids[1], "classif.ce"] == "nan"
    assert kinds[ids[4], "classif.acc"] == "missing"
    assert kinds[ids[6], "classif.acc"] == "missing"
    assert frame.loc[frame["job_id"] == ids[5], "n_imputed"].tolist() == [12, 12]
    assert (frame["value"].notna() == (frame["kind"] == "finite")).all()


def test_aggregates_are_no_numbers_while_something_is_missing(mixed, store):
    frame = sql(store, "SELECT * FROM aggregates").set_index(["learner", "measure"])
    whole = frame.loc["classif.tree", "classif.acc"]
    values = [0.1, 0.2, 0.3, 0.4]
    assert whole["mean"] == pytest.approx(statistics.mean(values), rel=1e-14)
    assert whole["sd"] == pytest.approx(statistics.stdev(values), rel=1e-14)
    assert whole[["n", "n_missing", "n_imputed"]].tolist() == [4, 0, 0]
    part = frame.loc["classif.featureless", "classif.acc"]
    assert part[["mean", "sd"]].isna().all()
    assert part[["n", "n_missing", "n_imputed"]].tolist() == [3, 2, 1]
    assert part["mean_finished"] == pytest.approx(0.6)
    nan = frame.loc["classif.tree", "classif.ce"]
    assert nan[["mean", "mean_finished"]].isna().all()
    assert nan["n_missing"] == 0


def test_deviations_of_close_numbers_do_not_cancel(store):
    ids = add(store, design("classif.tree"), "b")
    submission, _ = submit(store)
    worker = register_worker(store, submission, slots=8)
    values = dict(zip(ids, [1e8, 1e8 + 1e-3, 1e8 + 2e-3, 1e8 + 3e-3], strict=True))
    outcomes = []
    while True:
        answer = exchange(store, worker, outcomes, [], 8)
        outcomes = []
        for one in answer.assignments:
            scores = ((one.experiment.measures[0][0], values[one.job_id]),)
            result = JobResult(completeness="full", predictions={}, scores=scores, n=1)
            outcomes.append(Outcome(attempt_id=one.attempt_id, job_id=one.job_id, ending=Ending.DONE, result=result))
        if not outcomes:
            break
    [found] = sql(store, "SELECT sd FROM aggregates WHERE measure = 'classif.acc'")["sd"]
    assert found == pytest.approx(statistics.stdev(values.values()), rel=1e-6)


def test_an_error_stands_once_with_its_stage_and_alike_errors_share_a_fingerprint(mixed, store):
    ids, _ = mixed
    frame = sql(store, "SELECT * FROM errors ORDER BY job_id")
    assert frame[["job_id", "outcome", "stage"]].to_numpy().tolist() == [
        [ids[4], "learner_error", "train"],
        [ids[5], "done", "predict"],
    ]
    assert frame["fingerprint"].nunique() == 1
    assert frame["fingerprint"][0] == fingerprint("ValueError", "row 3 is bad")
    conditions = sql(store, "SELECT level, count(*) AS n FROM conditions GROUP BY level")
    assert dict(conditions.to_numpy().tolist()) == {"error": 2, "warning": 1}


def test_an_attempt_lost_with_its_worker_is_an_error_of_its_own(store):
    add(store, design("classif.tree"), "b")
    submission, _ = submit(store)
    worker = register_worker(store, submission, slots=1)
    exchange(store, worker, [], [], 1)
    with store.write() as connection:
        end_worker(connection, worker, "lost", "process 7 on h is gone", Ending.LOST)
    frame = sql(store, "SELECT outcome, stage, message FROM errors")
    assert frame.to_numpy().tolist() == [["lost", "job", "process 7 on h is gone"]]
    assert sql(store, "SELECT state FROM workers")["state"].tolist() == ["lost"]


def test_giving_back_and_cancelling_are_no_errors(store):
    add(store, design("classif.tree"), "b")
    submission, _ = submit(store)
    worker = register_worker(store, submission, slots=4)
    [one, *_] = exchange(store, worker, [], [], 4).assignments
    outcome = Outcome(attempt_id=one.attempt_id, job_id=one.job_id, ending=Ending.PREEMPTED, message="walltime")
    exchange(store, worker, [outcome], [], 0)
    assert sql(store, "SELECT * FROM errors").empty


def test_coverage_adds_up(mixed, store):
    frame = sql(store, "SELECT * FROM coverage").set_index("learner")
    names = ["defined", "done", "error", "cancelled", "missing"]
    assert frame.loc["classif.tree", names].tolist() == [4, 4, 0, 0, 0]
    assert frame.loc["classif.featureless", names].tolist() == [4, 1, 1, 1, 3]


def test_runtimes_are_medians(mixed, store):
    frame = sql(store, "SELECT * FROM runtimes").set_index("learner")
    assert frame.loc["classif.tree"].tolist() == ["iris", 4, 2.5, 0.5, 300.0]
    assert frame.loc["classif.featureless", ["n_jobs", "fit_s_median"]].tolist() == [1, 1.0]


def test_workers_show_what_they_were_told(mixed, store):
    _, worker = mixed
    assert sql(store, "SELECT worker_id, executor, state FROM workers").to_numpy().tolist() == [
        [worker, "local", "running"]
    ]
    stop_workers(store)
    assert sql(store, "SELECT state FROM workers")["state"].tolist() == ["draining"]


def test_jobs_that_left_their_benchmark_are_in_all_jobs_only(mixed, store):
    add(store, design("classif.tree"), "b")
    assert set(sql(store, "SELECT learner FROM jobs")["learner"]) == {"classif.tree"}
    frame = sql(store, "SELECT * FROM all_jobs")
    assert len(frame) == 8
    rest = frame[frame["benchmark"].isna()]
    assert set(rest["learner"]) == {"classif.featureless"}
    assert sql(store, "SELECT * FROM errors").empty
    assert set(sql(store, "SELECT learner FROM aggregates")["learner"]) == {"classif.tree"}
