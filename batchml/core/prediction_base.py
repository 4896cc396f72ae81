"""Predictions: truth beside what a learner said, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from batchml.arguments import listed, shown
from batchml.core.show import Shown
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from batchml.core.prediction_arrow import Parts

__all__ = ["Prediction"]

_Ids = NDArray[np.int64]
_Floats = NDArray[np.float64]


class Prediction(Shown):
    """What `PredictionClassif` and `PredictionRegr` share. Immutable.

    Attributes
    ----------
    row_ids
        The predicted rows, int64.
    weights
        A weight per row, or None.
    """

    task_type: ClassVar[str] = ""
    _types: ClassVar[dict[str, type[Prediction]]] = {}

    row_ids: _Ids
    weights: _Floats | None
    _imputed: NDArray[np.bool_] | None
    _missing: NDArray[np.bool_] | None

    def __init_subclass__(cls) -> None:
        if cls.task_type:
            Prediction._types[cls.task_type] = cls

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def predict_type(self) -> str:
        """What was predicted: response, prob, se or quantiles."""
        raise NotImplementedError

    @property
    def imputed(self) -> NDArray[np.bool_]:
        """Which rows a fallback learner predicted."""
        return np.zeros(len(self), dtype=bool) if self._imputed is None else self._imputed

    @property
    def n_imputed(self) -> int:
        """How many rows a fallback learner predicted."""
        return 0 if self._imputed is None else int(self._imputed.sum())

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which rows have no prediction: no response, or a probability, se or quantile that is NaN."""
        if self._missing is None:
            self._missing = self._find_missing()
        return self._missing

    @property
    def n_missing(self) -> int:
        """How many rows have no prediction."""
        return int(np.count_nonzero(self.missing))

    @property
    def truth_missing(self) -> bool:
        """Whether the truth of some row is not known."""
        raise NotImplementedError

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """The rows whose truth is not known."""
        raise NotImplementedError

    def _find_missing(self) -> NDArray[np.bool_]:
        raise NotImplementedError

    def take(self, positions: Any) -> Self:
        """Return the prediction of the rows at positions."""
        raise NotImplementedError

    def filter(self, row_ids: Any) -> Self:
        """Return the prediction of these row ids, in the order in which they are here."""
        wanted = listed(row_ids, "what predictions are filtered by", "row ids")
        return self.take(np.flatnonzero(np.isin(self.row_ids, as_ids(wanted, len(wanted)))))

    def score(self, measures: Any = None) -> pd.Series[float]:
        """Return the scores, indexed by measure id; None: the default measure of the task type."""
        import pandas as pd

        from batchml.core.measure import as_measures

        chosen = as_measures(measures, self.task_type)
        return pd.Series({one.id: one.score(self) for one in chosen}, dtype=float)

    def obs_loss(self, measures: Any = None) -> pd.DataFrame:
        """Return row_id, truth, response and for each measure what the row contributes; NaN for missing rows.

        Parameters
        ----------
        measures
            Those with the property ``obs_loss``, such as classif.ce, classif.logloss, regr.mse; None: the default of
            the task type.
        """
        from batchml.core.measure import as_measures

        frame = self.to_frame()[["row_id", "truth", "response"]]
        return frame.assign(**{one.id: one.obs_loss(self) for one in as_measures(measures, self.task_type)})

    def to_frame(self) -> pd.DataFrame:
        """Return a data frame with a row per predicted row."""
        raise NotImplementedError

    def replace_missing(self, other: Self) -> Self:
        """Return this prediction with its missing rows taken from another one and marked as imputed.

        Parameters
        ----------
        other
            A prediction of the same type that has all those rows; its own missing rows stay missing.
        """
        gaps = np.flatnonzero(self.missing)
        if not len(gaps):
            return self
        from batchml.core.rows import RowIndex

        at, known = RowIndex(other.row_ids).find(self.row_ids[gaps])
        patch = other.take(at[known])
        patch._imputed = ~patch.missing  # noqa: SLF001  # not seen by anyone yet
        whole = self.combine([self, patch])
        order = np.arange(len(self))
        order[gaps[known]] = len(self) + np.arange(len(patch))
        filled: Self = whole.take(order)
        return filled

    def to_arrow(self) -> bytes:
        """Return the prediction as an Arrow IPC stream; see `from_arrow`."""
        return b"".join(self._arrow_parts())

    def _arrow_parts(self) -> Parts:
        """Return what `to_arrow` joins; large columns are not copied."""
        raise NotImplementedError

    @staticmethod
    def from_arrow(data: bytes | memoryview) -> Prediction:
        """Return the prediction that `to_arrow` wrote, without loss."""
        from batchml.core.prediction_arrow import read

        return read(data)

    @staticmethod
    def combine(predictions: Iterable[Any]) -> Any:
        """Return one prediction with the rows of all, in order; rows that occur several times stay.

        Raises
        ------
        DataError
            Nothing to combine; other task types, predict types or classes.
        """
        parts: Sequence[Prediction] = list(predictions)
        if not parts:
            raise DataError("there are no predictions to combine")
        if len(parts) == 1:
            return parts[0]
        kinds = {(one.task_type, one.predict_type) for one in parts}
        if len(kinds) > 1:
            words = " and ".join(sorted(f"{task_type}/{predict_type}" for task_type, predict_type in kinds))
            raise DataError(f"predictions of different types cannot be combined: {words}")
        return parts[0]._join(parts)  # noqa: SLF001

    def _join(self, parts: Sequence[Any]) -> Self:
        raise NotImplementedError

    def __repr__(self) -> str:
        about = f"<{type(self).__name__}> for {len(self)} rows, {self.n_missing} missing, {self.n_imputed} imputed:"
        frame = self.to_frame()
        text = frame.to_string(index=False, max_rows=7, float_format="%.6g", na_rep="-")
        return f"{about}\n{text}"

    def __getstate__(self) -> Mapping[str, Any]:
        return self.__dict__


def joined(parts: Sequence[Any], name: str) -> Any:
    """Return an attribute of all parts as one array; None if no part has it."""
    values = [getattr(part, name) for part in parts]
    if all(value is None for value in values):
        return None
    if name == "_imputed":
        values = [part.imputed for part in parts]
    elif any(value is None for value in values):
        raise DataError(f"some of the predictions have {name}, others have not: they cannot be combined")
    return np.concatenate(values)


def as_ids(row_ids: Any, n: int) -> _Ids:
    """Return row ids as an array; None: positions."""
    if row_ids is None:
        return np.arange(n, dtype=np.int64)
    given = np.asarray(row_ids)
    if given.shape != (n,):
        raise DataError(f"{n} predictions need as many row ids, not {shown(row_ids)}")
    try:
        ids = given.astype(np.int64)
        whole = given.dtype.kind in "iu" or bool((given == ids).all())
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise DataError(f"row ids are whole numbers, not {shown(row_ids)}")
    return ids


def as_floats(values: Any, name: str) -> _Floats:
    """Return numbers as an array of floats."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{name} holds numbers; {shown(values)} does not") from None


def as_column(values: Any, n: int, name: str, *, negative: bool = True) -> _Floats | None:
    """Return one number per row, or None."""
    if values is None:
        return None
    column = as_floats(values, name)
    if column.shape != (n,):
        raise DataError(f"{name} has the shape {column.shape}; there are {n} rows")
    if not negative and (column < 0).any():
        raise DataError(f"{name} holds negative numbers")
    return column
