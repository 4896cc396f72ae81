"""The same design and seed: in the session and through real workers, equal to the last bit."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

import batchml as bm

FIGURES = ["classif.acc", "classif.ce"]


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="batchml.learner")


def design():
    """Learners that draw, fail, are missing, print and warn, in every encapsulation; a stratified and a plain split."""
    guarded = bm.lrn("classif.debug", id="guarded", error_train=0.4, predict_missing=0.3)
    guarded.fallback = bm.lrn("classif.featureless", method="weighted.sample")
    apart = bm.lrn("classif.random_forest", id="apart", n_estimators=3, predict_type="prob", encapsulate="process")
    both = bm.lrn("classif.log_reg", id="both sets", predict_sets=["train", "test"], predict_type="prob")
    lost = bm.lrn("classif.debug", id="lost", error_predict=0.4, warning_train=1.0, encapsulate="capture")
    learners = [guarded, apart, both, lost, "classif.gradient_boosting", "classif.naive_bayes"]
    splits = [bm.rsmp("cv", folds=3, stratify=True), bm.rsmp("bootstrap", repeats=2)]
    return bm.benchmark_grid(["penguins", "iris"], learners, splits, measures=FIGURES, seed=5)


def large_design():
    """Two predictions of 2.4 MB, which leave their slot as views of memory."""
    frame = pd.DataFrame({"x": np.linspace(0, 1, 200_000), "y": np.linspace(1, 0, 200_000)})
    task = bm.as_task_regr(frame, "y", id="large")
    learner = bm.lrn("regr.featureless", predict_sets=["train", "test"])
    return bm.benchmark_grid(task, learner, bm.rsmp("holdout", ratio=0.5), seed=5)


def bits(result, cell):
    rr = result.resample_result(cell)
    return {name: [p.to_arrow() for p in rr.predictions(name)] for name in ("test", "train")}


@pytest.fixture(scope="module")
def here():
    logger = logging.getLogger("batchml.learner")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield bm.benchmark(design())
    logger.setLevel(level)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_session_and_real_workers_agree_to_the_last_bit(registry_url, here):
    with bm.Registry.create(registry_url, seed=77) as reg:
        reg.add(design(), "study")
        reg.add(large_design(), "large")
        reg.submit(executor=bm.Local(slots=2))
        assert reg.wait(timeout=200)
        there = reg.reduce(benchmark="study")
        assert bits(reg.reduce(benchmark="large"), 0) == bits(bm.benchmark(large_design()), 0)
        with pytest.warns(UserWarning, match="have no prediction"):
            mine, other = here.score(), there.score()
    pd.testing.assert_frame_equal(mine, other, check_exact=True)
    pd.testing.assert_frame_equal(here.coverage, there.coverage)
    tables = [result.aggregate([*FIGURES, "classif.bacc"], conditions=True) for result in (here, there)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert here.n_resample_results == there.n_resample_results == 24
    for cell in range(here.n_resample_results):
        assert bits(here, cell) == bits(there, cell)
    pd.testing.assert_frame_equal(here.errors, there.errors)
    pd.testing.assert_frame_equal(here.warnings.query("learner == 'lost'"), there.warnings.query("learner == 'lost'"))
    assert here.seed == there.seed == 5
