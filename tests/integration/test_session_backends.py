"""In-session benchmarks through joblib's processes: the same results, and errors that say where they arose."""

from __future__ import annotations

import joblib
import pytest

from batchml.core.catalog import lrn, rsmp
from batchml.experiment.benchmark import benchmark
from batchml.experiment.grid import benchmark_grid


def bits(result):
    return [p.to_arrow() for i in range(result.n_resample_results) for p in result.resample_result(i).predictions()]


def test_processes_give_the_same_results_and_name_what_failed():
    guarded = lrn("classif.debug", id="guarded", error_train=0.5, fallback="classif.featureless")
    learners = ["classif.log_reg", lrn("classif.random_forest", n_estimators=5), guarded]
    design = benchmark_grid(["penguins", "wine"], learners, rsmp("cv", folds=4), seed=1)
    failing = benchmark_grid("iris", lrn("classif.debug", error_train=1.0), "cv", seed=1)
    expected = benchmark(design)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        got = benchmark(design)
        with pytest.raises(Exception, match=r"Error from classif\.debug") as caught:
            benchmark(failing)
    assert bits(got) == bits(expected)
    assert got.errors.equals(expected.errors)
    assert any("task 'iris'" in note for note in caught.value.__notes__)
