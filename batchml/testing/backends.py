"""The conformance suite for data backends: what tasks rely on, wherever a table lies."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from batchml.core.task import as_task_regr
from batchml.data.artifacts import ArtifactFolder
from batchml.data.fingerprint import column_digests
from batchml.data.frame import FrameBackend
from batchml.data.reopen import open_data
from batchml.errors import DataError

if TYPE_CHECKING:
    from batchml.core.backend import DataBackend

__all__ = ["BackendContract", "contract_table"]


def contract_table() -> pa.Table:
    """Return eight rows of all feature types that every source of data can hold, with gaps, quotes and Unicode."""
    return pa.table(
        {
            "id": [1, 2, 3, 4, 5, 6, 7, 9],
            "x": [1.5, None, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
            "n": [10, 20, None, 40, 50, 60, 70, 80],
            'wo"rd é': ["a", "b", "a", None, "b", "a", "ç'x", "b"],
            "day": pa.array([*range(18262, 18269), None], pa.date32()).cast(pa.timestamp("us")),  # from 2020-01-01
            "y": [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0],
        }
    )


class BackendContract:
    """What every backend does; a suite for `contract_table` with the primary key ``id``, in the order of its ids."""

    #: Whether the digest is the logical one.
    logical = True

    def backend(self, tmp_path: Path) -> DataBackend:
        """Return the backend under test over `contract_table`."""
        raise NotImplementedError

    @pytest.fixture
    def made(self, tmp_path: Path) -> DataBackend:
        """Return the backend under test."""
        return self.backend(tmp_path)

    @pytest.fixture
    def frame(self) -> FrameBackend:
        """Return the same table in memory."""
        return FrameBackend(contract_table(), primary_key="id")

    def test_shape_and_schema_are_those_of_the_table(self, made: DataBackend, frame: FrameBackend) -> None:
        """Names, numbers, types and levels."""
        assert made.primary_key == "id"
        assert made.columns == frame.columns
        assert (made.n_rows, made.n_cols) == (8, 6)
        assert dict(made.schema) == dict(frame.schema)
        assert made.row_ids.tolist() == frame.row_ids.tolist()
        assert not made.row_ids.flags.writeable

    def test_the_digest_is_that_of_the_content(self, made: DataBackend, frame: FrameBackend) -> None:
        """Equal tables have equal digests, wherever they lie."""
        assert made.digest == made.digest
        if self.logical:
            assert made.digest == frame.digest

    def test_rows_come_in_the_asked_order_with_duplicates(self, made: DataBackend, frame: FrameBackend) -> None:
        """And columns too."""
        rows, cols = [5, 2, 2, 9, 1], ["y", 'wo"rd é', "x"]
        assert _content(made.data(rows, cols)) == _content(frame.data(rows, cols))
        assert _content(made.data(np.array([3, 4, 5]), ["day", "n"])) == _content(frame.data([3, 4, 5], ["day", "n"]))

    def test_all_of_it_is_the_table(self, made: DataBackend, frame: FrameBackend) -> None:
        """In canonical form."""
        assert _content(made.data()) == _content(frame.data())

    def test_unknown_rows_and_columns_are_left_out(self, made: DataBackend) -> None:
        """As in R."""
        assert made.data([1, 99, -1], ["x", "nope"]).to_pydict() == {"x": [1.5]}
        assert made.data([], ["x", "y"]).column_names == ["x", "y"]
        assert made.data([], ["x", "y"]).num_rows == 0

    def test_a_column_asked_for_twice_is_refused(self, made: DataBackend) -> None:
        """A frame could not hold it."""
        with pytest.raises(DataError, match="twice"):
            made.data([1], ["x", "x"])

    def test_the_head_is_the_first_rows(self, made: DataBackend, frame: FrameBackend) -> None:
        """In order."""
        assert _content(made.head(3)) == _content(frame.data([1, 2, 3]))

    def test_missing_values_are_counted_once_for_each_time(self, made: DataBackend) -> None:
        """Of all rows and of some."""
        assert made.missings() == {"id": 0, "x": 1, "n": 1, 'wo"rd é': 1, "day": 1, "y": 0}
        assert made.missings([3, 4, 4], ['wo"rd é', "x"]) == {'wo"rd é': 2, "x": 0}

    def test_distinct_values_come_in_order_of_appearance(self, made: DataBackend) -> None:
        """With and without what is missing."""
        name = 'wo"rd é'
        assert made.distinct(None, [name]) == {name: ["a", "b", "ç'x"]}
        assert made.distinct(None, [name], drop_missing=False) == {name: ["a", "b", None, "ç'x"]}
        assert made.distinct([9, 1, 9], [name, "y"]) == {name: ["b", "a"], "y": [16.0, 2.0]}

    def test_infinite_values_are_counted(self, made: DataBackend) -> None:
        """Of numeric columns alone."""
        assert made.infinite() == {"x": 0, "y": 0}
        assert made.infinite([1, 2], ["y", "n"]) == {"y": 0}

    def test_a_lookup_holds_the_rows(self, made: DataBackend, frame: FrameBackend) -> None:
        """Wherever they are in it."""
        table, places = made.lookup([7, 1], ["y"])
        assert places is not None
        assert table.column("y").to_numpy()[places].tolist() == frame.data([7, 1], ["y"]).column("y").to_pylist()

    def test_features_are_the_same_bytes_in_the_same_layout(self, made: DataBackend, frame: FrameBackend) -> None:
        """Whatever the backend: methods can tell layouts apart."""
        for columns in (["x", "n"], ["x", "n", 'wo"rd é', "day"]):
            ours, theirs = (as_task_regr(each, "y").select(columns) for each in (made, frame))
            for rows in (None, [2, 5, 5, 1], [4, 5]):
                assert _bytes(ours.features(rows)) == _bytes(theirs.features(rows))
                assert _bytes(ours.truth(rows)) == _bytes(theirs.truth(rows))

    def test_another_process_opens_it_by_its_spec(self, made: DataBackend, tmp_path: Path) -> None:
        """Which is plain data without a connection; so is a pickle."""
        twin: DataBackend = pickle.loads(pickle.dumps(made))  # noqa: S301 - our own
        if made.lazy:
            spec = json.loads(json.dumps(made.source()))
            assert len(json.dumps(spec)) < 4000
            again = open_data(spec, ArtifactFolder(tmp_path / "none"))
            assert again.digest == made.digest
            assert _content(again.data([9, 2])) == _content(made.data([9, 2]))
        assert _content(twin.data([9, 2])) == _content(made.data([9, 2]))

    def test_nothing_stays_open(self, made: DataBackend) -> None:
        """A fork inherits no connection, no thread and no file."""
        before = sorted(Path("/proc/self/fd").iterdir())
        made.data([1, 2], ["x"])
        made.distinct(None, ["x"])
        assert sorted(Path("/proc/self/fd").iterdir()) == before


def _content(table: pa.Table) -> Any:
    """Return all that a reader could see of a table; NaN is not equal to itself."""
    return table.num_rows, column_digests(table)


def _bytes(values: Any) -> Any:
    """Return all that a method could see of X or y."""
    if isinstance(values, np.ndarray):
        return values.dtype, values.shape, values.flags.c_contiguous, values.tobytes()
    kinds = [str(kind) for kind in values.dtypes]
    levels = [
        list(values[name].cat.categories) if kind == "category" else kind
        for name, kind in zip(values, kinds, strict=True)
    ]
    numbers = values.select_dtypes("number").to_numpy()
    return list(values.columns), kinds, levels, values.to_csv(), numbers.flags.f_contiguous, numbers.tobytes()
