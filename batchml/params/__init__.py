"""Parameter spaces."""

from __future__ import annotations

from batchml.params.combine import ParamSetCollection, ps_replicate, ps_union
from batchml.params.condition import CondAnyOf, CondEqual, Condition
from batchml.params.design import Design
from batchml.params.domain import NO_DEFAULT, Domain
from batchml.params.generate import (
    generate_design_grid,
    generate_design_lhs,
    generate_design_random,
    generate_design_sobol,
)
from batchml.params.param_set import ParamSet, ps
from batchml.params.sampler import (
    Sampler,
    Sampler1DCateg,
    Sampler1DNormal,
    Sampler1DRfun,
    Sampler1DUnif,
    SamplerHierarchical,
    SamplerJointIndep,
    SamplerUnif,
)
from batchml.params.shorthand import p_dbl, p_fct, p_int, p_lgl, p_uty
from batchml.params.token import TuneToken, to_tune

__all__ = [
    "NO_DEFAULT",
    "CondAnyOf",
    "CondEqual",
    "Condition",
    "Design",
    "Domain",
    "ParamSet",
    "ParamSetCollection",
    "Sampler",
    "Sampler1DCateg",
    "Sampler1DNormal",
    "Sampler1DRfun",
    "Sampler1DUnif",
    "SamplerHierarchical",
    "SamplerJointIndep",
    "SamplerUnif",
    "TuneToken",
    "generate_design_grid",
    "generate_design_lhs",
    "generate_design_random",
    "generate_design_sobol",
    "p_dbl",
    "p_fct",
    "p_int",
    "p_lgl",
    "p_uty",
    "ps",
    "ps_replicate",
    "ps_union",
    "to_tune",
]
