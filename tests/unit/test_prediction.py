"""Predictions: what learners say becomes one, and what is missing stays missing."""

from __future__ import annotations

import math
import pickle
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import batchml as bm
from batchml.core.prediction import Prediction, PredictionClassif, PredictionRegr, as_prediction
from batchml.errors import ArtifactError, DataError, LearnerError, UnknownKeyError


def toy(**more):
    return PredictionClassif(
        truth=["a", "b", "b"], prob=[[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]], classes=["a", "b"], row_ids=[5, 3, 9], **more
    )


@pytest.mark.parametrize(
    "prediction",
    [
        toy(),
        toy(weights=[1.0, 2.0, 0.5]),
        PredictionClassif([2, 1], [1, None], classes=[1, 2]),
        PredictionClassif([True, False], [True, True]),
        PredictionRegr([1.0, 2.0], [1.0, None], se=[0.1, 0.2]),
    ],
)
def test_what_is_stored_is_the_very_stream_that_arrow_writes(prediction):
    data = prediction.to_arrow()
    with pa.ipc.open_stream(data) as reader:
        batches = list(reader)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        writer.write_batch(batches[0])
    assert len(batches) == 1
    assert bytes(sink.getvalue()) == data == prediction.to_arrow()


def test_the_response_is_the_most_probable_class_the_first_of_equals():
    assert toy().response.tolist() == ["a", "b", "a"]
    assert PredictionClassif(prob=[[0.5, 0.5]], classes=["x", "y"]).response.tolist() == ["x"]


def test_confusion_counts_responses_by_truth_and_missing_ones_apart():
    table = PredictionClassif(["a", "b", "b"], ["a", None, "a"], classes=["a", "b"]).confusion
    assert table.loc["a"].tolist() == [1, 1]
    assert table.loc["<missing>"].tolist() == [0, 1]
    assert (table.index.name, table.columns.name) == ("response", "truth")


def test_none_nan_and_na_are_missing():
    p = PredictionClassif(["a", "b", "b", "a"], ["a", None, np.nan, pd.NA], classes=["a", "b"])
    assert p.missing.tolist() == [False, True, True, True]
    assert p.response.tolist() == ["a", None, None, None]
    q = PredictionClassif(["a", "b"], prob=[[np.nan, 1], [0, 1]], classes=["a", "b"])
    assert q.missing.tolist() == [True, False]
    r = PredictionRegr([1, 2, 3], [1.0, None, pd.NA])
    assert r.missing.tolist() == [False, True, True]
    assert PredictionRegr([1], [1.0], se=[np.nan]).n_missing == 1


def test_classes_come_from_prob_categories_or_labels():
    frame = pd.DataFrame({"y": [0.2], "n": [0.8]})
    assert PredictionClassif(["n"], prob=frame).classes == ("y", "n")
    assert PredictionClassif(pd.Categorical(["n"], categories=["y", "n"]), ["n"]).classes == ("y", "n")
    assert PredictionClassif([2, 1], [1, 1]).classes == (1, 2)
    assert PredictionClassif([0, 1], [1, 1]).positive == 1
    assert PredictionClassif(["n", "y"], ["n", "n"]).positive == "n"


def test_a_vector_holds_the_positive_class_of_two():
    p = PredictionClassif(["n", "y"], prob=[0.3, 0.8], classes=["n", "y"], positive="y")
    assert p.prob["y"].tolist() == [0.3, 0.8]
    assert p.response.tolist() == ["n", "y"]


def test_thresholds_give_a_new_prediction():
    p = toy(positive="b")
    assert p.set_threshold(0.3).response.tolist() == ["a", "b", "b"]
    assert p.set_threshold(0).response.tolist() == ["b", "b", "b"]
    assert p.set_threshold(1).response.tolist() == ["a", "a", "a"]
    assert p.set_threshold({"a": 0.5, "b": 0.1}).response.tolist() == ["a", "b", "b"]
    assert p.response.tolist() == ["a", "b", "a"]
    with pytest.raises(DataError, match="between 0 and 1"):
        p.set_threshold(1.5)
    with pytest.raises(UnknownKeyError, match="no class 'c'"):
        p.set_threshold({"a": 0.5, "b": 0.5, "c": 1})
    with pytest.raises(DataError, match="predict_type='prob'"):
        PredictionClassif(["a", "b"], ["a", "b"]).set_threshold(0.5)
    with pytest.raises(DataError, match="a threshold for each is needed"):
        PredictionClassif(list("abc"), prob=np.eye(3), classes=list("abc")).set_threshold(0.5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="2 true labels for 3 predictions"):
        PredictionClassif(["a", "b"], ["a", "b", "a"])
    with pytest.raises(DataError, match="response 'c' is no class; the classes are a, b"):
        PredictionClassif(["a", "b"], ["a", "c"], classes=["a", "b"])
    with pytest.raises(DataError, match="not the single value 'a'"):
        PredictionClassif("a", "b")
    with pytest.raises(DataError, match="needs a response or prob"):
        PredictionClassif(["a", "b"])
    with pytest.raises(DataError, match="it needs a column for each of 2 classes"):
        PredictionClassif(["a", "b"], prob=np.ones((2, 3)), classes=["a", "b"])
    with pytest.raises(DataError, match="2 predictions need as many row ids"):
        PredictionRegr([1, 2], [1, 2], row_ids=[1])


def test_combining_keeps_all_rows_in_order():
    both = Prediction.combine([toy(), toy()])
    assert both.row_ids.tolist() == [5, 3, 9, 5, 3, 9]
    assert both.filter([9, 5]).row_ids.tolist() == [5, 9, 5, 9]
    with pytest.raises(DataError, match="classif/prob and classif/response"):
        Prediction.combine([toy(), PredictionClassif(["a"], ["b"])])
    with pytest.raises(DataError, match="different classes"):
        Prediction.combine([PredictionClassif(["a"], ["b"]), PredictionClassif(["a"], ["c"])])
    with pytest.raises(DataError, match="no predictions"):
        Prediction.combine([])


def test_missing_rows_are_filled_in_place_and_marked():
    main = PredictionClassif(["a", "b", "b"], ["a", None, None], classes=["a", "b"], row_ids=[5, 3, 9])
    fallback = PredictionClassif(["b", "b", "a"], ["b", "b", None], classes=["a", "b"], row_ids=[9, 3, 5])
    filled = main.replace_missing(fallback)
    assert filled.row_ids.tolist() == [5, 3, 9]
    assert filled.response.tolist() == ["a", "b", "b"]
    assert filled.imputed.tolist() == [False, True, True]
    assert (filled.n_imputed, filled.n_missing) == (2, 0)
    assert filled.truth.tolist() == ["a", "b", "b"]
    assert main.n_imputed == 0
    short = main.replace_missing(fallback.filter([9]))
    assert short.missing.tolist() == [False, True, False]


def test_scores_are_a_series_by_measure_id():
    scores = toy().score(["classif.acc", "classif.logloss"])
    assert list(scores.index) == ["classif.acc", "classif.logloss"]
    assert scores["classif.acc"] == pytest.approx(2 / 3)
    assert list(toy().score().index) == ["classif.ce"]


labels = st.one_of(
    st.just(("a", "b")), st.just((1, 2, 3)), st.just((False, True)), st.just((0.5, 1.5)), st.just(("é", 'q"', "", "z"))
)


@st.composite
def class_predictions(draw):
    classes = draw(labels)
    n, k = draw(st.integers(0, 6)), len(classes)
    codes = st.lists(st.integers(-1, k - 1), min_size=n, max_size=n)
    prob = np.array(draw(st.lists(st.floats(0, 1), min_size=n * k, max_size=n * k))).reshape(n, k)
    if draw(st.booleans()) and n:
        prob[0, 0] = np.nan
    return PredictionClassif.from_codes(
        classes=classes,
        positive_code=draw(st.integers(0, 1)),
        truth_codes=np.array(draw(codes), dtype=np.int64),
        response_codes=np.array(draw(codes), dtype=np.int64),
        prob=draw(st.sampled_from([None, prob])),
        row_ids=np.array(draw(st.lists(st.integers(0, 2**62), min_size=n, max_size=n)), dtype=np.int64),
        weights=draw(st.sampled_from([None, np.arange(n, dtype=float)])),
        imputed=draw(st.sampled_from([None, np.arange(n) % 2 == 0])),
    )


@settings(max_examples=60, deadline=None)
@given(class_predictions())
def test_classes_come_back_from_arrow_without_loss(p):
    again = Prediction.from_arrow(p.to_arrow())
    assert again.classes == p.classes
    assert [type(one) for one in again.classes] == [type(one) for one in p.classes]
    pd.testing.assert_frame_equal(again.to_frame(), p.to_frame())
    assert again.positive == p.positive
    assert (again._imputed is None) == (p._imputed is None)
    assert again.to_arrow() == p.to_arrow()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(), max_size=6), st.booleans(), st.booleans())
def test_numbers_come_back_from_arrow_without_loss(values, se, quantiles):
    array = np.array(values, dtype=float)
    p = PredictionRegr(
        truth=array[::-1],
        response=array,
        se=np.abs(array) if se else None,
        quantiles=np.column_stack([array, array]) if quantiles else None,
        quantile_probs=[0.1, 0.5] if quantiles else None,
    )
    again = Prediction.from_arrow(p.to_arrow())
    pd.testing.assert_frame_equal(again.to_frame(), p.to_frame())
    assert again.predict_type == p.predict_type
    assert pickle.loads(pickle.dumps(p)).to_arrow() == p.to_arrow()


def test_other_bytes_are_no_prediction():
    with pytest.raises(ArtifactError, match="no stored prediction"):
        Prediction.from_arrow(b"nothing of the kind")


TASK = bm.as_task_classif({"x": range(6), "y": list("abcabc")}, "y")
ROWS = [4, 0, 2]


def test_raw_labels_become_a_prediction():
    p = as_prediction(TASK, ROWS, {"response": np.array(["b", "a", "a"])})
    assert (p.truth.tolist(), p.response.tolist()) == (["b", "a", "c"], ["b", "a", "a"])
    assert p.row_ids.tolist() == ROWS


def test_classes_that_training_did_not_see_have_no_probability():
    p = as_prediction(TASK, ROWS, {"prob": [[1, 0], [0.5, 0.5], [0, 1]], "classes": ["c", "a"]})
    assert p.prob["b"].tolist() == [0, 0, 0]
    assert p.prob["c"].tolist() == [1, 0.5, 0]
    assert p.response.tolist() == ["c", "a", "a"]
    named = as_prediction(TASK, ROWS, {"prob": pd.DataFrame({"b": [1, 0, 1], "a": [0, 1, 0], "c": [0, 0, 0]})})
    assert named.response.tolist() == ["b", "a", "b"]


def test_rows_that_a_learner_leaves_out_are_missing():
    p = as_prediction(TASK, ROWS, {"response": ["a"], "row_ids": [2]})
    assert p.response.tolist() == [None, None, "a"]
    q = as_prediction(TASK, ROWS, {"prob": np.eye(3)[:2], "row_ids": [4, 2]})
    assert q.missing.tolist() == [False, True, False]
    none = as_prediction(TASK, ROWS, {"response": [], "row_ids": []})
    assert none.missing.all()


BAD = [
    ({"response": ["a"]}, "gave 1 response values for 3 rows"),
    ({"response": ["a", "b", "zz"]}, "predicted 'zz', which is no class: a, b, c"),
    ({"response": [["a"], ["b"], ["c"]]}, "not one label per row"),
    ({"prob": np.ones((3, 2))}, r"shape \(3, 2\) for 3 classes"),
    ({"prob": np.full((3, 3), 2.0)}, r"outside of \[0, 1\]"),
    ({"prob": np.eye(3)[:2]}, "gave 2 probability values for 3 rows"),
    ({"response": ["a"], "row_ids": [5]}, "predicted row 5, which was not asked for"),
    ({"respnse": ["a", "b", "c"]}, "unknown part 'respnse'"),
    ({}, "neither a response nor probabilities"),
]


@pytest.mark.parametrize(("raw", "message"), BAD)
def test_a_wrong_raw_prediction_is_the_learners_failure(raw, message):
    with pytest.raises(LearnerError, match=message):
        as_prediction(TASK, ROWS, raw)


def test_raw_numbers_become_a_prediction():
    task = bm.as_task_regr({"x": range(4), "y": [1.0, 2, 3, 4]}, "y")
    p = as_prediction(task, [3, 1], {"response": [4.5, None]})
    assert (p.truth.tolist(), p.missing.tolist()) == ([4.0, 2.0], [False, True])
    q = as_prediction(task, [3, 1], {"quantiles": [[1, 2, 3], [4, 5, 6]], "quantile_probs": [0.1, 0.5, 0.9]})
    assert q.response.tolist() == [2, 5]
    with pytest.raises(LearnerError, match="gave 1 response values for 2 rows"):
        as_prediction(task, [3, 1], {"response": [1.0]})
    with pytest.raises(LearnerError, match="holds no numbers"):
        as_prediction(task, [3, 1], {"response": ["x", "y"]})


def test_weights_of_the_task_go_with_the_prediction():
    task = bm.as_task_classif({"x": range(4), "w": [1.0, 2, 3, 4], "y": list("abab")}, "y", weights="w")
    p = as_prediction(task, [3, 0], {"response": ["b", "b"]})
    assert p.weights.tolist() == [4, 1]
    assert p.score("classif.acc").iloc[0] == 0.8


def test_new_data_have_no_truth():
    p = as_prediction(TASK, ROWS, {"response": list("abc")}, truth=False)
    assert p.truth.tolist() == [None, None, None]
    assert math.isnan(p.score("classif.acc").iloc[0])


def test_building_and_writing_a_prediction_is_fast():
    """Generous, for loaded machines (0.08 ms measured)."""
    task = bm.tsk("breast_cancer")
    rows, prob = task.row_ids[:100], np.random.default_rng(1).dirichlet([1, 1], 100)
    best = math.inf
    for _ in range(30):
        start = time.perf_counter()
        as_prediction(task, rows, {"prob": prob}).to_arrow()
        best = min(best, time.perf_counter() - start)
    assert best < 3e-4


def test_a_prediction_prints_its_rows():
    assert repr(toy()).splitlines()[0] == "<PredictionClassif> for 3 rows, 0 missing, 0 imputed:"
    assert "<table" in toy()._repr_html_()
    assert list(toy().to_frame().columns) == ["row_id", "truth", "response", "prob.a", "prob.b"]


def test_what_is_no_probability_weight_or_row_is_refused():
    with pytest.raises(DataError, match=r"outside of \[0, 1\]"):
        PredictionClassif(["a"], prob=[[2, -1]], classes=["a", "b"])
    with pytest.raises(DataError, match="a class is named twice: a, a"):
        PredictionClassif(["a"], ["a"], classes=["a", "a"])
    with pytest.raises(DataError, match="weights holds negative numbers"):
        PredictionRegr([1.0], [1.0], weights=[-1])
    with pytest.raises(DataError, match="se holds negative numbers"):
        PredictionRegr([1.0], [1.0], se=[-1])
    with pytest.raises(DataError, match="row ids are whole numbers"):
        PredictionRegr([1.0], [1.0], row_ids=[1.5])


def test_a_prediction_of_numbers_holds_all_that_was_predicted():
    """Round trip with everything at once: missing rows, weights, imputed ones, three quantiles."""
    p = PredictionRegr.from_arrays(
        truth=np.array([1.0, np.nan, 3.0]),
        response=np.array([np.nan, 2.0, np.inf]),
        se=np.array([0.1, np.nan, 0.3]),
        quantiles=np.array([[1.0, 2, 3], [np.nan, 1, 2], [0, 0.5, -0.0]]),
        quantile_probs=(0.1, 1 / 3, 0.9),
        row_ids=np.array([2**62, -5, 0]),
        weights=np.array([0.0, 1.5, 2.0]),
        imputed=np.array([True, False, True]),
    )
    again = Prediction.from_arrow(p.to_arrow())
    pd.testing.assert_frame_equal(again.to_frame(), p.to_frame())
    assert again.quantile_probs == p.quantile_probs
    assert again.imputed.tolist() == p.imputed.tolist()
    assert again.missing.tolist() == p.missing.tolist() == [True, True, False]
    assert again.row_ids.tolist() == [2**62, -5, 0]


def test_categories_keep_their_order_through_arrow():
    p = PredictionClassif(
        pd.Categorical(["z", "a"], categories=["z", "m", "a"]), ["m", None], classes=["z", "m", "a"], row_ids=[7, 3]
    )
    again = Prediction.from_arrow(p.to_arrow())
    assert again.classes == ("z", "m", "a")
    assert again.truth.tolist() == ["z", "a"]
    assert again.response.tolist() == ["m", None]
    assert again.confusion.equals(p.confusion)
