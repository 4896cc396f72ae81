"""Laws of parameter spaces, on spaces drawn at random; samplers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchml.errors import ConfigError
from batchml.params import (
    CondAnyOf,
    Design,
    ParamSet,
    Sampler1DCateg,
    Sampler1DNormal,
    Sampler1DRfun,
    Sampler1DUnif,
    SamplerHierarchical,
    SamplerJointIndep,
    SamplerUnif,
    generate_design_grid,
    generate_design_lhs,
    generate_design_random,
    generate_design_sobol,
    p_dbl,
    p_fct,
    p_int,
    p_lgl,
    ps,
    ps_union,
    to_tune,
)
from batchml.params.quantile import quantile

few = settings(max_examples=40, deadline=None)
bounds = st.tuples(st.integers(-20, 20), st.integers(0, 40)).map(lambda pair: (pair[0], sum(pair)))
anything = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3))
levels = st.lists(st.one_of(anything, st.tuples(anything)), min_size=1, max_size=4, unique_by=str)


@st.composite
def domains(draw):
    kind = draw(st.sampled_from(["int", "dbl", "fct", "lgl", "log", "wholelog"]))
    lower, upper = draw(bounds)
    tags = draw(st.lists(st.sampled_from("abc"), max_size=2))
    if kind == "int":
        return p_int(lower, upper, tags=tags, trafo=draw(st.sampled_from([None, "x * 2"])))
    if kind == "dbl":
        width = draw(st.sampled_from([0.0, 1e-300, 0.1, 1e300]))
        return p_dbl(lower, lower + width, tags=tags, special_vals=draw(st.lists(anything, max_size=2)))
    if kind == "fct":
        return p_fct(draw(levels), tags=tags)
    if kind == "lgl":
        return p_lgl(tags=tags, default=draw(st.booleans()))
    small = abs(lower) + 1
    return (p_dbl if kind == "log" else p_int)(small, small + abs(upper), logscale=True)


@st.composite
def spaces(draw):
    """A space with dependencies of any depth: each parameter may depend on earlier ones."""
    made = {}
    for i, domain in enumerate(draw(st.lists(domains(), min_size=1, max_size=5))):
        conditions = []
        for parent, other in made.items():
            if other.is_categ and draw(st.booleans()):
                some = draw(st.lists(st.sampled_from(other.levels), min_size=1, max_size=2, unique=True))
                conditions.append(CondAnyOf(parent, some))
        made[f"p{i}"] = replace(domain, depends=tuple(conditions))
    order = draw(st.permutations(list(made)))
    return ParamSet({name: made[name] for name in order})


def obeys(space, point):
    return all(
        (name in point) == all(one.on in point and one.holds(point[one.on]) for one in domain.depends)
        for name, domain in space.domains.items()
    )


@few
@given(
    spaces(), st.sampled_from([generate_design_random, generate_design_lhs, generate_design_sobol]), st.integers(0, 9)
)
def test_sampled_points_satisfy_check_and_obey_conditions(space, generate, seed):
    for point in generate(space, 8, seed=seed).transpose(trafo=False):
        assert space.check(point) is None
        assert obeys(space, point)


@few
@given(spaces(), st.integers(1, 3))
def test_a_grid_has_no_duplicates_and_obeys_conditions(space, resolution):
    points = generate_design_grid(space, resolution).transpose(trafo=False)
    assert len({tuple(sorted(point.items())) for point in points}) == len(points) > 0
    for point in points:
        assert space.check(point) is None
        assert obeys(space, point)


@few
@given(spaces(), st.integers(0, 9))
def test_transposing_without_transformation_round_trips(space, seed):
    design = generate_design_random(space, 10, seed=seed)
    again = Design.from_points(space, design.transpose(trafo=False))
    assert again.columns == design.columns
    assert Design.from_points(space, design.transpose(trafo=False, filter_na=False)).columns == design.columns
    assert Design.from_points(space, design.data).columns == design.columns


@few
@given(domains(), st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_maps_from_the_unit_interval_are_monotone(domain, u):
    values = quantile(domain, np.sort(np.array(u))).tolist()
    places = [domain.levels.index(value) for value in values] if domain.levels else values
    assert places == sorted(places)
    assert all(domain.problem(value) is None for value in values)
    ends = quantile(domain, np.array([0.0, 1.0])).tolist()
    assert ends == ([domain.levels[0], domain.levels[-1]] if domain.levels else [domain.lower, domain.upper])


@few
@given(spaces(), st.integers(0, 9))
def test_the_json_round_trip_is_the_identity(space, seed):
    space.values = generate_design_random(space, 1, seed=seed).transpose(trafo=False)[0]
    again = ParamSet.from_json(space.to_json())
    assert again.to_json() == space.to_json()
    assert repr(again) == repr(space)
    assert repr(again.values) == repr(space.values)
    one, two = (generate_design_random(each, 5, seed=seed).transpose() for each in (space, again))
    assert repr(one) == repr(two)


@few
@given(spaces(), st.integers(0, 9))
def test_a_clone_and_a_union_hold_the_same_values(space, seed):
    space.values = generate_design_random(space, 1, seed=seed).transpose(trafo=False)[0]
    clone = space.clone()
    assert clone.to_json() == space.to_json()
    union = ps_union({"one": space, "two": clone})
    assert len(union) == 2 * len(space)
    assert union.check(dict(union.values)) is None


@few
@given(spaces())
def test_what_is_tuned_in_full_is_the_space_itself(space):
    plain = ParamSet(
        {n: d for n, d in space.domains.items() if d.trafo is None and not d.depends and not d.special_vals}
    )
    plain.values = {name: to_tune() for name in plain.ids}
    found = plain.search_space()
    assert found.ids == plain.ids
    assert generate_design_grid(found, 2).columns == generate_design_grid(plain, 2).columns


@few
@given(st.lists(st.tuples(st.sampled_from("abc"), anything), max_size=12))
def test_values_are_always_what_check_accepts(steps):
    space = ps(
        a=p_int(0, 9, special_vals=[None]), b=p_fct(["x", "y"], depends="a in [1, 2]"), c=p_dbl(depends="b == 'x'")
    )
    for name, value in steps:
        try:
            space.values[name] = value
        except ConfigError:
            assert space.check({**space.values, name: value}) is not None
        assert space.check(dict(space.values)) is None


def test_whole_numbers_of_any_size_stay_inside():
    u = np.array([0.0, 0.3, 1.0])
    for lower, upper in ((0, 2**63), (-(2**63), 2**63 - 1), (0, 2**53 + 1), (-(10**30), 10**30)):
        values = quantile(p_int(lower, upper), u).tolist()
        assert values == sorted(values)
        assert lower <= values[0]
        assert values[-1] <= upper
    wide = quantile(p_dbl(-1.7e308, 1.7e308), u).tolist()
    assert wide[0] == -1.7e308
    assert wide[-1] == 1.7e308


# Samplers


def test_a_normal_is_cut_off_at_the_bounds():
    drawn = Sampler1DNormal(ps(x=p_dbl(0, 4))).sample(4000, seed=1).columns["x"]
    assert 0 <= min(drawn) <= max(drawn) <= 4
    assert np.mean(drawn) == pytest.approx(2, abs=0.1)
    assert np.std(drawn) == pytest.approx(0.88, abs=0.05)  # sd 1, cut off at two of them
    far = Sampler1DNormal(ps(x=p_dbl(0, 1)), mean=2, sd=1).sample(500, seed=1).columns["x"]
    assert np.mean(far) > 0.5
    whole = Sampler1DNormal(ps(x=p_int(1, 6)), mean=3, sd=1).sample(50, seed=1).columns["x"]
    assert {type(value) for value in whole} == {int}
    assert Sampler1DNormal(ps(x=p_dbl()), mean=0, sd=1).sample(3, seed=1) is not None


def test_probabilities_of_levels():
    space = ps(k=p_fct(["a", "b", "c"]))
    drawn = Sampler1DCateg(space, {"a": 0.7, "c": 0.3}).sample(2000, seed=1).columns["k"]
    assert "b" not in drawn
    assert drawn.count("a") / 2000 == pytest.approx(0.7, abs=0.05)
    assert set(Sampler1DCateg(ps(k=p_lgl()), [0.5, 0.5]).sample(50, seed=1).columns["k"]) == {True, False}


def test_a_function_of_ones_own_draws():
    space = ps(x=p_dbl(0, 1))
    drawn = Sampler1DRfun(space, lambda n, rng: rng.exponential(1, n)).sample(500, seed=1)
    assert max(drawn.columns["x"]) <= 1
    assert drawn.columns == Sampler1DRfun(space, lambda n, rng: rng.exponential(1, n)).sample(500, seed=1).columns
    with pytest.raises(ConfigError, match="outside of"):
        Sampler1DRfun(space, lambda n, rng: rng.exponential(9, n), trunc=False).sample(50, seed=1)
    with pytest.raises(ConfigError, match="hardly ever"):
        Sampler1DRfun(space, lambda n, rng: np.full(n, 2.0)).sample(1)
    with pytest.raises(ConfigError, match="shape"):
        Sampler1DRfun(space, lambda n, rng: 3).sample(2)


def test_a_hierarchy_obeys_conditions_of_any_depth():
    space = ps(
        c=p_fct(["x", "y"], depends="b in [1, 2]"), b=p_int(1, 3, depends="a == True"), a=p_lgl(), d=p_dbl(-1, 1)
    )
    samplers = [
        Sampler1DCateg(ps(a=p_lgl()), [0.8, 0.2]),
        Sampler1DUnif(ps(b=p_int(1, 3))),
        Sampler1DCateg(ps(c=p_fct(["x", "y"]))),
        Sampler1DNormal(ps(d=p_dbl(-1, 1))),
    ]
    design = SamplerHierarchical(space, samplers).sample(300, seed=2)
    for point in design.transpose(trafo=False):
        assert space.check(point) is None
        assert obeys(space, point)
    assert list(design.columns) == ["c", "b", "a", "d"]
    with pytest.raises(ConfigError, match="one sampler for each of c, b, a, d"):
        SamplerHierarchical(space, samplers[:3])


def test_a_joint_sampler_makes_a_space_of_its_parts():
    joint = SamplerJointIndep([Sampler1DUnif(ps(x=p_dbl(0, 1))), SamplerUnif(ps(y=p_lgl(), z=p_int(1, 2)))])
    assert joint.param_set.ids == ("x", "y", "z")
    assert len(joint.sample(7, seed=1)) == 7
    assert len(joint.sample(0)) == 0
    assert "x, y, z" in repr(joint)
    with pytest.raises(ConfigError, match="SamplerHierarchical"):
        SamplerJointIndep([SamplerUnif(ps(a=p_lgl(), b=p_lgl(depends="a == True")))])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Sampler1DUnif(ps(x=p_dbl())),
        lambda: Sampler1DUnif(ps(x=p_dbl(0, 1), y=p_lgl())),
        lambda: Sampler1DCateg(ps(x=p_dbl(0, 1))),
        lambda: Sampler1DCateg(ps(x=p_lgl()), [0.5]),
        lambda: Sampler1DCateg(ps(x=p_lgl()), [0.5, 0.6]),
        lambda: Sampler1DCateg(ps(x=p_fct(["a", ""])), {"c": 1}),
        lambda: Sampler1DNormal(ps(x=p_lgl())),
        lambda: Sampler1DNormal(ps(x=p_dbl())),
        lambda: Sampler1DNormal(ps(x=p_dbl(0, 1)), sd=-1),
        lambda: SamplerUnif(ps(x=p_dbl(0, 1))).sample(-1),
        lambda: SamplerUnif(ps(x=p_dbl(0, 1))).sample(2.5),
    ],
)
def test_samplers_that_cannot_draw_say_so(wrong):
    with pytest.raises(ConfigError):
        wrong()


def test_points_of_ones_own_are_checked_and_kept_in_order():
    space = ps(a=p_lgl(), b=p_int(0, 9, depends="a == True"), c=p_dbl(0, 1, trafo="x * 2"))
    design = Design.from_points(space, [{"a": True, "b": 3.0, "c": 0}, {"a": False, "b": 3, "c": math.nextafter(1, 0)}])
    assert design.columns["b"] == [3, None]
    assert design.transpose()[0] == {"a": True, "b": 3, "c": 0}
    for points, words in [
        ([{"a": True, "b": 3, "c": 0}, {"a": True, "b": 99, "c": 0}], "point 1: .*99 is not <= 9"),
        ([{"a": True, "c": 0}], "point 0 has no value for b"),
        ([{"a": False, "c": 0, "z": 1}], "point 0: .*no parameter 'z'"),
    ]:
        with pytest.raises(ConfigError, match=words):
            Design.from_points(space, points)
    assert repr(design).startswith("<Design: 2 points of 3 parameters>\n* a=True, b=3, c=0")
    assert "<table>" in design._repr_html_()
