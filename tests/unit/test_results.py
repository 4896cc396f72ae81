"""Results of resample and benchmark in session: tables, averages, what is missing, combining and filtering."""

from __future__ import annotations

import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier

from batchml.core.catalog import lrn, msr, rsmp, tsk
from batchml.errors import ConfigError, DesignError, UnknownKeyError
from batchml.experiment.benchmark import benchmark
from batchml.experiment.grid import benchmark_grid
from batchml.experiment.resample import resample


def cv(folds=3, **fields):
    return rsmp("cv", folds=folds, **fields)


def small(seed=1, learners=("classif.featureless", "classif.tree"), tasks=("iris", "wine"), **settings):
    return benchmark_grid(
        list(tasks), list(learners), cv(), seed=seed, measures=["classif.acc", "classif.ce"], **settings
    )


def quiet(call, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return call(*args, **kwargs)


def bits(result):
    return [p.to_arrow() for i in range(result.n_resample_results) for p in result.resample_result(i).predictions()]


def test_resample_gives_a_prediction_per_iteration():
    rr = resample("penguins", "classif.tree", cv(10), seed=1)
    assert rr.iters == 10
    assert rr.iterations == list(range(10))
    assert sorted(rr.prediction().row_ids) == list(range(344))
    assert [list(p.row_ids) for p in rr.predictions()] == [list(rr.resampling.test_set(i)) for i in range(10)]
    assert rr.aggregate("classif.acc").index.tolist() == ["classif.acc"]
    assert rr.aggregate()["classif.ce"] == pytest.approx(rr.score()["classif.ce"].mean())
    assert rr.errors.empty
    assert list(rr.errors.columns) == ["iteration", "message"]


def test_resample_takes_estimators_and_splitters():
    from sklearn.model_selection import KFold

    rr = resample(tsk("iris"), DecisionTreeClassifier(max_depth=2), KFold(4), seed=1)
    assert rr.iters == 4
    assert rr.learner.id != ""


def test_a_seed_is_drawn_once_and_kept():
    rr = resample("iris", "classif.random_forest", cv(2))
    again = resample("iris", "classif.random_forest", cv(2), seed=rr.seed)
    assert [p.to_arrow() for p in rr.predictions()] == [p.to_arrow() for p in again.predictions()]


def test_the_users_random_numbers_are_left_alone():
    np.random.seed(3)  # noqa: NPY002 - the global generator is what must not change
    expected = np.random.RandomState(3).random_sample()
    resample("iris", "classif.tree", cv(2), seed=1)
    assert np.random.random_sample() == expected  # noqa: NPY002


def test_a_cell_of_a_benchmark_equals_its_resample():
    bmr = benchmark(small())
    rr = resample("wine", "classif.tree", cv(), seed=1)
    mine = bmr.resample_result(task="wine", learner="classif.tree")
    assert [p.to_arrow() for p in mine.predictions()] == [p.to_arrow() for p in rr.predictions()]


def test_all_learners_see_the_same_splits():
    bmr = benchmark(small())
    splits = [[list(p.row_ids) for p in bmr.resample_result(i).predictions()] for i in range(4)]
    assert splits[0] == splits[1]
    assert splits[2] == splits[3]
    assert splits[0] != splits[2]


def test_instantiated_resamplings_are_used_as_they_are():
    task = tsk("iris")
    bound = cv().instantiate(task, seed=99)
    rr = resample(task, "classif.tree", bound, seed=1)
    assert [list(p.row_ids) for p in rr.predictions()] == [list(bound.test_set(i)) for i in range(3)]


def test_scores_come_as_a_wide_table():
    table = benchmark(small()).score()
    assert list(table.columns) == [
        "task", "learner", "resampling", "iteration", "n", "n_missing", "n_imputed", "classif.acc", "classif.ce",
    ]  # fmt: skip
    assert len(table) == 12
    assert table["iteration"].tolist() == [0, 1, 2] * 4
    assert table["n"].sum() == 2 * (150 + 178)
    assert np.allclose(table["classif.acc"] + table["classif.ce"], 1)
    assert (table["n_missing"] == 0).all()


def test_aggregates_come_as_a_row_per_cell():
    bmr = benchmark(small())
    table = bmr.aggregate(["classif.acc"], conditions=True, stats=("mean", "sd", "median"))
    assert list(table.columns) == [
        "task", "learner", "resampling", "n", "n_missing", "n_imputed", "warnings", "errors",
        "classif.acc", "classif.acc_sd", "classif.acc_median",
    ]  # fmt: skip
    by_hand = bmr.score().groupby(["task", "learner"], sort=False)["classif.acc"].agg(["mean", "std", "median"])
    assert np.allclose(table[["classif.acc", "classif.acc_sd", "classif.acc_median"]], by_hand)
    with pytest.raises(ConfigError, match="no statistic is called 'avg'"):
        bmr.aggregate(stats="avg")


def test_micro_averages_score_all_predictions_at_once():
    bmr = benchmark(small(tasks=["wine"]))
    micro, macro = msr("classif.acc", average="micro", id="micro"), msr("classif.acc", id="macro")
    weighted = msr("classif.acc", average="macro_weighted", id="weighted")
    table = bmr.aggregate([micro, macro, weighted])
    for number in range(2):
        rr = bmr.resample_result(number)
        assert table["micro"][number] == rr.prediction().score("classif.acc").iloc[0]
        assert table["micro"][number] == pytest.approx(table["weighted"][number])
        assert table["macro"][number] == pytest.approx(rr.score("classif.acc")["classif.acc"].mean())
        assert rr.aggregate(micro)["micro"] == table["micro"][number]


def test_an_own_aggregator_gets_the_values():
    table = benchmark(small(tasks=["wine"])).aggregate(msr("classif.acc", aggregator=max))
    best = benchmark(small(tasks=["wine"])).aggregate("classif.acc", stats="max")
    assert table["classif.acc"].tolist() == best["classif.acc_max"].tolist()


def test_measures_of_train_sets_and_times_need_no_further_training():
    tree = lrn("classif.tree")
    tree.predict_sets = ["train", "test"]
    rr = resample("wine", tree, cv(), seed=1)
    train = msr("classif.acc", predict_sets="train", id="train")
    both = msr("classif.acc", predict_sets=["train", "test"], id="both")
    values = rr.aggregate([train, both, "classif.acc", "time_train"])
    assert values["train"] == 1.0
    assert values["classif.acc"] < values["both"] < 1.0
    assert values["time_train"] > 0
    assert len(rr.predictions("train")) == 3
    with pytest.raises(ConfigError, match="has no 'train' predictions"):
        resample("wine", "classif.tree", cv(), seed=1).prediction("train")


def test_param_values_make_a_column_for_each_parameter():
    design = benchmark_grid(
        "iris", ["classif.featureless", "classif.tree"], cv(), param_values=[[], [{"max_depth": 1}, {"max_depth": 3}]]
    )
    bmr = benchmark(design)
    table = bmr.aggregate(params=True)
    assert np.isnan(table["max_depth"][0])
    assert table["max_depth"].tolist()[1:] == [1, 3]
    assert bmr.coverage["defined"].tolist() == [3, 6]
    assert "params" in bmr.score().columns
    with pytest.raises(UnknownKeyError, match="2 cells fit"):
        bmr.resample_result(learner="classif.tree")


def test_an_error_that_nobody_caught_says_where_it_arose():
    design = small(learners=["classif.featureless", lrn("classif.debug", error_train=1.0)])
    with pytest.raises(Exception, match=r"Error from classif\.debug->train") as caught:
        benchmark(design)
    assert any("task 'iris', learner 'classif.debug'" in n and "iteration 0" in n for n in caught.value.__notes__)


def test_captured_errors_are_listed_with_true_iteration_numbers():
    flaky = lrn("classif.debug", error_train=0.4, warning_train=1.0, encapsulate="capture")
    rr = resample("iris", flaky, cv(10), seed=2)
    failed = rr.errors["iteration"].tolist()
    assert 0 < len(failed) < 10
    scores = quiet(rr.score).set_index("iteration")["classif.ce"]
    assert failed == scores.index[scores.isna()].tolist()
    assert set(rr.warnings["iteration"]) == set(range(10))
    rr = resample("iris", flaky, cv(10), seed=2)
    with pytest.warns(UserWarning, match=f"{len(failed)} of 10 iterations have no prediction"):
        value = rr.aggregate()
    assert np.isnan(value["classif.ce"])
    assert np.isfinite(rr.aggregate(finished_only=True)["classif.ce"])
    assert f"errors in {len(failed)} iterations" in repr(rr)
    assert len(rr.predictions()) == 10 - len(failed)


def test_a_fallback_makes_scores_finite_and_is_counted():
    flaky = lrn("classif.debug", error_train=0.5, fallback="classif.featureless")
    bmr = benchmark(benchmark_grid("iris", flaky, cv(10), seed=2))
    table = bmr.aggregate(conditions=True)
    assert table["errors"][0] == table["n_imputed"][0] > 0
    assert table["n_missing"][0] == 0
    assert np.isfinite(table["classif.ce"][0])
    assert bmr.score()["n_imputed"].sum() == 15 * table["errors"][0]


def test_missing_predictions_make_the_mean_nan():
    bmr = benchmark(benchmark_grid("iris", lrn("classif.debug", predict_missing=0.5), cv(), seed=2))
    with pytest.warns(UserWarning, match="in 3 of 3 iterations some rows have no prediction"):
        assert bmr.score()["n_missing"].tolist() == [25, 25, 25]
    assert np.isnan(bmr.aggregate()["classif.ce"][0])


def test_models_are_kept_on_request():
    rr = resample("iris", "classif.tree", cv(), seed=1, store_models=True)
    assert len(rr.learners) == 3
    one = rr.learners[0].predict(rr.task, rr.resampling.test_set(0))
    assert one.to_arrow() == rr.predictions()[0].to_arrow()
    with pytest.raises(ConfigError, match="store_models=True"):
        _ = resample("iris", "classif.tree", cv(), seed=1).learners


def test_filter_and_combine_are_inverse():
    whole = benchmark(small())
    parts = [whole.filter(task="iris"), whole.filter(lambda row: row.task == "wine")]
    both = parts[0].combine(parts[1])
    pd.testing.assert_frame_equal(both.score(), whole.score())
    pd.testing.assert_frame_equal(whole.combine(whole).score(), whole.score())
    assert both.seed == 1
    assert bits(both) == bits(whole)
    assert parts[0].filter(learner=["classif.tree"]).n_resample_results == 1
    with pytest.raises(UnknownKeyError, match=r"no learner is called 'classif\.tre' in this result"):
        whole.filter(learner="classif.tre")


def test_results_of_two_seeds_stay_apart():
    both = benchmark(small(tasks=["iris"])).combine(benchmark(small(seed=2, tasks=["iris"])))
    assert both.n_resample_results == 4
    assert both.seed is None


def test_classification_and_regression_are_not_combined():
    regr = benchmark(benchmark_grid("diabetes", "regr.featureless", cv(), seed=1))
    with pytest.raises(DesignError, match="one task type"):
        regr.combine(benchmark(small(tasks=["iris"])))


def test_the_tables_of_objects_follow_first_appearance():
    bmr = benchmark(small())
    assert bmr.tasks["id"].tolist() == ["iris", "wine"]
    assert bmr.learners["id"].tolist() == ["classif.featureless", "classif.tree"]
    assert bmr.learners["learner"][1].key == "classif.tree"
    assert bmr.resamplings["id"].tolist() == ["cv"]
    assert bmr.n_resample_results == 4
    with pytest.raises(UnknownKeyError, match="there is no cell 4"):
        bmr.resample_result(4)
    assert "12 of 12 iterations in 4 cells" in repr(bmr)
    assert '<th style="text-align:left">tasks</th><td>iris, wine</td>' in bmr._repr_html_()


def test_a_wrong_learner_is_refused_before_anything_runs():
    slow = lrn("classif.debug", id="never", error_train=1.0)
    with pytest.raises(ConfigError, match="penguins"):
        benchmark(benchmark_grid(["iris", "penguins"], [slow, lrn("classif.tree", preprocess="none")], cv()))


def test_an_empty_design_is_refused():
    with pytest.raises(DesignError, match="nothing to run"):
        benchmark(small().filter(lambda _: False))


def test_results_do_not_depend_on_threads():
    design = small(learners=["classif.debug", "classif.tree", lrn("classif.random_forest", n_estimators=3)])
    expected = benchmark(design)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        got = benchmark(design)
    assert bits(got) == bits(expected)
    pd.testing.assert_frame_equal(got.score(), expected.score())


def test_captured_learners_are_refused_in_threads():
    guarded = lrn("classif.tree", fallback="classif.featureless")
    design = benchmark_grid("iris", guarded, cv(), seed=1)
    with joblib.parallel_config(backend="threading", n_jobs=2), pytest.raises(ConfigError, match="cannot tell threads"):
        benchmark(design)
    assert benchmark(design).iters == 3


def fails_on_wine(truth, response):
    if "class_0" in set(truth):
        raise ZeroDivisionError("no such wine")
    return float((truth == response).mean())


def test_a_measure_that_fails_is_nan_and_leaves_the_rest():
    bmr = benchmark(small())
    with pytest.warns(UserWarning, match=r"measure '.*fails_on_wine' failed in 6 iterations.*no such wine"):
        table = bmr.aggregate(["classif.acc", fails_on_wine])
    assert table.iloc[:, -1].isna().tolist() == [False, False, True, True]
    assert table["classif.acc"].notna().all()


def test_settings_are_shown_as_they_were_given():
    learners = ["classif.tree", "classif.featureless"]
    variants = [[{"max_depth": 3}, {"max_depth": None}], [{}]]
    design = benchmark_grid("iris", learners, rsmp("holdout"), param_values=variants, seed=1)
    column = benchmark(design).aggregate(params=True)["max_depth"]
    assert column[0] == 3
    assert isinstance(column[0], int)
    assert column[1] is None
    assert column[2] != column[2]  # nan: the learner has no such parameter
