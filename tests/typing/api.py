"""The public names as a user's type checker sees them; checked by mypy, never run."""

from __future__ import annotations

from typing import assert_type

import pandas as pd

import batchml as bm


def in_session(frame: pd.DataFrame) -> None:
    """A benchmark in the session."""
    task = bm.as_task_classif(frame, "y", id="mine", positive="yes")
    learner = bm.as_learner("classif.tree")
    rr = bm.resample(task, learner, bm.rsmp("cv", folds=5), seed=1)
    assert_type(rr, bm.ResampleResult)
    design = bm.benchmark_grid([task, "penguins"], ["classif.tree", learner], bm.rsmp("cv"), seed=1)
    assert_type(design, bm.BenchmarkDesign)
    assert_type(design + design, bm.BenchmarkDesign)
    assert_type(len(design), int)
    bmr = bm.benchmark(design)
    assert_type(bmr, bm.BenchmarkResult)
    assert_type(bmr.aggregate(["classif.acc"]), pd.DataFrame)


def through_a_registry(design: bm.BenchmarkDesign) -> None:
    """The same through a registry."""
    with bm.Registry.create("sqlite:///study.db", seed=42) as reg:
        assert_type(reg, bm.Registry)
        reg.add(design)
        assert_type(reg.submit(executor=bm.Local(slots=2)), bm.Submission)
        assert_type(reg.wait(timeout=60.0), bool)
        assert_type(reg.reduce(), bm.BenchmarkResult)
        assert_type(reg.sql("SELECT * FROM aggregates"), pd.DataFrame)


def over_a_space() -> None:
    """Spaces, tokens and points."""
    space = bm.ps(cost=bm.p_dbl(-3, 3, trafo="10 ** x"), depth=bm.p_int(1, 9, depends="cost == 1"))
    assert_type(space, bm.ParamSet)
    space.values["cost"] = bm.to_tune(0, 1)
    assert_type(space.check({"cost": 1}), str | None)
    assert_type(space.search_space(), bm.ParamSet)
    design = bm.generate_design_grid(space, resolution=3)
    assert_type(design, bm.Design)
    bm.benchmark_grid("iris", "classif.tree", bm.rsmp("cv"), param_values=[design.transpose()])
    assert_type(bm.SamplerJointIndep([bm.Sampler1DUnif(space)]).sample(3, seed=1), bm.Design)
    assert_type(bm.ParamSet.from_json(space.to_json()), bm.ParamSet)
