"""Scores, splits and digests: what every iteration pays, and what a million rows cost."""

from __future__ import annotations

import resource
import subprocess
import sys
import timeit

import numpy as np
import pandas as pd
import pytest

import batchml as bm
from batchml.core.measure import as_measures
from batchml.core.prediction import PredictionClassif, PredictionRegr

MEASURES = {
    "classes": ["classif.acc", "classif.bacc", "classif.fbeta", "classif.mcc", "classif.tpr"],
    "probabilities": ["classif.auc", "classif.logloss", "classif.bbrier", "classif.prauc", "classif.acc"],
    "numbers": ["regr.mse", "regr.mae", "regr.rsq", "regr.smape", "regr.srho"],
}


def predictions(kind, count, rows):
    rng = np.random.default_rng(1)
    ids = np.arange(rows)
    for _ in range(count):
        if kind == "numbers":
            yield PredictionRegr.from_arrays(truth=rng.normal(size=rows), response=rng.normal(size=rows), row_ids=ids)
            continue
        prob = rng.dirichlet([1, 1], rows)
        yield PredictionClassif.from_codes(
            classes=("a", "b"),
            positive_code=0,
            truth_codes=rng.integers(0, 2, rows),
            response_codes=prob.argmax(axis=1),
            prob=prob,
            row_ids=ids,
        )


@pytest.mark.parametrize("kind", sorted(MEASURES))
def test_a_score_costs_less_than_a_tenth_of_a_millisecond(kind):
    measures = as_measures(MEASURES[kind])
    made = list(predictions(kind, 1000, 100))
    best = np.inf
    for again in range(4):  # of fresh predictions, for some things are remembered
        fresh = [one.take(slice(None)) for one in made]
        took = timeit.timeit(lambda fresh=fresh: [one.score(p) for p in fresh for one in measures], number=1)
        best = min(best, took) if again else best
    each = 1000 * best / (1000 * len(measures))
    print(f"scoring {kind}: {each:.4f} ms per measure and prediction of 100 rows")
    assert each < 0.1


SPLITS = """
import resource, time, tracemalloc
import numpy as np
import batchml as bm
n = 1_000_000
task = bm.as_task_regr({"x": np.zeros(n), "y": np.arange(float(n))}, "y")
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
bound = bm.rsmp("repeated_cv", folds=10, repeats=100).instantiate(task, 1)
bound.train_set(0), bound.test_set(0)
one = peak()
start = time.perf_counter()
seen = 0
for i in range(bound.iters):
    seen += len(bound.train_set(i)) + len(bound.test_set(i))
took = time.perf_counter() - start
assert seen == 1000 * n
print(one, peak(), took)
"""


def test_a_thousand_splits_of_a_million_rows_take_the_memory_of_one():
    done = subprocess.run([sys.executable, "-c", SPLITS], capture_output=True, text=True, check=True)
    one, peak, took = map(float, done.stdout.split())
    print(f"1 000 splits of 1 000 000 rows: {took:.1f} s; peak after the first {one:.0f} MB, after all {peak:.0f} MB")
    assert peak - one < 16


def test_strings_are_hashed_by_the_million():
    rng = np.random.default_rng(1)
    words = np.array([f"word number {i}" for i in range(50_000)])
    frames = {
        "50 000 levels": pd.DataFrame({"c": words[rng.integers(0, len(words), 1_000_000)]}),
        "10 levels": pd.DataFrame({"c": words[rng.integers(0, 10, 1_000_000)]}),
    }
    for name, frame in frames.items():
        took = min(timeit.repeat(lambda frame=frame: bm.as_data_backend(frame).digest, number=1, repeat=3))
        print(f"digest of 1 000 000 strings, {name}: {took:.2f} s")
        assert took < 2
    texts = pd.DataFrame({"t": [f"a text of some length, number {i}" for i in range(1_000_000)], "y": 1.0})
    took = min(timeit.repeat(lambda: bm.as_task_regr(texts, "y", text=["t"]).digest, number=1, repeat=2))
    print(
        f"digest of 1 000 000 texts: {took:.2f} s; {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )
    assert took < 4


def test_kendalls_tau_of_many_rows():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=100_000)
    p = PredictionRegr(truth, truth + rng.normal(size=100_000))
    measure = bm.msr("regr.ktau")
    took = min(timeit.repeat(lambda: measure.score(p), number=1, repeat=3))
    print(f"Kendall's tau of 100 000 rows: {took:.2f} s")
    assert took < 1
