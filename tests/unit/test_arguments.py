"""Whatever is handed to the public functions that make and ask objects is taken or refused by an error of ours.

A wrong argument ends as one line that says what, where and what would do; never as a bare TypeError from inside.
"""

from __future__ import annotations

import functools
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold
from sklearn.tree import DecisionTreeClassifier

import batchml as bm
from batchml import arguments
from batchml.core.catalog import keys
from batchml.errors import BatchmlError, ConfigError, UnknownKeyError
from batchml.params.values import NotSetError


class Stranger:
    """Something that nobody expects, and that cannot even be printed."""

    def __repr__(self):
        raise RuntimeError("no")

    def __str__(self):
        return "a\nstranger" * 99


NONSENSE = [
    *(None, True, -1, 0, 7, 1.5, math.nan, math.inf, 10**400, 1j, "", "nonsense", "1 +", b"x"),
    *([], [None], [1, 2], ["a", "a"], (), {}, {"x": 1}, {1: 2}, set(), range(3)),
    *(np.float64(2), np.array(3), np.array([1.0]), np.array([[1, 2]]), pd.NA, pd.DataFrame({"a": [1]})),
    *(len, float, lambda: 3, lambda x: x, Stranger(), object()),
]
IRIS = bm.tsk("iris")
LABELLED = pd.DataFrame({"y": ["a", "b", "a", "b"], "x": [1.0, 2.0, 3.0, 4.0]})


def space():
    return bm.ps(a=bm.p_lgl(), b=bm.p_int(0, 10, depends="a == True"), c=bm.p_dbl(0, 1), d=bm.p_fct(["x", "y"]))


def values_of_space():
    return space().values


def number():
    return bm.ps(c=bm.p_dbl(0, 1))


def unif():
    return bm.Sampler1DUnif(number())


def drawn(sampler):
    return sampler.sample(3, seed=1)


def tree(**fields):
    return bm.lrn("classif.tree", **fields)


def loo():
    return bm.rsmp("loo")


def ce(**fields):
    return bm.msr("classif.ce", **fields)


def split(key, **params):
    sets = {"train_sets": [[0, 1]], "test_sets": [[2]]} if key == "custom" else {}
    made = bm.rsmp(key, **{**sets, **params}).instantiate(IRIS, seed=1)
    return made, made.train_set(0), made.digest, repr(made)


@functools.cache
def bound():
    return split("cv", folds=2)[0]


def predicted(**parts):
    return bm.PredictionClassif(**{"truth": ["a", "b"], "response": ["a", "a"], **parts})


def numbers(**parts):
    return bm.PredictionRegr(**{"truth": [1.0, 2.0], "response": [1.0, 2.0], **parts})


def task(**fields):
    return bm.as_task_classif(**{"data": LABELLED, "target": "y", **fields})


def given(function, *names):
    """Return what calls a function with one of its keywords."""
    return {f"{function.__name__}({name}=)": lambda x, name=name: function(**{name: x}) for name in names}


def set_to(make, *names):
    """Return what sets a field of an object."""
    return {f"{make.__name__}.{name} =": lambda x, name=name: setattr(make(), name, x) for name in names}


def asked(make, *names):
    """Return what calls a method of an object with one argument."""
    return {f"{make.__name__}.{name}()": lambda x, name=name: getattr(make(), name)(x) for name in names}


DOMAIN = ("trafo", "default", "special_vals", "tags", "depends", "init", "custom_check")
SPACES = {
    **given(bm.p_int, "lower", "upper", "logscale", *DOMAIN),
    **given(bm.p_dbl, "lower", "upper", "logscale", *DOMAIN),
    **given(bm.p_lgl, *DOMAIN),
    **given(bm.p_uty, *DOMAIN),
    **given(bm.p_fct, "levels"),
    **given(bm.ps, "a", "extra_trafo"),
    **given(bm.to_tune, "lower", "upper", "logscale", "internal", "aggr"),
    "ParamSet()": bm.ParamSet,
    "ParamSet(values)": lambda x: bm.ParamSet({"a": bm.p_lgl()}, x),
    "ps_replicate(set)": lambda x: bm.ps_replicate(x, 2),
    "ps_replicate(times)": lambda x: bm.ps_replicate(space(), x),
    "ps_replicate(prefixes)": lambda x: bm.ps_replicate(space(), prefixes=x),
    "ps_union()": bm.ps_union,
    "ps_union(member)": lambda x: bm.ps_union({"a": x}),
    "ParamSetCollection()": bm.ParamSetCollection,
    "ParamSetCollection(member)": lambda x: bm.ParamSetCollection({"a": x}),
    "CondEqual(on)": lambda x: space().add_dep("c", bm.CondEqual(x, "x")),
    "CondAnyOf(rhs)": lambda x: space().add_dep("c", bm.CondAnyOf("d", x)),
    "add_dep(name)": lambda x: space().add_dep(x, "a == True"),
    "add_dep(depends)": lambda x: space().add_dep("c", x),
    **asked(space, "check", "test", "assert_", "fill", "trafo", "subset", "replicate", "ids_with", "get_values"),
    **set_to(space, "values"),
    "values[name]": lambda x: space().values[x],
    "values[name] =": lambda x: space().values.__setitem__(x, 1),
    **asked(values_of_space, "__delitem__", "update"),
    **{f"values[{name!r}] =": lambda x, name=name: space().values.__setitem__(name, x) for name in "abcd"},
    "extra_trafo's answer": lambda x: bm.ps(a=bm.p_lgl(), extra_trafo=lambda values: x).trafo({"a": True}),
    "to_tune()": lambda x: number().values.__setitem__("c", bm.to_tune(x)),
    "to_tune(bound)": lambda x: number().values.__setitem__("c", bm.to_tune(x, 1)),
    "to_tune([value])": lambda x: number().values.__setitem__("c", bm.to_tune([x])),
    "grid(set)": lambda x: bm.generate_design_grid(x, 2),
    "grid(resolution)": lambda x: bm.generate_design_grid(space(), x),
    "grid(param_resolutions)": lambda x: bm.generate_design_grid(space(), 2, x),
    "grid({name: resolution})": lambda x: bm.generate_design_grid(space(), 2, {"c": x}),
    "random(set)": lambda x: bm.generate_design_random(x, 2),
    "random(n)": lambda x: bm.generate_design_random(space(), x),
    "random(seed)": lambda x: bm.generate_design_random(space(), 2, seed=x),
    "lhs(n)": lambda x: bm.generate_design_lhs(number(), x),
    "sobol(n)": lambda x: bm.generate_design_sobol(number(), x),
    "Design.from_points(set)": lambda x: bm.Design.from_points(x, [{"c": 0.1}]),
    "Design.from_points(points)": lambda x: bm.Design.from_points(number(), x),
    "Design.from_points(point)": lambda x: bm.Design.from_points(number(), [x]),
    "Sampler1DUnif()": lambda x: drawn(bm.Sampler1DUnif(x)),
    "Sampler1DCateg(prob)": lambda x: drawn(bm.Sampler1DCateg(bm.ps(a=bm.p_lgl()), x)),
    "Sampler1DNormal(mean)": lambda x: drawn(bm.Sampler1DNormal(number(), mean=x, sd=1)),
    "Sampler1DNormal(sd)": lambda x: drawn(bm.Sampler1DNormal(number(), mean=0.5, sd=x)),
    "Sampler1DRfun(rfun)": lambda x: bm.Sampler1DRfun(number(), x),
    "Sampler1DRfun(trunc)": lambda x: bm.Sampler1DRfun(number(), lambda n, rng: rng.random(n), trunc=x),
    "SamplerUnif()": lambda x: drawn(bm.SamplerUnif(x)),
    "SamplerJointIndep()": bm.SamplerJointIndep,
    "SamplerJointIndep([sampler])": lambda x: bm.SamplerJointIndep([x]),
    "SamplerHierarchical(set)": lambda x: bm.SamplerHierarchical(x, [unif()]),
    "SamplerHierarchical(samplers)": lambda x: bm.SamplerHierarchical(number(), x),
}
POLICY = ("id", "encapsulate", "fallback", "when", "timeout", "predict_type", "predict_sets", "threads", "param_set")
LEARNERS = {
    **{f"{one.__name__}()": one for one in (bm.lrn, bm.lrns, bm.as_learner)},
    **set_to(tree, *POLICY),
    **given(tree, *POLICY, "max_depth"),
    **{f"{name} of a stage": lambda x, name=name: tree(**{name: {"train": x}}) for name in ("encapsulate", "timeout")},
    "as_learner(preprocess)": lambda x: bm.as_learner(DecisionTreeClassifier(), preprocess=x),
    "as_learner(id)": lambda x: bm.as_learner(DecisionTreeClassifier(), id=x),
    **asked(tree, "check", "train", "predict", "predict_newdata"),
    "train(row_ids)": lambda x: bm.lrn("classif.featureless").train(IRIS, x, seed=1),
    "train(seed)": lambda x: bm.lrn("classif.featureless").train(IRIS, seed=x),
    "set_threads(learner)": lambda x: bm.set_threads(x, 2),
    "set_threads(n)": lambda x: bm.set_threads(tree(), x),
    **{f"debug.{i}": lambda x, i=i: bm.lrn("classif.debug", **{i: x}) for i in bm.lrn("classif.debug").param_set.ids},
    "featureless.method": lambda x: bm.lrn("classif.featureless", method=x),
}
SPLITS = {
    **{f"{one.__name__}()": one for one in (bm.rsmp, bm.rsmps, bm.as_resampling)},
    **{
        f"{key}.{name}": lambda x, key=key, name=name: split(key, **{name: x})
        for key, names in {
            "cv": ("folds", "stratify", "id"),
            "repeated_cv": ("repeats",),
            "holdout": ("ratio",),
            "bootstrap": ("ratio", "repeats"),
            "custom": ("train_sets", "test_sets"),
            "custom_cv": ("col", "folds"),
        }.items()
        for name in names
    },
    **asked(loo, "instantiate", "check", "n_iterations"),
    "instantiate(seed)": lambda x: bm.rsmp("cv").instantiate(IRIS, seed=x),
    **asked(bound, "train_set", "test_set", "check_bound"),
    "as_resampling(id)": lambda x: bm.as_resampling(KFold(2), id=x),
    "partition(task)": bm.partition,
    "partition(ratio)": lambda x: bm.partition(IRIS, x),
}
MEASURES = {
    **{f"{one.__name__}()": one for one in (bm.msr, bm.msrs, bm.as_measure, bm.as_measures)},
    **{
        f"{key}.{name}": lambda x, key=key, name=name: bm.msr(key, **{name: x})
        for key in keys("measure")
        for name in bm.msr(key).params
    },
    **set_to(ce, "id", "average", "predict_sets", "aggregator", "na_value"),
    **given(lambda **fields: bm.msr("classif.ce", **fields), "id", "average", "predict_sets", "aggregator", "na_value"),
    **asked(ce, "score", "obs_loss"),
    "score(timings)": lambda x: bm.msr("time_train").score(timings=x),
    "prediction.score()": lambda x: predicted().score(x),
    "prediction.filter()": lambda x: predicted().filter(x),
    "set_threshold()": lambda x: predicted(prob=[0.2, 0.8], classes=["a", "b"]).set_threshold(x),
    **given(predicted, "truth", "response", "prob", "row_ids", "classes", "positive", "weights"),
    **given(numbers, "truth", "response", "se", "row_ids", "weights"),
}
TASKS = {
    **{f"{one.__name__}()": one for one in (bm.tsk, bm.tsks, bm.as_task, bm.as_data_backend)},
    **given(task, "data", "target", "id", "positive", "group", "stratify", "weights", "drop", "text", "primary_key"),
    **asked(task, "data", "head", "missings", "levels", "codes", "stratify", "features", "filter", "select"),
    **asked(task, "set_col_roles", "add_strata", "rename", "set_levels", "droplevels", "truth", "positions"),
}
CALLS = SPACES | LEARNERS | SPLITS | MEASURES | TASKS


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.filterwarnings("ignore")
def test_nonsense_is_taken_or_refused_by_an_error_of_ours(call):
    for value in NONSENSE:
        try:
            CALLS[call](value)
        except BatchmlError as error:
            message = str(error)
            assert message
            assert len(message) < 1500
        except Exception as error:
            error.add_note(f"{call} with {arguments.shown(value)}")
            raise


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bm.p_int(0, 3, tags=3), "tags is a list of texts, not 3"),
        (lambda: bm.ps(a=3), "a is no domain such as p_dbl(0, 1), but 3"),
        (lambda: bm.ps_union([3]), "a member of a union is a parameter set, ps(x=p_dbl(0, 1)), not 3"),
        (lambda: bm.generate_design_random(space(), 1.5), "the number of points is a whole number from 0 to"),
        (lambda: bm.generate_design_grid(space(), 2, {"e": 1}), "parameter set has no parameter 'e'"),
        (lambda: bm.Sampler1DRfun(number(), len), "rfun is a function of n and a generator; <built-in function len>"),
        (lambda: space().values["bb"], "parameter set has no parameter 'bb' (did you mean 'b'?)"),
        (lambda: tree(encapsulate="captur"), "encapsulate is 'none' or 'capture' or 'process', not 'captur' (did you"),
        (lambda: tree(timeout={"train": "soon"}), "timeout of train: 'soon' is no duration"),
        (lambda: tree(timeout={"trian": 1}), "not 'trian' (did you mean 'train'?)"),
        (lambda: tree(threads=0), "learner 'classif.tree': threads is a whole number of at least 1, not 0"),
        (lambda: tree(predict_sets=["tset"]), "predict_sets is 'train' or 'test', not 'tset' (did you mean 'test'?)"),
        (lambda: setattr(tree(), "model", 3), "learner 'classif.tree': model cannot be set"),
        (lambda: setattr(tree(), "id", 3), "learner 'classif.tree': id is a text, not 3"),
        (lambda: setattr(bm.msr("classif.ce"), "averge", "micro"), "has no field 'averge' (did you mean 'average'?)"),
        (lambda: setattr(task(), "postive", "b"), "task 'y' has no field 'postive' (did you mean 'positive'?)"),
        (lambda: bm.msr("classif.ce", average="mikro"), "average is 'macro' or 'micro' or 'macro_weighted', not"),
        (lambda: bm.msr("classif.ce", aggregator=lambda: 3), "aggregator is a function of the values"),
        (lambda: bm.msr("classif.costs", costs={"a": 3}), "costs of 'a' is a mapping of true classes to numbers"),
        (lambda: bm.as_measure(lambda truth: 3), "a measure is a function of truth and response"),
        (lambda: bm.rsmp("cv", folds="5"), "resampling 'cv': folds is a whole number of at least 2, not '5'"),
        (lambda: split("cv", folds=2)[0].train_set(2), "resampling 'cv' has the iterations 0 to 1, not 2"),
        (lambda: bm.benchmark_grid("iris", "classif.tree", "cv", seed=-1), "a seed is a whole number from 0 to"),
        (lambda: bm.benchmark_grid("iris", "classif.tree", "cv", param_values=[3]), "param_values for learner"),
        (lambda: predicted(row_ids=["a", "b"]), "row ids are whole numbers, not ['a', 'b']"),
        (lambda: task(group=["x"]), "group is a text, not ['x']"),
    ],
)
def test_a_refusal_says_what_where_and_what_would_do(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert words in str(caught.value)


def test_a_value_that_is_not_set_is_missing_as_in_any_mapping():
    values = space().values
    assert "c" not in values
    assert [] not in values
    assert values.get("c", 3) == 3
    assert values.pop("c", 4) == 4
    with pytest.raises(NotSetError, match="parameter set: 'c' has no value; set are none"):
        values["c"]
    with pytest.raises(KeyError):
        del values["c"]
    with pytest.raises(UnknownKeyError, match="no parameter 'cc'"):
        values["cc"]


def test_numbers_and_truths_of_numpy_do_as_well_as_pythons():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        design = bm.generate_design_grid(number(), np.int64(3))
    assert design.columns == {"c": [0.0, 0.5, 1.0]}
    assert len(bm.generate_design_random(number(), np.int32(4), seed=np.int64(1))) == 4
    assert bm.p_dbl(1, 2, logscale=np.True_).logscale is True
    assert bm.rsmp("cv", folds=np.int64(3)).params["folds"] == 3
    assert tree(threads=np.int8(2)).threads == 2
    assert split("cv", folds=2)[0].train_set(np.int64(1)).tolist() == split("cv", folds=2)[0].train_set(1).tolist()
