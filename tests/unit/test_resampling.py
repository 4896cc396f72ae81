"""Splits: sizes as in R, seeds from identity, drawn one repetition at a time."""

from __future__ import annotations

import json
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import model_selection as skm

import batchml as bm
from batchml.core.resampling import Resampling, as_resampling
from batchml.errors import ConfigError, DataError, UnknownKeyError


def task_of(n, **columns):
    roles = {"stratify": "s", "group": "g"}
    named = {word: name for word, name in roles.items() if name in columns}
    return bm.as_task_regr({"x": np.arange(float(n)), "y": np.arange(float(n)), **columns}, "y", **named)


def sets(bound):
    return [(bound.train_set(i), bound.test_set(i)) for i in range(bound.iters)]


def sizes(bound):
    pairs = sets(bound)
    return {
        "iters": bound.iters,
        "duplicated_ids": bool(any(len(set(a)) < len(a) for a, _ in pairs)),
        "train_n": [len(a) for a, _ in pairs],
        "test_n": [len(b) for _, b in pairs],
    }


def test_leave_one_out_leaves_rows_or_groups_out():
    assert sizes(bm.rsmp("loo").instantiate(task_of(4), 1))["test_n"] == [1, 1, 1, 1]
    assert sizes(bm.rsmp("loo").instantiate(task_of(4, g=[7, 7, 9, 9]), 1))["test_n"] == [2, 2]
    with pytest.raises(ConfigError, match="depends on the task"):
        _ = bm.rsmp("loo").iters


def test_custom_sets_are_row_ids():
    bound = bm.rsmp("custom", train_sets=[[5, 6], [1]], test_sets=[[1], [5, 5]]).instantiate(task_of(8), 1)
    assert [b.tolist() for _, b in sets(bound)] == [[1], [5, 5]]
    with pytest.raises(ConfigError, match="1 train_sets and 2 test_sets"):
        bm.rsmp("custom", train_sets=[[1]], test_sets=[[1], [2]])
    with pytest.raises(DataError, match="has no row 99 in use"):
        bm.rsmp("custom", train_sets=[[99]], test_sets=[[1]]).instantiate(task_of(8), 1)


def test_custom_folds_are_values_and_missing_rows_are_left_out():
    by_list = bm.rsmp("custom_cv", folds=["b", "a", None, "b"]).instantiate(task_of(4), 1)
    assert [(a.tolist(), b.tolist()) for a, b in sets(by_list)] == [([0, 3], [1]), ([1], [0, 3])]
    by_column = bm.rsmp("custom_cv", col="f").instantiate(task_of(4, f=["b", "a", None, "b"]), 1)
    assert [b.tolist() for _, b in sets(by_column)] == [[1], [0, 3]]
    with pytest.raises(ConfigError, match="either col"):
        bm.rsmp("custom_cv")


def test_more_repeats_leave_the_others_as_they_are():
    task = bm.tsk("iris")
    for key in ("repeated_cv", "subsampling", "bootstrap"):
        few, many = bm.rsmp(key, repeats=2), bm.rsmp(key, repeats=5)
        assert few.family_digest == many.family_digest
        assert few.digest != many.digest
        few, many = few.instantiate(task, 7), many.instantiate(task, 7)
        for i in range(few.iters):
            assert few.train_set(i).tolist() == many.train_set(i).tolist()


def test_splits_do_not_depend_on_the_order_of_asking():
    task = bm.tsk("iris")
    bound = bm.rsmp("repeated_cv", folds=3, repeats=3).instantiate(task, 7)
    again = bm.rsmp("repeated_cv", folds=3, repeats=3).instantiate(task, 7)
    forward = [bound.test_set(i).tolist() for i in range(9)]
    assert [again.test_set(i).tolist() for i in reversed(range(9))][::-1] == forward
    assert len({tuple(one) for one in forward}) == 9


def test_splits_are_those_of_ever():
    """Known values: they must never change, or stored studies fall apart."""
    task = task_of(10)
    assert bm.rsmp("cv", folds=3).instantiate(task, 1).test_set(0).tolist() == KNOWN["cv"]
    assert bm.rsmp("holdout").instantiate(task, 1).test_set(0).tolist() == KNOWN["holdout"]
    assert bm.rsmp("bootstrap").instantiate(task, 1).train_set(0).tolist() == KNOWN["bootstrap"]
    strata = task_of(10, s=list("aaaaabbbbb"))
    assert bm.rsmp("cv", folds=2).instantiate(strata, 1).test_set(0).tolist() == KNOWN["strata"]


KNOWN = {
    "cv": [2, 3, 5, 9],
    "holdout": [2, 7, 8],
    "bootstrap": [1, 1, 1, 1, 4, 7, 7, 7, 8, 9],
    "strata": [0, 1, 4, 5, 6, 9],
}


def test_tasks_with_equal_rows_share_splits_and_others_are_refused():
    table = {"x": [1.0, 2, 3, 4], "z": [2.0, 2, 3, 3], "y": list("abab")}
    one, two = bm.as_task_classif(table, "y"), bm.as_task_regr(table, "z")
    bound = bm.rsmp("cv", folds=2).instantiate(one, 3)
    bound.check_bound(two)
    assert bm.rsmp("cv", folds=2).instantiate(two, 3).test_set(0).tolist() == bound.test_set(0).tolist()
    with pytest.raises(DataError, match="'cv' was instantiated on another task than 'iris'"):
        bound.check_bound(bm.tsk("iris"))
    with pytest.raises(DataError, match="'cv' was instantiated on another task"):
        bound.check_bound(one.clone().filter([0, 1, 2]))


def test_instantiate_binds_in_place_and_returns_a_copy_of_its_own():
    resampling = bm.rsmp("cv", folds=2)
    assert not resampling.is_instantiated
    first = resampling.instantiate(task_of(4), 1)
    resampling.instantiate(task_of(6), 1)
    assert sorted([*first.test_set(0), *first.test_set(1)]) == [0, 1, 2, 3]
    assert len(resampling.test_set(0)) == 3
    assert not resampling.clone().is_instantiated


def test_a_bound_resampling_survives_pickling():
    bound = bm.rsmp("cv", folds=2, stratify=True).instantiate(bm.tsk("iris"), 1)
    again = pickle.loads(pickle.dumps(bound))
    assert again.test_set(1).tolist() == bound.test_set(1).tolist()


SPLITTERS = [
    skm.KFold(3),
    skm.KFold(3, shuffle=True),
    skm.StratifiedKFold(3, shuffle=True, random_state=5),
    skm.RepeatedStratifiedKFold(n_splits=3, n_repeats=2),
    skm.ShuffleSplit(3, test_size=0.2),
    skm.StratifiedShuffleSplit(2),
    skm.TimeSeriesSplit(3),
    skm.LeaveOneOut(),
    skm.PredefinedSplit(np.repeat([0, 1, -1], 50)),
]


@pytest.mark.parametrize("splitter", SPLITTERS, ids=lambda one: type(one).__name__)
def test_splitters_of_scikit_learn_work_as_they_are(splitter):
    task = bm.tsk("iris")
    bound = as_resampling(splitter).instantiate(task, 4)
    again = Resampling.from_spec(json.loads(json.dumps(bound.spec()))).instantiate(task, 4)
    assert bound.iters == splitter.get_n_splits(np.zeros(150), task.truth())
    for i in (1, 0):  # going back draws anew
        assert bound.train_set(i).tolist() == again.train_set(i).tolist()
        assert not set(bound.train_set(i)) & set(bound.test_set(i))


def test_a_random_state_is_filled_from_the_seed_and_an_integer_stays():
    task = bm.tsk("iris")

    def first(splitter, seed):
        return as_resampling(splitter).instantiate(task, seed).test_set(0).tolist()

    assert first(skm.KFold(3, shuffle=True), 1) != first(skm.KFold(3, shuffle=True), 2)
    fixed = skm.KFold(3, shuffle=True, random_state=9)
    wanted = next(fixed.split(np.zeros(150)))[1].tolist()
    assert first(fixed, 1) == first(fixed, 2) == wanted


def test_a_splitter_gets_groups_and_rows_in_order():
    rng = np.random.default_rng(1)
    table = {"x": rng.normal(size=60), "g": rng.integers(0, 12, 60), "y": rng.choice(["a", "b"], 60)}
    task = bm.as_task_classif(table, "y", group="g")
    bound = as_resampling(skm.StratifiedGroupKFold(3)).instantiate(task, 1)
    for train, test in sets(bound):
        assert not set(table["g"][train]) & set(table["g"][test])
    time = rng.permutation(60)
    series = bm.as_task_regr({"x": table["x"], "t": time, "y": table["x"]}, "y")
    series.set_col_roles("t", roles="order")
    for train, test in sets(as_resampling(skm.TimeSeriesSplit(4)).instantiate(series, 1)):
        assert time[train].max() < time[test].min()


def test_what_a_splitter_refuses_names_task_and_resampling():
    bound = as_resampling(skm.GroupKFold(3))
    with pytest.raises(DataError, match="task 'iris', resampling 'GroupKFold': it needs groups"):
        bound.instantiate(bm.tsk("iris"), 1).train_set(0)


@pytest.mark.parametrize("key", [key for key in bm.rsmp().key if not key.startswith("custom")])
def test_a_spec_gives_the_resampling_back(key):
    resampling = bm.rsmp(key)
    again = Resampling.from_spec(json.loads(json.dumps(resampling.spec())))
    assert again.digest == resampling.digest
    assert repr(again) == repr(resampling)
    task = task_of(30)
    assert sets(resampling.instantiate(task, 2))[-1][0].tolist() == sets(again.instantiate(task, 2))[-1][0].tolist()


def test_custom_specs_give_the_sets_back():
    resampling = bm.rsmp("custom", train_sets=[range(0, 300, 2)], test_sets=[[1, 3]])
    again = Resampling.from_spec(json.loads(json.dumps(resampling.spec())))
    assert again.digest == resampling.digest
    assert again.instantiate(task_of(300), 1).train_set(0).tolist() == list(range(0, 300, 2))


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ConfigError, match="folds is a whole number of at least 2, not 1"):
        bm.rsmp("cv", folds=1)
    with pytest.raises(ConfigError, match="ratio is a number between 0 and 1"):
        bm.rsmp("holdout", ratio=1.1)
    with pytest.raises(UnknownKeyError, match="did you mean 'folds'"):
        bm.rsmp("cv", fold=3)
    with pytest.raises(ConfigError, match="'cv' has not been instantiated yet"):
        bm.rsmp("cv").train_set(0)
    with pytest.raises(DataError, match="iterations 0 to 2, not 3"):
        bm.rsmp("cv", folds=3).instantiate(task_of(10), 1).train_set(3)
    with pytest.raises(DataError, match="has 4 rows: too few for 5 folds"):
        bm.rsmp("cv", folds=5).instantiate(task_of(4), 1)
    with pytest.raises(DataError, match="strata and groups cannot be combined"):
        bm.rsmp("cv", folds=2).instantiate(task_of(4, s=list("aabb"), g=[1, 2, 3, 4]), 1)
    with pytest.raises(DataError, match="needs classes or stratum columns"):
        bm.rsmp("cv", folds=2, stratify=True).instantiate(task_of(4), 1)
    for seed in (-1, 2**63, "x", 1.0):
        with pytest.raises(ConfigError, match="a seed is a whole number"):
            bm.rsmp("cv", folds=2).instantiate(task_of(4), seed)
    with pytest.raises(ConfigError, match=r"make an instance, KFold\(...\)"):
        as_resampling(skm.KFold)


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 60), st.integers(2, 12), st.integers(0, 2**62), st.integers(1, 4))
def test_folds_part_the_rows_of_each_stratum_evenly(n, folds, seed, k):
    folds = min(folds, -(-n // k))
    s = [f"s{i % k}" for i in range(n)]
    pairs = sets(bm.rsmp("cv", folds=folds).instantiate(task_of(n, s=s), seed))
    assert sorted(row for _, test in pairs for row in test) == list(range(n))
    for train, test in pairs:
        assert sorted([*train, *test]) == list(range(n))
    for stratum in set(s):
        held = [sum(s[row] == stratum for row in test) for _, test in pairs]
        assert held == sorted(held, reverse=True)
        assert held[0] - held[-1] <= 1


def test_a_hundred_repetitions_of_a_million_rows_hold_one_split():
    n = 1_000_000
    task = bm.as_task_regr({"x": np.zeros(n), "y": np.arange(float(n))}, "y")
    bound = bm.rsmp("repeated_cv", folds=10, repeats=100).instantiate(task, 1)
    tracemalloc.start()
    for i in range(0, 60, 10):
        bound.train_set(i)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6


def test_folds_that_would_stay_empty_are_refused():
    with pytest.raises(DataError, match="task 'y': the largest stratum has 3 rows, too few for 4 folds of resampling"):
        bm.rsmp("cv", folds=4).instantiate(task_of(6, s=list("aabbab")), 1)
    with pytest.raises(DataError, match="has 3 groups: too few for 4 folds"):
        bm.rsmp("cv", folds=4).instantiate(task_of(6, g=[1, 1, 2, 2, 3, 3]), 1)


GROUPS = [1, 1, 2, 2, 3, 3]


def test_splitters_get_groups_or_say_that_they_do_not_heed_them():
    task = task_of(6, g=GROUPS)
    leave = as_resampling(skm.LeaveOneGroupOut()).instantiate(task, 1)
    assert [test.tolist() for _, test in sets(leave)] == [[0, 1], [2, 3], [4, 5]]
    for splitter in (skm.TimeSeriesSplit(3), skm.PredefinedSplit([0, 1, -1, 0, 1, 1]), skm.KFold(2)):
        with pytest.warns(UserWarning, match=r"task 'y', resampling '\w+': it does not heed groups") as caught:
            bound = as_resampling(splitter).instantiate(task, 1)
        assert len(caught) == 1
        wanted = [test.tolist() for _, test in splitter.split(np.zeros((6, 1)))]
        assert [test.tolist() for _, test in sets(bound)] == wanted  # without another warning


def test_time_series_and_predefined_splits_are_scikit_learns_own():
    task = bm.tsk("diabetes")
    time = as_resampling(skm.TimeSeriesSplit(4, gap=2)).instantiate(task, 1)
    for (train, test), (a, b) in zip(sets(time), skm.TimeSeriesSplit(4, gap=2).split(np.zeros(442)), strict=True):
        assert train.tolist() == a.tolist()
        assert test.tolist() == b.tolist()
    folds = np.arange(442) % 5 - 1
    fixed = as_resampling(skm.PredefinedSplit(folds))
    assert fixed.iters == 4
    again = Resampling.from_spec(json.loads(json.dumps(fixed.spec()))).instantiate(task, 1)
    assert again.test_set(2).tolist() == np.flatnonzero(folds == 2).tolist()
    assert not set(np.flatnonzero(folds == -1)) & set(again.test_set(2))
    with pytest.raises(DataError, match="it has folds for 442 rows, but 4 are in use"):
        fixed.instantiate(task_of(4), 1)


def test_stratified_groups_are_split_by_scikit_learn():
    rng = np.random.default_rng(2)
    table = {"x": rng.normal(size=90), "g": np.repeat(range(30), 3), "y": np.repeat(rng.choice(["a", "b"], 30), 3)}
    task = bm.as_task_classif(table, "y", group="g")
    bound = as_resampling(skm.StratifiedGroupKFold(5)).instantiate(task, 1)
    share = np.mean(task.truth() == "a")
    for train, test in sets(bound):
        assert not set(table["g"][train]) & set(table["g"][test])
        assert abs(np.mean(task.truth(test) == "a") - share) < 0.2
    shuffled = as_resampling(skm.StratifiedGroupKFold(5, shuffle=True))
    one, same = (shuffled.instantiate(task, 3) for _ in range(2))
    other = shuffled.instantiate(task, 4)
    assert [b.tolist() for _, b in sets(one)] == [b.tolist() for _, b in sets(same)]
    assert [b.tolist() for _, b in sets(one)] != [b.tolist() for _, b in sets(other)]


@pytest.mark.parametrize("key", ["cv", "holdout", "bootstrap", "subsampling", "repeated_cv"])
def test_splits_are_those_of_the_rows_whatever_the_features_are(key):
    """So all learners and all tasks with these rows share them."""
    one = bm.rsmp(key).instantiate(task_of(40), 5)
    other = bm.rsmp(key).instantiate(bm.as_task_classif({"z": range(40), "c": ["u", "v"] * 20}, "c"), 5)
    assert one.task_row_digest == other.task_row_digest
    assert all(a.tolist() == b.tolist() for a, b in zip(sets(one)[0], sets(other)[0], strict=True))
    one.check_bound(task_of(40))
    with pytest.raises(DataError, match="was instantiated on another task than 'y'"):
        one.check_bound(task_of(41))
    with pytest.raises(DataError, match="was instantiated on another task than 'y'"):
        one.check_bound(task_of(40, g=list(range(20)) * 2))


@pytest.mark.parametrize(("n", "ratio", "size"), [(5, 0.5, 2), (7, 0.5, 4), (9, 0.5, 4), (10, 0.25, 2), (6, 0.25, 2)])
def test_half_a_row_is_rounded_to_even(n, ratio, size):
    for key in ("holdout", "subsampling"):
        assert len(bm.rsmp(key, ratio=ratio).instantiate(task_of(n), 1).train_set(0)) == size
    assert len(bm.rsmp("bootstrap", ratio=ratio).instantiate(task_of(n), 1).train_set(0)) == size
    assert len(bm.partition(task_of(n), ratio, seed=1)["train"]) == size


def test_partition_keeps_groups_together_and_strata_in_proportion():
    parts = bm.partition(task_of(12, g=[i // 3 for i in range(12)]), 0.5, seed=1)
    assert {row // 3 for row in parts["train"]}.isdisjoint({row // 3 for row in parts["test"]})
    strata = bm.partition(task_of(12, s=list("aaaabbbbbbbb")), 0.5, seed=1)
    assert sum(row < 4 for row in strata["train"]) == 2
    assert sorted([*strata["train"], *strata["test"]]) == list(range(12))


def test_filtered_rows_keep_their_ids_in_the_sets():
    task = task_of(20).filter(range(0, 20, 2))
    found = sets(bm.rsmp("cv", folds=5).instantiate(task, 1))
    assert sorted(row for _, test in found for row in test.tolist()) == list(range(0, 20, 2))
    custom = bm.rsmp("custom_cv", col="f").instantiate(task_of(4, f=["b", None, "a", "b"]).filter([0, 2, 3]), 1)
    assert [(a.tolist(), b.tolist()) for a, b in sets(custom)] == [([0, 3], [2]), ([2], [0, 3])]
