"""What a measure is: range, direction, what it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

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
        Parameters and their defaults.
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
    about: str = ""
