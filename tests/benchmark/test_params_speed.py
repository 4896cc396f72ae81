"""What parameter spaces cost: values that are set, points that are drawn, learners that are built."""

from __future__ import annotations

import timeit

import pytest

import batchml as bm
from batchml.core.learner import Learner
from batchml.params import ParamSet

POINTS = 100_000


def twenty():
    kinds = (bm.p_int(0, 100), bm.p_dbl(0, 1), bm.p_fct(["a", "b", "c"]), bm.p_lgl(default=True))
    return ParamSet({f"p{i}": kinds[i % 4] for i in range(20)}), {
        f"p{i}": (3, 0.5, "b", True)[i % 4] for i in range(20)
    }


def ten():
    return bm.ps(
        a=bm.p_fct(["u", "v", "w"]),
        b=bm.p_int(1, 100),
        c=bm.p_dbl(0, 1),
        d=bm.p_dbl(1e-4, 1, logscale=True),
        e=bm.p_lgl(),
        f=bm.p_int(1, 10, depends="a == 'u'"),
        g=bm.p_dbl(0, 1, depends="a in ['u', 'v']"),
        h=bm.p_fct(["x", "y"], depends="e == True"),
        i=bm.p_dbl(-1, 1, depends="h == 'x'"),
        j=bm.p_int(0, 5, depends="e == True and a == 'w'"),
    )


def of_config_space():
    """Return the same space as ConfigSpace has it."""
    from ConfigSpace import (
        AndConjunction,
        CategoricalHyperparameter,
        ConfigurationSpace,
        EqualsCondition,
        InCondition,
        UniformFloatHyperparameter,
        UniformIntegerHyperparameter,
    )

    space = ConfigurationSpace(seed=1)
    a = CategoricalHyperparameter("a", ["u", "v", "w"])
    e = CategoricalHyperparameter("e", [True, False])
    f, g = UniformIntegerHyperparameter("f", 1, 10), UniformFloatHyperparameter("g", 0, 1)
    h, i = CategoricalHyperparameter("h", ["x", "y"]), UniformFloatHyperparameter("i", -1, 1)
    j = UniformIntegerHyperparameter("j", 0, 5)
    b, c = UniformIntegerHyperparameter("b", 1, 100), UniformFloatHyperparameter("c", 0, 1)
    space.add([a, b, c, UniformFloatHyperparameter("d", 1e-4, 1, log=True), e, f, g, h, i, j])
    space.add(
        EqualsCondition(f, a, "u"),
        InCondition(g, a, ["u", "v"]),
        EqualsCondition(h, e, True),
        EqualsCondition(i, h, "x"),
        AndConjunction(EqualsCondition(j, e, True), EqualsCondition(j, a, "w")),
    )
    return space


def best(function, number=1, repeat=5):
    return min(timeit.repeat(function, number=number, repeat=repeat)) / number


def test_twenty_values_are_set_in_half_a_millisecond():
    space, values = twenty()

    def one_by_one():
        space.values.clear()
        for name, value in values.items():
            space.values[name] = value

    each, at_once = best(one_by_one, 200), best(lambda: space.values.update(values), 200)
    forest = bm.lrn("classif.random_forest").param_set
    given = {
        "n_estimators": 100, "max_depth": 3, "min_samples_split": 0.1, "min_samples_leaf": 2, "max_features": "sqrt",
        "max_leaf_nodes": None, "min_impurity_decrease": 0.0, "bootstrap": True, "oob_score": False, "ccp_alpha": 0.1,
        "criterion": "gini", "verbose": 0, "warm_start": False, "class_weight": "balanced", "random_state": 1,
        "max_samples": 0.5, "n_jobs": None, "min_weight_fraction_leaf": 0.1, "monotonic_cst": None,
    }  # fmt: skip
    learner = best(lambda: forest.values.update(given), 200)
    print(
        f"20 values: {1000 * each:.3f} ms one by one, {1000 * at_once:.3f} ms at once; "
        f"{len(given)} of a random forest: {1000 * learner:.3f} ms at once"
    )
    assert each < 0.0005
    assert learner < 0.0005


def test_a_hundred_thousand_points_in_a_second_and_not_slower_than_configspace():
    space, other = ten(), of_config_space()

    def sampled_there():
        return other.sample_configuration(POINTS)

    # In turns, so that a busy moment of the machine hits both.
    turns = [
        (best(lambda: bm.generate_design_random(space, POINTS, seed=1), repeat=1), best(sampled_there, repeat=1))
        for _ in range(7)
    ]
    drawn, theirs = map(min, zip(*turns, strict=True))
    points = best(lambda: bm.generate_design_random(space, POINTS, seed=1).transpose(trafo=False), repeat=3)
    used = best(lambda: bm.generate_design_random(space, POINTS, seed=1).transpose(), repeat=3)
    as_dicts = best(lambda: [dict(one) for one in other.sample_configuration(POINTS // 50)], repeat=1) * 50
    print(
        f"{POINTS} points of 10 parameters with dependencies: {drawn:.2f} s, as dicts {points:.2f} s, transformed "
        f"{used:.2f} s; ConfigSpace {theirs:.2f} s, as dicts {as_dicts:.1f} s (from a fiftieth)"
    )
    assert used < 1
    assert drawn <= theirs
    assert points <= as_dicts


@pytest.mark.parametrize("kind", ["estimator", "pipeline"])
def test_learners_are_built_from_accepted_specs_without_checks(kind):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    forest = RandomForestClassifier(n_estimators=10, max_depth=3)
    learner = bm.as_learner(forest if kind == "estimator" else make_pipeline(StandardScaler(), forest))
    spec = learner.model_spec()
    took = best(lambda: Learner.from_specs(spec), 50)
    print(f"a learner from a spec, {kind}: {1000 * took:.2f} ms")
    assert took < 0.01
