"""Parameter spaces."""

from __future__ import annotations

from batchml.params.domain import Domain, p_uty
from batchml.params.param_set import ParamSet

__all__ = ["Domain", "ParamSet", "p_uty"]
