"""What is to be tuned: tokens in place of values, and the search spaces they make."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from batchml.errors import ConfigError
from batchml.params import (
    ParamSet,
    ParamSetCollection,
    generate_design_grid,
    p_dbl,
    p_fct,
    p_int,
    p_lgl,
    p_uty,
    ps,
    ps_replicate,
    ps_union,
    to_tune,
)


def svm():
    return ps(
        cost=p_dbl(0, 10, tags=["train"]),
        degree=p_int(1, depends="kernel == 'poly'"),
        kernel=p_fct(["linear", "poly", "radial"]),
        shrinking=p_lgl(),
        weights=p_uty(),
    )


def tuned(**tokens):
    space = svm()
    space.values = tokens
    return space.search_space()


def points(space, resolution=3):
    return generate_design_grid(space, resolution).transpose()


def test_the_whole_range_needs_bounds_or_levels():
    space = tuned(cost=to_tune(), kernel=to_tune(), shrinking=to_tune())
    assert space.ids == ("cost", "kernel", "shrinking")
    assert len(points(space)) == 3 * 3 * 2
    assert space.domains["cost"].tags == {"train"}
    with pytest.raises(ConfigError, match=r"degree: to_tune\(\) does not do: the parameter has no upper bound"):
        tuned(kernel="poly", degree=to_tune())
    with pytest.raises(ConfigError, match=r"weights: .* has no range"):
        tuned(weights=to_tune())


@pytest.mark.parametrize(
    ("token", "values"),
    [
        (to_tune(1, 3), [1, 2, 3]),
        (to_tune(upper=3), [1, 2, 3]),
        (to_tune(lower=2, upper=4), [2, 3, 4]),
        (to_tune(1.0, 3.0), [1, 2, 3]),
        (to_tune(2, 128, logscale=True), [2, 16, 128]),
        (to_tune([2, 5]), [2, 5]),
        (to_tune({"few": 1, "many": 9}), [1, 9]),
        (to_tune(np.array([1, 2])), [1, 2]),
        (to_tune(p_int(0, 2, trafo="10 ** x")), [1, 10, 100]),
        (to_tune(ps(a=p_int(1, 3, trafo="x * 2"))), [2, 4, 6]),
    ],
)
def test_the_forms_of_a_token(token, values):
    found = [point["degree"] for point in points(tuned(kernel="poly", degree=token))]
    assert found == pytest.approx(values)
    assert {type(value) for value in found} == {int}


def test_a_space_in_place_of_a_value_makes_one_value():
    def weights(x):
        return {"weights": {"spam": x["a"], "ham": x.get("b", 0)}}

    inner = ps(a=p_dbl(0, 1), flag=p_lgl(), b=p_dbl(0, 1, depends="flag == True"), extra_trafo=weights)
    space = tuned(weights=to_tune(inner), shrinking=to_tune())
    assert space.ids == ("shrinking", "a", "flag", "b")
    assert points(space, 2)[0] == {"shrinking": True, "weights": {"spam": 0.0, "ham": 0.0}}
    svm().values.update(points(space, 2)[0])
    with pytest.raises(ConfigError, match=r"makes 2 values \(a, b\), not one"):
        tuned(weights=to_tune(ps(a=p_lgl(), b=p_lgl())))
    with pytest.raises(ConfigError, match="are called 'shrinking'"):
        tuned(weights=to_tune(ps(shrinking=p_lgl())), shrinking=to_tune())


@pytest.mark.parametrize(
    ("name", "token", "words"),
    [
        ("cost", to_tune(0, 20), "20.0 is not <= 10"),
        ("cost", to_tune(-1, 1), "-1.0 is not >= 0"),
        ("cost", to_tune([1, "much"]), "'much' is no number"),
        ("cost", to_tune(p_dbl(0, 2, trafo="10 ** x")), "100.0 is not <= 10"),
        ("cost", to_tune(p_dbl(0)), "give it bounds or levels"),
        ("cost", to_tune(0, 1, logscale=True), "logscale needs a lower bound above 0"),
        ("cost", to_tune(3, 1), "enclose nothing"),
        ("cost", to_tune(ps()), "the space has no parameter"),
        ("degree", to_tune(0.5, 3), "are whole numbers"),
        ("kernel", to_tune(1, 3), "has no range"),
        ("kernel", to_tune(["poly", "sigmoid"]), "'sigmoid' is not one of"),
        ("shrinking", to_tune(logscale=True), "has no range"),
    ],
)
def test_a_token_beyond_the_parameter_is_refused_at_once(name, token, words):
    space = svm()
    space.values["kernel"] = "poly"
    with pytest.raises(ConfigError) as caught:
        space.values[name] = token
    assert f"{name}: {token!r} does not do: " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: to_tune("abc"),
        lambda: to_tune(3),
        lambda: to_tune(1, 2, 3),
        lambda: to_tune("a", "b"),
        lambda: to_tune(1, 2, upper=3),
        lambda: to_tune([1, 2], logscale=True),
        lambda: to_tune(True, False),
        lambda: to_tune([]),
        lambda: to_tune(1, 2, aggr=max),
    ],
)
def test_tokens_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError):
        wrong()


def test_conditions_are_inherited_from_parameters_that_are_tuned_too():
    space = tuned(kernel=to_tune(["linear", "poly"]), degree=to_tune(1, 3))
    assert str(space.domains["degree"].depends[0]) == "kernel == 'poly'"
    assert len(points(space)) == 4
    assert tuned(kernel="poly", degree=to_tune(1, 3)).depends == {}
    # No value is left for which it holds; the names of levels are not its values; a transformation hides them.
    assert tuned(kernel=to_tune(["linear", "radial"]), degree=to_tune(1, 3)).depends == {}
    named = tuned(kernel=to_tune({"bent": "poly", "flat": "linear"}), degree=to_tune(1, 3))
    assert [str(one) for one in named.depends["degree"]] == ["kernel == 'bent'"]
    hidden = tuned(kernel=to_tune(p_int(0, 1, trafo="'poly' if x == 1 else 'linear'")), degree=to_tune(1, 3))
    assert hidden.depends == {}


def test_a_condition_of_ones_own_speaks_of_the_searched_names():
    space = tuned(
        cost=to_tune({"val1": 0.3, "val2": 0.7}),
        shrinking=to_tune(p_lgl(depends="cost == 'val2'")),
        degree=to_tune(1, 3),
        kernel="poly",
    )
    found = points(space)
    assert len(found) == 9
    assert sum("shrinking" in point for point in found) == 6
    assert {point["cost"] for point in found} == {0.3, 0.7}


def test_the_seeds_six_points():
    found = [
        (p["degree"], p["shrinking"]) for p in points(tuned(kernel="poly", degree=to_tune(1, 3), shrinking=to_tune()))
    ]
    assert found == [(1, True), (1, False), (2, True), (2, False), (3, True), (3, False)]


def test_transformations_are_not_inherited():
    space = ps(x=p_dbl(-1, 1, trafo="10 ** x"))
    space.values["x"] = to_tune(0, 1)
    assert points(space.search_space(), 2) == [{"x": 0.0}, {"x": 1.0}]


def test_what_a_learner_finds_by_itself_is_tagged():
    space = svm()
    space.values = {"kernel": "poly", "degree": to_tune(1, 50, internal=True, aggr=max)}
    domain = space.search_space().domains["degree"]
    assert domain.tags == {"internal_tuning"}
    assert domain.aggr is max


def test_tokens_are_values_among_others():
    space = svm()
    space.values = {"kernel": to_tune(), "degree": 2, "cost": 1}
    assert list(space.tokens) == ["kernel"]
    assert space.get_values(tokens=False) == {"degree": 2, "cost": 1}
    assert space.get_values("train") == {"cost": 1}
    clone = copy.deepcopy(space.clone())
    assert clone.search_space().ids == ("kernel",)
    assert pickle.loads(pickle.dumps(clone)).search_space().ids == ("kernel",)
    assert ParamSet({}).search_space().ids == ()
    assert repr(to_tune(1, 3)) == "to_tune(1, 3)"
    assert repr(to_tune(upper=64)) == "to_tune(upper=64)"
    assert repr(to_tune(internal=True)) == "to_tune(internal=True)"


# Sets made of other sets


def test_a_collection_shares_values_under_prefixes():
    one, two = ps(x=p_int(0, 3)), ps(x=p_int(0, 1), y=p_lgl(depends="x == 1"))
    both = ParamSetCollection({"a": one, "b": two})
    assert both.ids == ("a.x", "b.x", "b.y")
    both.values.update({"a.x": 3, "b.x": 1, "b.y": True})
    assert (dict(one.values), dict(two.values)) == ({"x": 3}, {"x": 1, "y": True})
    one.values["x"] = 0
    assert both.values["a.x"] == 0
    with pytest.raises(ConfigError, match=r"b.y can only be set if b.x == 1"):
        both.values["b.x"] = 0
    with pytest.raises(ConfigError, match=r"b.x: 2 is not <= 1"):
        both.values["b.x"] = 2
    both.add_dep("a.x", "b.x == 1")
    with pytest.raises(ConfigError, match=r"a.x can only be set if b.x == 1"):
        both.values.replace({"a.x": 1})
    apart = both.clone()
    apart.values = {}
    assert len(both.values) == 3
    both.values.clear()
    assert len(one.values) == 0


def test_unions_are_copies_and_keep_their_transformations():
    one = ps(x=p_dbl(0, 1), extra_trafo=lambda v: {"twice": v["x"] * 2})
    two = ps(y=p_dbl(0, 1, trafo="x + 1"))
    one.values["x"] = 0.5
    union = ps_union([one, two])
    assert union.ids == ("x", "y")
    assert union.trafo({"x": 0.25, "y": 0.25}) == {"twice": 0.5, "y": 1.25}
    union.values["x"] = 1
    assert one.values["x"] == 0.5
    assert ps_union({"p": one, "q": two}).trafo({"p.x": 0.25, "q.y": 0}) == {"p.twice": 0.5, "q.y": 1}
    with pytest.raises(ConfigError, match="two sets have a parameter 'x'"):
        ps_union([one, one])


def test_sets_are_replicated():
    space = ps(x=p_int(0, 1, init=1), y=p_lgl(depends="x == 1"), extra_trafo=lambda v: {"z": v["x"]})
    thrice = space.replicate(3)
    assert thrice.ids == ("x_rep_1", "y_rep_1", "x_rep_2", "y_rep_2", "x_rep_3", "y_rep_3")
    assert thrice.ids_with("y_rep") == ("y_rep_1", "y_rep_2", "y_rep_3")
    assert str(thrice.depends["y_rep_2"][0]) == "x_rep_2 == 1"
    assert dict(thrice.values) == {"x_rep_1": 1, "x_rep_2": 1, "x_rep_3": 1}
    assert thrice.trafo({"x_rep_1": 1, "x_rep_3": 0}) == {"z_rep_1": 1, "z_rep_3": 0}
    assert ps_replicate(space, prefixes=["in", "out"]).ids == ("in.x", "in.y", "out.x", "out.y")
    for wrong in (
        lambda: space.replicate(0),
        lambda: ps_replicate(space),
        lambda: ps_replicate(space, prefixes=["a", "a"]),
    ):
        with pytest.raises(ConfigError):
            wrong()


def test_tags_choose_among_all_or_any():
    space = ps(a=p_int(tags=["x", "y"]), b=p_int(tags=["x"]), c=p_int(tags=["z"]))
    assert space.ids_with(["x", "y"]) == ("a",)
    assert space.ids_with(any_tags=["y", "z"]) == ("a", "c")
    assert space.ids_with("x", any_tags="y") == ("a",)
    space.values = {"a": 1, "c": 2}
    assert space.get_values(any_tags=["z"]) == {"c": 2}


def test_a_condition_that_is_added_is_checked_like_others():
    space = ps(a=p_lgl(), b=p_int(0, 3), c=p_int(0, 3, depends="b == 1"))
    space.add_dep("b", "a == True")
    assert "c can only be set" in space.check({"a": False, "c": 1})
    for name, depends in [("a", "c == 1"), ("a", "zz == 1"), ("b", "a == 3"), ("zz", "a == True")]:
        with pytest.raises(ConfigError):
            space.add_dep(name, depends)
    assert {name: len(found) for name, found in space.depends.items()} == {"b": 1, "c": 1}
