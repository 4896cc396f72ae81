"""Parameter spaces."""

from __future__ import annotations

from batchml.params.condition import CondAnyOf, CondEqual, Condition
from batchml.params.design import (
    Design,
    generate_design_grid,
    generate_design_lhs,
    generate_design_random,
    generate_design_sobol,
)
from batchml.params.domain import NO_DEFAULT, Domain, p_dbl, p_fct, p_int, p_lgl, p_uty
from batchml.params.param_set import ParamSet, ps

__all__ = [
    "NO_DEFAULT",
    "CondAnyOf",
    "CondEqual",
    "Condition",
    "Design",
    "Domain",
    "ParamSet",
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
]
