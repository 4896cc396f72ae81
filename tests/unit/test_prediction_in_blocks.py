"""Large test sets are predicted a block of rows at a time, where that cannot make a difference."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeRegressor

import batchml as bm


class Rank(RegressorMixin, BaseEstimator):
    """Predicts the place of a row among those that are predicted with it."""

    def fit(self, X, y):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return np.argsort(np.argsort(np.asarray(X)[:, 0])).astype(float)


def centred(X):
    return X - X.mean()


@pytest.fixture(scope="module")
def task():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(500, 4)), columns=["y", "a", "b", "c"])
    return bm.as_task_regr(frame, "y", id="t")


@pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeRegressor(max_depth=4),
        RandomForestRegressor(5),
        make_pipeline(FunctionTransformer(np.abs), DecisionTreeRegressor(max_depth=4)),
    ],
    ids=["tree", "forest", "ufunc"],
)
def test_blocks_give_the_same_bits(task, estimator, monkeypatch):
    learner = bm.as_learner(estimator)
    learner.train(task, range(100), seed=1)
    whole = learner.predict(task).response
    sizes = watched(learner, monkeypatch)
    monkeypatch.setattr("batchml.learners.sklearn._MOST_CELLS", 3 * 70)
    assert learner.predict(task).response.tobytes() == whole.tobytes()
    assert sizes == [70] * 7 + [10]


@pytest.mark.parametrize(
    "estimator", [Rank(), make_pipeline(FunctionTransformer(centred), LinearRegression())], ids=["class", "function"]
)
def test_what_is_not_known_to_look_at_single_rows_sees_all_of_them(task, estimator, monkeypatch):
    learner = bm.as_learner(estimator, preprocess="none")
    learner.train(task, range(100), seed=1)
    sizes = watched(learner, monkeypatch)
    monkeypatch.setattr("batchml.learners.sklearn._MOST_CELLS", 3 * 70)
    learner.predict(task)
    assert sizes == [500]


def watched(learner, monkeypatch):
    """Return where the sizes of blocks will be noted."""
    sizes = []
    real = type(learner)._predict_block

    def predict_block(self, model, task, row_ids):
        sizes.append(len(row_ids))
        return real(self, model, task, row_ids)

    monkeypatch.setattr(type(learner), "_predict_block", predict_block)
    return sizes


@pytest.mark.parametrize("kind", ["response", "prob"])
def test_a_large_prediction_is_written_as_the_same_bytes(kind, monkeypatch):
    truth = ["a", "b"] * 50
    parts = (
        {"response": truth} if kind == "response" else {"prob": np.tile([0.25, 0.75], (100, 1)), "classes": ["a", "b"]}
    )
    prediction = bm.PredictionClassif(truth=truth, weights=np.ones(100), **parts)
    at_once = prediction.to_arrow()
    monkeypatch.setattr("batchml.core.prediction_arrow._LARGE_BYTES", 1)
    assert prediction.to_arrow() == at_once
