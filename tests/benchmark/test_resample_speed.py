"""What `resample` costs against scikit-learn's `cross_validate`, in one run."""

from __future__ import annotations

import statistics
import time

import numpy as np
from sklearn.model_selection import cross_validate
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

import batchml as bm

MOST = 1.3


def test_resample_costs_little_more_than_cross_validate():
    task = bm.tsk("breast_cancer")
    estimator = DecisionTreeClassifier(max_depth=3, random_state=0)
    learner = bm.as_learner(estimator, preprocess="none")
    splits = bm.rsmp("cv", folds=10).instantiate(task, seed=1)
    X, y = task.features(task.row_ids, array=True), task.truth()
    pairs = [(splits.train_set(i), splits.test_set(i)) for i in range(10)]

    def ours():
        return bm.resample(task, learner, splits, seed=1).score("classif.acc")["classif.acc"].to_numpy()

    def theirs():
        return cross_validate(estimator, X, y, cv=pairs, scoring="accuracy")["test_score"]

    with threadpool_limits(1):
        np.testing.assert_allclose(ours(), theirs(), rtol=0, atol=1e-12)
        times = {ours: [], theirs: []}
        for _ in range(30):  # in turn, so that what else runs on the machine hits both alike
            for call, seconds in times.items():
                start = time.perf_counter()
                call()
                seconds.append(time.perf_counter() - start)
    ratio = statistics.median(times[ours]) / statistics.median(times[theirs])
    print(
        f"\n10-fold cv of a tree of depth 3 on breast_cancer: resample {1e3 * statistics.median(times[ours]):.1f} ms, "
        f"cross_validate {1e3 * statistics.median(times[theirs]):.1f} ms, ratio {ratio:.2f} (at most {MOST})"
    )
    assert ratio <= MOST
