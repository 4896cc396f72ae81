"""Random shares: holdout, subsampling, bootstrap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from batchml.arguments import count, fraction
from batchml.core.resampling import Resampling
from batchml.core.split import choose_share, draw_counts
from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from batchml.core.task_types import Task

__all__ = ["Bootstrap", "Holdout", "Subsampling"]


class Holdout(Resampling):
    """One split.

    Parameters
    ----------
    ratio
        The share of rows (or groups) to train on: round(n * ratio), half to even; in each stratum for itself.
    stratify
        None: by the task's stratum columns if it has any; True: else by the target; columns; False: never.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"ratio": 2 / 3, "stratify": None}
    most: ClassVar[float] = 1.0

    def __init__(self, key: str = "holdout", **params: Any) -> None:
        super().__init__(key, **params)

    def _check_params(self) -> None:
        ratio = fraction(self._params["ratio"], f"resampling {self.key!r}: ratio")
        if not 0 <= ratio <= self.most:
            raise ConfigError(f"resampling {self.key!r}: ratio is a number between 0 and {self.most:g}, not {ratio!r}")
        self._params["ratio"] = ratio
        if self.repeating:
            what = f"resampling {self.key!r}: {self.repeating}"
            self._params[self.repeating] = count(self._params[self.repeating], what, least=1)

    def _iterations_on(self, task: Task) -> int:  # noqa: ARG002
        """Return the number of repeats."""
        return self._fixed_iters()

    def _fixed_iters(self) -> int:
        return int(self._params[self.repeating]) if self.repeating else 1

    def _draw(self, bound: Any, seed: int, repetition: int) -> NDArray[Any]:  # noqa: ARG002
        return choose_share(bound.units, self._params["ratio"], seed)

    def _sets(self, drawn: Any, part: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # noqa: ARG002
        return np.flatnonzero(drawn), np.flatnonzero(drawn == 0)

    def _train(self, drawn: Any, part: int) -> NDArray[np.int64]:  # noqa: ARG002
        return np.flatnonzero(drawn)


class Subsampling(Holdout):
    """A holdout, repeated; more repeats leave the splits before them as they are."""

    defaults: ClassVar[Mapping[str, Any]] = {"ratio": 2 / 3, "repeats": 30, "stratify": None}
    repeating: ClassVar[str | None] = "repeats"

    def __init__(self, key: str = "subsampling", **params: Any) -> None:
        super().__init__(key, **params)


class Bootstrap(Subsampling):
    """Training rows drawn with replacement, so with repeated ids; the rows never drawn are the test set.

    Parameters
    ----------
    ratio
        How many are drawn, as a share of rows (or groups).
    repeats, stratify
        As for `Subsampling`.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"ratio": 1.0, "repeats": 30, "stratify": None}
    most: ClassVar[float] = float("inf")

    def __init__(self, key: str = "bootstrap", **params: Any) -> None:
        super().__init__(key, **params)

    def _draw(self, bound: Any, seed: int, repetition: int) -> NDArray[Any]:  # noqa: ARG002
        return draw_counts(bound.units, self._params["ratio"], seed)

    def _train(self, drawn: Any, part: int) -> NDArray[np.int64]:
        return self._sets(drawn, part)[0]

    def _sets(self, drawn: Any, part: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # noqa: ARG002
        return np.repeat(np.arange(len(drawn)), drawn), np.flatnonzero(drawn == 0)
