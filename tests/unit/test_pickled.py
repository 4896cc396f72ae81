"""Names of what has no spec: equal where the code is equal, different where it is not."""

import functools
import subprocess
import sys

import pytest
from sklearn.preprocessing import FunctionTransformer

import batchml as bm
from batchml.core.pickled import collecting, naming
from batchml.core.spec import build, describe, encode
from batchml.errors import SpecError, TrustError
from batchml.measures.foreign import MeasureFunction


def named(value):
    with naming():
        return encode(value, where="x")


def test_a_lambda_is_refused_unless_pickles_are_asked_for():
    with pytest.raises(SpecError, match="parameter func is a lambda"):
        describe(FunctionTransformer(lambda x: x))
    with collecting() as found:
        spec = describe(FunctionTransformer(lambda x: x))
    (digest,) = found
    assert spec["params"]["func"] == {"$pickle": digest, "what": found[digest].what}
    assert found[digest].what.endswith("<lambda>")


def test_equal_code_has_equal_names_wherever_it_is_written():
    one = lambda x: x + 1  # noqa: E731

    # Another line, another object.
    other = lambda x: x + 1  # noqa: E731
    assert named(one)["$pickle"] == named(other)["$pickle"]


@pytest.mark.parametrize(
    "other", [lambda x: x + 2, lambda x: x - 1, lambda x, y=1: x + 1, lambda z: abs(z) + 1, lambda x: x + 1.0]
)
def test_other_code_has_other_names(other):
    assert named(lambda x: x + 1)["$pickle"] != named(other)["$pickle"]


def test_what_a_function_closes_over_counts():
    def scaled(factor):
        return lambda x: x * factor

    assert named(scaled(2))["$pickle"] == named(scaled(2))["$pickle"]
    assert named(scaled(2))["$pickle"] != named(scaled(3))["$pickle"]


def test_partials_and_methods_have_names_too():
    assert "$pickle" in named(functools.partial(max, 1))
    assert named(functools.partial(max, 1)) != named(functools.partial(max, 2))
    assert "$pickle" in named("text".upper) or "$function" in named("text".upper)


SCRIPT = """
from batchml.core.pickled import naming
from batchml.core.spec import encode
class Own:
    words = frozenset({"one", "two", "three", "four"})
    def fit(self, X): return X in {"a", "b", "c", "d"}
    def again(self): return Own
with naming():
    print(encode(Own, where="x")["$pickle"], encode(lambda x: x in {"k", "l", "m"}, where="x")["$pickle"])
"""


def test_names_are_equal_in_every_process():
    runs = {
        subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True).stdout
        for _ in range(3)
    }
    assert len(runs) == 1


def test_a_pickle_in_a_spec_is_not_opened_by_itself():
    with pytest.raises(TrustError, match="pickles are not opened here"):
        build({"pickle": "0" * 64, "what": "evil"})
    with pytest.raises(TrustError, match="pickles are not opened here"):
        build({"object": {"$pickle": "0" * 64}, "params": {}})


def test_what_cannot_be_pickled_either_is_refused_with_both_reasons():
    import threading

    lock = threading.Lock()
    with collecting(), pytest.raises(SpecError, match=r"is a lambda.*cannot be pickled"):
        encode(lambda: lock, where="learner 'x'")


def test_data_are_not_smuggled_in_with_a_function(monkeypatch):
    monkeypatch.setattr("batchml.core.pickled.MAX_BYTES", 10_000)
    data = bytearray(20_000)
    with collecting(), pytest.raises(SpecError, match="pass data by the task"):
        encode(lambda: data, where="learner 'x'")


def test_states_that_change_with_use_are_refused_also_as_pickles():
    import numpy as np

    with collecting(), pytest.raises(SpecError, match="RandomState"):
        encode(np.random.RandomState(1), where="x")


def test_a_session_takes_what_has_no_spec():
    class Halved(FunctionTransformer):
        pass

    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeClassifier

    halved = make_pipeline(Halved(lambda x: x / 2), DecisionTreeClassifier())
    whole = make_pipeline(FunctionTransformer(), DecisionTreeClassifier())
    for how in ("none", "capture"):
        learner = bm.as_learner(halved, id="halved")
        learner.encapsulate = how
        rr = bm.resample("iris", learner, bm.rsmp("holdout"), seed=1)
        assert rr.aggregate("classif.acc")["classif.acc"] > 0.8
    design = bm.benchmark_grid("iris", [halved, bm.as_learner(whole, id="whole")], bm.rsmp("holdout"), seed=1)
    bmr = bm.benchmark(
        design,
    )
    assert len(bmr.aggregate()) == 2
    assert len(bm.as_learner(halved).hash) == 64


def test_a_session_takes_a_measure_that_is_a_lambda():
    import numpy as np

    measure = MeasureFunction(lambda truth, response: float(np.mean(truth == response)), id="own")
    rr = bm.resample("iris", "classif.featureless", bm.rsmp("holdout"), seed=1)
    assert rr.aggregate([measure])["own"] == rr.aggregate("classif.acc")["classif.acc"]
