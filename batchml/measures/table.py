"""What measures there are."""

from __future__ import annotations

import math
from typing import Any, Final

from batchml.core.measure import Facts

__all__ = ["FACTS", "NAMES"]

_INF = math.inf


def _classif(kernel: str, about: str, **more: Any) -> Facts:
    defaults: dict[str, Any] = {"range": (0.0, 1.0), "minimize": False, "weights": True, "task_type": "classif"}
    return Facts(kernel=f"measures.{kernel}", about=about, **{**defaults, **more})


def _binary(kernel: str, about: str, **more: Any) -> Facts:
    return _classif(f"binary:{kernel}", about, twoclass=True, **more)


def _prob(kernel: str, about: str, **more: Any) -> Facts:
    return _classif(kernel, about, predict_type="prob", **more)


def _regr(kernel: str, about: str, **more: Any) -> Facts:
    defaults: dict[str, Any] = {"range": (0.0, _INF), "minimize": True, "weights": True, "task_type": "regr"}
    return Facts(kernel=f"measures.regr:{kernel}", about=about, **{**defaults, **more})


def _similarity(kernel: str, about: str, **more: Any) -> Facts:
    return Facts(
        kernel=f"measures.similarity:{kernel}",
        about=about,
        needs="learners",
        task_type=None,
        predict_type=None,
        minimize=False,
        **more,
    )


def _general(
    kernel: str, about: str, needs: Any, *, least: float = 0.0, minimize: bool | None = True, **more: Any
) -> Facts:
    return Facts(
        kernel=f"measures.general:{kernel}",
        about=about,
        needs=needs,
        task_type=None,
        predict_type=None,
        range=(least, _INF),
        minimize=minimize,
        **more,
    )


_COUNT: Final[dict[str, Any]] = {"range": (0.0, _INF)}

#: Another name -> the measure.
NAMES: Final = {
    "classif.precision": "classif.ppv",
    "classif.recall": "classif.tpr",
    "classif.sensitivity": "classif.tpr",
    "classif.specificity": "classif.tnr",
}

FACTS: Final[dict[str, Facts]] = {
    "classif.acc": _classif("classif:acc", "accuracy", loss="measures.losses:zero_one"),
    "classif.ce": _classif("classif:ce", "classification error", minimize=True, loss="measures.losses:zero_one"),
    "classif.bacc": _classif("classif:bacc", "balanced accuracy: mean recall of the classes that occur"),
    "classif.mcc": _classif("classif:mcc", "Matthews correlation", range=(-1.0, 1.0)),
    "classif.costs": _classif(
        "classif:costs",
        "costs of confusions",
        range=(-_INF, _INF),
        minimize=True,
        weights=False,
        params={"costs": None, "normalize": True},
    ),
    "classif.logloss": _prob(
        "classif:logloss",
        "log loss",
        minimize=True,
        range=(0.0, _INF),
        params={"eps": 1e-15},
        bounds={"eps": (0.0, 0.5)},
        loss="measures.losses:logarithmic",
    ),
    "classif.mbrier": _prob("classif:mbrier", "Brier score of all classes", minimize=True, range=(0.0, 2.0)),
    "classif.bbrier": _prob(
        "binary:bbrier", "Brier score of the positive class", minimize=True, twoclass=True, loss="measures.losses:brier"
    ),
    "classif.auc": _prob("ranking:auc", "area under the ROC curve", twoclass=True),
    "classif.prauc": _prob("ranking:prauc", "area under the precision-recall curve", twoclass=True, weights=False),
    "classif.mauc_aunu": _prob("ranking:mauc_aunu", "AUC, each class against the rest, uniform", weights=False),
    "classif.mauc_aunp": _prob("ranking:mauc_aunp", "AUC, each class against the rest, by prevalence", weights=False),
    "classif.mauc_au1u": _prob("ranking:mauc_au1u", "AUC of pairs of classes, uniform", weights=False),
    "classif.mauc_au1p": _prob("ranking:mauc_au1p", "AUC of pairs of classes, by prevalence", weights=False),
    "classif.mauc_mu": _prob("ranking:mauc_mu", "AUC of pairs of classes by their difference", weights=False),
    "classif.tp": _binary("tp", "true positives", **_COUNT),
    "classif.tn": _binary("tn", "true negatives", **_COUNT),
    "classif.fp": _binary("fp", "false positives", minimize=True, **_COUNT),
    "classif.fn": _binary("fn", "false negatives", minimize=True, **_COUNT),
    "classif.tpr": _binary("tpr", "true positive rate"),
    "classif.tnr": _binary("tnr", "true negative rate"),
    "classif.fpr": _binary("fpr", "false positive rate", minimize=True),
    "classif.fnr": _binary("fnr", "false negative rate", minimize=True),
    "classif.ppv": _binary("ppv", "positive predictive value"),
    "classif.npv": _binary("npv", "negative predictive value"),
    "classif.fdr": _binary("fdr", "false discovery rate", minimize=True),
    "classif.fomr": _binary("fomr", "false omission rate", minimize=True),
    "classif.dor": _binary("dor", "diagnostic odds ratio", range=(0.0, _INF)),
    "classif.fbeta": _binary("fbeta", "F-beta score", params={"beta": 1.0}, bounds={"beta": (0.0, _INF)}),
    "classif.precision": _binary("ppv", "positive predictive value"),
    "classif.recall": _binary("tpr", "true positive rate"),
    "classif.sensitivity": _binary("tpr", "true positive rate"),
    "classif.specificity": _binary("tnr", "true negative rate"),
    "regr.mse": _regr("mse", "mean squared error", loss="measures.losses:squared"),
    "regr.rmse": _regr("rmse", "root of the mean squared error", loss="measures.losses:squared"),
    "regr.mae": _regr("mae", "mean absolute error", loss="measures.losses:absolute"),
    "regr.rsq": _regr("rsq", "share of variance explained", range=(-_INF, 1.0), minimize=False),
    "regr.sse": _regr("sse", "sum of squared errors", loss="measures.losses:squared"),
    "regr.sae": _regr("sae", "sum of absolute errors", loss="measures.losses:absolute"),
    "regr.medse": _regr("medse", "median squared error", weights=False, loss="measures.losses:squared"),
    "regr.medae": _regr("medae", "median absolute error", weights=False, loss="measures.losses:absolute"),
    "regr.maxae": _regr("maxae", "largest absolute error", weights=False, loss="measures.losses:absolute"),
    "regr.mape": _regr("mape", "mean absolute error relative to the truth", loss="measures.losses:relative"),
    "regr.smape": _regr("smape", "symmetric mean absolute percentage error", range=(0.0, 2.0)),
    "regr.msle": _regr("msle", "mean squared logarithmic error", loss="measures.losses:squared_log"),
    "regr.rmsle": _regr("rmsle", "root of the mean squared logarithmic error"),
    "regr.bias": _regr("bias", "mean error", range=(-_INF, _INF), minimize=None),
    "regr.pbias": _regr("pbias", "mean error relative to the truth", range=(-_INF, _INF), minimize=None),
    "regr.ktau": _regr("ktau", "Kendall's tau", range=(-1.0, 1.0), minimize=False, weights=False),
    "regr.srho": _regr("srho", "Spearman's rho", range=(-1.0, 1.0), minimize=False, weights=False),
    "regr.pinball": _regr(
        "pinball",
        "mean pinball loss of a quantile",
        predict_type="quantiles",
        range=(-_INF, _INF),
        params={"alpha": 0.5},
        bounds={"alpha": (0.0, 1.0)},
    ),
    "regr.rqr": _regr(
        "rqr",
        "share of pinball loss explained",
        predict_type="quantiles",
        range=(-_INF, 1.0),
        minimize=False,
        params={"alpha": 0.5},
        bounds={"alpha": (0.0, 1.0)},
    ),
    "time_train": _general("time_train", "seconds of training", "timings"),
    "time_predict": _general("time_predict", "seconds of predicting", "timings"),
    "time_both": _general("time_both", "seconds of training and predicting", "timings"),
    "oob_error": _general("oob_error", "the model's out-of-bag error", "learner", least=-_INF),
    "selected_features": _general(
        "selected_features", "number of features used by the model", "learner", params={"normalize": False}
    ),
    "internal_valid_score": _general(
        "internal_valid_score", "the learner's own last validation score", "learner", least=-_INF, minimize=None
    ),
    "best_valid_score": _general(
        "best_valid_score", "the learner's own best validation score", "learner", least=-_INF, minimize=None
    ),
    "aic": _general("aic", "Akaike's criterion", "learner", least=-_INF),
    "bic": _general("bic", "Bayes criterion", "learner", least=-_INF),
    "debug": Facts(
        kernel="measures.general:debug",
        about="number of rows, for tests",
        task_type=None,
        range=(0.0, _INF),
        minimize=None,
        params={"na_ratio": 0.0},
        bounds={"na_ratio": (0.0, 1.0)},
    ),
    "sim.jaccard": _similarity("jaccard", "likeness of the iterations' feature sets", range=(0.0, 1.0)),
    "sim.phi": _similarity(
        "phi",
        "correlation of the iterations' feature sets",
        range=(-1.0, 1.0),
        params={"p": None},
        bounds={"p": (1.0, _INF)},
    ),
}
