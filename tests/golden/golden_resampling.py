"""Resamplings: sizes of sets as in R; the rows in them are drawn by another generator."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from golden_ledger import Ledger, rows, same

import batchml as bm
from batchml.errors import ConfigError, DataError

ledger = Ledger("resampling")


def task_of(n, **columns):
    roles = {word: name for word, name in (("stratify", "s"), ("group", "g")) if name in columns}
    return bm.as_task_regr({"x": np.arange(float(n)), "y": np.arange(float(n)), **columns}, "y", **roles)


def bound_to(key, task, **params):
    return bm.rsmp(key, **params).instantiate(task, 1)


def sets(bound):
    return [(bound.train_set(i), bound.test_set(i)) for i in range(bound.iters)]


def sizes(bound):
    pairs = sets(bound)
    return {
        "iters": bound.iters,
        "duplicated_ids": any(len(set(train.tolist())) < len(train) for train, _ in pairs),
        "train_n": [len(train) for train, _ in pairs],
        "test_n": [len(test) for _, test in pairs],
    }


def described(output):
    """Return R's description of sets without the rows themselves; R writes a list of one as the one."""
    lists = {name: output[name] if isinstance(output[name], list) else [output[name]] for name in ("train_n", "test_n")}
    return {"iters": output["iters"], "duplicated_ids": output["duplicated_ids"], **lists}


def counts(bound, labels):
    names = sorted(set(labels))
    labels = np.asarray(labels)

    def count(chosen):
        found = Counter(labels[chosen].tolist())
        return {name: found[name] for name in names}

    return [{"train": count(train), "test": count(test)} for train, test in sets(bound)]


@ledger.replays("cv_10_10", "cv_4_10", "cv_10_344", but="sizes; rows come from another generator")
def cv(case):
    bound = bound_to("cv", task_of(case.inputs["n"]), folds=case.inputs["folds"])
    same(sizes(bound), described(case.output))
    assert sorted(np.concatenate([test for _, test in sets(bound)]).tolist()) == list(range(case.inputs["n"]))


@ledger.replays("repeated_cv", but="sizes; rows come from another generator")
def repeated_cv(case):
    params = {name: case.inputs[name] for name in ("folds", "repeats")}
    same(sizes(bound_to("repeated_cv", task_of(case.inputs["n"]), **params)), described(case.output))


@ledger.replays(*(name for name in ledger.cases if name.startswith("holdout_")))
def holdout(case):
    same(sizes(bound_to("holdout", task_of(case.inputs["n"]), ratio=case.inputs["ratio"])), described(case.output))


@ledger.replays("bootstrap", but="sizes of training sets; how many rows are left out depends on the draw")
def bootstrap(case):
    bound = bound_to("bootstrap", task_of(10), repeats=case.inputs["repeats"], ratio=case.inputs["ratio"])
    found, wanted = sizes(bound), described(case.output)
    same({**found, "test_n": None}, {**wanted, "test_n": None})
    for train, test in sets(bound):  # as in R: all rows are in one of the two, none in both
        assert sorted({*train.tolist(), *test.tolist()}) == list(range(10))
        assert not {*train.tolist()} & {*test.tolist()}


@ledger.replays("insample", but="rows count from 0")
def insample(case):
    bound = bound_to("insample", task_of(case.inputs["n"]))
    same(sizes(bound), described(case.output))
    same([train + 1 for train, _ in sets(bound)], case.output["train"])
    same([test + 1 for _, test in sets(bound)], case.output["test"])


@ledger.replays("custom_unequal")
def custom_unequal(case):
    with pytest.raises(ConfigError, match="1 train_sets and 2 test_sets"):
        bm.rsmp("custom", train_sets=[range(5)], test_sets=[range(5, 10), [1, 2]])
    assert "Must have length 1" in case.error


@ledger.replays("strat_cv")
def stratified_cv(case):
    y = case.inputs["y"]
    same(counts(bound_to("cv", task_of(18, s=y), folds=case.inputs["folds"]), y), case.output)


@ledger.replays("strat_cv_5")
def stratified_cv_of_few(case):
    y = case.inputs["y"]
    bound = bound_to("cv", task_of(18, s=y), folds=case.inputs["folds"])
    same({"sizes": sizes(bound), "counts": counts(bound, y)}, {**case.output, "sizes": described(case.output["sizes"])})


@ledger.replays("strat_cv_4_rest")
def rest_of_strata(case):
    same(sizes(bound_to("cv", task_of(18, s=case.inputs["y"]), folds=case.inputs["folds"])), described(case.output))


@ledger.replays("strat_cv_penguins")
def stratified_penguins(case):
    task = bm.tsk("penguins")
    by_role = bound_to("cv", task.clone().set_col_roles("species", add_to="stratum"))
    by_parameter = bound_to("cv", task, stratify=True)
    same(counts(by_role, task.truth()), case.output)
    same(counts(by_parameter, task.truth()), case.output)


@ledger.replays("strat_holdout")
def stratified_holdout(case):
    y = case.inputs["y"]
    same(counts(bound_to("holdout", task_of(18, s=y), ratio=case.inputs["ratio"]), y), case.output)


@ledger.replays("strat_subsampling")
def stratified_subsampling(case):
    y = case.inputs["y"]
    params = {name: case.inputs[name] for name in ("ratio", "repeats")}
    same(counts(bound_to("subsampling", task_of(18, s=y), **params), y), case.output)


@ledger.replays("strat_bootstrap")
def stratified_bootstrap(case):
    y = case.inputs["y"]
    bound = bound_to("bootstrap", task_of(18, s=y), repeats=case.inputs["repeats"])
    same([one["train"] for one in counts(bound, y)], case.output)


@ledger.replays("group_cv", but="groups in each fold; which ones comes from another generator")
def grouped_cv(case):
    g = np.array(case.inputs["group"])
    bound = bound_to("cv", task_of(12, g=g), folds=case.inputs["folds"])
    assert bound.iters == case.output["desc"]["iters"]
    tested = [set(g[test].tolist()) for _, test in sets(bound)]
    wanted = [len(one) if isinstance(one, list) else 1 for one in case.output["groups_in_test"]]
    assert [len(one) for one in tested] == wanted
    for train, test in sets(bound):
        assert not set(g[train].tolist()) & set(g[test].tolist())


@ledger.replays("group_bootstrap", but="whole groups, as many as there are; which ones comes from another generator")
def grouped_bootstrap(case):
    g = np.array(case.inputs["group"])

    def draws(train):
        """Return how often each group was drawn, after a look that it was drawn as a whole."""
        often = Counter(np.asarray(train).tolist())
        times = {group: {often[row] for row in np.flatnonzero(g == group).tolist()} for group in set(g.tolist())}
        assert all(len(one) == 1 for one in times.values())
        return sum(one.pop() for one in times.values())

    assert draws(np.array(case.output) - 1) == 5
    assert draws(bound_to("bootstrap", task_of(12, g=g), repeats=1).train_set(0)) == 5


@ledger.replays("group_and_stratum")
def groups_and_strata(case):
    with pytest.raises(DataError, match="strata and groups cannot be combined"):
        bound_to("cv", task_of(4, s=list("aabb"), g=[1, 2, 3, 4]), folds=2)
    assert "Cannot combine" in case.error


@ledger.replays("not_instantiated")
def not_instantiated(case):
    with pytest.raises(ConfigError, match="'cv' has not been instantiated yet"):
        bm.rsmp("cv").train_set(0)
    assert "has not been instantiated yet" in case.error


@ledger.replays("iter_out_of_range", but="iterations count from 0")
def iteration_out_of_range(case):
    with pytest.raises(DataError, match="the iterations 0 to 2, not 3"):
        bound_to("cv", task_of(10), folds=3).train_set(3)
    assert "not <= 3" in case.error


@ledger.replays("bad_ratio")
def bad_ratio(case):
    with pytest.raises(ConfigError, match=r"ratio is a number between 0 and 1, not 1\.1"):
        bm.rsmp("holdout", ratio=1.1)
    assert "ratio" in case.error


@ledger.replays("partition", but="training and test rows only: there is no set for validation")
def partition(case):
    found = {name: len(ids) for name, ids in bm.partition("penguins", seed=1).items()}
    same(found | {"validation": 0}, case.output["n"])


@ledger.replays("same_split_for_all_learners", but="wine takes the place of sonar")
def same_splits(case):
    design = bm.benchmark_grid(
        ["iris", "wine"], ["classif.featureless", "classif.tree"], bm.rsmp("cv", folds=3), seed=1
    )
    renamed = {"sonar": "wine", "classif.rpart": "classif.tree"}
    wanted = [[renamed.get(word, word) for word in row] for row in rows(case.output["rows"])]
    same(design.to_frame()[["task", "learner", "resampling"]].to_numpy().tolist(), wanted)
    result = bm.benchmark(design)
    tested = [result.resample_result(i).predictions() for i in range(4)]
    ids = [[one.row_ids.tolist() for one in found] for found in tested]
    assert (ids[0] == ids[1], ids[0] == ids[2]) == (case.output["same_instance"], case.output["other_task"])


@ledger.replays("grid_two_resamplings", but="wine takes the place of sonar")
def order_of_the_grid(case):
    learners = ["classif.featureless", "classif.tree"]
    design = bm.benchmark_grid(["iris", "wine"], learners, ["holdout", "cv"])
    renamed = {"sonar": "wine", "classif.rpart": "classif.tree"}
    wanted = [[renamed.get(word, word) for word in row] for row in rows(case.output)]
    same(design.to_frame()[["task", "learner", "resampling"]].to_numpy().tolist(), wanted)


@ledger.differs(
    "grid_param_values", why="a design has a row for each setting; in R a row for each learner holds them all"
)
def settings(case):
    learners = ["classif.featureless", "classif.tree"]
    chosen = [[{}], [{"max_depth": 1}, {"max_depth": 3, "ccp_alpha": 0.1}]]
    frame = bm.benchmark_grid("iris", learners, "holdout", param_values=chosen).to_frame()
    assert frame["params"].tolist() == [one for group in chosen for one in group]
    assert [len(group) for group in chosen] == [len(group) for group in case.output["pv"]]
