"""Canonical JSON, and the digests that must never change."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    PredefinedSplit,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, QuantileTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from batchml.core.digest import canonical_json, digest
from batchml.core.spec import describe, encode
from batchml.errors import SpecError

COMMITTED = Path(__file__).with_name("digests.json")

OBJECTS = {
    "tree": DecisionTreeClassifier(),
    "tree, depth 3": DecisionTreeClassifier(max_depth=3),
    "forest": RandomForestClassifier(n_estimators=500, max_features=0.5, random_state=1),
    "log_reg": LogisticRegression(C=0.1, class_weight="balanced"),
    "log_reg, weights by number": LogisticRegression(class_weight={0: 1.0, 1: 2.5}),
    "log_reg, weights by name": LogisticRegression(class_weight={"yes": 1, "no": 3}),
    "svm": SVC(C=10.0, gamma=0.01, probability=True),
    "svm, polynomial": SVC(kernel="poly", degree=2),
    "knn": KNeighborsClassifier(7, metric="minkowski", metric_params={"w": np.array([1.0, 2.0])}),
    "boosting": HistGradientBoostingRegressor(monotonic_cst=[1, 0, -1], categorical_features=[0]),
    "mlp": MLPClassifier(hidden_layer_sizes=(20, 10), alpha=1e-05),
    "dummy": DummyClassifier(strategy="constant", constant="a"),
    "imputer": SimpleImputer(strategy="constant", fill_value=-0.0),
    "imputer, any value missing": SimpleImputer(missing_values=np.inf),
    "iterative imputer": IterativeImputer(max_iter=3),
    "halving search": HalvingGridSearchCV(Ridge(), {"alpha": [0.1, 1]}),
    "one-hot": OneHotEncoder(handle_unknown="ignore", dtype=np.float32, categories=[["a", "b"]]),
    "quantiles": QuantileTransformer(n_quantiles=np.int64(50)),
    "tfidf": TfidfVectorizer(ngram_range=(1, 2), stop_words=["und"], sublinear_tf=True),
    "select": SelectKBest(chi2, k=5),
    "log": FunctionTransformer(np.log1p, np.expm1, kw_args={"where": True}),
    "pipeline": Pipeline([("scale", StandardScaler(with_mean=False)), ("clf", LogisticRegression())]),
    "columns": ColumnTransformer(
        [
            ("num", StandardScaler(), make_column_selector(dtype_include=np.number)),
            ("cat", OneHotEncoder(), [0, 2]),
            ("rest", "passthrough", slice(3, None)),
        ]
    ),
    "vote": VotingClassifier([("a", LogisticRegression()), ("b", SVC())], weights=[1, 2], voting="hard"),
    "calibrated": CalibratedClassifierCV(SVC(), cv=RepeatedStratifiedKFold(n_repeats=2, random_state=1)),
    "grid search": GridSearchCV(
        SVC(),
        [{"kernel": ["rbf"], "C": [1, 10]}, {"kernel": ["linear"]}],
        scoring=make_scorer(f1_score, average="macro"),
    ),
    "random search": RandomizedSearchCV(Ridge(), {"alpha": stats.loguniform(1e-4, 10)}, cv=KFold(3, shuffle=True)),
    "gaussian process": GaussianProcessRegressor(1.0 * RBF([1.0, 2.0]) + WhiteKernel(noise_level_bounds="fixed")),
    "splitter": ShuffleSplit(10, test_size=0.2, random_state=3),
    "predefined split": PredefinedSplit([0, 1, -1, 0]),
    "time series": TimeSeriesSplit(gap=2),
}


def test_the_committed_digests_never_change():
    """A change here renames every result that anybody has stored: raise FORMAT and migrate, or undo it."""
    committed = json.loads(COMMITTED.read_text())
    assert {name: digest(describe(obj)) for name, obj in OBJECTS.items()} == committed
    assert len(committed) >= 30
    assert len(set(committed.values())) == len(committed)


def test_canonical_json_has_sorted_keys_no_spaces_and_only_ascii():
    assert canonical_json({"b": [1, 2.0, None, True], "a": {"d": "é", "c": ()}}) == (
        '{"a":{"c":[],"d":"\\u00e9"},"b":[1,2.0,null,true]}'
    )
    assert canonical_json(MappingProxyType({"a": MappingProxyType({"b": 1})})) == '{"a":{"b":1}}'


def test_the_digest_of_a_known_text_is_known():
    assert digest([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
    assert len(digest({"a": 1})) == 64


@pytest.mark.parametrize(
    "value", [{1: 2}, {"a": {None: 1}}, [{True: 1}], float("nan"), [float("inf")], {1, 2}, np.int64(3), b"x", object()]
)
def test_what_json_would_change_or_cannot_hold_is_refused(value):
    with pytest.raises(SpecError, match="plain data"):
        canonical_json(value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=80, deadline=None)
@given(json_values)
def test_canonical_json_is_stable_under_a_round_trip(value):
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text


def test_the_order_of_keys_does_not_count():
    one = {"a": 1, "b": {"x": 1, "y": 2}}
    other = {"b": {"y": 2, "x": 1}, "a": 1}
    assert digest(one) == digest(other)


def test_encodings_of_values_never_change():
    values = [1, 1.0, "1", True, None, (1,), {1: "a"}, {1, 2}, b"a", np.float32(1), np.arange(2, dtype="int32"), -0.0]
    assert digest([encode(value, where="x") for value in values]) == (
        "6562a20b9f6b4c4e236a38dbd633445019c99d54255565402013d4c91d1fa28d"
    )
