"""What cannot run is refused before anything of it runs or is stored, naming task, learner and column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

import batchml as bm
from batchml.errors import ConfigError, LearnerError


@pytest.fixture(scope="module")
def reg(tmp_path_factory):
    with bm.Registry.create(f"sqlite:///{tmp_path_factory.mktemp('refusals') / 'study.db'}", seed=1) as reg:
        yield reg


def frame(**columns):
    n = 40
    return pd.DataFrame({"x": np.arange(float(n)), **columns, "y": ["a", "b"] * (n // 2)})


def task(name, **columns):
    fields = {key: columns.pop(key) for key in ("weights", "text") if key in columns}
    return bm.as_task_classif(frame(**columns), "y", id=name, **fields)


def bare(estimator=None, **fields):
    learner = bm.as_learner(estimator or LogisticRegression(), id="bare", preprocess="none")
    for name, value in fields.items():
        setattr(learner, name, value)
    return learner


CASES = {
    "missing values": (lambda: task("gaps", z=[None, *[1.0] * 39]), bare, r"'bare' .*column 'z' of task 'gaps' has 1"),
    "a feature type": (
        lambda: task("levels", z=["u", "v"] * 20),
        bare,
        r"'bare' cannot take column 'z' of task 'levels': it is categorical",
    ),
    "a date": (
        lambda: task("times", z=pd.date_range("2020", periods=40)),
        lambda: bm.lrn("classif.tree", id="tree"),
        r"'tree' cannot take column 'z' of task 'times': it is datetime",
    ),
    "text": (
        lambda: task("texts", z=["word"] * 40, text=["z"]),
        lambda: bm.lrn("classif.log_reg", id="lr"),
        r"'lr' cannot take column 'z' of task 'texts': it is text",
    ),
    "weights": (
        lambda: task("weighted", w=[1.0] * 40, weights="w"),
        lambda: bm.lrn("classif.knn", id="knn"),
        r"'knn' cannot use the weights of task 'weighted'",
    ),
    "a task type": (lambda: task("plain"), lambda: "regr.tree", r"'regr.tree' is for regr tasks, task 'plain'"),
    "a parameter to tune": (
        lambda: task("plain"),
        lambda: bm.lrn("classif.svm", id="bare", C=bm.to_tune(1, 9)),
        r"learner 'bare': C is to be tuned, to_tune\(1, 9\)",
    ),
    "one class left": (
        lambda: task("halved").filter(range(0, 40, 2)),
        lambda: bm.lrn("classif.tree", id="tree"),
        r"'tree' cannot be trained on task 'halved': its target 'y' has only the class 'a'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_refused_before_anything_runs_or_is_stored(reg, case):
    make_task, make_learner, message = CASES[case]
    fine = bm.lrn("classif.debug", id="never", error_train=1.0)  # it would raise if anything ran
    tasks, learners = [make_task()], [make_learner()]
    splits = bm.rsmp("cv", folds=2)
    for refuse in (
        lambda: bm.benchmark(bm.benchmark_grid(tasks, [*learners, fine], splits, seed=1)),
        lambda: bm.resample(tasks[0], learners[0], bm.rsmp("cv", folds=2)),
        lambda: bm.as_learner(learners[0]).train(tasks[0]),
        lambda: reg.plan(bm.benchmark_grid(tasks, [*learners, fine], splits, seed=1), name="never"),
        lambda: reg.add(bm.benchmark_grid(tasks, [*learners, fine], splits, seed=1), name="never"),
    ):
        with pytest.raises(ConfigError, match=message):
            refuse()
    assert len(reg.jobs()) == 0
    assert reg.sql("select count(*) as n from all_jobs")["n"].tolist() == [0]


def test_predict_types_and_sets_that_are_not_there_are_refused_when_they_are_set():
    with pytest.raises(ConfigError, match=r"learner 'bare' cannot predict 'prob'; it offers response"):
        bare(SVC(), predict_type="prob")
    with pytest.raises(ConfigError, match="predict_sets is 'train' or 'test', not 'holdout'"):
        bare(predict_sets=["holdout"])
    with pytest.raises(ConfigError, match="cannot be the fallback of 'bare'"):
        bare(fallback=bm.lrn("classif.tree", fallback="classif.featureless"))


def test_a_fold_without_a_class_is_the_learners_error_and_says_where():
    halves = [list(range(0, 40, 2)), list(range(40))]
    splits = bm.rsmp("custom", train_sets=halves, test_sets=[[1, 3], [0, 1]])
    with pytest.raises(LearnerError, match=r"only the class 'a' \(ValueError: .* at least 2 classes") as caught:
        bm.resample(task("plain"), bare(), splits, seed=1)
    assert caught.value.__notes__ == ["in task 'plain', learner 'bare', resampling 'custom', iteration 0"]
    tree = bm.resample(task("plain"), bm.lrn("classif.tree", predict_type="prob"), splits, seed=1)
    assert tree.predictions()[0].prob["b"].tolist() == [0.0, 0.0]
