"""What results promise: nothing is dropped silently, true iteration numbers, light copies, the example of the book."""

from __future__ import annotations

import contextlib
import logging
import pickle
import warnings

import numpy as np
import pytest

from batchml.core.catalog import lrn, msr, rsmp, tsk
from batchml.core.learner import Learner
from batchml.errors import ConfigError, DataError, DesignError, UnknownKeyError
from batchml.experiment.benchmark import benchmark
from batchml.experiment.grid import benchmark_grid
from batchml.experiment.resample import resample

FAILS = lrn("classif.debug", id="fails", error_train=0.3, encapsulate="capture")
SAVED = lrn("classif.debug", id="saved", error_train=0.3, fallback="classif.featureless", iter=2)


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="batchml.learner")


@pytest.fixture(scope="module")
def bmr():
    tree = lrn("classif.tree", id="sound")
    return benchmark(benchmark_grid("penguins", [FAILS, SAVED, tree], rsmp("cv", folds=10), seed=3))


class Hesitant(Learner):
    """Logistic regression that gives no answer where it is certain by less than 90 %: algorithm B of the book."""

    key = None
    task_type = "classif"
    predict_types = ("response",)
    feature_types = ("logical", "integer", "numeric", "categorical", "ordered")
    properties = frozenset({"twoclass", "multiclass", "missings"})

    def _inner(self):
        return lrn("classif.log_reg", predict_type="prob")

    def _fit(self, task, row_ids, *, seed):
        return self._inner()._fit(task, row_ids, seed=seed)

    def _predict(self, model, task, row_ids, *, seed):
        prob = self._inner()._predict(model, task, row_ids, seed=seed)["prob"]
        return {"codes": np.where(prob.max(axis=1) >= 0.9, prob.argmax(axis=1), -1)}


def test_who_only_answers_what_is_easy_does_not_win():
    """Leaving out what is missing, B beats A; the rules here give it nan, and its true score with a fallback."""
    task, splits = tsk("breast_cancer"), rsmp("cv", folds=5)
    careful = Hesitant(id="B+")
    careful.fallback = "classif.featureless"
    results = {
        learner.id: resample(task, learner, splits, seed=1)
        for learner in (lrn("classif.log_reg", id="A"), Hesitant(id="B"), careful)
    }
    error = {}
    for name, rr in results.items():
        doubt = pytest.warns(UserWarning, match="5 of 5 iterations some rows have no prediction: .* a fallback fills")
        with doubt if name == "B" else contextlib.nullcontext():
            error[name] = rr.aggregate("classif.ce")["classif.ce"]
    given = results["B"].prediction()
    answered = ~given.missing
    assert (given.truth[answered] != given.response[answered]).mean() < error["A"]
    assert np.isnan(error["B"])
    assert error["B+"] > error["A"]
    assert results["B+"].score()["n_imputed"].sum() == given.n_missing > 0
    assert results["B+"].prediction().n_missing == 0
    assert results["B+"].prediction().imputed.sum() == given.n_missing


def test_what_is_missing_is_warned_of_once_with_the_count_and_makes_the_cells_mean_nan(bmr):
    fresh = bmr.filter()
    failed = len(set(bmr.errors.query("learner == 'fails'")["iteration"]))
    assert 0 < failed < 10
    with pytest.warns(UserWarning, match=rf"^{failed} of 30 iterations have no prediction"):
        table = fresh.aggregate("classif.ce").set_index("learner")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh.aggregate("classif.acc")
        finished = fresh.aggregate("classif.ce", finished_only=True).set_index("learner")
    assert np.isnan(table.loc["fails", "classif.ce"])
    assert np.isfinite(table.loc[["saved", "sound"], "classif.ce"]).all()
    assert np.isfinite(finished["classif.ce"]).all()
    assert table.loc["fails", "n_missing"] == failed
    assert finished.loc["fails", "n_missing"] == failed


def test_conditions_count_iterations_not_conditions(bmr):
    noisy = lrn("classif.debug", id="noisy", warning_train=1.0, warning_predict=1.0, encapsulate="capture")
    result = benchmark(benchmark_grid("iris", noisy, rsmp("cv", folds=4), seed=1))
    assert result.aggregate(conditions=True)["warnings"].tolist() == [4]
    assert len(result.warnings) == 8
    table = bmr.aggregate(conditions=True, finished_only=True).set_index("learner")
    for name in ("fails", "saved"):
        assert table.loc[name, "errors"] == bmr.errors.query("learner == @name")["iteration"].nunique() > 0


def test_iteration_numbers_are_those_of_the_resampling_also_in_parts_of_a_result(bmr):
    whole = bmr.errors.query("learner == 'saved'")["iteration"].tolist()
    part = bmr.filter(learner="saved")
    assert part.errors["iteration"].tolist() == whole
    rr = bmr.resample_result(learner="saved")
    assert rr.errors["iteration"].tolist() == whole
    assert rr.score()["iteration"].tolist() == list(range(10))
    assert all(rr.predictions()[i].n_imputed == len(rr.predictions()[i]) for i in whole)


def test_coverage_says_what_is_missing_for_one_cell_too(bmr):
    assert bmr.coverage["missing"].tolist() == [0, 0, 0]
    assert bmr.resample_result(0).coverage["done"].tolist() == [10]


def test_stored_learners_keep_the_fallback_that_stood_in():
    rr = resample("penguins", SAVED, rsmp("cv", folds=10), seed=3, store_models=True)
    failed = rr.errors["iteration"].tolist()
    assert failed
    for i, learner in zip(rr.iterations, rr.learners, strict=True):
        again = learner.predict(rr.task, rr.resampling.test_set(i))
        assert (learner.model is None) == (i in failed)
        assert (again.response == rr.predictions()[i].response).all()
        assert (again.imputed == rr.predictions()[i].imputed).all()
    lost = resample("penguins", FAILS, rsmp("cv", folds=10), seed=3, store_models=True).learners
    assert any("Error from classif.debug->train()" in learner.errors for learner in lost)


def test_discard_takes_models_and_data_and_leaves_all_figures():
    design = benchmark_grid("breast_cancer", ["classif.tree"], rsmp("cv", folds=3), seed=1, store_models=True)
    result = benchmark(design)
    lean = result.discard(models=True, backends=True)
    assert len(pickle.dumps(lean)) < 0.4 * len(pickle.dumps(result))
    assert lean.score(["classif.bacc", "time_train"]).equals(result.score(["classif.bacc", "time_train"]))
    back = pickle.loads(pickle.dumps(lean)).resample_result(0)
    assert back.prediction().to_arrow() == result.resample_result(0).prediction().to_arrow()
    assert repr(back.task) == repr(result.resample_result(0).task)
    assert (back.resampling.test_set(1) == result.resample_result(0).resampling.test_set(1)).all()
    with pytest.raises(ConfigError, match="store_models"):
        _ = back.learners
    with pytest.raises(DataError, match="discarded"):
        back.task.data()
    assert len(result.resample_result(0).learners) == 3
    assert result.resample_result(0).discard().task.data().shape == (569, 31)


def test_conditions_are_not_read_where_the_counts_say_that_there_are_none(bmr, monkeypatch):
    sound = bmr.filter(learner="sound")
    monkeypatch.setattr(type(sound._table), "conditions", None)
    assert sound.errors.empty
    assert list(sound.warnings.columns) == ["task", "learner", "resampling", "iteration", "message"]


def test_paired_grids_run_each_task_with_its_own_splits():
    iris, wine = tsk("iris"), tsk("wine")
    splits = [rsmp("cv", folds=2).instantiate(iris, seed=5), rsmp("cv", folds=4).instantiate(wine, seed=5)]
    result = benchmark(benchmark_grid([iris, wine], "classif.featureless", splits, paired=True, seed=5))
    assert result.aggregate()["n"].tolist() == [2, 4]
    with pytest.raises(DesignError, match="other rows"):
        benchmark_grid([iris, wine], "classif.featureless", splits[::-1], paired=True)


def test_variants_of_a_learner_are_never_averaged_together():
    design = benchmark_grid(
        "iris", "classif.tree", rsmp("cv", folds=3), param_values=[[{"max_depth": 1}, {"max_depth": 3}]], seed=1
    )
    table = benchmark(design).aggregate("classif.acc", params=True)
    assert table["max_depth"].tolist() == [1, 3]
    assert table["classif.acc"].tolist() == sorted(table["classif.acc"])
    assert table["n"].tolist() == [3, 3]


def test_an_iteration_without_test_rows_has_an_empty_prediction():
    splits = rsmp("custom", train_sets=[list(range(150)), list(range(0, 150, 2))], test_sets=[[], [1, 51, 101]])
    rr = resample("iris", lrn("classif.log_reg", predict_type="prob"), splits, seed=1)
    assert [len(p) for p in rr.predictions()] == [0, 3]
    assert np.isnan(rr.score("classif.acc")["classif.acc"][0])


def test_rerunning_with_the_seed_of_a_result_gives_the_same_bits():
    first = resample("iris", "classif.random_forest", rsmp("cv", folds=2))
    again = resample("iris", "classif.random_forest", rsmp("cv", folds=2), seed=first.seed)
    assert [p.to_arrow() for p in first.predictions()] == [p.to_arrow() for p in again.predictions()]


def test_micro_and_macro_differ_and_micro_of_an_incomplete_cell_is_nan(bmr):
    measures = [msr("classif.acc"), msr("classif.acc", id="micro", average="micro")]
    table = bmr.aggregate(measures, finished_only=True).set_index("learner")
    assert np.isfinite(table[["classif.acc", "micro"]].to_numpy()).all()
    assert table.loc["sound", "classif.acc"] != table.loc["sound", "micro"]
    assert table.loc["sound", "micro"] == bmr.resample_result(learner="sound").prediction().score("classif.acc").iloc[0]
    with pytest.warns(UserWarning, match="have no prediction"):
        assert np.isnan(bmr.filter().aggregate(measures).set_index("learner").loc["fails", "micro"])


def test_measures_that_would_overwrite_a_column_are_refused(bmr):
    for name in ("task", "n", "n_missing", "params"):
        with pytest.raises(DesignError, match=f"a measure cannot be called '{name}'"):
            bmr.aggregate(msr("classif.acc", id=name))
        with pytest.raises(DesignError, match="a measure cannot be called"):
            benchmark_grid("iris", "classif.tree", "cv", measures=msr("classif.acc", id=name))


def test_cells_and_results_that_are_none_are_refused(bmr):
    with pytest.raises(UnknownKeyError, match="a cell is named by its number or by task="):
        bmr.resample_result("penguins")
    with pytest.raises(DesignError, match="combined with a BenchmarkResult, not with str"):
        bmr.combine("other")


def test_measures_that_compare_models_ask_the_models_that_were_kept():
    kept = resample("iris", lrn("classif.tree", max_depth=1), rsmp("cv", folds=3), store_models=True, seed=1)
    sets = [set(learner.selected_features()) for learner in kept.learners]
    pairs = [(sets[i], sets[j]) for i in range(3) for j in range(i)]
    expected = np.mean([len(a & b) / len(a | b) for a, b in pairs])
    assert kept.aggregate("sim.jaccard").iloc[0] == pytest.approx(expected)
    assert -1 <= kept.aggregate("sim.phi").iloc[0] <= 1
    lost = resample("iris", "classif.tree", rsmp("cv", folds=3), seed=1)
    with pytest.warns(UserWarning, match=r"sim.jaccard.* with store_models=True"):
        assert np.isnan(lost.aggregate("sim.jaccard").iloc[0])
    mute = resample("iris", "classif.knn", rsmp("cv", folds=3), store_models=True, seed=1)
    with pytest.warns(UserWarning, match=r"does not tell its selected_features"):
        assert np.isnan(mute.aggregate("sim.jaccard").iloc[0])


def test_measures_of_the_model_are_taken_while_it_is_there():
    design = benchmark_grid(
        "iris",
        lrn("classif.random_forest", oob_score=True),
        rsmp("cv", folds=2),
        measures=["selected_features", "oob_error"],
        seed=1,
    )
    scores = benchmark(design).score()
    assert (scores["selected_features"] == 4).all()
    assert scores["oob_error"].between(0.01, 0.2).all()


def test_every_row_s_loss_averages_to_the_score(bmr):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        losses = bmr.obs_loss("classif.ce")
        scores = bmr.score("classif.ce")
    names = ["task", "learner", "resampling", "iteration"]
    assert list(losses) == [*names, "row_id", "truth", "response", "classif.ce"]
    means = losses.groupby(names, sort=False)["classif.ce"].mean()
    answered = scores[scores["n_missing"] == 0]
    assert np.allclose(means.to_numpy(), answered["classif.ce"])
    one = bmr.resample_result(learner="sound").obs_loss(["classif.ce"])
    assert len(one) == 344
    assert np.allclose(one["classif.ce"], one["truth"].astype(str) != one["response"].astype(str))


def test_coverage_tells_failures_that_were_kept_in_from_results(bmr):
    coverage = bmr.coverage.set_index("learner")
    failed = len(bmr.resample_result(learner="fails").errors)
    assert failed > 0
    assert coverage["no_prediction"].to_dict() == {"fails": failed, "saved": 0, "sound": 0}
    assert (coverage["missing"] == 0).all()
