"""Measures against scikit-learn and scipy, and their rules; what R returns is in tests/golden."""

from __future__ import annotations

import json
import math
import pickle
import statistics
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

import batchml as bm
from batchml.core.measure import Measure, as_measure, as_measures
from batchml.core.prediction import PredictionClassif, PredictionRegr
from batchml.errors import ConfigError, TrustError, UnknownKeyError
from batchml.measures.ranking import auc_of


def test_a_fold_without_a_value_makes_the_mean_nan():
    assert math.isnan(bm.msr("classif.acc").aggregate([1.0, math.nan]))
    assert math.isnan(bm.msr("regr.rsq").aggregate([math.inf, -math.inf]))
    assert bm.msr("regr.rsq").aggregate([-math.inf, 1.0]) == -math.inf
    assert math.isnan(bm.msr("classif.acc").aggregate([]))


def test_a_missing_prediction_makes_every_measure_nan():
    prediction = PredictionClassif(["a", "b"], ["a", None], classes=["a", "b"])
    assert math.isnan(bm.msr("classif.acc").score(prediction))
    assert math.isnan(bm.msr("regr.mse").score(PredictionRegr([1, 2], [1, None])))


def test_an_unknown_truth_makes_every_measure_nan():
    assert math.isnan(bm.msr("classif.acc").score(PredictionClassif(None, ["a", "b"])))
    assert math.isnan(bm.msr("regr.mse").score(PredictionRegr(None, [1.0])))


def test_a_wrong_predict_type_warns_once_and_gives_nan():
    prediction = PredictionClassif(["a", "b"], ["a", "b"])
    measure = bm.msr("classif.auc")
    with pytest.warns(UserWarning, match=r"'classif\.auc' is NaN: it needs the predict type 'prob'"):
        assert math.isnan(measure.score(prediction))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(measure.score(prediction))


def test_a_measure_of_two_classes_warns_for_three():
    with pytest.warns(UserWarning, match="it needs two classes, the prediction has 3"):
        assert math.isnan(bm.msr("classif.tpr").score(PredictionClassif(list("abc"), list("abc"))))


def test_a_measure_for_the_other_task_type_is_refused():
    with pytest.raises(ConfigError, match=r"'regr\.mse' is for regr tasks, the prediction is classif"):
        bm.msr("regr.mse").score(PredictionClassif(["a", "b"], ["a", "b"]))


def test_an_unknown_measure_names_the_nearest():
    with pytest.raises(UnknownKeyError, match=r"did you mean 'classif\.fomr'"):
        bm.msr("classif.fom")
    with pytest.raises(UnknownKeyError, match=r"no measure is called 'clasif\.acc' \(did you mean 'classif\.acc'"):
        bm.as_measure("clasif.acc")
    with pytest.raises(UnknownKeyError, match=r"no parameter 'bta'.*did you mean 'beta'"):
        bm.msr("classif.fbeta", bta=2)


def test_costs_are_averaged_or_summed():
    prediction = PredictionClassif(list("aabb"), list("abbb"))
    table = pd.DataFrame([[0, 5], [1, 0]], index=["a", "b"], columns=["a", "b"])
    measure = bm.msr("classif.costs", costs=table)
    assert measure.score(prediction) == 0.25
    assert Measure.from_spec(json.loads(json.dumps(measure.spec()))).score(prediction) == 0.25
    assert bm.msr("classif.costs", costs=table.to_numpy()).score(prediction) == 0.25
    with pytest.raises(ConfigError, match="the costs lack the class 'b'"):
        bm.msr("classif.costs", costs=table.loc[["a"], :]).score(prediction)
    assert bm.msr("classif.costs", costs=table, normalize=False).score(prediction) == 1.0
    with pytest.raises(ConfigError, match="needs costs"):
        bm.msr("classif.costs").score(prediction)


def test_sets_are_scored_together():
    test = PredictionClassif(list("ab"), list("ab"))
    train = PredictionClassif(list("ab"), list("bb"))
    measure = bm.msr("classif.acc", predict_sets=["train", "test"])
    assert measure.score({"test": test, "train": train}) == 0.75
    with pytest.warns(UserWarning, match="no prediction of the set 'train'"):
        assert math.isnan(measure.score({"test": test}))


@pytest.mark.parametrize("key", sorted(bm.msr().key))
def test_a_spec_gives_the_measure_back(key):
    measure = bm.msr(key)
    again = Measure.from_spec(json.loads(json.dumps(measure.spec())))
    assert again.spec() == measure.spec()
    assert again.facts == measure.facts
    assert pickle.loads(pickle.dumps(measure)).spec() == measure.spec()
    assert measure.id in repr(measure)


def test_fields_and_parameters_are_in_the_spec():
    measure = bm.msr("classif.fbeta", beta=2.0, average="micro", predict_sets="train", aggregator=statistics.median)
    spec = {**measure.spec()}
    assert spec["params"] == {"beta": 2.0}
    aggregator = spec.pop("aggregator")
    assert "median" in json.dumps(aggregator)
    again = Measure.from_spec(spec)
    assert (again.average, again.predict_sets, again.params) == ("micro", ("train",), {"beta": 2.0})


def test_another_name_is_the_same_measure():
    assert bm.msr("classif.recall").digest == bm.msr("classif.tpr").digest
    assert bm.msr("classif.recall").id == "classif.recall"


def test_two_measures_with_one_id_are_refused():
    with pytest.raises(ConfigError, match=r"two measures are called 'classif\.acc'"):
        as_measures(["classif.acc", bm.msr("classif.acc")])


def test_a_scorer_of_scikit_learn_is_a_measure():
    rng = np.random.default_rng(1)
    prob = rng.dirichlet([1, 1, 1], size=50)
    truth = rng.choice(list("abc"), 50)
    prediction = PredictionClassif(truth, prob=prob, classes=list("abc"))
    f1 = as_measure(metrics.get_scorer("f1_macro"))
    assert f1.id == "f1_macro"
    assert f1.score(prediction) == metrics.f1_score(truth, prediction.response, average="macro")
    loss = as_measure(metrics.get_scorer("neg_log_loss"))
    assert loss.score(prediction) == pytest.approx(-metrics.log_loss(truth, prob, labels=list("abc")))
    again = Measure.from_spec(json.loads(json.dumps(f1.spec())))
    assert again.score(prediction) == f1.score(prediction)
    ranked = as_measure(metrics.get_scorer("roc_auc"))
    two = PredictionClassif(["n", "y", "y", "n"], prob=[0.1, 0.9, 0.4, 0.5], classes=["n", "y"], positive="y")
    assert ranked.score(two) == 0.75


def test_a_function_is_a_measure_by_its_import_path():
    measure = as_measure(metrics.mean_absolute_percentage_error)
    prediction = PredictionRegr([1.0, 2.0], [2.0, 2.0])
    assert measure.score(prediction) == 0.5
    assert measure.spec()["key"] == "function"
    with pytest.raises(ConfigError):
        as_measure(lambda truth, response: 0.0).spec()


def test_a_function_that_nobody_trusted_is_refused():
    spec = as_measure(metrics.mean_absolute_percentage_error).spec()
    text = json.dumps(spec).replace("sklearn.metrics.mean_absolute_percentage_error", "os.system")
    with pytest.raises(TrustError):
        Measure.from_spec(json.loads(text))


SMALL = settings(max_examples=40, deadline=None)


@st.composite
def classified(draw, k):
    n = draw(st.integers(2, 40))
    truth = draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n))
    steps = draw(st.lists(st.lists(st.integers(1, 5), min_size=k, max_size=k), min_size=n, max_size=n))
    weights = draw(st.one_of(st.none(), st.lists(st.floats(0.1, 5), min_size=n, max_size=n)))
    prob = np.array(steps, dtype=float)
    return np.array(truth), prob / prob.sum(axis=1, keepdims=True), weights


@pytest.mark.filterwarnings("ignore::UserWarning:sklearn")
@SMALL
@given(classified(2))
def test_two_classes_agree_with_scikit_learn(drawn):
    truth, prob, weights = drawn
    p = PredictionClassif(truth, prob=prob, classes=[0, 1], weights=weights)
    said = p.response
    ours = {key: bm.msr(f"classif.{key}").score(p) for key in ("acc", "mcc", "logloss", "bbrier")}
    theirs = {
        "acc": metrics.accuracy_score(truth, said, sample_weight=weights),
        "mcc": metrics.matthews_corrcoef(truth, said, sample_weight=weights),
        "logloss": metrics.log_loss(truth, prob, sample_weight=weights, labels=[0, 1]),
        "bbrier": metrics.brier_score_loss(truth, prob[:, 1], sample_weight=weights, labels=[0, 1]),
    }
    assert ours == pytest.approx(theirs, abs=1e-9)
    if len(set(truth)) == 2:
        area = metrics.roc_auc_score(truth, prob[:, 1], sample_weight=weights)
        assert bm.msr("classif.auc").score(p) == pytest.approx(area, abs=1e-9)
        balanced = metrics.balanced_accuracy_score(truth, said, sample_weight=weights)
        assert bm.msr("classif.bacc").score(p) == pytest.approx(balanced, abs=1e-9)
    if set(said) & {1} and set(truth) & {1}:
        found = [bm.msr(f"classif.{key}").score(p) for key in ("precision", "recall", "fbeta")]
        wanted = metrics.precision_recall_fscore_support(truth, said, average="binary", sample_weight=weights)[:3]
        assert found == pytest.approx(list(wanted), abs=1e-9)


@pytest.mark.filterwarnings("ignore::UserWarning:sklearn")
@SMALL
@given(classified(3))
def test_three_classes_agree_with_scikit_learn(drawn):
    truth, prob, _ = drawn
    p = PredictionClassif(truth, prob=prob, classes=[0, 1, 2])
    assert bm.msr("classif.mcc").score(p) == pytest.approx(metrics.matthews_corrcoef(truth, p.response), abs=1e-9)
    if len(set(truth)) == 3:
        for key, way, average in (("aunu", "ovr", "macro"), ("aunp", "ovr", "weighted"), ("au1u", "ovo", "macro")):
            area = metrics.roc_auc_score(truth, prob, multi_class=way, average=average)
            assert bm.msr(f"classif.mauc_{key}").score(p) == pytest.approx(area, abs=1e-9)


def test_the_weighted_auc_counts_pairs():
    rng = np.random.default_rng(3)
    values, positive, weights = rng.integers(0, 6, 60) / 6, rng.random(60) < 0.4, rng.random(60)
    pairs = (values[positive][:, None] > values[~positive]) + 0.5 * (values[positive][:, None] == values[~positive])
    by = weights[positive][:, None] * weights[~positive]
    assert auc_of(values, positive, weights) == pytest.approx((pairs * by).sum() / by.sum(), abs=1e-12)


@SMALL
@given(st.lists(st.tuples(st.integers(-8, 8), st.integers(-8, 8), st.floats(0.1, 4)), min_size=3, max_size=30))
def test_numbers_agree_with_scikit_learn_and_scipy(rows):
    truth, response, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    p = PredictionRegr(truth, response, weights=weights)
    for key, function in (
        ("mse", metrics.mean_squared_error),
        ("rmse", metrics.root_mean_squared_error),
        ("mae", metrics.mean_absolute_error),
    ):
        wanted = function(truth, response, sample_weight=weights)
        assert bm.msr(f"regr.{key}").score(p) == pytest.approx(wanted, abs=1e-9)
    plain = PredictionRegr(truth, response)
    assert bm.msr("regr.medae").score(plain) == metrics.median_absolute_error(truth, response)
    assert bm.msr("regr.maxae").score(plain) == metrics.max_error(truth, response)
    if np.ptp(truth) and np.ptp(response):
        wanted = metrics.r2_score(truth, response, sample_weight=weights)
        assert bm.msr("regr.rsq").score(p) == pytest.approx(wanted, abs=1e-9)
        tau = scipy.stats.kendalltau(truth, response).statistic
        assert bm.msr("regr.ktau").score(plain) == pytest.approx(tau, abs=1e-9)
        rho = scipy.stats.spearmanr(truth, response).statistic
        assert bm.msr("regr.srho").score(plain) == pytest.approx(rho, abs=1e-9)


def test_kendall_is_the_same_for_many_rows():
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 50, 1000).astype(float)
    response = truth + rng.integers(0, 50, 1000)
    wanted = scipy.stats.kendalltau(truth, response).statistic
    assert bm.msr("regr.ktau").score(PredictionRegr(truth, response)) == pytest.approx(wanted, abs=1e-12)


def test_the_explained_quantile_loss_is_relative_to_the_truths_own():
    rng = np.random.default_rng(7)
    truth = rng.normal(size=200)
    known = np.full((200, 1), np.quantile(truth, 0.3))
    measure = bm.msr("regr.rqr", alpha=0.3)
    assert measure.score(PredictionRegr(truth, quantiles=known, quantile_probs=[0.3])) == pytest.approx(0)
    assert measure.score(PredictionRegr(truth, quantiles=truth[:, None], quantile_probs=[0.3])) == 1


def test_scoring_a_hundred_rows_takes_less_than_a_tenth_of_a_millisecond():
    """Five measures; generous, for loaded machines (0.015 ms measured)."""
    rng = np.random.default_rng(1)
    measures = bm.msrs(["classif.acc", "classif.ce", "classif.bacc", "classif.logloss", "classif.auc"])
    parts = [PredictionClassif(rng.choice(["a", "b"], 100), prob=rng.dirichlet([1, 1], 100)) for _ in range(50)]
    best = math.inf
    for _ in range(5):
        for part in parts:
            part._missing = part._confusion = None
        start = time.perf_counter()
        for part in parts:
            for measure in measures:
                measure.score(part)
        best = min(best, time.perf_counter() - start)
    assert best / 250 < 1e-4


def learner_with(features, of=10):
    class Told:
        class state:  # noqa: N801
            class schema:  # noqa: N801
                columns = range(of)

        def selected_features(self):
            return features

    return Told()


def similarity(key, *sets, of=10, **params):
    return bm.msr(key, **params).aggregate([], learners=[learner_with(one, of) for one in sets])


def test_feature_sets_are_compared_in_pairs():
    """Definitions: Jaccard's share of common elements; phi, the correlation of the indicators."""
    assert similarity("sim.jaccard", ["a", "b"], ["b", "c"]) == 1 / 3
    assert similarity("sim.jaccard", ["a"], ["a"], ["b"]) == 1 / 3
    assert similarity("sim.jaccard", [], ["a"]) == 0
    assert math.isnan(similarity("sim.jaccard", [], [], ["a"]))
    a, b = np.isin(range(10), [0, 1, 2]), np.isin(range(10), [1, 2, 3, 4])
    correlation = np.corrcoef(a, b)[0, 1]
    assert similarity("sim.phi", [0, 1, 2], [1, 2, 3, 4]) == pytest.approx(correlation)
    assert similarity("sim.phi", ["a"], ["b"], of=2) == -1
    assert similarity("sim.phi", ["a"], ["b"], p=2) == -1
    assert math.isnan(similarity("sim.phi", ["a", "b"], ["a"], p=2))
    assert similarity("sim.jaccard", [], [], na_value=0) == 0


def test_the_similarity_of_feature_sets_needs_the_models():
    measure = bm.msr("sim.jaccard")
    assert math.isnan(measure.score(PredictionClassif(["a"], ["a"])))
    with pytest.warns(UserWarning, match=r"'sim\.jaccard' is NaN: it needs the trained learners"):
        assert math.isnan(measure.aggregate([math.nan]))
    assert (measure.average, measure.spec()["key"]) == ("custom", "sim.jaccard")


def test_a_model_tells_how_many_features_it_uses():
    task = bm.tsk("iris")
    learner = learner_with(["petal_length_cm"])
    assert bm.msr("selected_features").score(learner=learner, task=task) == 1
    assert bm.msr("selected_features", normalize=True).score(learner=learner, task=task) == 0.25
    with pytest.warns(UserWarning, match="it needs the trained learner: .* store_models=True"):
        assert math.isnan(bm.msr("selected_features").score())


class Candid:
    oob_error = 0.25

    def aic(self):
        return 12.5

    def bic(self):
        return None


def test_what_a_model_says_of_itself_is_a_score():
    assert bm.msr("oob_error").score(learner=Candid()) == 0.25
    assert bm.msr("aic").score(learner=Candid()) == 12.5
    for key in ("bic", "internal_valid_score", "best_valid_score"):
        assert math.isnan(bm.msr(key).score(learner=Candid()))
    assert bm.msr("bic", na_value=-1).score(learner=Candid()) == -1


def test_the_debug_measure_counts_rows():
    p = PredictionRegr([1.0, 2.0], [1.0, 2.0])
    assert bm.msr("debug").score(p) == 2
    assert math.isnan(bm.msr("debug", na_ratio=1).score(p))


def test_an_undefined_value_can_be_a_number_but_a_missing_prediction_cannot():
    nothing_found = PredictionClassif(["a", "b"], ["b", "b"])
    measure = bm.msr("classif.ppv", na_value=0)
    assert math.isnan(bm.msr("classif.ppv").score(nothing_found))
    assert measure.score(nothing_found) == 0
    assert Measure.from_spec(json.loads(json.dumps(measure.spec()))).score(nothing_found) == 0
    assert math.isnan(measure.score(PredictionClassif(["a", "b"], ["b", None])))


#: measure -> how the losses of rows become its value
LOSSES = {
    "classif.ce": np.mean, "classif.bbrier": np.mean, "classif.logloss": np.mean, "regr.mse": np.mean,
    "regr.rmse": lambda x: np.sqrt(np.mean(x)), "regr.sse": np.sum, "regr.medse": np.median, "regr.mae": np.mean,
    "regr.sae": np.sum, "regr.medae": np.median, "regr.maxae": np.max, "regr.mape": np.mean, "regr.msle": np.mean,
}  # fmt: skip


@pytest.mark.parametrize("key", sorted(LOSSES))
def test_losses_of_rows_make_up_the_measure(key):
    rng = np.random.default_rng(3)
    p = PredictionRegr(rng.uniform(1, 9, 30), rng.uniform(1, 9, 30))
    if key.startswith("classif"):
        p = PredictionClassif(rng.choice(["a", "b"], 30), prob=rng.dirichlet([1, 1], 30), classes=["a", "b"])
    table = p.obs_loss(key)
    assert list(table.columns) == ["row_id", "truth", "response", key]
    assert LOSSES[key](table[key]) == pytest.approx(bm.msr(key).score(p), abs=1e-12)


def test_a_missing_row_has_no_loss_and_some_measures_have_none():
    p = PredictionClassif(["a", "b", None], ["a", None, "b"], classes=["a", "b"])
    table = p.obs_loss(["classif.ce", "classif.acc"])
    assert table["classif.ce"].fillna(-1).tolist() == table["classif.acc"].fillna(-1).tolist() == [0, -1, -1]
    with pytest.warns(UserWarning, match="rows have no loss of their own"):
        assert p.obs_loss("classif.mcc")["classif.mcc"].isna().all()
    with pytest.raises(ConfigError, match="is for regr tasks"):
        p.obs_loss("regr.mse")


@SMALL
@given(st.integers(301, 700), st.integers(1, 400), st.integers(0, 2**32))
def test_kendalls_tau_of_many_rows_is_that_of_scipy(n, values, seed):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, values + 1, n).astype(float)
    b = a * rng.choice([-1, 1]) + rng.integers(0, values + 1, n)
    wanted = scipy.stats.kendalltau(a, b).statistic
    assert bm.msr("regr.ktau").score(PredictionRegr(a, b)) == pytest.approx(wanted, abs=1e-12, nan_ok=True)


def test_the_weighted_macro_average_goes_by_rows_or_by_their_weights():
    measure = bm.msr("regr.mae", average="macro_weighted")
    parts = [PredictionRegr([1, 2], [1, 3], weights=[1, 3]), PredictionRegr([1], [3], weights=[6])]
    values = [measure.score(part) for part in parts]
    assert values == [0.75, 2.0]
    assert measure.aggregate(values, n=[2, 1]) == pytest.approx((2 * 0.75 + 2) / 3)
    assert measure.aggregate(values, n=[2, 1], predictions=parts) == pytest.approx((4 * 0.75 + 6 * 2) / 10)
    free = [PredictionRegr([1, 2], [1, 3]), PredictionRegr([1], [3])]
    assert measure.aggregate([0.5, 2.0], n=[2, 1], predictions=free) == 1.0


WEIGHTED = [key for key in bm.msr().key if "weights" in bm.msr(key).properties]


@pytest.mark.parametrize("key", WEIGHTED)
def test_a_weight_of_two_is_the_row_twice_and_equal_weights_change_nothing(key):
    rng = np.random.default_rng(5)
    weights = rng.integers(1, 4, 25).astype(float)
    times = np.repeat(np.arange(25), weights.astype(int))
    truth, said = rng.uniform(1, 9, 25), rng.uniform(1, 9, 25)
    if key.startswith("classif"):
        prob = rng.dirichlet([2, 2], 25)
        whole = PredictionClassif(rng.choice(["a", "b"], 25), prob=prob, classes=["a", "b"], weights=weights)
    elif bm.msr(key).predict_type == "quantiles":
        whole = PredictionRegr(truth, quantiles=said[:, None], quantile_probs=[0.5], weights=weights)
    else:
        whole = PredictionRegr(truth, said, weights=weights)
    once = whole._copy(weights=None).take(times)
    if key != "regr.rqr":  # the quantile of the truth itself is not weighted
        assert bm.msr(key).score(whole) == pytest.approx(bm.msr(key).score(once), abs=1e-10)
    ones, none = whole._copy(weights=np.ones(25)), whole._copy(weights=None)
    assert bm.msr(key).score(ones) == pytest.approx(bm.msr(key).score(none), abs=1e-12)


def test_a_fold_without_a_class_has_no_auc_and_the_mean_none_either():
    parts = [
        PredictionClassif(["a", "b"], prob=[0.9, 0.2], classes=["a", "b"]),
        PredictionClassif(["a", "a"], prob=[0.9, 0.8], classes=["a", "b"]),
    ]
    measure = bm.msr("classif.auc")
    values = [measure.score(part) for part in parts]
    assert (values[0], math.isnan(values[1]), math.isnan(measure.aggregate(values))) == (1.0, True, True)
    assert bm.msr("classif.auc", average="micro").aggregate(values, predictions=parts) == 1.0


RNG = np.random.default_rng(8)
X = RNG.normal(size=(60, 3))
LABELS = {
    "two": np.array(["no", "yes"])[(X[:, 0] + RNG.normal(size=60) > 0).astype(int)],
    "three": np.array(["a", "b", "c"])[np.digitize(X[:, 0] + RNG.normal(size=60), [-0.7, 0.7])],
    "zero and one": (X[:, 1] + RNG.normal(size=60) > 0).astype(int),
    "counts": RNG.poisson(3, 60) + 1.0,
}


def fitted(y):
    from sklearn.linear_model import PoissonRegressor
    from sklearn.naive_bayes import GaussianNB

    return (PoissonRegressor() if y.dtype.kind == "f" else GaussianNB()).fit(X, y)


def prediction_by(model, y):
    if y.dtype.kind == "f":
        return PredictionRegr(y, model.predict(X))
    classes = model.classes_.tolist()
    return PredictionClassif(y, prob=model.predict_proba(X), classes=classes, positive=classes[-1])


@pytest.mark.parametrize("kind", ["two", "three", "zero and one", "counts"])
@pytest.mark.filterwarnings("ignore")
def test_every_scorer_of_scikit_learn_gives_its_value(kind):
    """Scorers that cannot score such a target fail as scikit-learn's do."""
    y = LABELS[kind]
    model = fitted(y)
    p = prediction_by(model, y)
    scored = 0
    for name in metrics.get_scorer_names():
        try:
            wanted = metrics.get_scorer(name)(model, X, y)
        except (TypeError, ValueError, AttributeError):
            continue
        measure = as_measure(metrics.get_scorer(name))
        assert measure.id == name
        if not math.isnan(wanted):
            assert measure.score(p) == pytest.approx(wanted, abs=1e-12), name
            scored += 1
    assert scored > 15


def test_scorers_and_functions_go_by_their_names():
    assert as_measure("f1_macro").spec() == as_measure(metrics.get_scorer("f1_macro")).spec()
    named = as_measure("sklearn.metrics.mean_absolute_percentage_error")
    assert named.spec() == as_measure(metrics.mean_absolute_percentage_error).spec()
    assert [one.id for one in as_measures(["classif.acc", "accuracy"])] == ["classif.acc", "accuracy"]
    for strange in ("classif.foo", "foo"):
        with pytest.raises(UnknownKeyError, match=f"no measure is called '{strange}'"):
            as_measure(strange)
    with pytest.raises(TrustError, match=r"os\.system is not trusted"):
        as_measure("os.system")


def test_an_aggregator_is_a_function():
    assert bm.msr("classif.acc", aggregator=min).aggregate([0.5, 0.25]) == 0.25
    with pytest.raises(ConfigError, match="aggregator is a function of the values, not 3"):
        bm.msr("classif.acc", aggregator=3)


@pytest.mark.parametrize(
    ("key", "given", "rule"),
    [
        ("classif.fbeta", {"beta": "a"}, "beta is a number of at least 0, not 'a'"),
        ("classif.fbeta", {"beta": -1}, "beta is a number of at least 0, not -1"),
        ("classif.fbeta", {"beta": math.nan}, "beta is a number of at least 0, not nan"),
        ("classif.fbeta", {"beta": True}, "beta is a number of at least 0, not True"),
        ("regr.pinball", {"alpha": 2}, "alpha is a number from 0 to 1, not 2"),
        ("classif.logloss", {"eps": None}, "eps is a number from 0 to 0.5, not None"),
        ("classif.costs", {"normalize": "no"}, "normalize is True or False, not 'no'"),
    ],
)
def test_a_parameter_that_no_prediction_could_be_scored_with_is_refused_at_once(key, given, rule):
    with pytest.raises(ConfigError, match=rule):
        bm.msr(key, **given)
    assert bm.msr("classif.fbeta", beta=np.float64(2)).params == {"beta": 2.0}
