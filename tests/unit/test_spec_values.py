"""Tagged encodings of parameter values."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from batchml.core.digest import canonical_json
from batchml.core.spec import build, decode, describe, encode, full_params
from batchml.errors import SpecError, TrustError, UnknownKeyError


def through_json(value):
    return decode(json.loads(json.dumps(encode(value, where="here"), allow_nan=False)))


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ((1, "a"), {"$tuple": [1, "a"]}),
        ({"a": 1, "b": [None, True]}, {"a": 1, "b": [None, True]}),
        ({2: "b", 1: "a"}, {"$dict": [[1, "a"], [2, "b"]]}),
        ({"$tuple": [1]}, {"$dict": [["$tuple", [1]]]}),
        ({None: 1}, {"$dict": [[None, 1]]}),
        ({(1, 2): 3}, {"$dict": [[{"$tuple": [1, 2]}, 3]]}),
        ({3, 1, 2}, {"$set": [1, 2, 3]}),
        (frozenset({"b", "a"}), {"$frozenset": ["a", "b"]}),
        (slice(1, None), {"$slice": [1, None, None]}),
        (range(1, 9, 2), {"$range": [1, 9, 2]}),
        (b"\x00\xff", {"$bytes": "AP8="}),
        (1 + 2j, {"$complex": [1.0, 2.0]}),
        (float, {"$type": "builtins.float"}),
        (np.float64, {"$type": "numpy.float64"}),
        (DecisionTreeClassifier, {"$type": "sklearn.tree.DecisionTreeClassifier"}),
        (np.log1p, {"$function": "numpy.log1p"}),
        (np.mean, {"$function": "numpy.mean"}),
        (math.inf, {"$float": "inf"}),
        (-math.inf, {"$float": "-inf"}),
        (np.float64(0.5), {"$numpy": ["<f8", 0.5]}),
        (np.float32(0.1), {"$numpy": ["<f4", 0.10000000149011612]}),
        (np.int64(3), {"$numpy": ["<i8", 3]}),
        (np.bool_(True), {"$numpy": ["|b1", True]}),
        (np.str_("é"), {"$numpy": ["<U1", "é"]}),
        (np.dtype("float32"), {"$dtype": "<f4"}),
        (np.dtype(object), {"$dtype": "|O"}),
    ],
    ids=lambda argument: str(argument) if type(argument) is dict else type(argument).__name__,
)
def test_values_have_one_encoding_and_come_back(value, data):
    assert encode(value, where="here") == data
    back = through_json(value)
    assert back == value
    assert type(back) is type(value)


def test_nan_and_minus_zero_come_back():
    assert encode(math.nan, where="here") == {"$float": "nan"}
    assert math.isnan(through_json(math.nan))
    assert encode(-0.0, where="here") == {"$float": "-0.0"}
    assert math.copysign(1, through_json(-0.0)) == -1
    assert math.isnan(through_json(np.float32("nan")))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([1.5, np.nan, -0.0, np.inf], dtype=">f8"),
        np.array(["a", "bcd"]),
        np.array(["a", None, 1.5, (1, 2)], dtype=object),
        np.array([True, False]),
        np.array([], dtype="int32"),
        np.array(5.0),
        np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"),
        np.array([1 + 2j]),
        np.array([b"a", b"bc"]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_back(array):
    back = through_json(array)
    assert back.dtype == array.dtype.newbyteorder("<")
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)
    if array.shape:
        assert back.flags.writeable


def test_numpy_scalars_of_every_kind_come_back():
    for value in (np.complex64(1 + 1j), np.datetime64("2020-01-01"), np.timedelta64(3, "s"), np.longdouble("0.1")):
        back = through_json(value)
        assert back == value
        assert type(back) is type(value)


def test_a_dict_of_digit_text_and_a_dict_of_numbers_differ():
    assert canonical_json(encode({"1": 2}, where="x")) != canonical_json(encode({1: 2}, where="x"))


def test_the_missing_marker_of_pandas_is_supported():
    back = build(describe(SimpleImputer(missing_values=pd.NA)))
    assert back.missing_values is pd.NA


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.booleans(), inner, max_size=4)
    ),
    max_leaves=12,
)


def types_of(value):
    if isinstance(value, dict):
        return dict, sorted((repr(key), types_of(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return type(value), [types_of(item) for item in value]
    return type(value), repr(value)


@settings(max_examples=150, deadline=None)
@given(plain)
def test_every_plain_value_comes_back_with_its_types(value):
    back = through_json(value)
    assert back == value
    assert repr(types_of(back)) == repr(types_of(value))


@settings(max_examples=100, deadline=None)
@given(plain, plain)
def test_different_values_have_different_encodings(one, other):
    same = repr(types_of(one)) == repr(types_of(other))
    assert (canonical_json(encode(one, where="x")) == canonical_json(encode(other, where="x"))) == same


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"$tupel": []}, "unknown tag"),
        ({"$tuple": [], "$set": []}, "several tags"),
        ({"$tuple": [], "more": 1}, "unknown fields"),
        ({"$float": "1.0"}, "broken"),
        ({"$float": []}, "broken"),
        ({"$array": {"dtype": "|O", "shape": [1], "data": "AAAAAAAAAAA="}}, "broken"),
        ({"$array": {"dtype": "<f8", "shape": [10**9], "data": ""}}, "broken"),
        ({"$array": 3}, "broken"),
        ({"$numpy": ["|V8", 3]}, "broken"),
        ({"$numpy": ["<f8,<i8", 3]}, "broken"),
        ({"$dtype": "no"}, "broken"),
        ({"$dict": [[[1], 2]]}, "broken"),
        ({"$dict": [1]}, "broken"),
        ({"$bytes": "?"}, "broken"),
        ({"$slice": [1]}, "broken"),
        ({"$na": "os.system"}, "unknown"),
        ({"$type": "numpy.log1p"}, "as a class"),
        ({"$function": "numpy.float64"}, "as a function"),
        ({"$type": 3}, "broken"),
        ({"$object": "sklearn.tree.DecisionTreeClassifier", "params": [1]}, "no mapping"),
        ({"$frozen": "scipy.stats.rv_histogram", "args": []}, "no distribution"),
        ({"$distribution": "os.system"}, "no distribution"),
    ],
    ids=str,
)
def test_malformed_data_is_refused_in_words(data, words):
    with pytest.raises(SpecError, match=words):
        decode(data)


def test_deep_nesting_is_refused_not_a_crash():
    data = []
    for _ in range(5000):
        data = [data]
    with pytest.raises(SpecError, match="deeper"):
        decode(data)
    with pytest.raises(SpecError, match="deeper"):
        encode(data, where="x")


def test_a_spec_without_an_object_is_refused():
    with pytest.raises(SpecError, match="needs one of the keys"):
        build({"objekt": "x"})
    for data in (None, [], "sklearn.tree.DecisionTreeClassifier", 3):
        with pytest.raises(SpecError, match="a spec is a mapping"):
            build(data)
    with pytest.raises(SpecError, match="not all text"):
        build({"object": "sklearn.tree.DecisionTreeClassifier", "params": {"class_weight": {1: 2}}})
    with pytest.raises(SpecError, match="no estimator"):
        describe([1])


def test_an_unknown_parameter_names_the_nearest():
    with pytest.raises(UnknownKeyError, match="did you mean 'max_depth'"):
        build({"object": "sklearn.tree.DecisionTreeClassifier", "params": {"maxdepth": 3}})


def test_an_unknown_class_names_the_nearest():
    with pytest.raises(UnknownKeyError, match="did you mean 'DecisionTreeClassifier'"):
        build({"object": "sklearn.tree.DecisionTreClassifier"})


def test_a_missing_module_says_what_to_do():
    with pytest.raises(TrustError, match="modules"):
        build({"object": "nowhere_at_all.Model"})


def test_private_paths_are_read_and_written_back_as_public_ones():
    obj = build({"object": "sklearn.tree._classes.DecisionTreeClassifier", "params": {}})
    assert describe(obj)["object"] == "sklearn.tree.DecisionTreeClassifier"


def test_the_full_parameters_are_all_there_and_never_refused():
    params = full_params(LogisticRegression(C=3.0, random_state=np.random.RandomState(1)))
    assert params["C"] == 3.0
    assert params["max_iter"] == 100
    assert set(params["random_state"]) == {"$repr"}
    json.dumps(params, allow_nan=False)


def test_building_gives_a_new_object_each_time():
    spec = describe(LogisticRegression(class_weight={0: 1}))
    one, other = build(spec), build(spec)
    assert one is not other
    assert one.class_weight is not other.class_weight
