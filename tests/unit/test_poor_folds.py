"""Training rows that lack something: every row, a class, the values of a column; and tasks that lack features."""

import logging

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

import batchml as bm
from batchml.errors import ConfigError, DataError, LearnerError
from batchml.learners.preprocessing import EmptyColumns


def split(train, test):
    return bm.rsmp("custom", train_sets=[list(train)], test_sets=[list(test)])


LEARN = ["gradient_boosting", "knn", "naive_bayes", "tree", "random_forest", "featureless"]
ONE_CLASS = split(range(10), range(10, 30))


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="batchml.learner")


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame({"x": rng.normal(size=30), "z": rng.normal(size=30), "y": ["a"] * 20 + ["b"] * 10})


@pytest.fixture
def task(table):
    return bm.as_task_classif(table, "y", id="thirty")


@pytest.mark.parametrize("key", LEARN)
def test_of_one_class_alone_a_method_learns_that_it_is_certain(task, key):
    learner = bm.lrn(f"classif.{key}", predict_type="prob")
    found = bm.resample(task, learner, ONE_CLASS, seed=1).prediction()
    assert np.array_equal(found.prob, np.tile([1.0, 0.0], (20, 1)))


@pytest.mark.parametrize("key", ["log_reg", "svm"])
def test_a_method_that_needs_two_classes_says_which_fold_has_one(task, key):
    with pytest.raises(LearnerError) as caught:
        bm.resample(task, f"classif.{key}", ONE_CLASS, seed=1)
    message = str(caught.value)
    for word in (f"'classif.{key}'", "'thirty'", "only the class 'a'", "stratify", "fallback"):
        assert word in message
    assert "iteration 0" in " ".join(caught.value.__notes__)


def test_a_fallback_stands_in_where_there_is_one_class(task):
    learner = bm.lrn("classif.log_reg", fallback="classif.featureless")
    rr = bm.resample(task, learner, ONE_CLASS, seed=1)
    assert rr.score("classif.acc")[["n_imputed", "classif.acc"]].to_numpy().tolist() == [[20, 0.5]]
    assert "only the class 'a'" in rr.errors["message"].iloc[0]


def test_a_class_that_the_training_rows_lack_has_probability_0(table):
    table["y"] = ["a"] * 10 + ["b"] * 10 + ["c"] * 10
    task = bm.as_task_classif(table, "y", id="three")
    found = bm.resample(task, bm.lrn("classif.log_reg", predict_type="prob"), split(range(20), range(20, 30)), seed=1)
    assert (found.prediction().prob["c"] == 0).all()
    assert found.aggregate("classif.acc").tolist() == [0.0]


@pytest.mark.parametrize("key", ["classif.tree", "classif.featureless", "classif.debug"])
@pytest.mark.parametrize("how", [bm.rsmp("holdout", ratio=0), split([], [1, 2])])
def test_no_training_rows_are_the_iteration_s_error(task, key, how):
    with pytest.raises(LearnerError, match=rf"learner '{key}' .* task 'thirty': the training set has no rows"):
        bm.resample(task, key, how, seed=1)


def test_only_learners_that_need_no_features_take_a_task_without_any(task):
    task.select([])
    assert bm.resample(task, "classif.featureless", "cv", seed=1).iters == 10
    for key in ("classif.tree", "classif.log_reg"):
        with pytest.raises(DataError, match=f"learner '{key}' cannot take task 'thirty': it has no features"):
            bm.resample(task, key, "cv", seed=1)


@pytest.mark.parametrize(
    "learner", ["regr.gradient_boosting", HistGradientBoostingRegressor(categorical_features=None)]
)
@pytest.mark.parametrize("category", [True, False])
def test_a_column_without_a_value_in_the_training_rows_tells_nothing(table, learner, category):
    table["m"] = np.where(np.arange(30) < 20, np.nan, table["z"])
    table["m"] = table["m"].astype(float)
    columns = ["x", "z", *(["y"] if category else [])]
    how = split(range(20), range(20, 30))
    found, without = (
        bm.resample(bm.as_task_regr(table[[*columns, *more]], "x", id="r"), learner, how, seed=1).prediction()
        for more in (["m"], [])
    )
    assert np.array_equal(found.response, without.response)


def test_empty_columns_become_0_and_no_others():
    empty, values = EmptyColumns(), np.array([[np.nan, 1.0], [np.nan, np.nan]])
    assert empty.fit(values).transform(values).tolist()[0] == [0.0, 1.0]
    frame = pd.DataFrame(values, columns=["a", "b"])
    assert EmptyColumns(["a"]).fit(frame).transform(frame)["a"].tolist() == [0.0, 0.0]
    assert list(empty.fit(frame).get_feature_names_out()) == ["a", "b"]


def test_a_learner_for_another_type_of_task_is_refused_by_the_design(task):
    with pytest.raises(ConfigError, match=r"'regr.tree' is for regr tasks, task 'thirty' is classif"):
        bm.benchmark_grid(task, ["classif.tree", "regr.tree"], "cv")
