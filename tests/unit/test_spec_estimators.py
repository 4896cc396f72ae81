"""Specs of scikit-learn's objects: every estimator, splitter, kernel, scorer and distribution goes there and back."""

from __future__ import annotations

import inspect
import json
import math
import warnings

import numpy as np
import pytest
import sklearn.model_selection
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, mutual_info_classif
from sklearn.gaussian_process import GaussianProcessRegressor, kernels
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import get_scorer, get_scorer_names, make_scorer, mean_pinball_loss
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from batchml.core.digest import canonical_json, digest
from batchml.core.spec import build, describe
from batchml.core.trust import Trust

TRUST = Trust.default()
STEPS = [("scale", StandardScaler()), ("tree", DecisionTreeClassifier(max_depth=2))]
VOTERS = [("a", LogisticRegression(C=0.5)), ("b", DecisionTreeClassifier(random_state=3))]

# What an estimator gets that cannot be built without arguments.
NEEDED = {
    "base_estimator": DecisionTreeClassifier(),
    "dictionary": np.eye(3),
    "estimator": LogisticRegression(C=2.0),
    "estimators": VOTERS,
    "param_distributions": {"C": stats.loguniform(0.1, 10)},
    "param_grid": {"C": [0.1, 1.0]},
    "steps": STEPS,
    "transformer_list": [("pca", PCA(2)), ("id", "passthrough")],
    "transformers": [("num", StandardScaler(), ["a", "b"]), ("cat", OneHotEncoder(), slice(2, 4))],
}


def make(cls, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cls(**params)


def make_with_needed(cls):
    parameters = inspect.signature(cls).parameters.values()
    return make(cls, **{p.name: NEEDED[p.name] for p in parameters if p.default is p.empty and p.name in NEEDED})


def same(one, other):
    """Equality in value and type, into arrays, nested objects, nan and -0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, np.generic):
        return one.tobytes() == other.tobytes()
    if (
        isinstance(one, type)
        or inspect.isroutine(one)
        or one is None
        or isinstance(one, (str, int, set, frozenset, slice, np.ufunc))
    ):
        return one == other
    if hasattr(one, "get_params"):
        return same(one.get_params(deep=False), other.get_params(deep=False))
    if hasattr(one, "dist"):
        return same((one.dist.name, one.args, one.kwds), (other.dist.name, other.args, other.kwds))
    return same(vars(one), vars(other))


def there_and_back(obj):
    spec = json.loads(json.dumps(describe(obj)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        back = build(spec, trust=TRUST)
    assert type(back) is type(obj)
    assert digest(describe(back)) == digest(describe(obj)) == digest(spec)
    assert back is not obj or inspect.isfunction(obj)
    return back


ESTIMATORS = dict(all_estimators())


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_every_estimator_of_scikit_learn_goes_there_and_back(name):
    obj = make_with_needed(ESTIMATORS[name])
    back = there_and_back(obj)
    assert same(obj.get_params(deep=False), back.get_params(deep=False))
    assert describe(obj)["object"].startswith("sklearn.")
    assert "._" not in describe(obj)["object"]


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_an_estimator_at_its_defaults_has_no_parameters_in_its_identity(name):
    obj = make_with_needed(ESTIMATORS[name])
    assert set(describe(obj)["params"]) <= NEEDED.keys()


def odd_values():
    yield 1
    yield 2.5
    yield "a text"
    yield None
    yield True
    yield (1, 2.0, "x")
    yield {1: 0.5, "b": -0.0}
    yield np.float64(1.5)
    yield np.arange(3.0)
    yield float("nan")


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_every_parameter_of_every_estimator_takes_every_kind_of_value(name):
    obj = make_with_needed(ESTIMATORS[name])
    skipped = {"memory", *NEEDED}
    values = list(odd_values())
    names = [p for p in obj.get_params(deep=False) if p not in skipped]
    for position, param in enumerate(names):
        value = values[position % len(values)]
        if param == "pre_dispatch" and isinstance(value, str):
            value = "2*n_jobs"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                obj.set_params(**{param: value})
            except (TypeError, ValueError, AttributeError):
                continue
    try:
        params = obj.get_params(deep=False)
    except (TypeError, ValueError, AttributeError):
        pytest.fail(f"{name} cannot show its parameters")
    back = there_and_back(obj)
    assert same(params, back.get_params(deep=False))


def make_splitter(cls):
    given = {
        "n_splits": 4, "n_repeats": 3, "p": 2, "n_groups": 2, "test_fold": np.array([0, 1, -1, 0, 1]),
        "shuffle": True, "random_state": 7, "test_size": 0.25, "max_train_size": 10, "gap": 1,
    }  # fmt: skip
    names = inspect.signature(cls).parameters
    if cls.__name__ == "TimeSeriesSplit":
        given["test_size"] = 2
    return cls(**{name: value for name, value in given.items() if name in names})


SPLITTERS = {
    name: cls
    for name, cls in vars(sklearn.model_selection).items()
    if inspect.isclass(cls) and hasattr(cls, "split") and not inspect.isabstract(cls) and not name.startswith("Base")
}


@pytest.mark.parametrize("name", sorted(SPLITTERS))
def test_every_splitter_goes_there_and_back_and_splits_alike(name):
    splitter = make_splitter(SPLITTERS[name])
    back = there_and_back(splitter)
    assert same(vars(splitter), vars(back))
    X = np.zeros((24, 2))
    y = np.arange(24) % 2
    groups = np.arange(24) % 6
    data = (X, y, groups) if "Group" in name else (X, y)
    if name != "PredefinedSplit":
        for mine, theirs in zip(splitter.split(*data), back.split(*data), strict=True):
            assert same(mine, theirs)


def test_there_are_as_many_splitters_as_scikit_learn_has():
    assert len(SPLITTERS) >= 14


KERNELS = [
    kernels.RBF(2.0),
    kernels.RBF(np.array([1.0, 2.0]), length_scale_bounds="fixed"),
    kernels.ConstantKernel(2.0) * kernels.RBF(1.0) + kernels.WhiteKernel(0.1, (1e-3, 1.0)),
    kernels.Matern(1.0, nu=0.5) ** 2,
    kernels.RationalQuadratic(alpha=0.3),
    kernels.ExpSineSquared(periodicity=2.0),
    kernels.DotProduct(sigma_0=0.0),
    kernels.PairwiseKernel(metric="linear"),
    kernels.CompoundKernel([kernels.RBF(1.0), kernels.WhiteKernel()]),
]


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_kernels_go_there_and_back(kernel):
    back = there_and_back(kernel)
    assert back == kernel
    there_and_back(GaussianProcessRegressor(kernel))


def test_all_kernels_of_scikit_learn_are_tried():
    tried = set()

    def visit(kernel):
        tried.add(type(kernel))
        for value in kernel.get_params(deep=False).values():
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, kernels.Kernel):
                    visit(part)

    for kernel in KERNELS:
        visit(kernel)
    concrete = {
        cls
        for cls in vars(kernels).values()
        if inspect.isclass(cls) and issubclass(cls, kernels.Kernel) and not inspect.isabstract(cls)
    }
    assert {cls for cls in concrete if cls not in {kernels.Kernel, kernels.KernelOperator}} <= tried


@pytest.mark.parametrize("name", get_scorer_names())
def test_every_named_scorer_goes_there_and_back(name):
    scorer = get_scorer(name)
    back = there_and_back(scorer)
    assert same(vars(back), vars(scorer))


def test_a_scorer_keeps_its_arguments():
    scorer = make_scorer(mean_pinball_loss, greater_is_better=False, alpha=0.1)
    there_and_back(GridSearchCV(Ridge(), {"alpha": [1.0]}, scoring={"a": scorer, "b": "r2"}))
    assert describe(scorer) == {
        "scorer": "sklearn.metrics.mean_pinball_loss",
        "greater_is_better": False,
        "response_method": "predict",
        "kwargs": {"alpha": 0.1},
    }


DISTRIBUTIONS = [
    stats.norm(1, scale=2.0),
    stats.loguniform(1e-4, 10),
    stats.uniform(),
    stats.randint(1, 50),
    stats.expon(scale=0.5),
    stats.truncnorm(a=-1, b=np.inf),
]


@pytest.mark.parametrize("frozen", DISTRIBUTIONS, ids=lambda f: f.dist.name)
def test_frozen_distributions_go_there_and_back_and_draw_alike(frozen):
    back = there_and_back(frozen)
    assert np.array_equal(back.rvs(5, random_state=1), frozen.rvs(5, random_state=1))


def test_every_univariate_distribution_of_scipy_is_known():
    shown = [d for d in vars(stats).values() if isinstance(d, (stats.rv_continuous, stats.rv_discrete))]
    assert len(shown) > 100
    for distribution in shown:
        back = build(describe(distribution), trust=TRUST)
        assert back.name == distribution.name


NESTED = [
    Pipeline(
        [
            (
                "columns",
                ColumnTransformer(
                    [
                        ("num", make_pipeline(SimpleImputer(missing_values=np.nan), StandardScaler()), ["a", "b"]),
                        ("cat", OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
                        ("mask", "drop", np.array([True, False])),
                        ("rest", "passthrough", slice(0, None, 2)),
                    ],
                    remainder=OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
                ),
            ),
            ("select", SelectKBest(mutual_info_classif, k=3)),
            ("clf", RandomForestClassifier(n_estimators=10, class_weight={"yes": 2.0, "no": 1.0})),
        ]
    ),
    VotingClassifier(VOTERS, voting="soft", weights=[1, 2]),
    StackingClassifier(VOTERS, final_estimator=LogisticRegression(), cv=StratifiedKFold(3, shuffle=True)),
    GridSearchCV(
        Pipeline(STEPS),
        [
            {"tree__max_depth": [1, None, np.int64(3)], "scale": [StandardScaler(), "passthrough"]},
            {"tree": [SVC(), LogisticRegression()], "scale__with_mean": (True, False)},
        ],
        cv=KFold(3),
        scoring="accuracy",
    ),
    RandomizedSearchCV(SVC(), {"C": stats.loguniform(0.1, 10), "kernel": ["rbf", "poly"]}, n_iter=3, random_state=1),
    FeatureUnion([("pca", PCA(0.5)), ("log", FunctionTransformer(np.log1p, kw_args={"where": True}))]),
    FunctionTransformer(np.clip, kw_args={"a_min": -np.inf, "a_max": 3}),
    CalibratedClassifierCV(SVC(class_weight={0: 1, 1: 5}), cv=[(np.arange(5), np.arange(5, 9))]),
    TransformedTargetRegressor(Ridge(alpha=np.float32(0.1)), func=np.log1p, inverse_func=np.expm1),
    TfidfVectorizer(dtype=np.float32, stop_words=frozenset({"a", "b"}), ngram_range=(1, 2)),
    KNeighborsClassifier(metric="minkowski", metric_params={"w": np.ones(3)}),
    StandardScaler().set_output(transform="pandas"),
]


@pytest.mark.parametrize("obj", NESTED, ids=lambda obj: type(obj).__name__)
def test_nested_estimators_go_there_and_back(obj):
    back = there_and_back(obj)
    assert same(obj.get_params(deep=False), back.get_params(deep=False))
    assert same(getattr(obj, "_sklearn_output_config", None), getattr(back, "_sklearn_output_config", None))


def test_a_clone_has_the_same_spec():
    for obj in NESTED:
        assert canonical_json(describe(clone(obj))) == canonical_json(describe(obj))


def test_a_fitted_estimator_has_the_spec_of_an_unfitted_one():
    tree = DecisionTreeClassifier(max_depth=1)
    before = describe(tree)
    tree.fit([[0.0], [1.0]], [0, 1])
    assert describe(tree) == before


def test_the_order_of_a_dict_is_no_part_of_the_identity():
    one = LogisticRegression(class_weight={1: 2.0, 0: 1.0})
    other = LogisticRegression(class_weight={0: 1.0, 1: 2.0})
    assert digest(describe(one)) == digest(describe(other))


def test_one_and_true_and_one_point_zero_are_different_values():
    digests = {digest(describe(LogisticRegression(max_iter=value))) for value in (1, 1.0, True, np.int64(1), "1")}
    assert len(digests) == 5


def test_a_default_given_in_another_type_is_not_the_default():
    assert describe(LogisticRegression(C=1))["params"] == {"C": 1}
    assert describe(LogisticRegression(C=1.0))["params"] == {}
    assert describe(LogisticRegression(fit_intercept=1))["params"] == {"fit_intercept": 1}


def test_a_subclass_in_another_place_is_another_model():
    assert describe(ESTIMATORS["ExtraTreeClassifier"]())["object"] == "sklearn.tree.ExtraTreeClassifier"
    assert issubclass(ESTIMATORS["ExtraTreeClassifier"], BaseEstimator)
