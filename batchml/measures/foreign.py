"""Measures from elsewhere: scikit-learn scorers and functions of truth and response."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

from batchml.core.measure import Facts, Measure
from batchml.core.spec import build, decode, describe, encode
from batchml.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchml.core.trust import Trust

__all__ = ["MeasureFunction", "MeasureScorer"]

_INF = math.inf
_PREDICT_TYPES = ("response", "prob")


class MeasureFunction(Measure):
    """A function ``f(truth, response)``, or with predict_type="prob" ``f(truth, prob)`` with a frame of probabilities.

    Parameters
    ----------
    function
        Found again by its import path; no lambda.
    minimize, range, predict_type, task_type
        What is known of it.
    """

    def __init__(
        self,
        function: Callable[[Any, Any], float],
        *,
        id: str | None = None,
        minimize: bool | None = None,
        range: tuple[float, float] = (-_INF, _INF),
        predict_type: str = "response",
        task_type: Any = None,
        **fields: Any,
    ) -> None:
        if predict_type not in _PREDICT_TYPES:
            known = nearest(predict_type, _PREDICT_TYPES)
            raise ConfigError(f"a function is scored on response or prob, not {predict_type!r}{known}")
        facts = Facts(
            kernel="", task_type=task_type, range=range, minimize=minimize, predict_type=predict_type, weights=False
        )
        super().__init__(
            "function", facts, id=getattr(function, "__name__", "function") if id is None else id, **fields
        )
        self.function = function

    def _own_spec(self) -> dict[str, Any]:
        facts = self.facts
        return {
            "function": encode(self.function, where=f"measure {self.id!r}"),
            "task_type": facts.task_type,
            "predict_type": facts.predict_type,
            "minimize": facts.minimize,
            "range": encode(list(facts.range), where=f"measure {self.id!r}: range"),
        }

    @classmethod
    def from_own_spec(cls, spec: Mapping[str, Any], trust: Trust, **fields: Any) -> Self:
        """Return the measure that `spec` wrote down."""
        low, high = decode(spec["range"], trust=trust)
        return cls(
            decode(spec["function"], trust=trust),
            minimize=spec["minimize"],
            range=(low, high),
            predict_type=spec["predict_type"],
            task_type=spec["task_type"],
            **fields,
        )

    def _run(self, p: Any, weights: Any, **_: Any) -> Any:  # noqa: ARG002
        return self.function(p.truth, p.prob if self.predict_type == "prob" else p.response)


class MeasureScorer(Measure):
    """A scikit-learn scorer, such as ``get_scorer("f1_macro")`` or ``make_scorer(...)``.

    Its score function gets truth and response, or where it asks for ``predict_proba`` or ``decision_function`` the
    probabilities (of the positive class if there are two). More is better, as always with scorers.
    """

    def __init__(self, scorer: Any, *, id: str | None = None, **fields: Any) -> None:
        asked = getattr(scorer, "_response_method", "predict")
        words = (asked,) if isinstance(asked, str) else tuple(asked)
        facts = Facts(
            kernel="",
            task_type=None,
            range=(-_INF, _INF),
            minimize=False,
            predict_type="response" if "predict" in words else "prob",
            weights=True,
        )
        super().__init__("scorer", facts, id=_scorer_name(scorer) if id is None else id, **fields)
        self.scorer = scorer

    def _own_spec(self) -> dict[str, Any]:
        return {"scorer": describe(self.scorer, where=f"measure {self.id!r}")}

    @classmethod
    def from_own_spec(cls, spec: Mapping[str, Any], trust: Trust, **fields: Any) -> Self:
        """Return the measure that `spec` wrote down."""
        return cls(build(spec["scorer"], trust=trust), **fields)

    def _run(self, p: Any, weights: Any, **_: Any) -> Any:
        said = p.response
        if self.predict_type == "prob":
            said = p.prob_array[:, p.positive_code] if len(p.classes) == 2 else p.prob_array
        options = dict(self.scorer._kwargs)  # noqa: SLF001  # scorers have no public way to their function
        truth = p.truth
        if self.predict_type == "prob" and len(p.classes) == 2:
            truth = (p.truth_codes == p.positive_code).astype(int)
        elif self.predict_type == "prob" and "labels" not in options and _takes(self.scorer, "labels"):
            options["labels"] = list(p.classes)
        elif p.task_type == "classif" and _takes(self.scorer, "pos_label") and len(p.classes) == 2:
            options.setdefault("pos_label", p.positive)
        if weights is not None and _takes(self.scorer, "sample_weight"):
            options["sample_weight"] = weights
        return self.scorer._sign * self.scorer._score_func(truth, said, **options)  # noqa: SLF001


def _takes(scorer: Any, name: str) -> bool:
    import inspect

    return name in inspect.signature(scorer._score_func).parameters  # noqa: SLF001


def _scorer_name(scorer: Any) -> str:
    """Return the name under which scikit-learn knows the scorer, else that of its function."""
    from sklearn.metrics import get_scorer, get_scorer_names

    for name in get_scorer_names():
        if repr(get_scorer(name)) == repr(scorer):
            return str(name)
    return str(getattr(scorer._score_func, "__name__", "scorer"))  # noqa: SLF001
