"""Tables written in parts, CSV files parsed once on a machine, and files that are written while they are read."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchml as bm
from batchml.data import duck, ipc, lazy, parts, sources, sql, tables
from batchml.data.artifacts import ArtifactFolder
from batchml.data.reopen import open_data
from batchml.data.tables import open_table, write_table
from batchml.errors import DataError, DataUnavailableError

N = 1003
NOWHERE = ArtifactFolder("/nonexistent")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def small_parts(monkeypatch):
    for module, name in ((sql, "_BATCH"), (lazy, "_PART_CELLS"), (sources, "_SMALL_BYTES")):
        monkeypatch.setattr(module, name, 500)


def everything():
    """Return a table with a column of each type, with and without missing values."""
    draw = np.random.default_rng(0)
    gaps = draw.random(N) < 0.1
    words = [f"v{i}" for i in draw.integers(0, 7, N)]
    return pa.table(
        {
            "key": np.arange(N) + 5,
            "truth": pa.array(draw.random(N) < 0.5, mask=gaps),
            "sure": draw.random(N) < 0.5,
            "whole": pa.array(draw.integers(0, 9, N), mask=gaps),
            "number": pa.array(draw.normal(size=N), mask=gaps),
            "level": pa.array(words, mask=gaps),
            "words": pa.array([f"{word}, ü" for word in words], mask=gaps),
            "moment": pa.array(pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(0, 10**6, N), unit="s")),
        }
    )


def opened(kind, table, folder):
    path = folder / f"t.{kind}"
    if kind == "duckdb":
        return bm.as_duckdb_backend(table, path, "key", text=["words"])
    if kind == "sqlite":
        return bm.as_sqlite_backend(table, path, "key", text=["words"])
    write(kind, table, path)
    return bm.as_data_backend(path, "key", text=["words"])


def write(kind, table, path):
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=300)
    if kind == "csv":
        table.to_pandas().to_csv(path, index=False)
    if kind == "arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=300)


@pytest.mark.parametrize("kind", ["parquet", "csv", "arrow", "duckdb", "sqlite"])
def test_a_table_written_in_parts_is_the_table_written_at_once(kind, tmp_path, small_parts):
    backend = opened(kind, everything(), tmp_path)
    folder = ArtifactFolder(tmp_path / "artifacts")
    digest = parts.write_in_parts(folder, backend)
    assert digest == backend.digest
    found = open_table(folder, digest, verify=True)
    assert found.data().to_pandas().equals(backend.data().to_pandas())
    assert found.column_digests == bm.as_data_backend(backend.data(), "key", text=["words"]).column_digests
    # Added to a registry it is copied as it is, and is what readers expect.
    other = ArtifactFolder(tmp_path / "other")
    assert write_table(other, found) == digest
    assert open_table(other, digest, verify=True).data().num_rows == N
    assert sorted(path.name for path in folder.root.iterdir()) == ["table", "table.sha256"]


def test_texts_that_begin_empty_and_tables_with_many_columns_or_no_row_are_kept(tmp_path):
    table = pa.table(
        {"words": ["", *[""] * 3000, "end"], **{f"column number {i}": np.arange(3002.0) for i in range(300)}}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    backend = bm.as_data_backend(tmp_path / "t.parquet", text=["words"])
    digest = parts.write_in_parts(ArtifactFolder(tmp_path), backend)
    found = open_table(ArtifactFolder(tmp_path), digest, verify=True)
    assert found.data([3001], ["words", "column number 299"]).to_pylist() == [
        {"words": "end", "column number 299": 3001}
    ]
    (tmp_path / "none.csv").write_text("a,b\n")
    assert bm.as_data_backend(tmp_path / "none.csv", text=["b"]).data().num_rows == 0


def test_a_snapshot_of_a_query_is_named_by_its_content(tmp_path, small_parts):
    opened("sqlite", everything(), tmp_path)
    source = f"sqlite:///{tmp_path}/t.sqlite"
    query = "SELECT key, number, level FROM data WHERE key > 100"
    taken = bm.as_data_backend(query, "key", source=source, snapshot=True)
    table = everything().select(["key", "number", "level"]).slice(96)
    assert taken.digest == bm.as_data_backend(table, "key").digest
    assert (taken.lazy, taken.n_rows) == (False, N - 96)


def test_a_snapshot_of_a_large_file_does_not_fill_memory(tmp_path):
    n = 100_000
    schema = pa.schema([(f"x{i}", pa.float64()) for i in range(100)])
    draw = np.random.default_rng(0)
    with pq.ParquetWriter(tmp_path / "t.parquet", schema) as writer:
        for _ in range(10):
            writer.write_table(pa.table({name: draw.normal(size=n // 10) for name in schema.names}))
    code = """
import sys, threading, time
from pathlib import Path
import batchml as bm
def own():
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index("RssAnon:") + 1]) / 1024
backend = bm.as_data_backend(sys.argv[1])
before, most = own(), [0]
def watch():
    while True:
        most[0] = max(most[0], own())
        time.sleep(0.005)
threading.Thread(target=watch, daemon=True).start()
bm.as_data_backend(backend, snapshot=True)
print(most[0] - before)
"""
    words = [sys.executable, "-c", code, str(tmp_path / "t.parquet")]
    grown = float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert grown < 60  # MB, of a table of 80


def test_a_csv_file_is_parsed_once_on_a_machine(tmp_path, monkeypatch):
    backend = opened("csv", everything(), tmp_path)
    spec = json.loads(json.dumps(backend.source()))
    expected = backend.data([7, 5], ["level", "number"]).to_pandas()

    def refuse(*_args, **_settings):
        raise AssertionError("it was parsed again")

    monkeypatch.setattr(duck, "fenced", refuse)
    again = open_data(spec, NOWHERE)
    assert again.data([7, 5], ["level", "number"]).to_pandas().equals(expected)
    assert again.row_ids.tolist() == backend.row_ids.tolist()
    with (tmp_path / "t.csv").open("a") as file:
        file.write("9999,True,True,1,1.0,v1,new,2020-01-01\n")
    for each in (backend, again):
        each._looked = -1.0
        with pytest.raises(DataError, match=r"t\.csv.* has changed since the design was added"):
            each.data([7], ["level"])


def test_without_a_cache_a_csv_file_is_parsed_by_each_process(tmp_path, monkeypatch):
    backend = opened("csv", everything(), tmp_path)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "file"))
    again = open_data(json.loads(json.dumps(backend.source())), NOWHERE)
    assert again.data([7, 5], ["level"]).num_rows == 2


def test_processes_that_ask_at_once_parse_once(tmp_path):
    backend = opened("csv", everything(), tmp_path)
    context = multiprocessing.get_context("spawn")
    spec = backend.source()
    others = [context.Process(target=read_rows, args=(spec,)) for _ in range(3)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert [other.exitcode for other in others] == [0, 0, 0]
    found = [path for path in (tmp_path / "cache" / "tables").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert len(found) == 2  # the table and its checksum


def read_rows(spec):
    assert open_data(spec, NOWHERE).data([7, 5]).num_rows == 2


# files that are written while they are read


def rewrite(kind, folder, table):
    """Write another table over a file, in place."""
    write(kind, table, folder / "aside")
    (folder / f"t.{kind}").write_bytes((folder / "aside").read_bytes())


def replace(kind, folder, table):
    write(kind, table, folder / "aside")
    (folder / "aside").replace(folder / f"t.{kind}")


def touch(kind, folder, _table):
    os.utime(folder / f"t.{kind}")


def reads_with(monkeypatch, deeds):
    """Have each deed done once while a file is open for reading: after its rows have been read."""
    queue = list(deeds)

    def done():
        if queue:
            queue.pop(0)()

    real_fenced, real_mapped = duck.fenced, ipc._mapped

    @contextlib.contextmanager
    def fenced(*args, **settings):
        with real_fenced(*args, **settings) as connection:
            yield connection
            done()

    def mapped(*args):
        table = real_mapped(*args)
        done()
        return table

    monkeypatch.setattr(duck, "fenced", fenced)
    monkeypatch.setattr(ipc, "_mapped", mapped)


@pytest.mark.parametrize("rows", [None, [7, 5]])
@pytest.mark.parametrize("deed", [rewrite, replace])
@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv"])
def test_what_is_read_while_a_file_changes_is_refused(kind, deed, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(duck, "_KEPT_BYTES", 0)
    table = everything()
    spec = opened(kind, table, tmp_path).source()
    other = table.set_column(4, "number", pa.array(np.zeros(N)))
    reads_with(monkeypatch, [lambda: deed(kind, tmp_path, other)])
    with pytest.raises(DataError, match=rf"t\.{kind}.* has changed since"):
        open_data(spec, NOWHERE).data(rows, ["number"])


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_what_is_read_while_a_file_is_touched_is_read_again(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(duck, "_KEPT_BYTES", 0)
    table = everything()
    backend = opened(kind, table, tmp_path)
    expected = backend.data([7, 5], ["number"]).to_pandas()
    reads_with(monkeypatch, [lambda: touch(kind, tmp_path, table)])
    again = open_data(backend.source(), NOWHERE)
    assert again.data([7, 5], ["number"]).to_pandas().equals(expected)
    reads_with(monkeypatch, [lambda: touch(kind, tmp_path, table)] * 5)
    with pytest.raises(DataUnavailableError, match="is being written all the time"):
        again.data([7, 5], ["number"])


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv"])
def test_a_file_that_changes_while_it_is_opened_first_is_refused(kind, tmp_path, monkeypatch):
    table = everything()
    opened(kind, table, tmp_path)
    from batchml.data import duck_open

    for module in (duck_open, ipc):
        real = module.pinned_files

        def pinned_files(files, real=real):
            found = real(files)
            rewrite(kind, tmp_path, table.slice(0, 500))
            return found

        monkeypatch.setattr(module, "pinned_files", pinned_files)
    with pytest.raises(DataError, match=rf"t\.{kind}.* has changed"):
        bm.as_data_backend(tmp_path / f"t.{kind}", "key", text=["words"])


def test_a_file_is_no_snapshot_of_another_time(tmp_path, small_parts, monkeypatch):
    backend = opened("parquet", everything(), tmp_path)
    other = everything().set_column(4, "number", pa.array(np.zeros(N)))
    reads_with(monkeypatch, [lambda: rewrite("parquet", tmp_path, other)])
    with pytest.raises(DataError, match=r"t\.parquet.* has changed since"):
        tables.cached_table(backend)
    assert not list((tmp_path / "cache" / "tables").glob("table/*/*"))
