"""How alike the feature sets are that the models of several iterations use."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from batchml.core.measure import Measure

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

__all__ = ["MeasureSimilarity", "jaccard", "phi"]

_Sets = Sequence["AbstractSet[str]"]


class MeasureSimilarity(Measure):
    """A number for all iterations together: one iteration alone has no value.

    The learners must be kept (``store_models=True``) and tell their `selected_features`.
    """

    own_average = "custom"

    def aggregate(
        self,
        values: Sequence[float],
        *,
        n: Sequence[float] | None = None,
        predictions: Callable[[], Sequence[Any]] | Sequence[Any] | None = None,
        learners: Callable[[], Sequence[Any]] | Sequence[Any] | None = None,
    ) -> float:
        """Return the mean similarity of all pairs of iterations' feature sets; see `Measure.aggregate`."""
        if self.aggregator is not None:
            return super().aggregate(values, n=n, predictions=predictions)
        trained = list(learners() if callable(learners) else learners or ())
        if not trained or any(one is None for one in trained):
            self._warn("it needs the trained learners: resample and benchmark keep them with store_models=True")
            return math.nan
        found = [_selected(one) for one in trained]
        if any(one is None for one in found):
            self._warn("the learner does not tell its selected_features")
            return math.nan
        sets = [set(names) for names, _ in found if names is not None]
        value = self._run(sets, n_features=max(count for _, count in found), **self._params)
        return self.na_value if math.isnan(value) else float(value)


def _selected(learner: Any) -> Any:
    """Return the features that a model uses, and of how many; None if it does not tell."""
    from batchml.measures.general import said

    names = said(learner, "selected_features")
    if names is None:
        return None
    schema = getattr(getattr(learner, "state", None), "schema", None)
    return list(names), len(getattr(schema, "columns", ()) or names)


def jaccard(sets: _Sets, *, n_features: int) -> float:  # noqa: ARG001
    """Return the mean over pairs of common features by all features of both; NaN if two sets are empty.

    Jaccard (1901), Etude comparative de la distribution florale; as a measure of stable selection Bommert and others
    (2017).
    """
    return _mean(_share(len(a & b), len(a | b)) for a, b in combinations(sets, 2))


def phi(sets: _Sets, *, n_features: int, p: int | None) -> float:
    """Return the mean over pairs of the correlation of their indicators; NaN if a set has no feature or all.

    Nogueira and Brown (2016), Measuring the stability of feature selection. `p` is the number of features that there
    are; None: as many as the task has.
    """
    total = n_features if p is None else p
    found = []
    for a, b in combinations(sets, 2):
        spread = len(a) * (total - len(a)) * len(b) * (total - len(b))
        found.append(_share(total * len(a & b) - len(a) * len(b), math.sqrt(max(spread, 0))))
    return _mean(found)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed) if listed else math.nan
