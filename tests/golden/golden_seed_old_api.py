"""The book of early 2023 as it was printed; the debug learner and parameter spaces."""

from __future__ import annotations

import math

import golden_errors as now
from golden_ledger import Ledger, rows, same

import batchml as bm
from batchml.errors import ConfigError, LearnerError

ledger = Ledger("seed_old_api")


def small():
    return bm.ps(A=bm.p_lgl(), B=bm.p_int(0, 10), C=bm.p_dbl(0, 4))


def full():
    return bm.ps(
        A=bm.p_lgl(),
        B=bm.p_int(0, 10, tags=["tag1", "tag2"]),
        C=bm.p_dbl(0, 4, special_vals=[None]),
        D=bm.p_fct(["x", "y", "z"], default="y"),
        E=bm.p_uty(),
    )


def points(space, resolution):
    return bm.generate_design_grid(space, resolution=resolution).transpose()


@ledger.replays("o_params", but="a parameter has a kind, not a class")
def parameters(case):
    domains = full().domains
    same([domains["B"].lower, sorted(domains["A"].levels)], [case.output["lower"], sorted(case.output["levels"])])
    assert domains["E"].kind == now.KINDS[case.output["class"]]


@ledger.replays("o_set", but="without R's storage types")
def whole_set(case):
    names = case.output["__table__"]["columns"]
    space = full()
    for row in rows(case.output):
        wanted = dict(zip(names, row, strict=True))
        domain = space.domains[wanted["id"]]
        assert domain.kind == now.KINDS[wanted["class"]]
        same(domain.nlevels, wanted["nlevels"])
        same(domain.is_bounded, wanted["is_bounded"])
        same(sorted(domain.tags), wanted["tags"])
        same(list(domain.levels) or None, wanted["levels"])
        same(list(domain.special_vals), wanted["special_vals"])
        if domain.is_number:
            same([domain.lower, domain.upper], [wanted["lower"], wanted["upper"]])


@ledger.replays("o_subset")
def subset(case):
    same(full().subset(["A", "B", "C"]).ids, case.output)


@ledger.replays("o_check_ok")
def check(case):
    same(full().check({"A": True, "B": 0, "E": math.sin}) is None, case.output)


@ledger.replays("o_values")
def values(case):
    space = full()
    space.values = {"A": True, "B": 0}
    space.values["B"] = 1
    same([space.values["B"]], case.output)


@ledger.replays("o_values_error", but="in words of its own")
def values_out_of_range(case):
    space = full()
    space.values = {"A": True, "B": 0}
    message = now.raised(ConfigError, lambda: space.values.update(B=100))
    assert case.error.endswith("is not <= 10.")
    assert message.endswith("B: 100 is not <= 10")
    assert space.values["B"] == 0


@ledger.replays("o_rep")
def replicated(case):
    space = bm.ps(x=bm.p_dbl(0, 1)).replicate(2)
    (tags,) = zip(*(domain.tags for domain in space.domains.values()), strict=True)
    same({"ids": space.ids, "tags": dict(zip(space.ids, tags, strict=True))}, case.output)


@ledger.replays("o_grid2")
def grid(case):
    same(bm.generate_design_grid(small(), resolution=2).data.to_numpy().tolist(), rows(case.output))


@ledger.replays("o_grid_res")
def grid_of_resolutions(case):
    found = bm.generate_design_grid(small(), param_resolutions={"B": 1, "C": 2}).data
    same(list(found.columns), case.output["__table__"]["columns"])
    same(found.to_numpy().tolist(), rows(case.output))


@ledger.replays("o_sampler_categ")
def categories(case):
    drawn = bm.Sampler1DCateg(bm.ps(A=bm.p_lgl())).sample(50, seed=1).columns["A"]
    same({"n": len(drawn), "both": set(drawn) == {True, False}}, case.output)


@ledger.replays("o_sampler_hier", but="the share of True is random")
def hierarchy(case):
    space = full().subset(["A", "B"])
    space.add_dep("B", "A == True")
    one, two = bm.Sampler1DCateg(bm.ps(A=bm.p_lgl())), bm.Sampler1DUnif(bm.ps(B=bm.p_int(0, 10)))
    data = bm.SamplerHierarchical(space, [one, two]).sample(1000, seed=1).data
    found = {
        "na_iff": bool((data["B"].isna() == ~data["A"]).all()),
        "levels": sorted(int(value) for value in data["B"].dropna().unique()),
    }
    same(found, {name: case.output[name] for name in found})
    assert abs(data["A"].mean() - case.output["share"]) < 0.1


@ledger.replays("o_sampler_joint")
def joint(case):
    one, two = (bm.Sampler1DUnif(bm.ps(**{name: bm.p_dbl(0, 1)})) for name in "xy")
    columns = bm.SamplerJointIndep([one, two]).sample(5, seed=1).columns
    inside = all(0 <= value <= 1 for value in columns["x"])
    same({"names": list(columns), "n": len(columns["y"]), "in01": inside}, case.output)


@ledger.replays("o_tune_degree")
def tune_degree(case):
    space = bm.lrn("classif.svm", degree=bm.to_tune(1, 3)).param_set.search_space()
    same({"ids": space.ids[0], "grid": points(space, 3)}, case.output)


@ledger.replays("o_trafo_quantile")
def trafo(case):
    import numpy as np

    def to_function(point):
        return {"fun": lambda data: np.quantile(data, point["quantile"])}

    space = bm.ps(quantile=bm.p_dbl(0, 1), extra_trafo=to_function)
    one, two = (space.trafo({"quantile": share}) for share in (0.25, 0.5))
    ten = np.arange(1, 11)
    same({"q25": one["fun"](ten), "q50": two["fun"](ten), "names": "fun"}, case.output)


@ledger.replays("o_grid_linear")
def linear(case):
    same(points(bm.ps(cost=bm.p_dbl(0.1, 10), kernel=bm.p_fct(["polynomial", "radial"])), 3), case.output)


@ledger.replays("o_grid_depends")
def depends(case):
    space = bm.ps(
        cost=bm.p_dbl(-1, 1, trafo=lambda x: 10**x),
        kernel=bm.p_fct(["polynomial", "radial"]),
        degree=bm.p_int(1, 3, depends="kernel == 'polynomial'"),
    )
    same(points(space, 3), case.output)


@ledger.replays("o_debug_params", but="R has more parameters since, and so has batchml")
def debug_parameters(case):
    wanted = rows(case.output)
    assert now.domains_agree(wanted, case.output["__table__"]["columns"]) >= {row[0] for row in wanted}


@ledger.replays("o_error")
def error(case):
    learner = bm.lrn("classif.debug")
    learner.param_set.values = {"error_train": 1}
    assert now.raised(LearnerError, lambda: learner.train("penguins")) == case.error


@ledger.replays("o_log")
def log(case):
    learner = bm.lrn("classif.debug", warning_train=1, error_train=1)
    learner.encapsulate = {"train": "capture", "predict": "capture"}
    with now.hushed():
        learner.train("penguins")
    same(learner.log[now.LEVELS].to_numpy().tolist(), rows(case.output["log"]))
    same([learner.warnings, learner.errors], [[case.output["warnings"]], [case.output["errors"]]])


@ledger.replays("o_bench_conditions", but="columns have names of their own, and seeds differ")
def conditions(case):
    learner = bm.lrn("classif.debug", error_train=0.3)
    learner.fallback = "classif.featureless"
    assert set(learner.encapsulate.values()) == {"capture"}
    with now.hushed():
        bmr = bm.benchmark(bm.benchmark_grid("penguins", [learner, "classif.tree"], bm.rsmp("cv"), seed=1))
    table = bmr.aggregate(conditions=True)
    assert table["errors"][1] == case.output["errors_rpart"]
    same(0 < table["errors"][0] < 10, case.output["errors_debug_1_to_9"])
    errors = bmr.resample_result(0).errors
    assert list(errors.columns) == [name.replace("msg", "message") for name in case.output["err_cols"]]
    same(len(errors) == table["errors"][0], case.output["n"])


@ledger.replays("o_missing", but="the label of the debug learner is random")
def missing(case):
    learner = bm.lrn("classif.debug", predict_missing=0.5)
    without = now.counts(learner.train("penguins", seed=1).predict("penguins"))
    learner.fallback = "classif.featureless"
    filled = now.counts(learner.train("penguins", seed=1).predict("penguins"))
    assert without["<NA>"] == case.output["without"]["<NA>"]
    assert filled["<NA>"] == case.output["with"]["<NA>"]
    assert filled["Adelie"] == without["Adelie"] + case.output["with"]["Adelie"]
