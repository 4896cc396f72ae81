"""How long specs take; a worker builds one for each experiment that it has not seen."""

from __future__ import annotations

import timeit

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from batchml.core.digest import digest
from batchml.core.seed import derive, fill_random_state
from batchml.core.spec import build, describe


def milliseconds(call, number=300):
    call()
    return 1000 * min(timeit.repeat(call, number=number, repeat=3)) / number


def test_specs_cost_microseconds():
    tree = DecisionTreeClassifier(max_depth=3)
    pipe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight={0: 1, 1: 2}))
    tree_spec, pipe_spec = describe(tree), describe(pipe)
    times = {
        "build tree": milliseconds(lambda: build(tree_spec)),
        "build pipeline": milliseconds(lambda: build(pipe_spec)),
        "describe tree": milliseconds(lambda: describe(tree)),
        "describe pipeline": milliseconds(lambda: describe(pipe)),
        "digest of pipeline": milliseconds(lambda: digest(pipe_spec)),
        "derive": milliseconds(lambda: derive(1, "job", "c0ffee", 3)),
        "fill_random_state of pipeline": milliseconds(lambda: fill_random_state(build(pipe_spec), 3)),
    }
    for name, value in times.items():
        print(f"{name}: {value:.4f} ms")
    assert times["build tree"] < 0.2
    assert times["build pipeline"] < 0.2
