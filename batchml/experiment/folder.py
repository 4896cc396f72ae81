"""Results as a folder of Parquet files and the task data they speak of."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.errors import ConfigError, DataError
from batchml.experiment.design import Cell, params_label
from batchml.experiment.source import CONDITION_COLUMNS
from batchml.experiment.table import CELL_COLUMNS, JOB_COLUMNS, ResultTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from batchml.core.prediction import Prediction
    from batchml.core.trust import Trust

__all__ = ["FolderSource", "read_result", "write_result"]

_FORMAT = 1
_HEAD = "result.json"
_PER_GROUP = 256  # predictions that are read at once


def write_result(table: ResultTable, folder: Path) -> Path:
    """Write a result to a folder, which must not exist, be empty or hold an earlier result; return the folder."""
    if folder.exists() and not (folder / _HEAD).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"'{folder}' holds something else: name a new folder")
    aside = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        _write_parts(table, aside)
        if folder.exists():
            shutil.rmtree(folder)
        aside.replace(folder)
    except OSError as error:
        raise ConfigError(f"'{folder}' cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def read_result(folder: Path, *, trust: Trust | None = None) -> ResultTable:
    """Return the result in a folder; its predictions are read when they are asked for.

    Raises
    ------
    DataError
        If the folder holds no result, or one of a newer version.
    """
    import pandas as pd

    from batchml.core.measure import Measure

    head = _read_head(folder)
    with _damage_named(folder):
        cells = pd.read_parquet(folder / "cells.parquet")
        jobs = pd.read_parquet(folder / "jobs.parquet")
        scores = pd.read_parquet(folder / "scores.parquet")
    number = np.arange(len(cells))
    return ResultTable(
        cells=cells.assign(params=[json.loads(text) for text in cells["params"]], source=0, key=number)[
            list(CELL_COLUMNS)
        ],
        jobs=jobs.assign(source=0, key=jobs["cell"])[list(JOB_COLUMNS)],
        sources=(FolderSource(folder, cells, trust),),
        scores={key: scores[name].to_numpy(dtype=np.float64) for name, key in head["scores"].items()},
        measures=tuple(Measure.from_spec(spec, trust, id=name) for name, spec in head["measures"]),
        seed=head["seed"],
    )


@contextlib.contextmanager
def _damage_named(folder: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"the result in '{folder}' is damaged: {str(error).splitlines()[0]}") from error


def _read_head(folder: Path) -> dict[str, Any]:
    try:
        head: dict[str, Any] = json.loads((folder / _HEAD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"'{folder}' holds no result that export() wrote") from error
    if not isinstance(head, dict):
        raise DataError(f"'{folder}' holds no result that export() wrote")
    if head.get("format") != _FORMAT:
        raise DataError(f"'{folder}' was written by another version (format {head.get('format')}): update batchml")
    return head


def _write_parts(table: ResultTable, folder: Path) -> None:
    named = {key: f"score_{number}" for number, key in enumerate(table.scores)}
    _write_cells(table, folder)
    table.jobs.drop(columns=["source", "key"]).to_parquet(folder / "jobs.parquet", index=False)
    scores = table.jobs[["cell", "iteration"]].assign(**{named[key]: values for key, values in table.scores.items()})
    scores.to_parquet(folder / "scores.parquet", index=False)
    table.conditions().to_parquet(folder / "conditions.parquet", index=False)
    _write_predictions(table, folder)
    head = {
        "format": _FORMAT,
        "seed": table.seed,
        "measures": [(measure.id, measure.spec()) for measure in table.measures],
        "scores": {name: key for key, name in named.items()},
    }
    (folder / _HEAD).write_text(json.dumps(head, indent=1), encoding="utf-8")


def _write_cells(table: ResultTable, folder: Path) -> None:
    import pandas as pd

    from batchml.data.artifacts import ArtifactFolder
    from batchml.data.tables import write_table

    artifacts = ArtifactFolder(folder / "data")
    kept: set[int] = set()
    rows = []
    for number in range(len(table.cells)):
        cell = table.objects(number)
        if id(cell.task) not in kept:
            kept.add(id(cell.task))
            if not cell.task.backend.lazy:
                write_table(artifacts, cell.task.backend)
        rows.append(
            {
                **table.cells.iloc[number][["task", "learner", "resampling", "digest"]].to_dict(),
                "params": params_label(cell.params),
                "task_spec": json.dumps(cell.task.spec()),
                "model_spec": json.dumps(cell.learner.model_spec()),
                "policy_spec": json.dumps(cell.learner.policy_spec()),
                "resampling_spec": json.dumps(cell.resampling.spec()),
                "split_seed": cell.resampling.seed,
            }
        )
    names = ("task", "learner", "resampling", "params", "digest")
    specs = ("task_spec", "model_spec", "policy_spec", "resampling_spec")
    frame = pd.DataFrame(rows, columns=[*names, *specs, "split_seed"]).astype({"split_seed": "Int64"})
    frame.to_parquet(folder / "cells.parquet", index=False)


def _write_predictions(table: ResultTable, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [("cell", pa.int32()), ("iteration", pa.int32()), ("predict_set", pa.string()), ("data", pa.binary())]
    )
    with pq.ParquetWriter(folder / "predictions.parquet", schema) as writer:
        for batch in _prediction_batches(table, schema):
            writer.write_table(batch, row_group_size=_PER_GROUP)


def _prediction_batches(table: ResultTable, schema: pa.Schema) -> Iterator[pa.Table]:
    import pyarrow as pa

    rows = np.flatnonzero(table.done)
    cell, iteration = table.jobs["cell"].to_numpy()[rows], table.jobs["iteration"].to_numpy()[rows]
    pending: list[dict[str, Any]] = []
    for number, found in enumerate(table.predictions(rows, ("test", "train"))):
        for name, prediction in found.items():
            pending.append(
                {
                    "cell": int(cell[number]),
                    "iteration": int(iteration[number]),
                    "predict_set": name,
                    "data": prediction.to_arrow(),
                }
            )
        if len(pending) >= _PER_GROUP:
            yield pa.Table.from_pylist(pending, schema=schema)
            pending = []
    yield pa.Table.from_pylist(pending, schema=schema)


class FolderSource:
    """Predictions in a folder that `write_result` wrote."""

    mixed: str | None = None

    def __init__(self, folder: Path, cells: pd.DataFrame, trust: Trust | None) -> None:
        self._folder = folder
        self._specs = cells
        self._trust = trust
        self._tasks: dict[str, Any] = {}
        self._cells: dict[int, Cell] = {}
        self._places: dict[tuple[int, int, str], int] | None = None
        self._group: tuple[int, list[bytes]] = (-1, [])
        self._file: Any = None

    def cell(self, cell: int) -> Cell:
        """Return the objects of a cell, built from their specs on first use."""
        import pandas as pd

        from batchml.core.learner import Learner
        from batchml.core.resampling import Resampling

        if cell not in self._cells:
            row = self._specs.iloc[cell]
            model, policy = json.loads(row["model_spec"]), json.loads(row["policy_spec"])
            resampling = Resampling.from_spec(json.loads(row["resampling_spec"]), trust=self._trust)
            resampling.id = row["resampling"]
            task = self._task(row["task_spec"], row["task"])
            if not pd.isna(row["split_seed"]):
                resampling = resampling.instantiate(task, seed=int(row["split_seed"]))
            self._cells[cell] = Cell(
                task=task,
                learner=Learner.from_specs(model, policy, id=row["learner"], trust=self._trust),
                resampling=resampling,
                params=json.loads(row["params"]),
            )
        return self._cells[cell]

    def _task(self, spec: str, name: str) -> Any:
        from batchml.core.task import Task
        from batchml.data.artifacts import ArtifactFolder
        from batchml.data.reopen import open_data

        if spec not in self._tasks:
            artifacts = ArtifactFolder(self._folder / "data")
            self._tasks[spec] = Task.from_spec(json.loads(spec), lambda data: open_data(data, artifacts), id=name)
        return self._tasks[spec]

    def predictions(
        self, wanted: Sequence[tuple[int, int]], predict_sets: Sequence[str]
    ) -> Iterator[Mapping[str, Prediction]]:
        """Yield the predictions of (cell, iteration) pairs."""
        from batchml.core.prediction import Prediction

        places = self._index()
        for cell, iteration in wanted:
            at = {name: places.get((cell, iteration, name)) for name in predict_sets}
            yield {name: Prediction.from_arrow(self._read(place)) for name, place in at.items() if place is not None}

    def _index(self) -> dict[tuple[int, int, str], int]:
        import pyarrow.parquet as pq

        if self._places is None:
            with _damage_named(self._folder):
                self._file = pq.ParquetFile(self._folder / "predictions.parquet")
                keys = self._file.read(columns=["cell", "iteration", "predict_set"])
            columns = (keys.column(name).to_pylist() for name in ("cell", "iteration", "predict_set"))
            self._places = {key: place for place, key in enumerate(zip(*columns, strict=True))}
        return self._places

    def _read(self, place: int) -> bytes:
        """Return the bytes in a row of the file; the row group around it stays in memory."""
        group = self._group_of(place)
        if self._group[0] != group:
            with _damage_named(self._folder):
                self._group = (group, self._file.read_row_group(group, columns=["data"]).column("data").to_pylist())
        return self._group[1][place - int(self._starts[group])]

    def _group_of(self, place: int) -> int:
        return int(np.searchsorted(self._starts, place, side="right")) - 1

    @property
    def _starts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        meta = self._file.metadata
        sizes = [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
        return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)

    def conditions(self, wanted: Sequence[tuple[int, int]] | None = None) -> pd.DataFrame:  # noqa: ARG002 - one file
        """Return all recorded conditions."""
        import pandas as pd

        return pd.read_parquet(self._folder / "conditions.parquet", columns=list(CONDITION_COLUMNS))

    def model(self, cell: int, iteration: int) -> Any:  # noqa: ARG002
        """Return None: models are not exported."""
        return None

    def environments(self) -> Sequence[dict[str, Any]]:
        """Return nothing: environments are not exported."""
        return ()

    def without(self, *, models: bool, backends: bool) -> FolderSource:  # noqa: ARG002
        """Return itself: there are no models, and data stay in their files."""
        return self
