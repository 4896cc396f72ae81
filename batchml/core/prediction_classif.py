"""Predicted classes and probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from batchml.arguments import listed, shown
from batchml.core import class_codes
from batchml.core.columns import labels_of
from batchml.core.labels import sorted_classes
from batchml.core.prediction_base import Prediction, as_column, as_ids, joined
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from batchml.core.backend import Label
    from batchml.core.prediction_arrow import Parts

__all__ = ["PredictionClassif"]

_Ids = NDArray[np.int64]
_Floats = NDArray[np.float64]


class PredictionClassif(Prediction):
    """Classes predicted for rows.

    Parameters
    ----------
    truth
        The true labels; None or missing where they are not known.
    response
        The predicted labels; None, NaN and pandas.NA are missing predictions. None: the most probable classes, the
        first of equals.
    prob
        An n x k array or frame with a column per class; for two classes also the n probabilities of the positive one.
        A row with a NaN is a missing prediction.
    row_ids
        By default positions.
    classes
        In the order of the columns of `prob`; by default the frame's columns, the categories of `truth`, or all labels
        sorted.
    positive
        The positive of two classes; by default the first.
    weights
        A weight per row.

    Examples
    --------
    >>> p = PredictionClassif(truth=["a", "b", "b"], response=["a", "b", "a"])
    >>> p.confusion.to_numpy().tolist()
    [[1, 1], [0, 1]]
    """

    task_type: ClassVar[str] = "classif"

    def __init__(
        self,
        truth: Any = None,
        response: Any = None,
        prob: Any = None,
        row_ids: Any = None,
        classes: Sequence[Label] | None = None,
        positive: Label | None = None,
        weights: Any = None,
    ) -> None:
        if response is None and prob is None:
            raise DataError("a prediction needs a response or probabilities")
        for values in (truth, response):
            if values is not None and (isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__len__")):
                raise DataError(f"truth and response hold one label per row, not the single value {shown(values)}")
        columns = getattr(prob, "columns", None)
        if classes is None:
            classes = tuple(columns) if columns is not None else sorted_classes(truth, response)
        known = tuple(listed(classes, "classes", "labels"))
        if any(one.__hash__ is None for one in known):
            raise DataError(f"classes are texts or numbers, not {shown(known)}")
        if len(set(known)) < len(known):
            raise DataError(f"a class is named twice: {', '.join(map(str, known))}")
        if columns is not None:
            if set(columns) != set(known) or len(columns) != len(known):
                raise DataError(f"the columns of prob are {list(columns)}, the classes {list(known)}")
            prob = prob[list(known)].to_numpy(dtype=np.float64)
        chosen = class_codes.positive_code(known, positive)
        matrix = None if prob is None else class_codes.as_matrix(prob, len(known), chosen)
        n = len(response) if response is not None or matrix is None else len(matrix)
        self._set(
            classes=known,
            positive_code=chosen,
            truth_codes=class_codes.truth_codes(truth, known, n),
            response_codes=None if response is None else class_codes.response_codes(response, known),
            prob=matrix,
            row_ids=as_ids(row_ids, n),
            weights=as_column(weights, n, "weights", negative=False),
        )
        if matrix is not None and len(matrix) != n:
            raise DataError(f"prob has {len(matrix)} rows, the response {n}")

    def _set(
        self,
        *,
        classes: tuple[Label, ...],
        positive_code: int,
        truth_codes: _Ids,
        response_codes: _Ids | None,
        prob: _Floats | None,
        row_ids: _Ids,
        weights: _Floats | None = None,
        imputed: NDArray[np.bool_] | None = None,
    ) -> None:
        self.classes = classes
        self.positive_code = positive_code
        self.truth_codes = truth_codes
        self._prob = prob
        self.row_ids = row_ids
        self.weights = weights
        self._imputed = imputed
        self._missing: NDArray[np.bool_] | None = None
        self._confusion: _Floats | None = None
        if response_codes is None:
            assert prob is not None
            response_codes = class_codes.most_probable(prob)
        self.response_codes = response_codes

    @classmethod
    def from_codes(cls, **parts: Any) -> Self:
        """Return a prediction from checked arrays, without a copy: classes, positive_code, truth_codes, ....

        Codes are positions in classes, -1 for missing; the fast way for code that has them.
        """
        made = cls.__new__(cls)
        made._set(**parts)  # noqa: SLF001
        return made

    @property
    def predict_type(self) -> str:
        """``prob`` with probabilities, else ``response``."""
        return "response" if self._prob is None else "prob"

    @property
    def truth(self) -> NDArray[Any]:
        """The true labels."""
        return labels_of(self.truth_codes, self.classes)

    @property
    def response(self) -> NDArray[Any]:
        """The predicted labels; None where they are missing."""
        return labels_of(self.response_codes, self.classes)

    @property
    def positive(self) -> Label | None:
        """The positive class of two, else None."""
        return self.classes[self.positive_code] if len(self.classes) == 2 else None

    @property
    def prob(self) -> pd.DataFrame | None:
        """The probabilities, a column per class; None if only classes were predicted."""
        if self._prob is None:
            return None
        import pandas as pd

        return pd.DataFrame(self._prob, columns=list(self.classes))

    @property
    def prob_array(self) -> _Floats | None:
        """The probabilities as an array, columns in the order of the classes."""
        return self._prob

    @property
    def truth_missing(self) -> bool:
        """Whether the truth of some row is not known."""
        return bool((self.truth_codes < 0).any())

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """The rows whose truth is not known."""
        return self.truth_codes < 0

    def _find_missing(self) -> NDArray[np.bool_]:
        gone = self.response_codes < 0
        if self._prob is not None:
            gone |= np.isnan(self._prob).any(axis=1)
        return gone

    def confusion_counts(self, *, weighted: bool = False) -> _Floats:
        """Return counts (or sums of weights) by response (rows) and truth (columns); missing pairs are left out."""
        if not weighted and self._confusion is not None:
            return self._confusion
        k = len(self.classes)
        pairs = self.response_codes * k + self.truth_codes
        weights = self.weights if weighted else None
        if self.n_missing or (len(self) and self.truth_codes.min() < 0):
            known = ~self.missing & (self.truth_codes >= 0)
            pairs = pairs[known]
            weights = None if weights is None else weights[known]
        counts = np.bincount(pairs, weights=weights, minlength=k * k).reshape(k, k).astype(np.float64)
        if not weighted:
            self._confusion = counts
        return counts

    @property
    def confusion(self) -> pd.DataFrame:
        """Counts by response (rows) and truth (columns); a last row ``<missing>`` if predictions are missing."""
        import pandas as pd

        k = len(self.classes)
        counts = self.confusion_counts().astype(np.int64)
        names: list[Any] = list(self.classes)
        if self.n_missing:
            lost = self.truth_codes[self.missing & (self.truth_codes >= 0)]
            counts = np.vstack([counts, np.bincount(lost, minlength=k)])
            names.append("<missing>")
        return pd.DataFrame(
            counts, index=pd.Index(names, name="response"), columns=pd.Index(list(self.classes), name="truth")
        )

    def set_threshold(self, threshold: float | Mapping[Label, float]) -> Self:
        """Return the prediction with other responses.

        Parameters
        ----------
        threshold
            Of two classes: the probability from which on the positive class is predicted. Else a number per class: the
            class with the largest prob / threshold is predicted, the first of equals.

        Raises
        ------
        DataError
            There are no probabilities; a number for more than two classes; a class without threshold.
        """
        if self._prob is None:
            raise DataError("only a prediction with probabilities has thresholds: use predict_type='prob'")
        codes = class_codes.threshold_codes(self._prob, self.classes, self.positive_code, threshold)
        codes = np.where(self.missing, -1, codes)
        return self._copy(response_codes=codes)

    def _copy(self, **changes: Any) -> Self:
        parts = {
            "classes": self.classes,
            "positive_code": self.positive_code,
            "truth_codes": self.truth_codes,
            "response_codes": self.response_codes,
            "prob": self._prob,
            "row_ids": self.row_ids,
            "weights": self.weights,
            "imputed": self._imputed,
        }
        return self.from_codes(**{**parts, **changes})

    def take(self, positions: Any) -> Self:
        """Return the prediction of the rows at positions."""
        return self._copy(
            truth_codes=self.truth_codes[positions],
            response_codes=self.response_codes[positions],
            prob=None if self._prob is None else self._prob[positions],
            row_ids=self.row_ids[positions],
            weights=None if self.weights is None else self.weights[positions],
            imputed=None if self._imputed is None else self._imputed[positions],
        )

    def _join(self, parts: Sequence[Any]) -> Self:
        if any(part.classes != self.classes or part.positive_code != self.positive_code for part in parts):
            raise DataError("predictions of different classes cannot be combined")
        return self._copy(
            truth_codes=joined(parts, "truth_codes"),
            response_codes=joined(parts, "response_codes"),
            prob=joined(parts, "_prob"),
            row_ids=joined(parts, "row_ids"),
            weights=joined(parts, "weights"),
            imputed=joined(parts, "_imputed"),
        )

    def to_frame(self) -> pd.DataFrame:
        """Return row_id, truth, response, prob.<class>, then weight and imputed where there are any."""
        import pandas as pd

        frame: dict[str, Any] = {"row_id": self.row_ids, "truth": self.truth, "response": self.response}
        if self._prob is not None:
            frame |= {f"prob.{label}": self._prob[:, i] for i, label in enumerate(self.classes)}
        if self.weights is not None:
            frame["weight"] = self.weights
        if self._imputed is not None:
            frame["imputed"] = self._imputed
        return pd.DataFrame(frame)

    def _arrow_parts(self) -> Parts:
        """Return what `to_arrow` joins; large columns are not copied."""
        from batchml.core.prediction_arrow import write_classif

        return write_classif(self)
