"""In-session benchmarks through joblib's processes: the same results, and errors that say where they arose."""

from __future__ import annotations

import warnings

import joblib
import numpy as np
import pytest

from batchml.core.catalog import lrn, rsmp
from batchml.core.learner import Learner
from batchml.errors import ConfigError
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


class Dice(Learner):
    """Predicts by numpy's global generator, as code does that knows nothing of seeds."""

    feature_types = ("logical", "integer", "numeric")
    properties = frozenset({"twoclass", "multiclass"})

    def _fit(self, task, row_ids, *, seed):
        return np.random.rand()  # noqa: NPY002

    def _predict(self, model, task, row_ids, *, seed):
        return {"codes": np.random.randint(len(task.classes), size=len(row_ids))}  # noqa: NPY002


def backends():
    yield "loky", 2
    yield "threading", 2
    yield "threading", 5
    yield "sequential", 1


def test_no_backend_and_no_number_of_workers_changes_a_bit():
    forest = lrn("classif.random_forest", n_estimators=4, predict_type="prob")
    logistic = lrn("classif.log_reg", predict_type="prob")
    apart = lrn("classif.tree", id="apart", encapsulate="process", predict_type="prob")
    design = benchmark_grid(["iris", "wine"], [forest, logistic, apart], rsmp("cv", folds=3), seed=1)
    dice = benchmark_grid("iris", [Dice(id="dice"), "classif.featureless"], rsmp("cv", folds=6), seed=1)
    expected = bits(benchmark(design)), bits(benchmark(dice))
    for name, workers in backends():
        with joblib.parallel_config(backend=name, n_jobs=workers):
            assert (bits(benchmark(design)), bits(benchmark(dice))) == expected, (name, workers)


def test_the_order_of_the_cells_changes_no_result():
    design = benchmark_grid(["iris", "wine"], ["classif.tree", Dice(id="dice")], rsmp("cv", folds=3), seed=1)
    backwards = type(design)(cells=design.cells[::-1], seed=1)
    assert bits(benchmark(design))[:3] == bits(benchmark(backwards))[9:]


def test_threads_leave_the_sessions_random_numbers_alone():
    design = benchmark_grid("iris", ["classif.tree", Dice(id="dice")], rsmp("cv", folds=8), seed=1)
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    with joblib.parallel_config(backend="threading", n_jobs=4):
        benchmark(design)
    assert np.random.rand() == expected  # noqa: NPY002


def test_capture_is_refused_under_threads_and_goes_through_processes():
    design = benchmark_grid("iris", lrn("classif.tree", encapsulate="capture"), rsmp("cv", folds=3), seed=1)
    with joblib.parallel_config(backend="threading", n_jobs=2), pytest.raises(ConfigError, match="'loky'"):
        benchmark(design)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        assert bits(benchmark(design)) == bits(benchmark(design))


def test_fallbacks_behind_processes_work_under_threads():
    learner = lrn("classif.debug", error_predict=0.5, encapsulate="process", fallback="classif.featureless")
    design = benchmark_grid("iris", learner, rsmp("cv", folds=6), seed=2)
    expected = benchmark(design)
    with joblib.parallel_config(backend="threading", n_jobs=3), warnings.catch_warnings():
        warnings.simplefilter("error")
        got = benchmark(design)
    assert bits(got) == bits(expected)
    assert got.errors.equals(expected.errors)
    assert 0 < len(got.errors) < 6


class Counted:
    """A parameter that counts how often it was written down."""

    written = 0

    def __getstate__(self):
        Counted.written += 1
        return {}


def test_processes_are_sent_the_tasks_once_not_with_every_iteration():
    learner = Dice(id="dice")
    learner.cargo = Counted()
    design = benchmark_grid("iris", learner, rsmp("cv", folds=20), seed=1)
    Counted.written = 0
    with joblib.parallel_config(backend="loky", n_jobs=2):
        benchmark(design)
    assert Counted.written == 1
