"""How the values of iterations become one."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any, ClassVar

from batchml.arguments import chosen
from batchml.core.measure_score import Scoring
from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Averaging", "mean"]

_AVERAGES = ("macro", "micro", "macro_weighted")


class Averaging(Scoring):
    """The part of a measure that turns the values of iterations into one; see `Measure`."""

    #: How values become one unless something else is asked for.
    own_average: ClassVar[str] = "macro"

    aggregator: Callable[[Sequence[float]], float] | None

    @property
    def average(self) -> str:
        """How the values of iterations become one: macro, micro or macro_weighted."""
        return self._average

    @average.setter
    def average(self, word: str) -> None:
        known = dict.fromkeys((*_AVERAGES, self.own_average))
        self._average = chosen(word, f"measure {self.id!r}: average", known)

    def aggregate(
        self,
        values: Sequence[float],
        *,
        n: Sequence[float] | None = None,
        predictions: Callable[[], Sequence[Any]] | Sequence[Any] | None = None,
        learners: Callable[[], Sequence[Any]] | Sequence[Any] | None = None,  # noqa: ARG002  # others ask them
    ) -> float:
        """Return one value for several iterations; a NaN among them makes it NaN.

        Parameters
        ----------
        values
            The value of each iteration.
        n
            The rows (or summed weights) of each iteration, for ``macro_weighted``.
        predictions
            The predictions of the iterations, or a function that returns them, for ``micro``; ``macro_weighted`` asks
            them for their weights.
        learners
            The trained learners of the iterations, or a function that returns them, for measures that compare models.
        """
        if self.aggregator is not None:
            return float(self.aggregator(list(values)))
        if not len(values):
            return math.nan
        if self.average == "micro" and self.facts.needs is None:
            return self._micro(predictions)
        if self.average == "macro_weighted":
            n = self._summed_weights(predictions) or n
            if n is None:
                raise ConfigError(
                    f"measure {self.id!r} is macro_weighted: aggregate() needs the rows of each iteration"
                )
            total = math.fsum(n)
            return math.fsum(v * w for v, w in zip(values, n, strict=True)) / total if total else math.nan
        return mean(values)

    def _micro(self, predictions: Any) -> float:
        if predictions is None:
            raise ConfigError(f"measure {self.id!r} is averaged micro: aggregate() needs the predictions")
        parts = [self._chosen(one) for one in (predictions() if callable(predictions) else predictions)]
        if not parts or any(one is None for one in parts):
            return math.nan
        return self.score(parts[0].combine(parts))

    def _summed_weights(self, predictions: Any) -> list[float] | None:
        """Return the summed row weights of each iteration; None if its rows have none or the measure heeds none."""
        if not self.facts.weights or predictions is None:
            return None
        parts = [self._chosen(one) for one in (predictions() if callable(predictions) else predictions)]
        if not parts or any(one is None or one.weights is None for one in parts):
            return None
        return [float(one.weights.sum()) for one in parts]


def mean(values: Sequence[float]) -> float:
    """Return the mean; NaN with a NaN among the values, an infinity stays one."""
    try:
        return statistics.fmean(values)
    except (OverflowError, ValueError):  # both infinities among them
        return math.nan
