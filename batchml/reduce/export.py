"""What a registry holds as Arrow streams and Parquet files, a row per job, score, condition or predicted row."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.arguments import shown
from batchml.core.aside import written_aside
from batchml.errors import ArtifactError, BatchmlError, ConfigError
from batchml.registry import reduction
from batchml.registry.finding import STATES
from batchml.registry.history import all_attempts
from batchml.registry.moves import known_jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from batchml.registry.store import Store

__all__ = ["export", "predictions"]

_ROWS_PER_BATCH = 50_000

# Views by file, their columns by type; the rest is text.
_VIEWS = {
    "jobs": (
        "job_id benchmark experiment_id task learner resampling params iteration state outcome prediction attempts "
        "host fit_s predict_s wall_s peak_mb started_at ended_at"
    ),
    "scores": ("job_id benchmark experiment_id task learner resampling params iteration measure kind value n_imputed"),
    "conditions": "job_id attempt_id task learner resampling iteration stage level message",
}
_ATTEMPTS = (
    "job_id attempt_id worker_id environment_id host outcome signal error_type message fit_s predict_s wall_s cpu_s "
    "peak_mb threads started_at ended_at"
)
_ENVIRONMENTS = "environment_id python platform cpu cpu_level blas packages code n_workers n_jobs"
_IDS = frozenset({"job_id", "experiment_id", "attempt_id", "worker_id", "environment_id"})
_WHOLE = _IDS | {"iteration", "attempts", "n_imputed", "signal", "threads", "n_workers", "n_jobs"}
_REAL = frozenset({"fit_s", "predict_s", "wall_s", "cpu_s", "peak_mb", "value"})
_MOMENTS = frozenset({"started_at", "ended_at"})


def export(store: Store, folder: str | os.PathLike[str]) -> list[Path]:
    """Write what a registry holds as Parquet files and return their paths.

    These are ``jobs``, ``scores``, ``conditions`` and ``predictions``, the ``attempts`` at the jobs, and the
    ``environments`` that they ran in. Files of an earlier export are replaced, each when it is complete.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    place = _place(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        written = []
        for name, (columns, pages) in _tables(store).items():
            schema = _schema(columns)
            written.append(_write(place / f"{name}.parquet", schema, (_batch(rows, schema) for rows in pages)))
        reader = predictions(store)
        written.append(_write(place / "predictions.parquet", reader.schema, reader))
    except BatchmlError:
        raise  # an unreachable registry is an OSError, too
    except OSError as error:
        raise ConfigError(f"'{place}' cannot be written: {error.strerror or error}") from error
    return written


def _place(folder: str | os.PathLike[str]) -> Path:
    try:
        place = Path(os.fsdecode(folder))
        os.fsencode(place)
    except (TypeError, UnicodeError):
        raise ConfigError(f"a folder is named by a path, not by {shown(folder)}") from None
    if not os.fspath(folder) or "\0" in str(place):
        raise ConfigError(f"{shown(folder)} is no folder to export to; '.' is the working directory")
    return place


def _tables(store: Store) -> dict[str, tuple[list[str], Iterable[Any]]]:
    """Return columns and pages of rows by file."""
    found: dict[str, tuple[list[str], Iterable[Any]]]
    found = {name: (words.split(), reduction.read_view(store, name, words.split())) for name, words in _VIEWS.items()}
    attempts, environments = _ATTEMPTS.split(), _ENVIRONMENTS.split()
    found["attempts"] = attempts, all_attempts(store, attempts)
    found["environments"] = environments, [reduction.read_small_view(store, "environments", environments)]
    return found


def predictions(store: Store, jobs: Iterable[int] | None = None) -> pa.RecordBatchReader:
    """Return the predictions of jobs as record batches, a row per predicted row, read as they are asked for.

    Columns: ``job_id``, ``predict_set``, ``row_id``; classes as text in ``truth`` and ``response`` with ``prob`` (class
    to probability), numbers in ``truth_value`` and ``response_value`` with ``se`` and ``quantiles``; ``imputed``.

    Parameters
    ----------
    jobs
        Ids; None: the finished jobs of current benchmarks.

    Raises
    ------
    UnknownKeyError
        If there is no such job.
    """
    import pyarrow as pa

    if jobs is None:
        held = reduction.read_jobs(store, reduction.read_benchmarks(store, None))
        ids = sorted(held["job_id"][held["state"] == STATES.index("done")].tolist())
    else:
        ids = known_jobs(store, [int(job) for job in jobs])
    schema = _prediction_schema()
    return pa.RecordBatchReader.from_batches(schema, _prediction_batches(store, ids, schema))


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Path:
    import pyarrow.parquet as pq

    with written_aside(path) as aside, pq.ParquetWriter(aside, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return path


def _schema(names: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    types = {
        **dict.fromkeys(_WHOLE, pa.int64()),
        **dict.fromkeys(_REAL, pa.float64()),
        **dict.fromkeys(_MOMENTS, pa.timestamp("us", "UTC")),
    }
    return pa.schema([(name, types.get(name, pa.string())) for name in names])


def _batch(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    columns = [
        pa.array([_moment(value) for value in values] if field.name in _MOMENTS else values, field.type)
        for field, values in zip(schema, zip(*rows, strict=True) if rows else [()] * len(schema), strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _moment(value: Any) -> Any:
    """Return a moment in UTC; SQLite has text, PostgreSQL datetimes."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value


def _prediction_schema() -> pa.Schema:
    import pyarrow as pa

    shares = pa.map_(pa.string(), pa.float64())
    return pa.schema(
        [
            ("job_id", pa.int64()),
            ("predict_set", pa.string()),
            ("row_id", pa.int64()),
            ("truth", pa.string()),
            ("response", pa.string()),
            ("prob", shares),
            ("truth_value", pa.float64()),
            ("response_value", pa.float64()),
            ("se", pa.float64()),
            ("quantiles", shares),
            ("imputed", pa.bool_()),
        ]
    )


def _prediction_batches(store: Store, jobs: Sequence[int], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield batches of many jobs: one each would make files of tiny row groups."""
    import pyarrow as pa

    pending: list[pa.RecordBatch] = []
    for job, name, data in reduction.read_predictions(store, jobs, ("test", "train")):
        try:
            with pa.ipc.open_stream(data) as reader:
                table = reader.read_all()
        except (pa.ArrowException, OSError) as problem:
            raise ArtifactError(f"the prediction of job {job} is damaged ({problem}): reset it") from None
        pending.append(_flat(job, name, table, schema))
        if sum(batch.num_rows for batch in pending) >= _ROWS_PER_BATCH:
            yield from _merged(pending)
            pending = []
    yield from _merged(pending)


def _merged(batches: Sequence[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    if batches:
        yield from pa.Table.from_batches(batches).combine_chunks().to_batches()


def _flat(job: int, name: str, table: pa.Table, schema: pa.Schema) -> pa.RecordBatch:
    """Return one stored prediction in the columns that all predictions share."""
    import pyarrow as pa

    n = table.num_rows
    labels = pa.types.is_dictionary(table.schema.field("truth").type)
    ending = "" if labels else "_value"
    columns: dict[str, Any] = {
        "job_id": pa.repeat(pa.scalar(job, pa.int64()), n),
        "predict_set": pa.repeat(pa.scalar(name), n),
        "row_id": _whole(table, "row_id"),
        f"truth{ending}": _labels(table, "truth") if labels else _whole(table, "truth"),
        f"response{ending}": _labels(table, "response") if labels else _whole(table, "response"),
        "prob": _shares(table, "prob."),
        "quantiles": _shares(table, "quantile."),
        "imputed": pa.repeat(pa.scalar(False), n),
    }
    columns |= {one: _whole(table, one) for one in ("se", "imputed") if one in table.column_names}
    arrays = [columns.get(field.name) for field in schema]
    filled = [pa.nulls(n, field.type) if array is None else array for field, array in zip(schema, arrays, strict=True)]
    return pa.RecordBatch.from_arrays(filled, schema=schema)


def _whole(table: pa.Table, name: str) -> pa.Array:
    return table.column(name).combine_chunks()


def _labels(table: pa.Table, name: str) -> pa.Array:
    """Return labels as text, whatever they were."""
    import pyarrow as pa

    column = _whole(table, name)
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    words = pa.array([str(label) for label in column.dictionary.to_pylist()], pa.string())
    return words.take(column.indices)


def _shares(table: pa.Table, prefix: str) -> pa.Array | None:
    """Return the columns of a prefix as one of maps; None if there is none."""
    import pyarrow as pa

    names = [name for name in table.column_names if name.startswith(prefix)]
    if not names:
        return None
    n, k = table.num_rows, len(names)
    values = np.column_stack([table.column(name).to_numpy() for name in names]).reshape(n * k)
    keys = pa.array([name.removeprefix(prefix) for name in names]).take(pa.array(np.tile(np.arange(k), n)))
    return pa.MapArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * np.int32(k)), keys, pa.array(values))
