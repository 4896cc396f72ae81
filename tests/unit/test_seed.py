"""Seeds come from identity: laws of derive, permutation and fill_random_state."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from batchml.core.seed import (
    derive,
    draw_root,
    fill_random_state,
    first_of_permutation,
    permutation,
    random_state_at,
    seed_globals,
)
from batchml.errors import ConfigError

roots = st.integers(0, 2**63 - 1)
paths = st.lists(st.text(max_size=5) | st.integers(-(2**70), 2**70), max_size=4).map(tuple)


@settings(max_examples=60, deadline=None)
@given(roots, paths, paths)
def test_a_derived_seed_has_63_bits_and_belongs_to_its_path(root, one, other):
    assert 0 <= derive(root, *one) < 2**63
    assert derive(root, *one) == derive(root, *one)
    assert (derive(root, *one) == derive(root, *other)) == (one == other)


def test_near_paths_have_different_seeds():
    near = [("a", "b"), ("ab",), ("a", "", "b"), ("b", "a"), ("1",), (1,), ('a","b',), (), ("",), (0,), ("a/b",)]
    assert len({derive(1, *path) for path in near}) == len(near)


def test_near_roots_have_different_seeds():
    roots = [*range(200), 2**32, 2**32 + 1, 2**62, 2**63 - 1]
    assert len({derive(root, "a") for root in roots}) == len(roots)


def test_derived_seeds_never_change():
    assert derive(42) == 3511549374168416700
    assert derive(42, "job", "c0ffee", 3) == 5097939087009026160
    assert derive(2**63 - 1, "ü", -5) == 6964774906874582105


def test_numpy_integers_name_the_same_thing_as_python_integers():
    assert derive(np.int64(5), "a", np.int32(3)) == derive(5, "a", 3)


@pytest.mark.parametrize("root", [-1, 2**63, 2**70])
def test_a_root_seed_out_of_range_is_refused(root):
    with pytest.raises(ConfigError, match="a seed is a whole number from 0 to"):
        derive(root, "a")


def test_drawn_root_seeds_differ_and_fit():
    drawn = {draw_root() for _ in range(20)}
    assert len(drawn) == 20
    assert all(0 <= root < 2**63 for root in drawn)


@settings(max_examples=50, deadline=None)
@given(roots, st.integers(0, 500))
def test_a_permutation_holds_every_number_once(seed, n):
    order = permutation(seed, n)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))


def test_a_permutation_depends_on_nothing_but_its_arguments():
    first = permutation(7, 50)
    np.random.seed(0)  # noqa: NPY002
    permutation(8, 10)
    random.random()
    assert np.array_equal(permutation(7, 50), first)
    assert not np.array_equal(permutation(8, 50), first)
    assert permutation(7, 10).tolist() == [6, 3, 4, 9, 0, 2, 8, 7, 5, 1]


def test_permutations_are_uniform_enough():
    firsts = np.bincount([permutation(derive(1, "p", i), 5)[0] for i in range(2000)], minlength=5)
    assert firsts.min() > 320
    assert firsts.max() < 480


def test_global_generators_are_seeded():
    seed_globals(5)
    one = (random.random(), np.random.random())  # noqa: NPY002
    seed_globals(5)
    assert (random.random(), np.random.random()) == one  # noqa: NPY002
    seed_globals(6)
    assert (random.random(), np.random.random()) != one  # noqa: NPY002


def test_every_random_state_that_is_none_is_filled_from_its_path():
    pipe = Pipeline(
        [
            ("q", QuantileTransformer()),
            ("scale", StandardScaler()),
            ("vote", VotingClassifier([("a", RandomForestClassifier()), ("b", LogisticRegression(random_state=5))])),
        ]
    )
    fill_random_state(pipe, 11)
    params = pipe.get_params()
    seeds = {name: value for name, value in params.items() if name.endswith("random_state")}
    assert seeds.pop("vote__b__random_state") == 5
    assert seeds == {name: random_state_at(11, name) for name in seeds}
    assert set(seeds) == {"q__random_state", "vote__a__random_state"}
    assert all(0 <= value < 2**31 for value in seeds.values())


def test_filling_needs_no_order_and_the_seed_of_one_step_stays_when_another_comes():
    one = Pipeline([("a", DecisionTreeClassifier()), ("b", RandomForestClassifier())])
    other = Pipeline([("b", RandomForestClassifier())])
    fill_random_state(one, 1)
    fill_random_state(other, 1)
    assert one["b"].random_state == other["b"].random_state
    fill_random_state(one, 2)
    assert one["b"].random_state == other["b"].random_state


def test_nested_splitters_and_grids_are_filled_too():
    search = GridSearchCV(
        BaggingClassifier(DecisionTreeClassifier()),
        {"estimator": [DecisionTreeClassifier(), LogisticRegression()]},
        cv=StratifiedKFold(3, shuffle=True),
    )
    fill_random_state(search, 3)
    assert isinstance(search.cv.random_state, int)
    assert isinstance(search.estimator.random_state, int)
    assert isinstance(search.estimator.estimator.random_state, int)
    drawn = [estimator.random_state for estimator in search.param_grid["estimator"]]
    assert len(set(drawn)) == 2


def test_a_splitter_that_does_not_shuffle_is_left_alone():
    search = GridSearchCV(DecisionTreeClassifier(), {}, cv=KFold(3))
    fill_random_state(search, 3)
    assert search.cv.random_state is None


def test_the_object_that_was_cloned_is_left_alone():
    search = GridSearchCV(DecisionTreeClassifier(), {}, cv=KFold(3, shuffle=True))
    fill_random_state(clone(search), 3)
    assert search.cv.random_state is None
    assert search.estimator.random_state is None


def test_estimators_without_parameters_pass():
    fill_random_state(FrozenEstimator(StandardScaler()), 1)
    fill_random_state(object(), 1)


def test_estimators_that_keep_their_parameters_elsewhere_are_asked():
    class Boxed:
        __slots__ = ("held",)

        def __init__(self):
            self.held = {"random_state": None, "depth": 3}

        def get_params(self, deep=True):  # noqa: FBT002
            return dict(self.held)

        def set_params(self, **params):
            self.held.update(params)

    boxed = Boxed()
    fill_random_state(boxed, 1)
    assert boxed.held == {"random_state": random_state_at(1, "random_state"), "depth": 3}


def test_every_estimator_that_takes_a_random_state_gets_one():
    filled = 0
    for _name, cls in all_estimators():
        try:
            estimator = cls()
        except (TypeError, FutureWarning):
            continue
        fill_random_state(estimator, 1)
        if estimator.get_params(deep=False).get("random_state", "deprecated") != "deprecated":
            assert isinstance(estimator.random_state, int)
            filled += 1
    assert filled > 50


@settings(max_examples=60, deadline=None)
@given(seed=roots, n=st.integers(0, 300), share=st.floats(0, 1))
def test_the_first_of_a_permutation_need_no_permutation(seed, n, share):
    k = round(n * share)
    wanted = np.zeros(n, dtype=bool)
    wanted[permutation(seed, n)[:k]] = True
    assert np.array_equal(first_of_permutation(seed, n, k), wanted)
