"""Scoring what is finished by further measures: nothing runs again, and the values are those of a run with them."""

from __future__ import annotations

import sqlite3

import pytest

import batchml as bm
from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.core.measure import Measure
from batchml.core.trust import Trust
from batchml.errors import ConfigError, DesignError, UnknownKeyError
from batchml.reduce import rescore as rescoring
from batchml.registry.exchange import exchange
from batchml.registry.rescoring import put_scores
from batchml.registry.submissions import submit
from batchml.registry.workers import register_worker, stop_worker
from batchml.worker.trial import _iterate

FOLDS = 4


def grid(measures, learners=("classif.tree", "classif.knn")):
    made = [bm.lrn(key, predict_type="prob") for key in learners]
    return bm.benchmark_grid(["iris", "wine"], made, bm.rsmp("cv", folds=FOLDS), measures=measures)


@pytest.fixture
def registry(registry_url, tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    with bm.Registry.create(registry_url, seed=1, artifacts=tmp_path / "artifacts") as opened:
        yield opened


def run_all(registry, only=None):
    """Run what is defined in this process, as a worker would."""
    store = registry._store
    submission, _ = submit(store, only)
    worker = register_worker(store, submission, slots=50)
    back = []
    while True:
        answer = exchange(store, worker, back, [], 50)
        back = [_outcome(store, one) for one in answer.assignments]
        if not back:
            stop_worker(store, worker, "done")
            return


def _outcome(store, one):
    trust = Trust.default()
    result = _iterate(store, one.experiment, one.iteration, trust, record=True)
    rows = {Measure.from_spec(spec, trust=trust).id: row for row, spec in one.experiment.measures}
    kept = JobResult(
        completeness=result.completeness,
        predictions={name: prediction.to_arrow() for name, prediction in result.predictions.items()},
        scores=tuple((rows[name], value) for name, value in result.scores.items()),
        n=result.n,
    )
    times = {"fit_s": result.timings["train"], "predict_s": result.timings["predict"], "wall_s": 0.1}
    return Outcome(attempt_id=one.attempt_id, job_id=one.job_id, ending=Ending.DONE, result=kept, **times)


@pytest.fixture
def finished(registry):
    registry.add(grid("classif.acc"), name="a")
    run_all(registry)
    return registry


def attempts(registry):
    return int(registry.info()["attempts"])


def test_rescored_values_are_those_of_a_run_with_the_measure(finished):
    before = attempts(finished)
    done = finished.rescore("classif.logloss")
    assert (done.scores, done.jobs) == (16, 16)
    assert attempts(finished) == before
    scores = finished.sql("SELECT * FROM scores WHERE measure = 'classif.logloss' ORDER BY job_id")
    assert (scores["kind"] == "finite").all()
    finished.reset(list(range(1, 17)))
    run_all(finished)
    again = finished.sql("SELECT * FROM scores WHERE measure = 'classif.logloss' ORDER BY job_id")
    assert scores["value"].tolist() == again["value"].tolist()


def test_times_are_stored_and_can_be_scored(finished):
    finished.rescore("time_train")
    times = finished.sql("SELECT value, fit_s FROM scores JOIN jobs USING (job_id) WHERE measure = 'time_train'")
    assert times["value"].tolist() == times["fit_s"].tolist()


def test_views_and_aggregates_show_the_new_measure(finished):
    finished.rescore("classif.logloss")
    view = finished.sql("SELECT mean, n_missing FROM aggregates WHERE measure = 'classif.logloss'")
    assert (view["n_missing"] == 0).all()
    table = finished.reduce().aggregate()
    assert sorted(view["mean"]) == pytest.approx(sorted(table["classif.logloss"]))
    assert list(table.columns[-2:]) == ["classif.acc", "classif.logloss"]


def test_rescoring_again_does_nothing(finished):
    finished.rescore("classif.logloss")
    again = finished.rescore("classif.logloss")
    assert (again.scores, again.jobs) == (0, 0)
    assert "lacks a score" in str(again)
    assert finished.rescore().jobs == 0


def test_values_do_not_depend_on_the_processes(finished, monkeypatch):
    monkeypatch.setattr("batchml.registry.rescoring._PAGE", 3)
    finished.rescore("classif.logloss", slots=2)
    finished.rescore("classif.bacc", slots=1)
    alone = finished.reduce().score(["classif.logloss", "classif.bacc"])
    for measure in ("classif.logloss", "classif.bacc"):
        stored = finished.sql("SELECT value FROM scores WHERE measure = :m ORDER BY job_id", m=measure)["value"]
        fresh = bm.msr(measure, id="again")
        assert stored.tolist() == finished.reduce().score(fresh)["again"].tolist() == alone[measure].tolist()


def test_a_rescore_that_was_cut_off_is_completed_by_the_next(finished, monkeypatch):
    monkeypatch.setattr("batchml.registry.rescoring._PAGE", 5)
    monkeypatch.setattr(rescoring, "_AT_ONCE", 5)
    calls = []

    def cut_off(store, scores):
        calls.append(len(scores))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return put_scores(store, scores)

    monkeypatch.setattr(rescoring.rescoring, "put_scores", cut_off)
    with pytest.raises(KeyboardInterrupt):
        finished.rescore("classif.logloss")
    monkeypatch.undo()
    kinds = finished.sql("SELECT kind, count(*) AS n FROM scores WHERE measure = 'classif.logloss' GROUP BY kind")
    assert dict(zip(kinds["kind"], kinds["n"], strict=True)) == {"finite": 5, "missing": 11}
    assert finished.rescore().scores == 11


def test_jobs_that_run_later_are_scored_where_they_run(finished):
    finished.rescore("classif.logloss")
    finished.reset([1, 2])
    run_all(finished)
    kinds = finished.sql("SELECT DISTINCT kind FROM scores WHERE measure = 'classif.logloss'")["kind"]
    assert kinds.tolist() == ["finite"]
    assert finished.rescore().jobs == 0


def test_scores_of_a_result_that_has_been_replaced_are_dropped(finished):
    attempt = int(finished.attempts(1)["attempt_id"].iloc[-1])
    with finished._store.read() as connection:
        measure = connection.exec_driver_sql("SELECT measure_id FROM benchmark_measure").scalar()
    assert put_scores(finished._store, [(1, attempt + 1000, measure, 0.0)]) == 0


def test_another_measure_in_the_design_runs_nothing_again(finished):
    longer = grid(["classif.acc", "classif.logloss"])
    planned = finished.plan(longer, "a")
    assert (planned.new, planned.reused, planned.measures_added) == (0, 16, ("classif.logloss",))
    assert "rescore" in str(planned)
    assert finished.add(longer, "a") == []
    assert finished.rescore().scores == 16
    assert finished.reduce().aggregate()["classif.logloss"].notna().all()


def test_a_measure_that_left_the_design_comes_back_with_its_scores(finished):
    finished.rescore("classif.logloss")
    assert finished.plan(grid("classif.acc"), "a").measures_dropped == ("classif.logloss",)
    finished.add(grid("classif.acc"), "a")
    finished.add(grid(["classif.acc", "classif.logloss"]), "a")
    assert finished.rescore().scores == 0
    assert finished.sql("SELECT DISTINCT kind FROM scores")["kind"].tolist() == ["finite"]


@pytest.mark.parametrize(
    ("measures", "error", "words"),
    [
        ("selected_features", ConfigError, "'selected_features' asks the trained learner"),
        ("sim.jaccard", ConfigError, "'sim.jaccard' asks the trained learner"),
        ("regr.mse", DesignError, "regr"),
        ("classif.logloos", UnknownKeyError, "classif.logloss"),
        ([], ConfigError, "at least one"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_name(registry, measures, error, words):
    registry.add(grid("classif.acc"), name="a")
    with pytest.raises(error, match=words):
        registry.rescore(measures)
    assert registry.sql("SELECT DISTINCT measure FROM scores").empty


def test_predictions_that_nobody_kept_are_refused_by_name(registry):
    registry.add(grid("classif.acc"), name="a")
    with pytest.raises(ConfigError, match=r"predictions of the train set, and learner 'classif.knn'"):
        registry.rescore(bm.msr("classif.logloss", predict_sets=["train"], id="x"))


def test_a_name_that_means_another_measure_is_refused(registry):
    registry.add(grid("classif.acc"), name="a")
    with pytest.raises(DesignError, match=r"another measure called 'classif.acc'"):
        registry.rescore(bm.msr("classif.ce", id="classif.acc"))


def test_without_a_benchmark_there_is_nothing_to_score(registry):
    with pytest.raises(DesignError, match="add a design first"):
        registry.rescore("classif.acc")
    with pytest.raises(ConfigError, match="slots"):
        registry.rescore("classif.acc", slots=0)


def test_a_measure_that_fails_says_so_and_leaves_the_others(finished):
    numbers_only = bm.as_measure("sklearn.metrics.mean_tweedie_deviance")
    with pytest.warns(UserWarning, match="tweedie_deviance' failed: .*in 8 jobs"):
        done = finished.rescore([bm.msr("classif.logloss"), numbers_only])
    assert done.scores == 16


def test_two_benchmarks_may_ask_for_different_measures(finished):
    finished.add(grid("classif.acc", ("classif.tree",)), name="b")
    finished.rescore("classif.logloss", "b")
    listed = finished.sql("SELECT DISTINCT benchmark, measure FROM scores ORDER BY benchmark, measure")
    assert listed.to_numpy().tolist() == [["a", "classif.acc"], ["b", "classif.acc"], ["b", "classif.logloss"]]


def test_the_file_is_the_registrys_alone(finished):
    """A rescore leaves nothing but scores, the measure and the list: no job, attempt or result changes."""
    if finished._store.place.path is None:
        pytest.skip("reads the file of SQLite")
    tables = ("job", "attempt", "result", "prediction", "condition", "experiment")

    def content():
        connection = sqlite3.connect(finished._store.place.path)
        try:
            return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in tables}
        finally:
            connection.close()

    before = content()
    finished.rescore("classif.logloss")
    assert content() == before
