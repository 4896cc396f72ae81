"""Predictions as Arrow IPC streams: small, readable by any tool, without loss."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.core.labels import encode_labels
from batchml.core.prediction_classif import PredictionClassif
from batchml.core.prediction_regr import PredictionRegr
from batchml.errors import ArtifactError

if TYPE_CHECKING:
    import pyarrow as pa

    from batchml.core.prediction_base import Prediction

    Parts = list[bytes | pa.Buffer]  # of a stream, in order

__all__ = ["read", "write_classif", "write_regr"]

_FORMAT = 1
_LARGE_BYTES = 1 << 20
_END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream


def write_classif(prediction: PredictionClassif) -> Parts:
    """Return columns row_id, truth, response (dictionaries of the classes), prob.<class>, weight, imputed."""
    import pyarrow as pa

    classes = prediction.classes
    levels = pa.array(classes)
    columns: dict[str, Any] = {
        "row_id": pa.array(prediction.row_ids),
        "truth": _dictionary(prediction.truth_codes, levels),
        "response": _dictionary(prediction.response_codes, levels),
    }
    prob = prediction.prob_array
    if prob is not None:
        columns |= {f"prob.{label}": pa.array(prob[:, i]) for i, label in enumerate(classes)}
    about = {
        "type": "classif",
        "classes": list(classes),
        "positive": prediction.positive_code,
        "prob": prob is not None,
    }
    return _stream(columns, prediction, about)


def write_regr(prediction: PredictionRegr) -> Parts:
    """Return columns row_id, truth, response, se, quantile.<p>, weight, imputed."""
    import pyarrow as pa

    columns: dict[str, Any] = {
        "row_id": pa.array(prediction.row_ids),
        "truth": pa.array(prediction.truth),
        "response": pa.array(prediction.response),
    }
    if prediction.se is not None:
        columns["se"] = pa.array(prediction.se)
    if prediction.quantiles is not None:
        matrix = prediction.quantiles
        columns |= {f"quantile.{p!r}": pa.array(matrix[:, i]) for i, p in enumerate(prediction.quantile_probs)}
    return _stream(columns, prediction, {"type": "regr", "quantiles": list(prediction.quantile_probs)})


def read(data: bytes | memoryview) -> Prediction:
    """Return the prediction that a stream holds.

    Raises
    ------
    ArtifactError
        It is none, or of a newer version.
    """
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(data) as reader:
            table = reader.read_all()
        about = _about(table.schema.metadata[b"batchml"])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as problem:
        raise ArtifactError(f"these bytes are no stored prediction: {problem}") from problem
    if about["format"] != _FORMAT:
        raise ArtifactError(f"a prediction in format {about['format']} needs a newer version of batchml")
    return _read_classif(table, about) if about["type"] == "classif" else _read_regr(table, about)


@functools.lru_cache(maxsize=256)
def _about(text: bytes) -> dict[str, Any]:
    """Return what a stream says of itself: the same for all the predictions of an experiment."""
    about: dict[str, Any] = json.loads(text)
    return about


def _dictionary(codes: Any, levels: pa.Array) -> pa.DictionaryArray:
    import pyarrow as pa

    narrow = codes.astype(np.int32)
    gone = narrow < 0
    return pa.DictionaryArray.from_arrays(pa.array(narrow, mask=gone if gone.any() else None), levels)


def _stream(columns: dict[str, Any], prediction: Prediction, about: dict[str, Any]) -> Parts:
    import pyarrow as pa

    if prediction.weights is not None:
        columns["weight"] = pa.array(prediction.weights)
    if prediction._imputed is not None:  # noqa: SLF001  # none at all is not the same as no row
        columns["imputed"] = pa.array(prediction.imputed)
    schema, beginning = _beginning(
        json.dumps({"format": _FORMAT, **about}), tuple((name, array.type) for name, array in columns.items())
    )
    batch = pa.RecordBatch.from_arrays(list(columns.values()), schema=schema)
    if batch.nbytes > _LARGE_BYTES:  # the same bytes, but never twice in memory
        sink = _Sink()
        with pa.PythonFile(sink, mode="w") as file, pa.ipc.new_stream(file, schema) as writer:
            writer.write_batch(batch)
        return sink.parts
    return [beginning, batch.serialize(), _END]


class _Sink:
    """A file that keeps what is written to it as it came: columns are buffers that look into the prediction."""

    closed = False

    def __init__(self) -> None:
        self.parts: Parts = []

    def write(self, part: bytes | pa.Buffer) -> int:
        """Keep it."""
        self.parts.append(part)
        return len(part)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return sum(map(len, self.parts))

    def flush(self) -> None:
        """There is nothing to do."""

    def close(self) -> None:
        """There is nothing to do."""


@functools.lru_cache(maxsize=256)
def _beginning(about: str, fields: tuple[tuple[str, pa.DataType], ...]) -> tuple[pa.Schema, bytes]:
    """Return the schema of a stream, and the bytes with which all streams of this schema and these classes begin.

    Schema and dictionaries are nine tenths of what it costs to write a small prediction, and of all the predictions of
    an experiment they are the same.
    """
    import pyarrow as pa

    schema = pa.schema(fields, metadata={"batchml": about})
    levels = pa.array(json.loads(about).get("classes", []))
    nothing = [
        pa.DictionaryArray.from_arrays(pa.array([], kind.index_type), levels)
        if pa.types.is_dictionary(kind)
        else pa.array([], kind)
        for _, kind in fields
    ]
    batch = pa.RecordBatch.from_arrays(nothing, schema=schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(batch)
    stream = bytes(sink.getvalue())
    return schema, stream[: -len(_END) - batch.serialize().size]


def _numbers(table: pa.Table, name: str) -> Any:
    return table.column(name).to_numpy() if name in table.column_names else None


def _codes(table: pa.Table, name: str, classes: tuple[Any, ...]) -> Any:
    column = table.column(name)
    if column.num_chunks != 1:
        return encode_labels(column.to_pylist(), classes)
    codes = column.chunk(0).indices
    return (codes.fill_null(-1) if codes.null_count else codes).to_numpy().astype(np.int64)


def _read_classif(table: pa.Table, about: dict[str, Any]) -> PredictionClassif:
    classes = tuple(about["classes"])
    prob = None
    if about["prob"]:
        prob = np.empty((table.num_rows, len(classes)))
        for i, label in enumerate(classes):
            prob[:, i] = table.column(f"prob.{label}").to_numpy()
    return PredictionClassif.from_codes(
        classes=classes,
        positive_code=about["positive"],
        truth_codes=_codes(table, "truth", classes),
        response_codes=_codes(table, "response", classes),
        prob=prob,
        row_ids=_numbers(table, "row_id"),
        weights=_numbers(table, "weight"),
        imputed=_numbers(table, "imputed"),
    )


def _read_regr(table: pa.Table, about: dict[str, Any]) -> PredictionRegr:
    probs = tuple(about["quantiles"])
    quantiles = np.column_stack([_numbers(table, f"quantile.{p!r}") for p in probs]) if probs else None
    return PredictionRegr.from_arrays(
        truth=_numbers(table, "truth"),
        response=_numbers(table, "response"),
        se=_numbers(table, "se"),
        quantiles=quantiles,
        quantile_probs=probs,
        row_ids=_numbers(table, "row_id"),
        weights=_numbers(table, "weight"),
        imputed=_numbers(table, "imputed"),
    )
