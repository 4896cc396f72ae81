"""Many rows of a table that lies elsewhere come a block at a time, the same as all at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import batchml as bm
from batchml.core import taskview
from batchml.data import duck
from batchml.errors import DataError

N = 5000


@pytest.fixture
def frame():
    draw = np.random.default_rng(0)
    made = pd.DataFrame(draw.normal(size=(N, 4)), columns=["y", "a", "b", "w"])
    made["w"] = np.abs(made["w"])
    made["c"] = draw.choice(["u", "v"], N)
    made.loc[7, "a"] = np.nan
    return made


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(duck, "_KEPT_BYTES", 1)
    monkeypatch.setattr(duck, "_MANY", 100)
    monkeypatch.setattr(taskview, "_READ_CELLS", 1)
    monkeypatch.setattr(taskview, "MANY", 300)
    monkeypatch.setattr("batchml.learners.sklearn._MOST_CELLS", 3 * 400)
    monkeypatch.setattr("batchml.data.lazy._PART_CELLS", 4000)


@pytest.fixture
def files(frame, tmp_path):
    paths = [tmp_path / f"{i}.parquet" for i in range(2)]
    for path, part in zip(paths, (frame[:1700], frame[1700:]), strict=True):
        part.to_parquet(path, row_group_size=600)
    return paths


@pytest.fixture
def queries(monkeypatch):
    """Return what DuckDB is asked for, in order."""
    asked = []
    real = duck.DuckBackend._all

    def noted(self, paths, names):
        asked.append(list(names))
        return real(self, paths, names)

    monkeypatch.setattr(duck.DuckBackend, "_all", noted)
    return asked


def rows_of(kind):
    draw = np.random.default_rng(1)
    most = np.flatnonzero(draw.random(N) < 0.9)
    return {
        "all": np.arange(N),
        "most": most,
        "a third": np.flatnonzero(draw.random(N) < 0.3),
        "a part in the middle": most[500:3000],
        "few": np.flatnonzero(draw.random(N) < 0.02),
        "shuffled": draw.permutation(most),
        "repeated": np.repeat(most, 2),
    }[kind]


@pytest.mark.parametrize("kind", ["all", "most", "a third", "a part in the middle", "few", "shuffled", "repeated"])
def test_blocks_of_a_file_hold_what_blocks_of_memory_hold(frame, files, small_blocks, kind):
    rows = rows_of(kind)
    held = bm.as_task_regr(frame, "y", id="t").set_col_roles("w", "weight")
    lying = bm.as_task_regr(files, "y", id="t").set_col_roles("w", "weight")
    assert lying.backend.lazy
    for array, names in ((True, ["a", "b"]), (False, ["a", "b", "c"])):
        here, there = held.clone().select(names), lying.clone().select(names)
        blocks = list(there.feature_blocks(rows, 400, array=array))
        assert [len(block) for block in blocks] == [len(rows[i : i + 400]) for i in range(0, len(rows), 400)]
        for wanted, block in zip(here.feature_blocks(rows, 400, array=array), blocks, strict=True):
            if array:
                assert block.tobytes() == wanted.tobytes()
                assert block.flags.c_contiguous
            else:
                pd.testing.assert_frame_equal(block, wanted)
    assert lying.truth(rows).tobytes() == held.truth(rows).tobytes()
    assert lying.row_weights(rows).tobytes() == held.row_weights(rows).tobytes()


def test_classes_of_many_rows_are_those_of_the_whole_table(frame, files, small_blocks):
    rows = np.arange(N)
    held, lying = (bm.as_task_classif(data, "c", id="t") for data in (frame, files))
    assert lying.truth(rows).tolist() == held.truth(rows).tolist()


def test_a_large_test_set_is_read_in_one_query_and_its_truth_in_another(frame, files, small_blocks, queries):
    learner = bm.lrn("regr.tree", max_depth=3)
    predictions = []
    for data in (frame, files):
        task = bm.as_task_regr(data, "y", id="t").select(["a", "b", "w"])
        split = bm.rsmp("subsampling", ratio=0.1, repeats=1).instantiate(task, seed=1)
        queries.clear()
        predictions.append(bm.resample(task, learner, split, seed=1).prediction())
    assert predictions[0].to_arrow() == predictions[1].to_arrow()
    assert queries == [["a", "b", "w"], ["y"]]


def test_a_file_that_changes_while_it_is_streamed_is_noticed(frame, files, small_blocks):
    task = bm.as_task_regr(files, "y", id="t").select(["a", "b"])
    blocks = task.feature_blocks(np.arange(N), 400)
    next(blocks)
    frame[:1700].assign(a=1.0).to_parquet(files[0], row_group_size=600)
    with pytest.raises(DataError, match="changed"):
        list(blocks)


def test_rows_that_are_not_in_use_are_refused(files, small_blocks):
    task = bm.as_task_regr(files, "y", id="t").select(["a", "b"]).filter(np.arange(10, N))
    with pytest.raises(DataError, match="no row 9 in use"):
        list(task.feature_blocks(np.arange(9, N), 400))
