"""Parameter spaces of paradox; where its two versions differ, what the older one printed counts."""

from __future__ import annotations

import numpy as np
from golden_errors import KINDS, raised
from golden_ledger import Ledger, rows, same
from golden_seed_old_api import points, small

import batchml as bm
from batchml.errors import ConfigError, UnknownKeyError
from batchml.params import CondAnyOf, Condition

ledger = Ledger("paradox")
WORDS = "messages have words of their own: parameter, value and rule, as the older version said it"


def abcde():
    return bm.ps(A=bm.p_lgl(), B=bm.p_int(0, 10), C=bm.p_dbl(0, 4), D=bm.p_fct(["x", "y", "z"]), E=bm.p_uty())


def svm():
    """Return the part of e1071's parameters that the cases are about, in their order."""
    return bm.ps(
        cost=bm.p_dbl(0, default=1, depends="type == 'C-classification'"),
        degree=bm.p_int(1, default=3, depends="kernel == 'polynomial'"),
        kernel=bm.p_fct(["linear", "polynomial", "radial", "sigmoid"], default="radial"),
        type=bm.p_fct(["C-classification", "nu-classification"], default="C-classification"),
    )


def with_degree():
    return bm.p_int(1, 3, depends="kernel == 'polynomial'")


def kernels():
    return bm.p_fct(["polynomial", "radial"])


def agree(design, case):
    table = case.output["__table__"]
    same(list(design.columns), table["columns"])
    same([list(row) for row in zip(*design.columns.values(), strict=True)], table["rows"])


def conditions(space):
    """Return the table of conditions as R prints it."""
    return [
        {"id": name, "on": one.on, "cond_class": "CondEqual" if len(one.rhs) == 1 else "CondAnyOf", "rhs": one.rhs}
        for name, found in space.depends.items()
        for one in found
    ]


# Tables and designs


@ledger.replays("seed_space_table", but="a parameter has a kind, not a class, and no storage type")
def table(case):
    space = bm.ps(cost=bm.p_dbl(0.1, 10), kernel=kernels())
    found = space.table().set_index("id")
    for row in rows(case.output):
        wanted = dict(zip(case.output["__table__"]["columns"], row, strict=True))
        mine = found.loc[wanted["id"]]
        assert mine["kind"] == KINDS[wanted["class"]]
        assert repr(mine["default"]) == wanted["default"]
        for name in ("lower", "upper", "levels", "nlevels", "is_bounded", "special_vals", "tags"):
            same(mine[name], wanted[name])


@ledger.replays("seed_grid_extra_trafo")
def extra_trafo(case):
    def double(x):
        return {**x, "cost": x["cost"] * 2} if x["kernel"] == "polynomial" else x

    same(points(bm.ps(cost=bm.p_dbl(-1, 1, trafo="10 ** x"), kernel=kernels(), extra_trafo=double), 3), case.output)


@ledger.replays("seed_grid_vector_trafo", but="a named vector is a dict")
def vector_trafo(case):
    same(points(bm.ps(**{"class.weights": bm.p_dbl(0.1, 0.9, trafo="{'spam': x, 'nonspam': 1 - x}")}), 3), case.output)


@ledger.replays("seed_fct_numeric_levels_explicit")
def explicit_levels(case):
    values = {"0.1": 0.1, "3": 3, "10": 10}
    same(points(bm.ps(cost=bm.p_fct(list(values), trafo=values.get), kernel=kernels()), 3), case.output)
    same(points(bm.ps(cost=bm.p_fct([0.1, 3, 10]), kernel=kernels()), 3), case.output)


@ledger.replays("seed_fct_levels_are_character")
def levels_are_text(case):
    levels = bm.ps(cost=bm.p_fct([0.1, 3, 10]), kernel=kernels()).domains["cost"].levels
    same({"typeof": "character" if {type(one) for one in levels} == {str} else "", "levels": levels}, case.output)


@ledger.replays("seed_fct_named_list_levels")
def named_levels(case):
    levels = {"candidate_a": {"spam": 0.5, "nonspam": 0.5}, "candidate_b": {"spam": 0.3, "nonspam": 0.7}}
    same(points(bm.ps(**{"class.weights": bm.p_fct(levels)}), 3), case.output)


@ledger.replays("seed_depends")
def depends(case):
    same(points(bm.ps(cost=bm.p_dbl(-1, 1, trafo="10 ** x"), kernel=kernels(), degree=with_degree()), 3), case.output)


@ledger.replays("seed_depends_data")
def depends_data(case):
    space = bm.ps(cost=bm.p_dbl(-1, 1, trafo="10 ** x"), kernel=kernels(), degree=with_degree())
    agree(bm.generate_design_grid(space, 3), case)


@ledger.replays("grid_small_2")
def grid(case):
    agree(bm.generate_design_grid(small(), 2), case)


@ledger.replays("grid_small_param_resolutions")
def grid_of_resolutions(case):
    agree(bm.generate_design_grid(small(), param_resolutions={"B": 1, "C": 2}), case)


@ledger.replays("grid_res_mixed")
def mixed_grid(case):
    agree(bm.generate_design_grid(small(), 3, {"C": 5}), case)


@ledger.replays("grid_res_missing", but=WORDS)
def no_resolution(case):
    assert case.error.startswith("You must specify 'resolution'")
    assert "give resolution=" in raised(ConfigError, lambda: bm.generate_design_grid(small()))


@ledger.replays("grid_untyped", but=WORDS)
def untyped(case):
    assert "untyped" in case.error
    assert "neither enumerated nor drawn" in raised(
        ConfigError, lambda: bm.generate_design_grid(bm.ps(a=bm.p_uty()), 2)
    )


@ledger.differs("grid_unbounded", why="R's grid of a parameter without bounds is NaN and Inf; here it is refused")
def unbounded(case):
    same(rows(case.output), [["NaN"], ["Inf"]])
    assert "give it bounds" in raised(ConfigError, lambda: bm.generate_design_grid(bm.ps(a=bm.p_dbl(0)), 2))


@ledger.replays("grid_int_dupes")
def no_whole_number_twice(case):
    agree(bm.generate_design_grid(bm.ps(x=bm.p_int(1, 3)), 10), case)


@ledger.replays("grid_three_levels_nine_rows")
def cross_product(case):
    agree(bm.generate_design_grid(bm.ps(a=bm.p_fct(["x", "y", "z"]), b=bm.p_int(1, 3)), 3), case)


@ledger.replays("qunif_all")
def quantiles(case):
    from batchml.params.quantile import quantile

    space = bm.ps(a=bm.p_int(1, 4), b=bm.p_dbl(-1, 1), c=bm.p_fct(["u", "v", "w"]), d=bm.p_lgl())
    u = np.array(case.inputs["u"])
    u[np.isclose(u, 1 / 3)] = 1 / 3  # as R had it before it was printed
    columns = [quantile(domain, u).tolist() for domain in space.domains.values()]
    same([list(row) for row in zip(*columns, strict=True)], rows(case.output))


@ledger.replays("logscale_int_zero")
def logscale_of_zero(case):
    space = bm.ps(x=bm.p_int(0, 10, logscale=True))
    found = {side: {"x": getattr(space.domains["x"], side)} for side in ("lower", "upper")}
    same({**found, "grid": points(space, 6)}, case.output)


@ledger.replays("logscale_and_trafo", but=WORDS)
def logscale_and_trafo(case):
    assert "trafo" in case.error
    assert "give one of both" in raised(ConfigError, lambda: bm.p_dbl(1, 2, logscale=True, trafo="exp(x)"))


@ledger.replays("trafo_method")
def trafo(case):
    same(bm.ps(a=bm.p_dbl(-1, 1, trafo="10 ** x"), b=bm.p_int(0, 2)).trafo({"a": 1, "b": 2}), case.output)


@ledger.replays("random_design_supports", but="the share of True is random")
def random_design(case):
    space = bm.ps(A=bm.p_lgl(), B=bm.p_int(0, 10, depends="A == True"))
    design = bm.generate_design_random(space, 1000, seed=1)
    data = design.data
    found = {
        "n": len(design),
        "b_na_iff_a_false": bool((data["B"].isna() == ~data["A"]).all()),
        "range": [int(data["B"].min()), int(data["B"].max())],
    }
    same(found, {name: case.output[name] for name in found})
    assert abs(data["A"].mean() - case.output["share_true"]) < 0.1


# Checks


@ledger.replays("check_ok", "check_empty")
def accepted(case):
    values = {"A": True, "B": 0, "E": len} if case.id == "check_ok" else {}
    same(abcde().check(values) is None, case.output)


@ledger.replays("check_unknown_near", but="in words of its own; the one nearest name is suggested")
def unknown(case):
    assert "Did you mean 'A'" in case.output
    message = raised(UnknownKeyError, lambda: abcde().assert_({"AA": 1}))  # noqa: PT009  # no unittest
    assert "no parameter 'AA' (did you mean 'A'?)" in message


REFUSED = {
    "check_int_high": ({"B": 100}, "B: 100 is not <= 10"),
    "check_int_low": ({"B": -1}, "B: -1 is not >= 0"),
    "check_int_na": ({"B": None}, "B: None is no number"),
    "check_int_chr": ({"B": "a"}, "B: 'a' is no number"),
    "check_int_vec": ({"B": [1, 2]}, "B: [1, 2] is no number"),
    "check_dbl_high": ({"C": 4.1}, "C: 4.1 is not <= 4"),
    "check_dbl_inf": ({"C": float("inf")}, "C: inf is not <= 4"),
    "check_dbl_nan": ({"C": float("nan")}, "C: nan is no number to set"),
    "check_fct_num": ({"D": 1}, "D: 1 is not one of 'x', 'y', 'z'"),
}


@ledger.replays(*REFUSED, but=WORDS)
def refused(case):
    values, words = REFUSED[case.id]
    assert case.output.partition(":")[0] == words.partition(":")[0]
    assert abcde().check(values) == f"parameter set: {words}"


@ledger.replays("check_unnamed", but=WORDS)
def unnamed(case):
    assert case.output == "Must have names"
    assert "a mapping of names to values" in abcde().check([1])


ledger.not_applicable("check_dup", why="a Python mapping has each name once")


@ledger.replays("check_test_assert")
def test_tells(case):
    same({"test_ok": abcde().test({"A": True}), "test_bad": abcde().test({"A": 1})}, case.output)


@ledger.replays("assert_error", but=WORDS)
def assert_raises(case):
    assert "B: Element 1 is not <= 10" in case.error
    assert raised(ConfigError, lambda: abcde().assert_({"B": 100})).endswith("B: 100 is not <= 10")  # noqa: PT009


@ledger.replays("set_values_ok")
def values(case):
    space = abcde()
    space.values = {"A": True, "B": 0}
    space.values["B"] = 1
    same(dict(space.values), case.output)


@ledger.replays("set_values_method")
def set_values(case):
    space = abcde()
    first = dict(space.set_values(A=True, B=3).values)
    same([first, dict(space.set_values(B=4, insert=False).values)], case.output)


@ledger.replays("reference_semantics")
def references(case):
    a = bm.ps(x=bm.p_int(0, 3))
    b, c = a, a.clone()
    a.values["x"] = 2
    same({"b": dict(b.values), "c": dict(c.values)}, case.output)


# Conditions


def chain():
    return bm.ps(
        A=bm.p_lgl(),
        B=bm.p_int(0, 10, depends="D in ['x', 'y']"),
        D=bm.p_fct(["x", "y", "z"], depends="A == False"),
    )


SEVEN = [
    {"A": False, "D": "x", "B": 1},
    {"A": False, "D": "z", "B": 1},
    {"A": False, "B": 1},
    {"A": False, "D": "z"},
    {"A": True},
    {"A": True, "D": "x", "B": 1},
    {"A": True, "B": 1},
]


@ledger.replays("add_dep_chain", "add_dep_chain_not_strict", but="checks are always strict, in words of their own")
def seven_checks(case):
    for one, wanted in zip(SEVEN, case.output, strict=True):
        found = chain().check(one)
        assert (found is None) == (wanted is True)
        if found is not None:
            name = wanted.partition(":")[0]
            assert found.startswith(f"parameter set: {name} can only be set if")
            assert ("has no value" in found) == ("not set at all" in wanted)


@ledger.replays("add_dep_chain_table")
def table_of_conditions(case):
    same(conditions(chain()), case.output)
    later = bm.ps(A=bm.p_lgl(), B=bm.p_int(0, 10), D=bm.p_fct(["x", "y", "z"]))
    later.add_dep("B", CondAnyOf("D", ["x", "y"]))
    later.add_dep("D", Condition(on="A", rhs=(False,)))
    same(conditions(later), case.output)


@ledger.replays("dep_and")
def two_conditions(case):
    space = bm.ps(a=bm.p_lgl(), b=bm.p_fct(["u", "v"]), c=bm.p_dbl(0, 1, depends="a == True and b == 'u'"))
    same(conditions(space), case.output["deps"])
    table = case.output["grid"]["__table__"]
    found = bm.generate_design_grid(space, 2).columns
    same([list(row) for row in zip(*found.values(), strict=True)], table["rows"])


@ledger.replays("dep_unknown", but=WORDS)
def unknown_parent(case):
    assert "'zz'" in case.error
    message = raised(UnknownKeyError, lambda: bm.ps(b=bm.p_int(0, 1, depends="zz == 1")))
    assert "b depends on 'zz', which is no parameter" in message


@ledger.replays("dep_infeasible", but=WORDS)
def infeasible(case):
    assert "infeasible values for a: nope" in case.error
    message = raised(ConfigError, lambda: bm.ps(a=bm.p_fct(["x", "y"]), b=bm.p_int(0, 1, depends="a == 'nope'")))
    assert "which never holds" in message


@ledger.replays("subset")
def subset(case):
    same(abcde().subset(["A", "B", "C"]).ids, case.output)


@ledger.replays("collection")
def collection(case):
    one, two = bm.ps(x=bm.p_int(0, 1)), bm.ps(x=bm.p_int(0, 1), y=bm.p_lgl(depends="x == 1"))
    for space in (bm.ParamSetCollection({"a": one, "b": two}), bm.ps_union({"a": one, "b": two})):
        same({"ids": space.ids, "deps": conditions(space)}, case.output)


@ledger.differs(
    "nested_svm_check",
    why="what scikit-learn accepts is never refused: its known dependencies shape search spaces only; a set of one's "
    "own refuses it as R does",
)
def degree_without_kernel(case):
    assert "'kernel' is not set at all" in case.error
    assert dict(bm.lrn("classif.svm", degree=2).param_set.values) == {"degree": 2}
    assert "kernel has no value" in svm().check({"degree": 2})


# To be tuned


@ledger.replays("seed_to_tune_bounds")
def bounds(case):
    space = svm()
    space.values = {"type": "C-classification", "kernel": "polynomial", "degree": bm.to_tune(1, 3)}
    found = space.search_space()
    domain = found.domains["degree"]
    same(
        {
            "ids": found.ids,
            "class": {"degree": next(name for name, kind in KINDS.items() if kind == domain.kind)},
            "lower": {"degree": domain.lower},
            "upper": {"degree": domain.upper},
            "grid": points(found, 3),
        },
        case.output,
    )
    learner = bm.lrn("classif.svm", degree=bm.to_tune(1, 3))
    same(points(learner.param_set.search_space(), 3), case.output["grid"])


@ledger.replays("seed_to_tune_inherits_dep", but="scikit-learn calls the kernel poly")
def inherited(case):
    space = svm()
    space.values = {"kernel": bm.to_tune(["polynomial", "radial"]), "degree": bm.to_tune(1, 3)}
    found = space.search_space()
    classes = {name: next(k for k, kind in KINDS.items() if kind == d.kind) for name, d in found.domains.items()}
    same({"ids": found.ids, "class": classes, "deps": conditions(found), "grid": points(found, 3)}, case.output)
    learner = bm.lrn("classif.svm", kernel=bm.to_tune(["poly", "rbf"]), degree=bm.to_tune(1, 3))
    names = {"poly": "polynomial", "rbf": "radial"}
    grid = [{**one, "kernel": names[one["kernel"]]} for one in points(learner.param_set.search_space(), 3)]
    same(grid, case.output["grid"])


def tree():
    return bm.ps(cp=bm.p_dbl(0, 1, default=0.01), minsplit=bm.p_int(1, default=20))


@ledger.replays("to_tune_outside", but=WORDS)
def outside(case):
    assert "range not compatible with param cp" in case.error
    space = tree()
    message = raised(ConfigError, lambda: space.values.update(cp=bm.to_tune(0, 2)))
    assert message.endswith("cp: to_tune(0, 2) does not do: 2.0 is not <= 1")


@ledger.replays("to_tune_lower_missing")
def one_bound(case):
    space = tree()
    space.values["minsplit"] = bm.to_tune(upper=64)
    domain = space.search_space().domains["minsplit"]
    same({"lower": {"minsplit": domain.lower}, "upper": {"minsplit": domain.upper}}, case.output)


@ledger.replays("to_tune_numeric_levels")
def numeric_levels(case):
    space = tree()
    space.values["cp"] = bm.to_tune([0.1, 0.5])
    found = space.search_space()
    same({"class": {"cp": "ParamFct"}, "grid": points(found, 3)}, case.output)
    assert found.domains["cp"].kind == "fct"


@ledger.replays(
    "seed_set_threads", but="the number of threads is the learner's, not a parameter; the debug learner's is"
)
def threads(case):
    (wanted,) = case.output.values()
    learner = bm.set_threads(bm.lrn("classif.random_forest"), n=4)
    assert learner.threads == wanted
    assert bm.set_threads(bm.lrn("classif.debug"), n=4).param_set.values["threads"] == wanted
