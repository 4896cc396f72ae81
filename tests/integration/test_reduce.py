"""Reducing a registry: the same as a run in session, with what is missing said aloud."""

from __future__ import annotations

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.core.catalog import lrn, rsmp, tsk
from batchml.core.learner import Learner
from batchml.core.measure import Measure
from batchml.core.resampling import Resampling
from batchml.core.seed import derive
from batchml.core.task import Task
from batchml.data.tables import open_table
from batchml.errors import ConfigError, DesignError, IncompleteError, RegistryError, UnknownKeyError
from batchml.execution.iteration import IterationFailed, run
from batchml.experiment.benchmark import benchmark
from batchml.experiment.grid import benchmark_grid
from batchml.experiment.result import BenchmarkResult
from batchml.reduce.collect import reduce
from batchml.reduce.export import export, predictions
from batchml.registry import recorded, reduction
from batchml.registry import tables as t
from batchml.registry.benchmarks import add
from batchml.registry.exchange import exchange
from batchml.registry.jobs import find
from batchml.registry.moves import remove, retry
from batchml.registry.sql import sql
from batchml.registry.store import Store
from batchml.registry.submissions import submit
from batchml.registry.workers import register_worker

SEED = 11


@pytest.fixture
def store(registry_url):
    with Store.create(registry_url, seed=1) as store:
        yield store


def outcome_of(store, assignment):
    """Run an assignment here as a slot would, from its specs."""
    one = assignment.experiment
    task = Task.from_spec(one.task, lambda data: open_table(store.artifacts, data["digest"]))
    learner = Learner.from_specs(one.learner, one.policy)
    resampling = Resampling.from_spec(one.resampling).instantiate(task, seed=one.seed)
    measures = {key: Measure.from_spec(spec, id=str(key)) for key, spec in one.measures}
    seed = derive(one.seed, "job", one.digest, assignment.iteration)
    ids = {"attempt_id": assignment.attempt_id, "job_id": assignment.job_id}
    try:
        made = run(
            task,
            learner,
            resampling,
            assignment.iteration,
            job_seed=seed,
            measures=list(measures.values()),
            record=True,
        )
    except IterationFailed as failed:
        cause = failed.cause
        words = {"error_type": type(cause).__name__, "message": str(cause), "conditions": failed.conditions}
        return Outcome(**ids, ending=Ending.LEARNER_ERROR, **words)
    result = JobResult(
        completeness=made.completeness,
        predictions={name: one.to_arrow() for name, one in made.predictions.items()},
        scores=tuple((key, made.scores[measure.id]) for key, measure in measures.items()),
        n=made.n,
        n_missing=made.n_missing,
        n_imputed=made.n_imputed,
    )
    times = {"fit_s": made.timings["train"], "predict_s": made.timings["predict"]}
    return Outcome(**ids, ending=Ending.DONE, result=result, conditions=made.conditions, **times)


def work(store, stop_after=10_000):
    submission, _ = submit(store)
    worker = register_worker(store, submission, slots=4)
    outcomes = []
    while stop_after > 0:
        answer = exchange(store, worker, outcomes, [], min(7, stop_after))
        assert answer.lost == ()
        outcomes = [outcome_of(store, assignment) for assignment in answer.assignments]
        stop_after -= len(outcomes)
        if not outcomes and not answer.waiting:
            return
    exchange(store, worker, outcomes, [], 0)


def quiet(call, *args, **kwargs):
    """Call what warns of missing iterations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return call(*args, **kwargs)


def design(learners=None, tasks=("iris", "penguins"), **settings):
    learners = learners or ["classif.featureless", lrn("classif.random_forest", n_estimators=3), "classif.tree"]
    return benchmark_grid(
        list(tasks), learners, rsmp("cv", folds=3), measures=["classif.acc", "classif.bacc"], seed=SEED, **settings
    )


def test_a_registry_and_a_session_agree_to_the_last_bit(store):
    add(store, design(), "study")
    work(store)
    here, there = benchmark(design()), reduce(store)
    pd.testing.assert_frame_equal(here.score(), there.score(), check_exact=True)
    pd.testing.assert_frame_equal(here.aggregate(), there.aggregate(), check_exact=True)
    pd.testing.assert_frame_equal(here.coverage, there.coverage)
    assert there.seed == SEED
    for cell in range(6):
        mine, other = here.resample_result(cell), there.resample_result(cell)
        assert [p.to_arrow() for p in mine.predictions()] == [p.to_arrow() for p in other.predictions()]
        assert np.array_equal(mine.resampling.test_set(1), other.resampling.test_set(1))
        assert mine.learner.model_spec() == other.learner.model_spec()


def test_stored_scores_are_read_and_other_measures_computed(store, monkeypatch):
    add(store, design(), "study")
    work(store)
    result = reduce(store)
    with monkeypatch.context() as patched:
        patched.setattr("batchml.registry.reduction.read_predictions", None)
        assert result.aggregate().shape == (6, 8)
        assert result.score(["classif.bacc", "classif.acc"])["classif.acc"].notna().all()
    again = benchmark(design())
    for measure in ("classif.ce", "classif.mcc"):
        ours, theirs = result.aggregate(measure), again.aggregate(measure)
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_endless_and_undefined_scores_come_back_as_such(store):
    add(store, design(tasks=["iris"], learners=["classif.featureless"]), "study")
    work(store)
    (measure, *_) = [row for row, name, _ in reduction.read_measures(store, [1]) if name == "classif.acc"]
    with store.write() as connection:
        jobs = connection.execute(select(t.score.c.job_id).where(t.score.c.measure_id == measure)).scalars().all()
        for job, kind in zip(sorted(jobs), ["neg_inf", "pos_inf", "nan"], strict=True):
            ours = t.score.update().where(t.score.c.job_id == job, t.score.c.measure_id == measure)
            connection.execute(ours.values(kind=kind, value=None))
    found = reduce(store).score("classif.acc")["classif.acc"]
    assert list(found[:2]) == [-np.inf, np.inf]
    assert np.isnan(found[2])


def test_a_reduced_result_outlives_its_store_and_can_be_stored(store, tmp_path):
    add(store, design(), "study")
    work(store)
    result = reduce(store)
    store.close()
    result.export(tmp_path / "out")
    loaded = BenchmarkResult.load(tmp_path / "out")
    pd.testing.assert_frame_equal(loaded.score("classif.ce"), result.score("classif.ce"), check_exact=True)


# Not by `quiet`: the crew, in another thread, puts back the filters that it found.
@pytest.mark.filterwarnings("ignore:.* have no prediction")
def test_reducing_while_jobs_run_sees_whole_results_only(store, registry_url):
    """A reader and a worker at once: what is there is complete and right, and more with each look."""
    add(store, design(tasks=["iris"]), "study")
    expected = benchmark(design(tasks=["iris"])).score().set_index(["task", "learner", "iteration"])["classif.acc"]

    def crew():
        with Store.open(registry_url) as own:
            work(own)

    seen = []
    with ThreadPoolExecutor(1) as pool:
        crew_at_work = pool.submit(crew)
        while not seen or seen[-1] < len(expected):
            ended = crew_at_work.done()
            result = reduce(store)
            assert result.coverage["done"].sum() == len(result)
            if len(result):
                scores = result.score().dropna().set_index(["task", "learner", "iteration"])["classif.acc"]
                assert len(scores) == len(result)
                assert scores.to_dict() == expected.loc[scores.index].to_dict()
            seen.append(len(result))
            if ended:
                break
        crew_at_work.result()
    assert seen == sorted(seen)
    assert seen[-1] == len(expected)


def test_what_a_second_session_deletes_is_missing_and_told(store, registry_url):
    add(store, design(tasks=["iris"]), "study")
    work(store)
    mine = find(store, learner="classif.tree")
    before = reduce(store)
    with Store.open(registry_url) as other:
        assert remove(other, mine["job_id"].tolist()) == 3
    with pytest.raises(UnknownKeyError, match="there is no job"):
        retry(store, mine["job_id"].tolist())
    assert len(reduce(store)) == len(before) - 3
    # What was reduced before has its scores, and does not take results that are gone for results without predictions.
    assert before.aggregate("classif.bacc")["classif.bacc"].notna().all()
    with pytest.raises(RegistryError, match="and 2 more was reset or removed since this was reduced: reduce again"):
        before.aggregate("classif.logloss")
    with pytest.raises(RegistryError, match="reduce again"):
        before.resample_result(learner="classif.tree").prediction()


FLAKY = {"error_train": 0.5}


def test_failures_stay_visible(store):
    flaky = lrn("classif.debug", id="flaky", **FLAKY)
    add(store, design(["classif.featureless", flaky], tasks=["iris", "wine"]), "study")
    work(store)
    result = reduce(store)
    coverage = result.coverage.set_index(["task", "learner"])
    failed = int(coverage["error"].sum())
    assert 0 < failed < 6
    assert len(result) == 12 - failed
    with pytest.warns(UserWarning, match=f"{failed} of 12 iterations have no prediction"):
        table = result.aggregate(conditions=True).set_index(["task", "learner"])
    result.aggregate()  # warns once
    assert (table["n"] == 3).all()
    assert list(table["n_missing"]) == list(coverage["error"])
    assert list(table["errors"]) == list(coverage["error"])
    assert list(table["classif.acc"].isna()) == list(coverage["error"] > 0)
    finished = result.aggregate(finished_only=True).set_index(["task", "learner"])
    assert list(finished["classif.acc"].isna()) == list(coverage["done"] == 0)
    errors = result.errors
    assert len(errors) == failed
    assert errors["message"].str.contains("Error from classif.debug->train()", regex=False).all()
    done = {(row.task, row.iteration) for row in quiet(result.score).itertuples() if row.learner == "flaky"}
    assert done.isdisjoint({(row.task, row.iteration) for row in errors.itertuples()})
    with pytest.raises(IncompleteError, match=rf"{failed} of 12 jobs have no result \({failed} error\)"):
        reduce(store, strict=True)


def test_fallbacks_make_it_complete_and_are_counted(store):
    flaky = lrn("classif.debug", id="flaky", **FLAKY)
    flaky.fallback = "classif.featureless"
    cells = design(["classif.featureless", flaky], tasks=["iris"])
    add(store, cells, "study")
    work(store)
    result = reduce(store, strict=True)
    row = result.aggregate(conditions=True).iloc[1]
    assert row["errors"] == row["n_imputed"] > 0
    assert np.isfinite(row["classif.acc"])
    here = benchmark(cells)
    pd.testing.assert_frame_equal(here.score(), result.score(), check_exact=True)
    assert list(here.resample_result(1).errors["iteration"]) == list(result.resample_result(1).errors["iteration"])


def test_jobs_that_have_not_run_are_missing_too(store):
    ids = add(store, design(["classif.featureless", "classif.tree"], tasks=["iris"]), "study")
    result = reduce(store)
    assert len(result) == 0
    assert quiet(result.aggregate)["classif.acc"].isna().all()
    assert list(quiet(result.score).columns)[-2:] == ["classif.acc", "classif.bacc"]
    work(store, stop_after=4)
    result = reduce(store)
    assert result.coverage["missing"].sum() == 2
    done = quiet(result.score)
    assert len(done) == 4
    some = reduce(store, jobs=ids[:4])
    assert set(some.coverage["defined"]) <= {1, 2, 3}
    assert some.coverage["defined"].sum() == 4
    with pytest.raises(UnknownKeyError, match="jobs 999 are not in a current benchmark"):
        reduce(store, jobs=[ids[0], 999])
    with pytest.raises(ConfigError, match="job_id"):
        reduce(store, jobs=pd.DataFrame({"x": [1]}))


def test_a_benchmark_is_its_current_design(store):
    add(store, design(["classif.featureless", "classif.tree"], tasks=["iris"]), "study")
    work(store)
    add(store, design(["classif.featureless"], tasks=["iris"]), "study")
    assert list(reduce(store).learners["id"]) == ["classif.featureless"]
    add(store, design(["classif.knn"], tasks=["wine"]), "other")
    assert list(reduce(store, benchmark="study").tasks["id"]) == ["iris"]
    assert list(reduce(store).tasks["id"]) == ["iris", "wine"]
    with pytest.raises(UnknownKeyError, match=r"no benchmark is called 'stdy' \(did you mean 'study'\?\)"):
        reduce(store, benchmark="stdy")


def test_splits_of_another_seed_are_refused_by_a_registry(store):
    task = tsk("iris")
    bound = rsmp("cv", folds=3).instantiate(task, seed=5)
    add(store, benchmark_grid(task, "classif.tree", bound), "study")
    work(store)
    here = benchmark(benchmark_grid(task, "classif.tree", bound))
    pd.testing.assert_frame_equal(here.score(), reduce(store).score(), check_exact=True)
    with pytest.raises(DesignError, match=r"with the seed 5.*design's seed 6"):
        add(store, benchmark_grid(task, "classif.tree", bound, seed=6), "study")


def test_an_empty_registry_reduces_to_nothing(store):
    result = reduce(store)
    assert (len(result), result.n_resample_results) == (0, 0)
    assert result.aggregate("classif.acc").empty
    assert result.score("classif.acc").empty
    assert result.coverage.empty
    assert result.errors.empty
    assert "0 of 0 iterations" in repr(result)


def test_variants_keep_their_label(store):
    grid = design(["classif.tree"], tasks=["iris"], param_values=[[{"max_depth": 1}, {"max_depth": 2}]])
    add(store, grid, "study")
    work(store)
    result = reduce(store)
    assert list(result.aggregate(params=True)["max_depth"]) == [1, 2]
    deep = result.resample_result(learner="classif.tree", params={"max_depth": 2})
    assert deep.learner.param_set.values["max_depth"] == 2
    pd.testing.assert_frame_equal(benchmark(grid).score(), result.score(), check_exact=True)


def test_export_writes_what_the_views_show(store, tmp_path):
    flaky = lrn("classif.debug", id="flaky", **FLAKY)
    add(store, design([lrn("classif.tree", predict_type="prob"), flaky], tasks=["iris"]), "study")
    work(store)
    paths = export(store, tmp_path / "new" / "out")
    names = ("jobs", "scores", "conditions", "attempts", "environments", "predictions")
    assert [path.name for path in paths] == [f"{name}.parquet" for name in names]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(path.name for path in paths)
    jobs, scores, conditions, attempts, environments, rows = (pd.read_parquet(path) for path in paths)
    assert attempts["job_id"].tolist() == jobs["job_id"].repeat(jobs["attempts"]).tolist()
    assert attempts["ended_at"].notna().all()
    assert len(environments) == 0
    assert jobs["started_at"].notna().all()
    pd.testing.assert_frame_equal(
        jobs[["job_id", "task", "learner", "iteration", "state"]],
        sql(store, "SELECT job_id, task, learner, iteration, state FROM jobs ORDER BY job_id"),
        check_dtype=False,
    )
    assert len(scores) == 12
    assert (scores["kind"] == "missing").sum() == 2 * (jobs["state"] == "error").sum() > 0
    assert set(conditions["level"]) == {"error"}
    result = reduce(store)
    tree = result.resample_result(learner="classif.tree").prediction().to_frame()
    mine = rows[rows["job_id"].isin(jobs.loc[jobs["learner"] == "classif.tree", "job_id"])]
    assert mine["row_id"].tolist() == tree["row_id"].tolist()
    assert mine["response"].tolist() == tree["response"].tolist()
    assert [dict(p)["setosa"] for p in mine["prob"]] == tree["prob.setosa"].tolist()
    assert export(store, tmp_path / "new" / "out") == paths


def test_predictions_stream_for_some_jobs(store):
    ids = add(store, benchmark_grid("diabetes", lrn("regr.lm"), rsmp("cv", folds=3), seed=1), "study")
    work(store)
    table = predictions(store, ids[:1]).read_all()
    assert set(table.column("job_id").to_pylist()) == {ids[0]}
    (first, *_) = reduce(store).resample_result(0).predictions()
    assert np.array_equal(table.column("response_value").to_numpy(), first.response)
    assert table.column("truth").null_count == table.num_rows
    assert predictions(store).read_all().num_rows == 442
    with pytest.raises(UnknownKeyError):
        predictions(store, [999])


def test_a_folder_that_cannot_be_written_is_named(store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        export(store, tmp_path / "file")


def test_a_measure_that_was_added_later_is_scored_from_the_predictions(store):
    add(store, benchmark_grid("iris", "classif.tree", rsmp("cv", folds=3), measures="classif.acc", seed=1), "study")
    work(store)
    more = benchmark_grid(
        "iris", ["classif.tree", "classif.knn"], rsmp("cv", folds=3), measures=["classif.acc", "classif.bacc"], seed=1
    )
    add(store, more, "study")
    work(store)
    pd.testing.assert_frame_equal(reduce(store).score(), benchmark(more).score(), check_exact=True)
    pd.testing.assert_frame_equal(
        reduce(store).filter(learner="classif.knn").score(),
        benchmark(more).filter(learner="classif.knn").score(),
        check_exact=True,
    )


def test_an_encapsulated_failure_without_a_fallback_is_missing_but_done(store):
    flaky = lrn("classif.debug", id="flaky", encapsulate="capture", **FLAKY)
    cells = design([flaky], tasks=["iris", "wine"])
    add(store, cells, "study")
    work(store)
    result = reduce(store)
    here = benchmark(cells)
    pd.testing.assert_frame_equal(quiet(here.score), quiet(result.score), check_exact=True)
    columns = {"conditions": True, "stats": ["mean", "sd"]}
    mine, other = quiet(here.aggregate, **columns), quiet(result.aggregate, **columns)
    pd.testing.assert_frame_equal(mine, other, check_exact=True)
    assert (mine["n_missing"] == mine["errors"]).all()
    assert mine["n_missing"].sum() > 0
    view = sql(store, "SELECT task, learner, n, n_missing, mean FROM aggregates WHERE measure = 'classif.acc'")
    assert view["n_missing"].tolist() == mine["n_missing"].tolist()
    assert np.array_equal(view["mean"].to_numpy(dtype=float), mine["classif.acc"], equal_nan=True)


def test_a_reduced_result_is_copied_but_not_pickled(store):
    add(store, design(tasks=["iris"]), "study")
    work(store)
    result = reduce(store)
    with pytest.raises(ConfigError, match="is not pickled: write it with export"):
        pickle.dumps(result)
    pd.testing.assert_frame_equal(copy.deepcopy(result).score("classif.mcc"), result.score("classif.mcc"))


def test_the_conditions_of_some_jobs_are_read_without_those_of_the_others(store, monkeypatch):
    fails = lrn("classif.debug", id="fails", error_train=1, encapsulate="capture")
    design = benchmark_grid(["iris", "wine"], [fails, "classif.featureless"], rsmp("cv", folds=3), seed=SEED)
    add(store, design, "two")
    work(store)
    result = reduce(store)
    asked = []
    real = recorded.read_conditions

    def watched(of, benchmarks, jobs=None):
        asked.append((jobs, real(of, benchmarks, jobs)))
        return asked[-1][1]

    monkeypatch.setattr(recorded, "read_conditions", watched)
    one = result.resample_result(task="wine", learner="fails").errors
    assert list(one["iteration"]) == [0, 1, 2]
    (jobs, rows), everything = asked[0], real(store, [1])
    assert len(jobs) == 3
    assert [row for row in everything if row[0] in jobs] == rows
    assert len(everything) > len(rows)
    assert result.resample_result(task="wine", learner="classif.featureless").errors.empty
    assert len(asked) == 1


def test_cells_that_come_while_members_are_read_stay_out(store, monkeypatch):
    add(store, design(tasks=["iris"]), "study")
    work(store)
    whole, read = reduce(store).aggregate("classif.acc"), reduction.read_members
    monkeypatch.setattr(reduction, "read_members", lambda *args: read(*args)[1:])
    rest = reduce(store).aggregate("classif.acc")
    pd.testing.assert_frame_equal(rest, whole[1:].reset_index(drop=True))
