"""What specs refuse, by the parameter's path and with the remedy."""

from __future__ import annotations

import collections
import decimal
import enum
import functools
import io
import operator
import pathlib
import random
import sys
import types

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from joblib import Memory
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import Bunch

from batchml.core.spec import build, describe
from batchml.errors import SpecError


class Colour(enum.Enum):
    RED = 1


def local_function():
    def inner(X):
        return X

    return inner


def main_function():
    def shown(X):
        return X

    shown.__module__ = "__main__"
    shown.__qualname__ = "shown"
    return shown


def circular():
    values = [1]
    values.append(values)
    return values


REFUSED = [
    (np.random.RandomState(1), "RandomState", "give an int"),
    (np.random.default_rng(1), "Generator", "give an int"),
    (random.Random(1), "random.Random", "give an int"),
    (np.random.PCG64(1), "random", ""),
    (lambda X: X, "lambda", "named function in a module file"),
    (local_function(), "inside a function", "top of a module file"),
    (main_function(), "__main__", "list that module under `modules`"),
    (functools.partial(np.clip, a_min=0), "functools.partial", "named function"),
    (np.arange(3).tolist().append, "builtin_function_or_method", "function of a module"),
    (LogisticRegression().fit, "method", "named function"),
    (circular(), "holds itself", ""),
    (np.zeros(100_000), "800,000 bytes", "column of the task"),
    (b"x" * 100_000, "100,000 bytes", "column of the task"),
    ("x" * 100_000, "100,000 bytes", "column of the task"),
    (list(range(100_001)), "100,001 items", "column of the task"),
    (np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]), "structured dtype", "plain numbers"),
    (pd.DataFrame({"a": [1]}), "pandas DataFrame", "numpy array"),
    (pd.Series([1]), "pandas Series", "numpy array"),
    (pd.Timestamp("2020-01-01"), "pandas Timestamp", "text"),
    (pd.CategoricalDtype(), "pandas CategoricalDtype", "'category'"),
    (Memory(None), "joblib Memory", "None"),
    (np.ma.masked_array([1, 2], [True, False]), "MaskedArray", "plain numpy array"),
    (operator.attrgetter("a"), "attrgetter", ""),
    (decimal.Decimal(1), "Decimal", "numbers"),
    (pathlib.Path("x"), "path", "another machine"),
    (scipy.sparse.csr_matrix((2, 2)), "sparse", "dense"),
    (Bunch(a=1), "Bunch", "give a dict"),
    (collections.OrderedDict(a=1), "OrderedDict", "give a dict"),
    (collections.Counter("a"), "a kind of dict", "plain dict"),
    (Colour.RED, "enum member", "its value"),
    (io.StringIO("x"), "StringIO", ""),
    ((i for i in range(3)), "generator", "list"),
    (sys, "module", "class or a function"),
    (object(), "object", ""),
    (Ellipsis, "ellipsis", ""),
    (types.SimpleNamespace(a=1), "SimpleNamespace", "numbers, text"),
]


@pytest.mark.parametrize(("value", "what", "advice"), REFUSED, ids=[what for _, what, _ in REFUSED])
def test_a_refusal_names_the_parameter_and_the_remedy(value, what, advice):
    with pytest.raises(SpecError) as caught:
        describe(RandomForestClassifier(class_weight=value), where="learner 'forest'")
    message = str(caught.value)
    assert message.startswith("learner 'forest': parameter class_weight")
    assert what in message
    assert advice in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("obj", "path"),
    [
        (Pipeline([("clf", LogisticRegression(random_state=np.random.RandomState(1)))]), "clf__random_state"),
        (make_pipeline(make_pipeline(FunctionTransformer(lambda X: X))), "pipeline__functiontransformer__func"),
        (GridSearchCV(LogisticRegression(), {"C": [1.0, circular()]}), "param_grid['C'][1][1]"),
        (GridSearchCV(LogisticRegression(), {}, cv=KFold(3, shuffle=True, random_state=np.random.RandomState(1))),
         "cv__random_state"),
        (GridSearchCV(LogisticRegression(random_state=np.random.default_rng()), {}), "estimator__random_state"),
        (Pipeline([("a", LogisticRegression())], memory="cache"), "memory"),
        (make_pipeline(Pipeline([("a", LogisticRegression())], memory=Memory(None))), "pipeline__memory"),
        (GridSearchCV(Pipeline(STEPS := [("a", LogisticRegression())]), {"memory": ["cache"]}), "param_grid['memory']"),
        (GridSearchCV(make_pipeline(Pipeline(STEPS)), [{"pipeline__memory": [None, "x"]}]),
         "param_grid[0]['pipeline__memory']"),
        (GridSearchCV(LogisticRegression(), {}, pre_dispatch="__import__('os').system('id')"), "pre_dispatch"),
        (CountVectorizer(input="filename"), "input"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_nested_parameter_has_the_path_that_set_params_takes(obj, path):
    with pytest.raises(SpecError) as caught:
        describe(obj, where="learner 'l'")
    assert f"learner 'l': parameter {path} " in str(caught.value)


PIPELINE = {"object": "sklearn.pipeline.Pipeline", "params": {"steps": []}}
GRID = {"object": "sklearn.model_selection.GridSearchCV"}


@pytest.mark.parametrize(
    "spec",
    [
        {**PIPELINE, "params": {"steps": [], "memory": "/tmp/cache"}},
        {**PIPELINE, "params": {"steps": [], "memory": {"$object": "joblib.Memory", "params": {"location": "/tmp"}}}},
        {**GRID, "params": {"estimator": None, "param_grid": {"memory": ["/tmp/x"]}}},
        {**GRID, "params": {"estimator": None, "param_grid": {"a__memory": {"$tuple": ["/tmp/x"]}}}},
        {**GRID, "params": {"estimator": None, "param_grid": {"$dict": [["a__memory", ["/tmp/x"]], [1, 2]]}}},
        {**GRID, "params": {"estimator": None, "param_grid": {}, "pre_dispatch": "exec('x')"}},
        {**GRID, "params": {"estimator": None, "param_grid": {"estimator__pre_dispatch": ["exec('x')"]}}},
        {"object": "sklearn.feature_extraction.text.CountVectorizer", "params": {"input": "filename"}},
        {"object": "sklearn.feature_extraction.text.CountVectorizer",
         "params": {"input": {"$numpy": ["<U8", "filename"]}}},
        {**PIPELINE, "params": {"steps": [], "memory": {"$numpy": ["<U4", "/tmp"]}}},
        {**PIPELINE, "params": {"steps": [], "memory": {"$bytes": "AAAA"}}},
    ],
    ids=str,
)  # fmt: skip
def test_a_written_spec_with_a_cache_or_code_is_refused_too(spec):
    with pytest.raises((SpecError, PermissionError)):
        build(spec)


def test_a_class_that_is_called_memory_may_have_a_weight():
    spec = describe(LogisticRegression(class_weight={"memory": 2.0, "input": 1}))
    assert build(spec).class_weight == {"memory": 2.0, "input": 1}


def test_a_text_column_may_be_called_memory():
    columns = FunctionTransformer(kw_args={"columns": ["memory", "input"]})
    assert build(describe(columns)).kw_args == {"columns": ["memory", "input"]}


def test_a_frozen_or_prefit_estimator_that_is_fitted_is_refused():
    fitted = DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1])
    for obj in (FrozenEstimator(fitted), SelectFromModel(fitted, prefit=True), make_pipeline(FrozenEstimator(fitted))):
        with pytest.raises(SpecError, match="fitted already"):
            describe(obj)
    describe(FrozenEstimator(DecisionTreeClassifier()))
    describe(SelectFromModel(fitted))


def test_a_loop_through_an_estimator_is_found():
    scaler = StandardScaler()
    pipe = Pipeline([("a", scaler), ("b", LogisticRegression())])
    scaler.with_mean = pipe
    with pytest.raises(SpecError, match="holds itself"):
        describe(pipe)


def test_one_object_in_two_places_is_no_loop():
    tree = DecisionTreeClassifier()
    describe(Pipeline([("a", FunctionTransformer()), ("b", GridSearchCV(tree, {"x": [tree, tree]}))]))


def test_an_estimator_whose_parameters_cannot_be_read_is_named():
    class Broken:
        def get_params(self, deep=True):  # noqa: FBT002
            raise AttributeError("no depth")

    Broken.__qualname__ = "Broken"
    with pytest.raises(SpecError, match="Broken"):
        describe(Broken())
