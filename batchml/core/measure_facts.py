"""What a measure is: range, direction, what it needs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from batchml.arguments import fraction
from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Facts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a measure is.

    Attributes
    ----------
    kernel
        Import path below batchml of the function that computes it: ``kernel(prediction, weights, **params)``, or
        ``kernel(timings=, learner=, task=, **params)`` for those without predictions.
    task_type
        ``classif``, ``regr``, or None for both.
    predict_type
        What it needs: ``response``, ``prob``, ``se``, ``quantiles``; None for measures without predictions.
    range
        The least and the largest value.
    minimize
        Whether less is better; None: neither.
    twoclass
        It needs a positive class.
    weights
        Whether row weights are used.
    needs
        Without predictions: ``timings``, ``learner``, or ``learners`` (of all iterations together).
    loss
        Import path below batchml of the function that gives each row's part, or None: ``loss(prediction, **params)``.
    params
        Parameters and their defaults: a number stands for a number, True or False for either, None for anything
        (with bounds: for a number or none).
    bounds
        The least and the largest value of parameters that are numbers, where it is not any.
    """

    kernel: str
    task_type: Literal["classif", "regr"] | None
    range: tuple[float, float]
    minimize: bool | None
    predict_type: str | None = "response"
    twoclass: bool = False
    weights: bool = False
    needs: Literal["timings", "learner", "learners"] | None = None
    loss: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    about: str = ""

    def problem(self, name: str, value: Any) -> str | None:
        """Return what the parameter would have to be, None if `value` is."""
        default = self.params[name]
        if isinstance(default, bool):
            return None if isinstance(value, bool) else "True or False"
        if default is None and value is not None and name in self.bounds:
            default = math.nan
        if not isinstance(default, float):
            return None
        low, high = self.bounds.get(name, (-math.inf, math.inf))
        try:
            number = fraction(value, name)
        except ConfigError:
            number = math.nan
        return None if math.isfinite(number) and low <= number <= high else f"a number{_between(low, high)}"


def _between(low: float, high: float) -> str:
    if math.isinf(high):
        return "" if math.isinf(low) else f" of at least {low:g}"
    return f" from {low:g} to {high:g}"
