"""Measures: what R returned for fixed vectors."""

from __future__ import annotations

import math
import statistics
import warnings

import numpy as np
import pytest
from golden_ledger import Ledger, rows, same

import batchml as bm
from batchml.core.measure import default_measures
from batchml.core.prediction import Prediction, PredictionClassif, PredictionRegr
from batchml.errors import ConfigError, UnknownKeyError

ledger = Ledger("measures")


def classes(facts, **more):
    return PredictionClassif(
        truth=facts["truth"],
        response=facts.get("response"),
        prob=np.array(facts["prob"]) if "prob" in facts else None,
        classes=facts.get("levels"),
        positive=facts.get("positive"),
        **more,
    )


def scores(prediction, wanted):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {key: bm.msr(key).score(prediction) for key in wanted}
    # Where R stops, there is no value.
    same(found, {key: math.nan if isinstance(value, dict) else value for key, value in wanted.items()})


@ledger.replays("binary_basic", "binary_perfect", "binary_inverted", "binary_never_pos", "binary_always_pos")
def of_two_classes(case):
    scores(classes(case.inputs), case.output)


@ledger.replays("multiclass_absent_class", but="measures of two classes are NaN with a warning where R stops")
def of_three_classes(case):
    scores(classes(case.inputs), case.output)
    with pytest.warns(UserWarning, match="it needs two classes"):
        bm.msr("classif.tpr").score(classes(case.inputs))


@ledger.replays("regr_basic", "regr_with_zero", "regr_constant_truth")
def of_numbers(case):
    scores(PredictionRegr(case.inputs["truth"], case.inputs["response"]), case.output)


@ledger.replays(
    "measure_table",
    but="R's properties na_score, requires_model and requires_task have no name here; regr.rqr is an error there",
)
def facts_of_measures(case):
    unnamed = {"na_score", "requires_model", "requires_task"}
    for key, wanted in case.output.items():
        if key == "regr.rqr":
            continue
        measure = bm.msr(key)
        found = {
            "minimize": measure.minimize,
            "range": list(measure.range),
            "predict_type": measure.predict_type,
            "average": measure.average,
            "properties": sorted(measure.properties),
            "task_properties": list(measure.task_properties),
            "task_type": measure.task_type,
        }
        same(found, {**wanted, "properties": sorted(set(wanted["properties"]) - unnamed)}, key)


@ledger.replays(
    "confusion_perfect", "confusion_inverted", "confusion_never_pos", "confusion_always_pos",
    "confusion_one_class_truth", "confusion_ties", "multiclass_confusion",
)  # fmt: skip
def confusion(case):
    wanted = case.output["__matrix__"]
    found = PredictionClassif(case.inputs["truth"], case.inputs["response"], classes=wanted["rownames"]).confusion
    same(found.to_numpy(), wanted["data"])
    same([list(found.index), list(found.columns)], [wanted["rownames"], wanted["colnames"]])


@ledger.replays("fbeta_1", "fbeta_2")
def fbeta(case):
    facts = {name: case.inputs[name] for name in ("truth", "response", "positive")}
    same(bm.msr("classif.fbeta", beta=case.inputs["beta"]).score(classes(facts)), case.output)


@ledger.replays("fbeta_fn")
def fbeta_of_nothing_found(case):
    prediction = classes({**case.inputs, "positive": "pos"})
    found = {
        "default": bm.msr("classif.fbeta").score(prediction),
        "na0": bm.msr("classif.fbeta", na_value=0).score(prediction),
    }
    same(found, case.output)


@ledger.replays("logloss_clip")
def logloss(case):
    prediction = classes({**case.inputs, "levels": case.inputs["columns"]})
    found = {
        "default": bm.msr("classif.logloss").score(prediction),
        "eps": bm.msr("classif.logloss", eps=0.001).score(prediction),
    }
    same(found, case.output)


@ledger.replays("threshold_multi", but="the first of equals is chosen; R draws one")
def thresholds(case):
    same(classes(case.inputs).set_threshold(case.inputs["threshold"]).response, case.output)


@ledger.replays("pinball")
def pinball(case):
    prediction = PredictionRegr(
        case.inputs["truth"],
        quantiles=np.array(case.inputs["response"])[:, None],
        quantile_probs=[case.inputs["alpha"]],
    )
    same(bm.msr("regr.pinball", alpha=case.inputs["alpha"]).score(prediction), case.output)


@ledger.replays("msr_missing")
def unknown_measure(case):
    with pytest.raises(UnknownKeyError, match=r"did you mean 'classif\.fomr'"):
        bm.msr("classif.foo")
    assert "classif.fomr" in case.error


@ledger.replays("score_default")
def defaults(case):
    found = {kind: {one.id: one.id for one in default_measures(kind)} for kind in case.output}
    same(found, case.output)


@ledger.differs("score_na_regr", why="R stops; here a missing prediction makes the score NaN, and is counted")
def missing_prediction(case):
    prediction = PredictionRegr(case.inputs["truth"], case.inputs["response"])
    assert math.isnan(bm.msr("regr.mse").score(prediction))
    assert prediction.n_missing == 1


@ledger.replays("wrong_predict_type")
def wrong_predict_type(case):
    prediction = PredictionClassif(["pos", "neg"], ["pos", "neg"])
    with pytest.warns(UserWarning, match="needs the predict type 'prob'"):
        same(prediction.score("classif.auc").to_dict(), case.output)


@ledger.replays("wrong_task_type")
def wrong_task_type(case):
    with pytest.raises(ConfigError, match=r"'regr\.mse' is for regr tasks"):
        PredictionClassif(["pos", "neg"], ["pos", "neg"]).score("regr.mse")
    assert "incompatible" in case.error


def folds(case):
    names = ("truth", "response", "prob")
    whole = classes({name: case.inputs[name] for name in names} | {"levels": ["pos", "neg"]})
    return [whole.take(np.array(rows) - 1) for rows in case.inputs["folds"]]


@ledger.replays("agg_auc")
def macro_and_micro(case):
    parts = folds(case)
    values = [bm.msr("classif.auc").score(part) for part in parts]
    found = {
        "folds": values,
        "macro": bm.msr("classif.auc").aggregate(values),
        "micro": bm.msr("classif.auc", average="micro").aggregate(values, predictions=lambda: parts),
    }
    same(found, case.output)


@ledger.replays("agg_macro_weighted")
def macro_weighted(case):
    measure = bm.msr("classif.ce", average="macro_weighted")
    parts = folds(case)
    same(measure.aggregate([measure.score(part) for part in parts], n=[len(part) for part in parts]), case.output)


@ledger.replays("agg_aggregator")
def aggregators(case):
    values = [bm.msr("classif.ce").score(part) for part in folds(case)]
    named = {"median": statistics.median, "sd": statistics.stdev, "max": max}
    found = {word: bm.msr("classif.ce", aggregator=function).aggregate(values) for word, function in named.items()}
    same(found, case.output)


@ledger.replays("agg_times")
def times(case):
    pairs = zip(case.inputs["train_time"], case.inputs["predict_time"], strict=True)
    timings = [{"train": train, "predict": predict} for train, predict in pairs]
    found = {}
    for key in case.output:
        measure = bm.msr(key)
        found[key] = measure.aggregate([measure.score(timings=one) for one in timings])
    same(found, case.output)


@ledger.replays("agg_pooled_prediction", but="rows count from 0")
def pooled(case):
    frame = Prediction.combine(folds(case)).to_frame()
    found = frame[["row_id", "truth", "response"]].to_numpy(dtype=object).tolist()
    same(found, [[row - 1, truth, response] for row, truth, response in rows(case.output)])
