"""Parameter spaces: domains, conditions, values and designs; figures of the old API are facts that must hold here."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchml.errors import ConfigError, UnknownKeyError
from batchml.params import (
    NO_DEFAULT,
    CondAnyOf,
    CondEqual,
    ParamSet,
    ParamSetCollection,
    generate_design_grid,
    generate_design_lhs,
    generate_design_random,
    generate_design_sobol,
    p_dbl,
    p_fct,
    p_int,
    p_lgl,
    p_uty,
    ps,
    ps_union,
)
from batchml.params.quantile import quantile


def abcde():
    return ps(A=p_lgl(), B=p_int(0, 10), C=p_dbl(0, 4), D=p_fct(["x", "y", "z"]), E=p_uty())


def small():
    return ps(A=p_lgl(), B=p_int(0, 10), C=p_dbl(0, 4))


def points(space, *args, **kwargs):
    return generate_design_grid(space, *args, **kwargs).transpose()


@pytest.mark.parametrize(
    "values", [{}, {"A": True, "B": 0, "E": print}, {"B": 10.0}, {"C": 4}, {"D": "z"}, {"B": np.int64(3)}]
)
def test_what_lies_in_the_domains_is_accepted(values):
    assert abcde().check(values) is None
    assert abcde().test(values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"B": 100}, "B: 100 is not <= 10"),
        ({"B": -1}, "B: -1 is not >= 0"),
        ({"B": 1.5}, "B: 1.5 is no whole number"),
        ({"B": None}, "B: None is no number"),
        ({"B": "a"}, "B: 'a' is no number"),
        ({"B": True}, "B: True is no number"),
        ({"B": [1, 2]}, "B: [1, 2] is no number"),
        ({"C": 4.1}, "C: 4.1 is not <= 4"),
        ({"C": math.inf}, "C: inf is not <= 4"),
        ({"C": math.nan}, "C: nan"),
        ({"D": 1}, "D: 1 is not one of 'x', 'y', 'z'"),
        ({"D": "xx"}, "did you mean 'x'"),
        ({"A": 1}, "A: 1 is neither True nor False"),
        ({"AA": 1}, "has no parameter 'AA'"),
    ],
)
def test_a_refusal_says_parameter_value_and_rule(values, words):
    space = abcde()
    assert words in space.check(values)
    assert not space.test(values)
    with pytest.raises(ConfigError):
        space.assert_(values)  # noqa: PT009  # no unittest
    with pytest.raises(ConfigError):
        space.values.update(values)
    assert dict(space.values) == {}


def test_values_are_checked_kept_in_order_and_in_their_type():
    space = abcde()
    space.values["C"] = 3
    space.values["B"] = 1.0
    assert list(space.values) == ["B", "C"]
    assert type(space.values["B"]) is int
    space.values = {"A": False}
    assert dict(space.values) == {"A": False}
    with pytest.raises(ConfigError):
        space.values = {"A": False, "B": 11}
    assert dict(space.values) == {"A": False}
    del space.values["A"]
    assert len(space.values) == 0


def test_special_values_pass_and_custom_checks_speak():
    space = ps(
        n=p_int(1, 5, special_vals=["auto", None]),
        even=p_int(custom_check=lambda x: True if x % 2 == 0 else f"{x} is odd"),
    )
    assert space.check({"n": "auto"}) is None
    assert space.check({"n": None}) is None
    assert "'other' is no number" in space.check({"n": "other"})
    assert "even: 3 is odd" in space.check({"even": 3})
    assert space.check({"even": 4}) is None


def test_references_are_shared_and_clones_are_not():
    one = ps(x=p_int(0, 3))
    same, other = one, one.clone()
    one.values["x"] = 2
    assert dict(same.values) == {"x": 2}
    assert dict(other.values) == {}


def test_initial_values_defaults_and_tags():
    space = ps(
        a=p_int(0, 9, init=3, tags=["threads"]), b=p_dbl(default=1.5, tags=["required", "train"]), c=p_uty(default=None)
    )
    assert dict(space.values) == {"a": 3}
    assert space.defaults == {"b": 1.5, "c": None}
    assert space.ids_with("threads") == ("a",)
    assert space.get_values("threads") == {"a": 3}
    with pytest.raises(ConfigError, match="b is required"):
        space.get_values()


def test_conditions_in_a_chain():
    space = ps(
        A=p_lgl(),
        B=p_int(0, 10, depends="D in ['x', 'y']"),
        D=p_fct(["x", "y", "z"], depends="A == False"),
    )
    assert space.check({"A": False, "D": "x", "B": 1}) is None
    assert "B can only be set if D in ['x', 'y'], but D is 'z'" in space.check({"A": False, "D": "z", "B": 1})
    assert "B can only be set if D in ['x', 'y'], but D has no value" in space.check({"A": False, "B": 1})
    assert "D can only be set if A == False, but A is True" in space.check({"A": True, "D": "x", "B": 1})
    assert space.check({"A": True}) is None


@pytest.mark.parametrize(
    "depends",
    [
        "a = 1",
        "a > 1",
        "a == b",
        "f(1) == 1",
        "a == 1 or a == 2",
        "not a",
        "a in 'xy'",
        "",
        "a == 1 == 2",
        "__import__('os')",
        "a[0] == 1",
    ],
)
def test_only_conditions_are_read_from_text(depends):
    with pytest.raises(ConfigError, match="is no condition"):
        p_int(0, 1, depends=depends)


def test_conditions_that_cannot_be_are_refused():
    with pytest.raises(UnknownKeyError, match="depends on 'zz'"):
        ps(b=p_int(0, 1, depends="zz == 1"))
    with pytest.raises(ConfigError, match="never holds"):
        ps(a=p_fct(["x", "y"]), b=p_int(0, 1, depends="a == 'nope'"))
    with pytest.raises(ConfigError, match="'a == 1 and a == 2', which never hold together"):
        ps(a=p_int(0, 3), b=p_int(0, 1, depends="a == 1 and a == 2"))
    with pytest.raises(ConfigError, match="names no value"):
        ps(a=p_int(0, 3), b=p_int(0, 1, depends="a in []"))
    with pytest.raises(ConfigError, match="circle: b -> b"):
        ps(b=p_int(0, 1, depends="b == 1"))
    with pytest.raises(ConfigError, match=r"circle: (a -> b -> a|b -> a -> b)"):
        ps(a=p_int(0, 1, depends="b == 1"), b=p_int(0, 1, depends=CondEqual("a", 1)))


def test_a_subset_keeps_values_and_needs_its_parents():
    space = ps(a=p_lgl(), b=p_int(0, 1, depends="a == True"), c=p_uty())
    space.values.update(a=True, c=3)
    assert space.subset(["a", "c"]).ids == ("a", "c")
    assert dict(space.subset(["c"]).values) == {"c": 3}
    with pytest.raises(ConfigError, match="depends on 'a'"):
        space.subset(["b"])


def test_a_grid_has_the_last_column_fastest():
    frame = generate_design_grid(small(), 2).data
    assert frame.to_numpy().tolist() == [[a, b, c] for a in (True, False) for b in (0, 10) for c in (0.0, 4.0)]


def test_resolutions_by_parameter():
    grid = generate_design_grid(small(), param_resolutions={"B": 1, "C": 2})
    assert list(grid.columns) == ["B", "C", "A"]
    assert list(zip(*grid.columns.values(), strict=True)) == [(0, 0, True), (0, 0, False), (0, 4, True), (0, 4, False)]
    mixed = generate_design_grid(small(), 3, param_resolutions={"C": 5})
    assert list(mixed.columns) == ["A", "B", "C"]
    assert len(mixed) == 30
    with pytest.raises(ConfigError, match="give resolution="):
        generate_design_grid(small())
    with pytest.raises(UnknownKeyError, match="'Z'"):
        generate_design_grid(small(), 2, param_resolutions={"Z": 1})


def test_a_grid_has_no_whole_number_twice():
    assert generate_design_grid(ps(x=p_int(1, 3)), 10).columns == {"x": [1, 2, 3]}


def test_what_has_no_bounds_cannot_be_enumerated_or_drawn():
    for space in (ps(a=p_uty()), ps(a=p_dbl(0)), ps(a=p_int(upper=3))):
        for generate in (generate_design_grid, generate_design_random, generate_design_lhs, generate_design_sobol):
            with pytest.raises(ConfigError, match="give it bounds or levels"):
                generate(space, 2)


def test_transformations_of_the_whole():
    def double(x):
        return {**x, "cost": x["cost"] * 2} if x["kernel"] == "polynomial" else x

    space = ps(cost=p_dbl(-1, 1, trafo=lambda x: 10**x), kernel=p_fct(["polynomial", "radial"]), extra_trafo=double)
    costs = [(round(p["cost"], 9), p["kernel"][0]) for p in points(space, 3)]
    assert costs == [(0.2, "p"), (0.1, "r"), (2, "p"), (1, "r"), (20, "p"), (10, "r")]


def test_levels_of_any_value_are_named_by_their_text_or_by_their_key():
    numbers = ps(cost=p_fct([0.1, 3, 10]))
    assert numbers.domains["cost"].levels == ("0.1", "3", "10")
    assert points(numbers) == [{"cost": 0.1}, {"cost": 3}, {"cost": 10}]
    named = ps(w=p_fct({"a": {"spam": 0.5}, "b": None}))
    assert points(named) == [{"w": {"spam": 0.5}}, {"w": None}]
    after = ps(w=p_fct({"a": 1, "b": 2}, trafo=lambda value: value * 10))
    assert points(after) == [{"w": 10}, {"w": 20}]


def test_dependencies_leave_out_what_does_not_apply():
    space = ps(
        cost=p_dbl(-1, 1, trafo=lambda x: 10**x),
        kernel=p_fct(["polynomial", "radial"]),
        degree=p_int(1, 3, depends="kernel == 'polynomial'"),
    )
    grid = generate_design_grid(space, 3)
    assert len(grid) == 12
    assert grid.data.iloc[3].isna().tolist() == [False, False, True]
    assert grid.transpose()[3] == {"cost": 0.1, "kernel": "radial"}
    both = ps(a=p_lgl(), b=p_fct(["u", "v"]), c=p_dbl(0, 1, depends="a == True and b == 'u'"))
    assert list(zip(*generate_design_grid(both, 2).columns.values(), strict=True)) == [
        (True, "u", 0), (True, "u", 1), (True, "v", None), (False, "u", None), (False, "v", None),
    ]  # fmt: skip


def test_quantiles_of_every_kind():
    u = np.array([0, 0.1, 0.24, 0.25, 0.26, 1 / 3, 0.5, 0.51, 0.66, 0.67, 0.75, 0.99, 1])
    assert quantile(p_int(1, 4), u).tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4]
    assert quantile(p_dbl(-1, 1), u)[:3].tolist() == pytest.approx([-1, -0.8, -0.52])
    assert "".join(quantile(p_fct(["u", "v", "w"]), u)) == "uuuuuvvvvwwww"
    assert quantile(p_lgl(), u).tolist() == [True] * 6 + [False] * 7


def test_logarithmic_scales():
    assert [p["x"] for p in points(ps(x=p_int(0, 10, logscale=True)), 6)] == [0, 0, 1, 3, 5, 10]
    assert [p["x"] for p in points(ps(x=p_int(2, 128, logscale=True)), 4)] == [2, 8, 32, 128]
    assert [p["x"] for p in points(ps(x=p_dbl(0.01, 100, logscale=True)), 3)] == pytest.approx([0.01, 1, 100])
    with pytest.raises(ConfigError, match="one of both"):
        p_dbl(1, 2, logscale=True, trafo=math.exp)
    with pytest.raises(ConfigError, match="above 0"):
        p_dbl(0, 2, logscale=True)


@pytest.mark.parametrize("generate", [generate_design_random, generate_design_lhs, generate_design_sobol])
@pytest.mark.parametrize("seed", ["a", -1, 0.5])
def test_what_is_no_seed_is_refused(generate, seed):
    with pytest.raises(ConfigError, match="a seed is a whole number"):
        generate(ps(a=p_dbl(0, 1)), 2, seed=seed)


@pytest.mark.parametrize("generate", [generate_design_random, generate_design_lhs, generate_design_sobol])
def test_drawn_designs_are_seeded_respect_conditions_and_satisfy_check(generate):
    space = ps(
        A=p_lgl(),
        B=p_int(0, 10, depends="A == True"),
        C=p_fct(["x", "y"], depends=CondAnyOf("B", [1, 2, 3])),
        D=p_dbl(-1, 1),
    )
    design = generate(space, 100, seed=4)
    assert len(design) == 100
    assert design.columns == generate(space, 100, seed=4).columns
    assert design.columns != generate(space, 100, seed=5).columns
    for point in design.transpose(trafo=False):
        assert space.check(point) is None
        assert ("B" in point) == point["A"]
    assert len(generate(space, 0)) == 0


def test_a_latin_hypercube_has_one_point_in_each_slice():
    values = generate_design_lhs(ps(a=p_int(1, 20), b=p_dbl(0, 1)), 20, seed=1).columns
    assert sorted(values["a"]) == list(range(1, 21))
    assert sorted(int(20 * b) for b in values["b"]) == list(range(20))


numbers = st.integers(-50, 50)


@settings(max_examples=40, deadline=None)
@given(numbers, st.integers(0, 30), st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_quantile_maps_are_monotone_and_stay_inside(lower, width, u):
    u = np.sort(np.array(u))
    for domain in (p_int(lower, lower + width), p_dbl(lower, lower + width)):
        values = quantile(domain, u)
        assert (np.diff(values) >= 0).all()
        assert all(domain.problem(value) is None for value in values)


def test_no_default_survives_copies():
    assert copy.deepcopy(NO_DEFAULT) is NO_DEFAULT
    assert pickle.loads(pickle.dumps(NO_DEFAULT)) is NO_DEFAULT
    assert pickle.loads(pickle.dumps(p_int(0, 3))) == p_int(0, 3)


def test_a_table_and_a_repr_show_what_there_is():
    space = ps(a=p_int(0, 3, default=1, tags=["x"]), b=p_fct(["u"], depends="a == 1"))
    space.values["a"] = 1
    frame = space.table()
    assert frame["id"].tolist() == ["a", "b"]
    assert frame["depends"].tolist() == ["", "a == 1"]
    assert repr(space).endswith("* a: p_int(0, 3, default=1, tags=['x']) = 1\n* b: p_fct(['u'], depends='a == 1')")
    assert "<table" in space._repr_html_()


def test_a_domain_that_holds_nothing_is_refused():
    for make in (lambda: p_int(3, 1), lambda: p_dbl(math.nan, 1), lambda: p_fct([]), lambda: p_fct({1: 2})):
        with pytest.raises(ConfigError):
            make()
    with pytest.raises(ConfigError, match="neither special_vals nor init"):
        p_dbl(0, 1, trafo=math.exp, init=0.5)


def test_an_empty_space_has_one_or_no_point():
    assert generate_design_random(ParamSet({}), 3).columns == {}
    assert points(ParamSet({}), 2) == []


def test_conditions_of_any_depth_and_form():
    deep = ParamSet({"p0": p_lgl()} | {f"p{i}": p_lgl(depends=f"p{i - 1} == True") for i in range(1, 2000)})
    assert deep.check({f"p{i}": True for i in range(2000)}) is None
    one = p_int(0, 1, depends="a == 1 and (b in [1, 2] and c == 'x')").depends
    assert one == p_int(0, 1, depends=["a == 1", CondAnyOf("b", [1, 2]), CondEqual("c", "x")]).depends
    with pytest.raises(ConfigError, match="a condition is text"):
        p_int(0, 1, depends=3)


def test_values_of_numpy_become_pythons_own():
    space = small()
    space.values = {"A": np.bool_(True), "B": np.int64(3), "C": np.float64(0.5)}
    assert [type(value) for value in space.values.values()] == [bool, int, float]


def test_a_grid_beyond_all_memory_is_refused():
    with pytest.raises(ConfigError, match="the grid has 10,000,000,000 points"):
        generate_design_grid(ParamSet({f"p{i}": p_dbl(0, 1) for i in range(10)}), 10)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: p_int("a"),
        lambda: p_int(True, 3),
        lambda: p_int(0.5, 3),
        lambda: p_dbl(None, 3),
        lambda: p_fct("abc"),
        lambda: p_fct([1, "1"]),
        lambda: p_int(0, 3, default=7),
        lambda: p_fct(["a"], init="b"),
        lambda: p_fct([1, 2], special_vals=[None]),
        lambda: p_dbl(1, 2, logscale=True, special_vals=[None]),
        lambda: ps(a=3),
        lambda: ParamSet({3: p_lgl()}),
        lambda: p_int(0, 10**400),
        lambda: setattr(ps(), "values", None),
        lambda: generate_design_grid(p_lgl(), 3),
        lambda: ps_union([3]),
        lambda: ParamSetCollection([ps()]),
        lambda: ps(a=p_lgl()).assert_([1]),  # noqa: PT009  # no unittest
        lambda: p_int(tags=3),
        lambda: p_uty(tags=["a", None]),
        lambda: p_lgl(special_vals=3),
    ],
)
def test_nonsense_is_refused_when_it_is_written(wrong):
    with pytest.raises(ConfigError):
        wrong()


def test_a_check_that_fails_itself_says_so():
    message = ps(a=p_int(0, 3, custom_check=lambda x: 1 / (x - 1))).check({"a": 1})
    assert "a: its check cannot tell of 1: ZeroDivisionError" in message


def test_the_ends_of_a_logarithmic_scale_are_the_bounds_themselves():
    space = ps(x=p_dbl(0.1, 0.7, logscale=True))
    values = [point["x"] for point in generate_design_grid(space, 3)]
    assert (values[0], values[-1]) == (0.1, 0.7)
    assert all(0.1 <= point["x"] <= 0.7 for point in generate_design_random(space, 500, seed=1))
