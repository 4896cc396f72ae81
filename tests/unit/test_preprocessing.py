import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import BaggingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from batchml.core.catalog import tsk
from batchml.core.intake import as_task_classif, as_task_regr
from batchml.core.learner import as_learner


def make_task(*, missing=False, category=False, logical=False, n=12):
    frame = pd.DataFrame({"x": np.arange(float(n)), "z": np.arange(n) % 3})
    if missing:
        frame.loc[3, "x"] = np.nan
    if category:
        frame["c"] = (["u", "v", "w"] * n)[:n]
    if logical:
        frame["l"] = ([True, False] * n)[:n]
    return as_task_classif(frame.assign(y=(["no", "yes"] * n)[:n]), target="y", id="made")


def steps(estimator, **task):
    prepared = as_learner(estimator).prepared(make_task(**task))
    return [name for name, _ in getattr(prepared, "steps", [("alone", None)])]


@pytest.mark.parametrize(
    ("estimator", "task", "expected"),
    [
        (DecisionTreeClassifier(), {}, ["alone"]),
        (DecisionTreeClassifier(), {"missing": True}, ["alone"]),
        (DecisionTreeClassifier(), {"category": True}, ["columns", "estimator"]),
        (RandomForestClassifier(), {"missing": True, "logical": True}, ["alone"]),
        (HistGradientBoostingClassifier(), {"category": True, "logical": True}, ["alone"]),
        (
            HistGradientBoostingClassifier(),
            {"missing": True, "category": True, "logical": True},
            ["empty", "estimator"],
        ),
        (HistGradientBoostingClassifier(), {"missing": True}, ["empty", "estimator"]),
        (GaussianNB(), {}, ["alone"]),
        (GaussianNB(), {"missing": True}, ["impute", "estimator"]),
        (LogisticRegression(), {}, ["scale", "estimator"]),
        (LogisticRegression(), {"missing": True}, ["impute", "scale", "estimator"]),
        (SVC(), {"category": True}, ["columns", "estimator"]),
        (BaggingClassifier(SVC()), {}, ["scale", "estimator"]),
        (BaggingClassifier(DecisionTreeClassifier()), {}, ["alone"]),
        (make_pipeline(LogisticRegression()), {}, ["logisticregression"]),
        (GridSearchCV(make_pipeline(LogisticRegression()), {}), {}, ["alone"]),
    ],
)
def test_only_what_is_needed_is_put_before_an_estimator(estimator, task, expected):
    assert steps(estimator, **task) == expected


def test_least_squares_needs_no_scaling():
    task = as_task_regr(pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]}), target="y")
    assert isinstance(as_learner(LinearRegression()).prepared(task), LinearRegression)


def test_all_folds_have_the_same_pipeline_because_the_whole_task_decides():
    task = make_task(missing=True)
    learner = as_learner(LogisticRegression()).train(task, np.arange(4, 12), seed=1)
    assert list(learner.model.named_steps) == ["impute", "scale", "estimator"]
    assert learner.predict(task).n_missing == 0


@pytest.mark.parametrize("method", [LogisticRegression, DecisionTreeClassifier, HistGradientBoostingClassifier])
def test_levels_and_values_that_the_training_rows_lack_are_no_error(method):
    # Histogram gradient boosting itself fails on a column without a single value (scikit-learn 1.9).
    gaps = 5 if method is HistGradientBoostingClassifier else 6
    frame = pd.DataFrame(
        {
            "c": ["u"] * 6 + ["v", None, "w", "u", "v", "w"],
            "l": pd.array([True] * 3 + [False] * 3 + [None, True, False] * 2, dtype="boolean"),
            "x": [*[None] * gaps, *range(12 - gaps)],
            "y": ["no", "yes"] * 6,
        }
    )
    task = as_task_classif(frame, target="y")
    learner = as_learner(method()).train(task, np.arange(6), seed=1)
    assert learner.predict(task, np.arange(6, 12)).n_missing == 0
    learner.train(task, np.arange(6, 12), seed=1)
    assert learner.predict(task, np.arange(6)).n_missing == 0


@pytest.mark.parametrize("key", ["tree", "random_forest", "log_reg", "knn", "svm", "gradient_boosting", "naive_bayes"])
def test_every_keyed_classifier_takes_the_penguins(key):
    penguins = tsk("penguins")
    params = {"n_estimators": 5} if key == "random_forest" else {"max_iter": 5} if key == "gradient_boosting" else {}
    learner = as_learner(f"classif.{key}")
    learner.param_set.values.update(params)
    learner.predict_type = "prob"
    prediction = learner.train(penguins, penguins.row_ids[::2], seed=1).predict(penguins, penguins.row_ids[1::2])
    assert (prediction.response == prediction.truth).mean() > 0.6


@pytest.mark.parametrize("key", ["tree", "random_forest", "lm", "knn", "svm", "gradient_boosting"])
def test_every_keyed_regressor_predicts(key):
    diabetes = tsk("diabetes")
    learner = as_learner(f"regr.{key}")
    if key == "random_forest":
        learner.param_set.values["n_estimators"] = 5
    prediction = learner.train(diabetes, np.arange(200), seed=1).predict(diabetes, np.arange(200, 442))
    assert prediction.n_missing == 0


def see_columns(X):
    assert list(X.columns) == ["x", "z"]
    return X


def test_functions_of_the_users_get_a_data_frame_and_others_a_matrix():
    task = make_task()
    as_learner(make_pipeline(FunctionTransformer(see_columns), DecisionTreeClassifier())).train(task, seed=1)
    model = as_learner(DecisionTreeClassifier()).train(task, seed=1).model
    assert not hasattr(model, "feature_names_in_")
