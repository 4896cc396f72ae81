"""The catalogue: keys to objects, keywords to parameters and fields, and words for what does not exist."""

from __future__ import annotations

import pandas as pd
import pytest

from batchml.core import catalog
from batchml.core.catalog import lrn, lrns, msr, msrs, resolve, resolve_name, rsmp, rsmps, tsk, tsks
from batchml.errors import ConfigError, UnknownKeyError
from batchml.params import ParamSet, p_uty

KEYS = {
    "task": ["breast_cancer", "diabetes", "digits", "german_credit", "iris", "penguins", "sonar", "spam", "wine"],
    "learner": sorted(
        [
            f"{kind}.{name}"
            for kind in ("classif", "regr")
            for name in ("debug", "featureless", "gradient_boosting", "knn", "random_forest", "svm", "tree")
        ]
        + ["classif.log_reg", "classif.naive_bayes", "regr.lm"]
    ),
    "resampling": [
        "bootstrap", "custom", "custom_cv", "cv", "holdout", "insample", "loo", "repeated_cv", "subsampling",
    ],
}  # fmt: skip
GETTERS = {"task": (tsk, tsks), "learner": (lrn, lrns), "resampling": (rsmp, rsmps), "measure": (msr, msrs)}


class Thing:
    """Stands for a learner: parameters, fields, and facts that cannot be set."""

    task_type = "classif"

    def __init__(self, *, key, id=None, **params):
        self.key = key
        self.id = id or key
        self.timeout = None
        self._secret = 1
        self.param_set = ParamSet({"max_depth": p_uty(), "cp": p_uty()}, params, owner=f"learner '{key}'")

    @property
    def predict_type(self):
        return "response"

    @predict_type.setter
    def predict_type(self, value):
        if value != "prob":
            raise ConfigError(value)
        self.chosen = value

    @property
    def model(self):
        return None

    def train(self):
        """Be no field."""


class Open:
    """Stands for a resampling that checks its parameters itself."""

    def __init__(self, *, key, **params):
        self.key = key
        self.params = params


@pytest.fixture
def things(monkeypatch):
    entries = {
        "classif.tree": "thing:Thing",
        "classif.knn": {"factory": "thing:Thing", "about": "near"},
        "open": "o:Open",
    }
    monkeypatch.setattr(catalog, "_entries", lambda _kind: entries)
    real = catalog.resolve_name
    made = {"thing:Thing": Thing, "o:Open": Open}
    monkeypatch.setattr(catalog, "resolve_name", lambda name: made.get(name) or real(name))
    return entries


def test_keywords_set_parameters_else_fields(things):
    thing = lrn("classif.tree", max_depth=3, id="deep", timeout=60, predict_type="prob")
    assert thing.param_set.values == {"max_depth": 3}
    assert (thing.id, thing.timeout, thing.chosen, thing.key) == ("deep", 60, "prob", "classif.tree")


def test_other_kinds_take_open_keywords_themselves(things):
    assert rsmp("open", folds=3).params == {"folds": 3}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("max_dept", "did you mean 'max_depth'"),
        ("maxdepth", "did you mean 'max_depth'"),
        ("tiemout", "did you mean 'timeout'"),
        ("predict_typ", "did you mean 'predict_type'"),
        ("train", "has no parameter or field 'train'"),
        ("model", "has no parameter or field 'model'"),
        ("task_type", "has no parameter or field 'task_type'"),
        ("_secret", "has no parameter or field '_secret'"),
        ("key", "has no parameter or field 'key'"),
    ],
)
def test_an_unknown_keyword_names_the_nearest(things, name, near):
    with pytest.raises(UnknownKeyError, match="has no parameter or field") as caught:
        lrn("classif.tree", **{name: 1})
    assert near in str(caught.value)


def test_without_a_key_there_is_a_table(things):
    frame = lrn()
    assert isinstance(frame, pd.DataFrame)
    assert frame["key"].tolist() == ["classif.knn", "classif.tree", "open"]
    assert "factory" not in frame
    assert frame["about"].tolist()[0] == "near"
    pd.testing.assert_frame_equal(lrns(), frame)


def test_plurals_take_several_keys_or_one(things):
    assert [thing.key for thing in lrns(["classif.tree", "classif.knn"], max_depth=2)] == [
        "classif.tree",
        "classif.knn",
    ]
    assert [thing.key for thing in lrns("classif.tree")] == ["classif.tree"]
    assert lrns([]) == []


def test_keywords_without_a_key_are_refused(things):
    with pytest.raises(ConfigError, match="name the learner first"):
        lrn(max_depth=3)


@pytest.mark.parametrize("key", [["classif.tree"], 3, b"x"])
def test_a_key_is_one_text(things, key):
    with pytest.raises(ConfigError, match=r"several: bm\.lrns"):
        lrn(key)


@pytest.mark.parametrize("kind", sorted(KEYS))
def test_the_promised_keys_are_there_with_a_factory_each(kind):
    assert set(KEYS[kind]) <= set(catalog.keys(kind))
    for key in catalog.keys(kind):
        assert callable(resolve(kind, key))


def test_the_promised_measures_are_there():
    wanted = ["classif.acc", "classif.ce", "classif.bacc", "classif.logloss", "classif.auc"]
    wanted += ["regr.mse", "regr.rmse", "regr.mae", "regr.rsq", "time_train", "time_predict", "time_both"]
    assert set(wanted) <= set(catalog.keys("measure"))
    for key in wanted:
        assert msr(key).id == key


@pytest.mark.parametrize("kind", sorted(GETTERS))
def test_each_kind_has_a_table_of_what_there_is(kind):
    get, get_all = GETTERS[kind]
    assert get()["key"].tolist() == catalog.keys(kind)
    assert get_all()["key"].is_unique


@pytest.mark.parametrize(
    ("get", "key", "near"),
    [
        (lrn, "classif.rpart", "classif.tree"),
        (lrn, "regr.rpart", "regr.tree"),
        (lrn, "classif.ranger", "classif.random_forest"),
        (lrn, "classif.kknn", "classif.knn"),
        (lrn, "classif.xgboost", "classif.gradient_boosting"),
        (lrn, "regr.cv_glmnet", "regr.lm"),
        (lrn, "classif.tre", "classif.tree"),
        (tsk, "pengins", "penguins"),
        (tsk, "boston_housing", "diabetes"),
        (rsmp, "repeated-cv", "repeated_cv"),
        (msr, "classif.mmce", "classif.ce"),
        (msr, "acc", "classif.acc"),
        (msr, "rmse", "regr.rmse"),
        (msr, "classif.ac", "classif.acc"),
        (msr, "accuracy", "classif.acc"),
        (lrn, "rpart", "classif.tree"),
        (rsmp, "KFold", "cv"),
    ],
)
def test_an_unknown_key_names_the_nearest_also_for_names_of_others(get, key, near):
    with pytest.raises(UnknownKeyError) as caught:
        get(key)
    assert f"(did you mean '{near}'?)" in str(caught.value)
    assert key in str(caught.value)
    assert "lists all" in str(caught.value)


def test_names_reach_modules_and_their_attributes():
    assert resolve_name("core.catalog:tsk") is tsk
    assert resolve_name("core.catalog") is catalog
    assert resolve_name("core.trust:Trust.default")().prefixes
