"""Predicted numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from batchml.arguments import listed
from batchml.core.prediction_base import Prediction, as_column, as_floats, as_ids, joined
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from batchml.core.prediction_arrow import Parts

__all__ = ["PredictionRegr"]

_Ids = NDArray[np.int64]
_Floats = NDArray[np.float64]


class PredictionRegr(Prediction):
    """Numbers predicted for rows.

    Parameters
    ----------
    truth
        The true values; None or NaN where they are not known.
    response
        The predicted values; None, NaN and pandas.NA are missing predictions.
    se
        The standard error of each prediction.
    row_ids
        By default positions.
    weights
        A weight per row.
    quantiles
        An n x q array of predicted quantiles, of the probabilities `quantile_probs`.
    """

    task_type: ClassVar[str] = "regr"

    def __init__(
        self,
        truth: Any = None,
        response: Any = None,
        se: Any = None,
        row_ids: Any = None,
        weights: Any = None,
        quantiles: Any = None,
        quantile_probs: Sequence[float] | None = None,
    ) -> None:
        if response is None and quantiles is None:
            raise DataError("a prediction needs a response or quantiles")
        matrix = None if quantiles is None else np.asarray(quantiles, dtype=np.float64)
        probs = tuple(float(one) for one in quantile_probs or ())
        if matrix is not None:
            if matrix.ndim != 2 or matrix.shape[1] != len(probs):
                raise DataError(f"quantiles have the shape {matrix.shape}; there are {len(probs)} quantile_probs")
            if list(probs) != sorted(set(probs)) or probs[0] < 0 or probs[-1] > 1:
                raise DataError(f"quantile_probs increase from 0 to 1, not {list(probs)}")
        values = _floats(response) if response is not None else middle_quantile(matrix, probs)
        n = len(values)
        if matrix is not None and len(matrix) != n:
            raise DataError(f"quantiles have {len(matrix)} rows, the response {n}")
        self._set(
            truth=np.full(n, np.nan) if truth is None else _floats(truth),
            response=values,
            se=as_column(se, n, "se", negative=False),
            quantiles=matrix,
            quantile_probs=probs,
            row_ids=as_ids(row_ids, n),
            weights=as_column(weights, n, "weights", negative=False),
        )
        if len(self.truth) != n:
            raise DataError(f"there are {len(self.truth)} true values for {n} predictions")

    def _set(
        self,
        *,
        truth: _Floats,
        response: _Floats,
        row_ids: _Ids,
        se: _Floats | None = None,
        quantiles: _Floats | None = None,
        quantile_probs: tuple[float, ...] = (),
        weights: _Floats | None = None,
        imputed: NDArray[np.bool_] | None = None,
    ) -> None:
        self.truth = truth
        self.response = response
        self.se = se
        self.quantiles = quantiles
        self.quantile_probs = quantile_probs
        self.row_ids = row_ids
        self.weights = weights
        self._imputed = imputed
        self._missing: NDArray[np.bool_] | None = None

    @classmethod
    def from_arrays(cls, **parts: Any) -> Self:
        """Return a prediction from checked arrays, without a copy: truth, response, row_ids, se, ...."""
        made = cls.__new__(cls)
        made._set(**parts)  # noqa: SLF001
        return made

    @property
    def predict_type(self) -> str:
        """``quantiles``, ``se`` or ``response``."""
        if self.quantiles is not None:
            return "quantiles"
        return "response" if self.se is None else "se"

    @property
    def truth_missing(self) -> bool:
        """Whether the truth of some row is not known."""
        return bool(np.isnan(self.truth).any())

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """The rows whose truth is not known."""
        return np.isnan(self.truth)

    def _find_missing(self) -> NDArray[np.bool_]:
        gone = np.isnan(self.response)
        if self.se is not None:
            gone |= np.isnan(self.se)
        if self.quantiles is not None:
            gone |= np.isnan(self.quantiles).any(axis=1)
        return gone

    def _copy(self, **changes: Any) -> Self:
        parts = {
            "truth": self.truth,
            "response": self.response,
            "se": self.se,
            "quantiles": self.quantiles,
            "quantile_probs": self.quantile_probs,
            "row_ids": self.row_ids,
            "weights": self.weights,
            "imputed": self._imputed,
        }
        return self.from_arrays(**{**parts, **changes})

    def take(self, positions: Any) -> Self:
        """Return the prediction of the rows at positions."""
        names = {"se": self.se, "quantiles": self.quantiles, "weights": self.weights, "imputed": self._imputed}
        return self._copy(
            truth=self.truth[positions],
            response=self.response[positions],
            row_ids=self.row_ids[positions],
            **{name: None if values is None else values[positions] for name, values in names.items()},
        )

    def _join(self, parts: Sequence[Any]) -> Self:
        if any(part.quantile_probs != self.quantile_probs for part in parts):
            raise DataError("predictions of different quantiles cannot be combined")
        names = ("truth", "response", "se", "quantiles", "row_ids", "weights")
        return self._copy(**{name: joined(parts, name) for name in names}, imputed=joined(parts, "_imputed"))

    def to_frame(self) -> pd.DataFrame:
        """Return row_id, truth, response, then se, quantile.<p>, weight and imputed where there are any."""
        import pandas as pd

        frame: dict[str, Any] = {"row_id": self.row_ids, "truth": self.truth, "response": self.response}
        if self.se is not None:
            frame["se"] = self.se
        if self.quantiles is not None:
            frame |= {f"quantile.{p:g}": self.quantiles[:, i] for i, p in enumerate(self.quantile_probs)}
        if self.weights is not None:
            frame["weight"] = self.weights
        if self._imputed is not None:
            frame["imputed"] = self._imputed
        return pd.DataFrame(frame)

    def _arrow_parts(self) -> Parts:
        """Return what `to_arrow` joins; large columns are not copied."""
        from batchml.core.prediction_arrow import write_regr

        return write_regr(self)


def middle_quantile(quantiles: _Floats | None, probs: tuple[float, ...]) -> _Floats:
    """Return the quantile nearest to the median, the lower of equals."""
    assert quantiles is not None
    return np.ascontiguousarray(quantiles[:, int(np.argmin(np.abs(np.array(probs) - 0.5)))])


def _floats(values: Any) -> _Floats:
    """Return numbers; None and pandas.NA become NaN."""
    if hasattr(values, "to_numpy"):
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    try:
        array = np.asarray(values, dtype=np.float64)
    except TypeError:  # pandas.NA among them
        from batchml.core.labels import is_missing

        several = listed(values, "a prediction of a regression", "numbers")
        array = as_floats([np.nan if is_missing(one) else one for one in several], "a prediction of a regression")
    except (ValueError, OverflowError) as problem:
        raise DataError(f"a prediction of a regression holds numbers: {problem}") from problem
    if array.ndim != 1:
        raise DataError(f"a prediction is one number per row, not of the shape {array.shape}")
    return array
