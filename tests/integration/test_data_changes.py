"""Data that changed, went away or were never fit; and what is read of data that are."""

from __future__ import annotations

import decimal
import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

import batchml as bm
from batchml.core.backend import ColumnInfo
from batchml.data.artifacts import ArtifactFolder, RemoteArtifacts, artifact_folder
from batchml.data.duck import DuckBackend
from batchml.data.files import content_digest, pinned, still_there
from batchml.data.remote import cached_copy, pinned_remote
from batchml.data.reopen import open_data
from batchml.data.tables import open_table, write_table
from batchml.errors import ArtifactError, ConfigError, DataError, DataUnavailableError, SpecError, UnknownKeyError

NOWHERE = ArtifactFolder("/nonexistent")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "cache"))


def numbers(n, columns=4, seed=0):
    draw = np.random.default_rng(seed)
    return pa.table({"y": draw.normal(size=n), **{f"x{i}": draw.normal(size=n) for i in range(columns - 1)}})


def reopened(backend):
    return open_data(json.loads(json.dumps(backend.source())), NOWHERE)


@pytest.fixture
def large(monkeypatch):
    """Tables are read in parts, however small they are, and a few columns at a time."""
    monkeypatch.setattr("batchml.data.duck._KEPT_BYTES", 0)
    monkeypatch.setattr("batchml.data.duck._SCANNED_CELLS", 0)
    monkeypatch.setattr("batchml.data.duck._COLUMNS", 2)


@pytest.fixture
def queries():
    """What SQLAlchemy sends to databases."""
    sent = []

    def listen(_connection, _cursor, statement, *_rest):
        sent.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", listen)
    yield sent
    sa.event.remove(sa.Engine, "before_cursor_execute", listen)


def sqlite_file(path, rows=100):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x REAL, g TEXT, y REAL)")
        values = [(i, i * 0.5, "ab"[i % 2], i * 1.0) for i in range(rows)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", values)
    connection.close()
    return f"sqlite:///{path}"


# files


def test_a_file_that_holds_something_else_is_refused_and_the_old_one_back_is_fine(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(numbers(50), path)
    before = path.read_bytes()
    backend = reopened(bm.as_data_backend(path))
    pq.write_table(numbers(50, seed=1), path)
    with pytest.raises(DataError, match=r"t\.parquet.*has changed since the design was added"):
        reopened(backend).data([1])
    pq.write_table(pa.table({"other": ["schema"]}), path)
    with pytest.raises(DataError, match="has changed since"):
        reopened(backend).data([1])
    path.write_bytes(before)
    assert reopened(backend).data([1]).num_rows == 1
    path.unlink()
    with pytest.raises(DataUnavailableError, match="cannot be read on this machine"):
        reopened(backend).data([1])


def test_a_change_under_an_open_backend_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("batchml.data.duck._CHECKED_S", 0.0)
    path = tmp_path / "t.parquet"
    pq.write_table(numbers(50), path)
    backend = bm.as_data_backend(path)
    backend.data([1])
    pq.write_table(numbers(50, seed=1), path)
    with pytest.raises(DataError, match="has changed since"):
        backend.data([2])


def test_a_touched_file_is_read_again_but_not_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    file = pinned(str(path))
    seen = {}
    still_there(file, seen)
    first = dict(seen)
    os.utime(path, ns=(1, 1))
    still_there(file, seen)
    assert seen != first


def test_the_digest_of_an_old_file_is_noted_and_that_of_a_fresh_one_is_not(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"one")
    fresh = content_digest(str(path))
    notes = tmp_path / "cache" / "digests"
    assert not notes.exists()
    os.utime(path, ns=(1, 1))
    assert content_digest(str(path)) == fresh
    (note,) = notes.iterdir()
    about = json.loads(note.read_text(encoding="utf-8"))
    note.write_text(json.dumps(about | {"sha256": "noted"}), encoding="utf-8")
    assert content_digest(str(path)) == "noted"
    path.write_bytes(b"two")
    assert content_digest(str(path)) not in {"noted", fresh}


def test_positions_in_many_files_are_their_physical_order(tmp_path, large):
    table = pa.table({"v": list(range(100)), "s": [f"w{i % 7}" for i in range(100)]})
    for i in range(10):
        pq.write_table(table.slice(10 * i, 10), tmp_path / f"part-{i}.parquet", row_group_size=4)
    for paths in (tmp_path, str(tmp_path / "*.parquet"), sorted(tmp_path.glob("*.parquet"))):
        backend = bm.as_data_backend(paths)
        assert backend.data([99, 0, 41, 41, 100], ["v"]).column("v").to_pylist() == [99, 0, 41, 41]
        assert backend.data(range(35, 52), ["v"]).column("v").to_pylist() == list(range(35, 52))
        assert backend.digest == bm.as_data_backend(table).digest
    (tmp_path / "part-3.parquet").rename(tmp_path / "moved.parquet")
    with pytest.raises(DataUnavailableError, match="part-3"):
        backend.data([35])


def test_names_of_folders_are_columns(tmp_path, large):
    for year, place in ((2020, "é x"), (2021, "b")):
        folder = tmp_path / "all" / f"year={year}" / f"place={place}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"v": [year * 1.0, 1.0]}), folder / "data.parquet")
    for path in (tmp_path / "all", (tmp_path / "all").as_uri()):
        backend = reopened(bm.as_data_backend(path))
        assert backend.columns == ("v", "place", "year")
        assert backend.data([2, 1]).to_pydict() == {"v": [2021.0, 1.0], "place": ["b", "é x"], "year": [2021, 2020]}
        assert backend.schema["place"] == ColumnInfo(type="categorical", levels=("b", "é x"))


def test_files_with_other_columns_are_one_table_with_gaps(tmp_path, large):
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [3], "b": [1.5]}), tmp_path / "2.parquet")
    backend = bm.as_data_backend(tmp_path)
    assert backend.missings() == {"a": 0, "b": 2}
    assert backend.data([2, 0], ["b"]).column("b").to_pylist()[0] == 1.5
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "3.parquet")
    with pytest.raises(DataError, match=r"column 'a' is int64 and string in different files"):
        bm.as_data_backend(tmp_path)


def test_categories_keep_their_own_order(tmp_path, large):
    levels = pd.Categorical(["low", "high", None], categories=["low", "mid", "high"], ordered=True)
    frame = pd.DataFrame({"o": levels, "t": pd.to_datetime(["2020-01-01"] * 3).tz_localize("Europe/Berlin")})
    frame.to_parquet(tmp_path / "t.parquet")
    backend = bm.as_data_backend(tmp_path / "t.parquet")
    held = bm.as_data_backend(pq.read_table(tmp_path / "t.parquet"))
    assert backend.digest == held.digest
    assert dict(backend.schema) == dict(held.schema)
    assert backend.data([1, 2, 0]).equals(held.data([1, 2, 0]))


def asked_of_the_system(spec):
    """Return the bytes that a fresh process asks the system for, apart from what starting DuckDB costs, and maps."""
    code = """
import json, resource, sys
from pathlib import Path
from batchml.data.artifacts import ArtifactFolder
from batchml.data.reopen import open_data
from batchml.data import duck, ipc
for module in (duck, ipc):  # what it reads to be sure of the file, once on each machine, is not what is counted
    module.still_there = lambda *_: None
    module.unmoved = lambda *_: True
spec = json.load(sys.stdin)
backend = open_data(spec, ArtifactFolder("/nonexistent"))
def read():
    faults = resource.getrusage(resource.RUSAGE_SELF)
    return int(Path("/proc/self/io").read_text().split()[1]) + 2**16 * faults.ru_majflt, 4096 * faults.ru_minflt
backend.data([1], ["x0"])
counts = []
for rows, cols in ((range(20), ["y"]), (range(20), None), (range(0, 400_000, 50_000), ["y", "x3"])):
    before = read()
    backend.data(rows, cols)
    counts.append([after - one for after, one in zip(read(), before)])
print(json.dumps(counts))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(spec), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_only_what_is_needed_of_a_file_is_read(tmp_path):
    pq.write_table(numbers(400_000, columns=20), tmp_path / "t.parquet", row_group_size=20_000, compression="none")
    size = (tmp_path / "t.parquet").stat().st_size
    found = asked_of_the_system(bm.as_data_backend(tmp_path / "t.parquet").source())
    one_group_one_column, one_group, two_columns = (read for read, _ in found)
    assert one_group_one_column < size / 100
    assert one_group < size / 10
    assert two_columns < 2 * size / 20 * 1.5


def test_only_what_is_needed_of_a_mapped_file_is_read(tmp_path):
    table = numbers(400_000, columns=20)
    with pa.ipc.new_file(tmp_path / "t.arrow", table.schema) as writer:
        writer.write_table(table)
    size = (tmp_path / "t.arrow").stat().st_size
    for read, mapped in asked_of_the_system(bm.as_data_backend(tmp_path / "t.arrow").source()):
        assert read < size / 10
        assert mapped < size / 10


def test_features_of_a_file_are_the_features_of_the_table_in_memory(tmp_path, large):
    table = numbers(200)
    pq.write_table(table, tmp_path / "t.parquet")
    there, here = bm.as_task_regr(tmp_path / "t.parquet", "y"), bm.as_task_regr(table, "y")
    assert there.digest == here.digest
    split = bm.rsmp("cv", folds=3)
    for learner in ("regr.tree", "regr.lm"):
        one, other = (bm.resample(task, learner, split, seed=1) for task in (there, here))
        assert one.prediction().to_frame().equals(other.prediction().to_frame())


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([b"1", b"2"]), "column 'c' has the type binary"),
        (pa.array([[1], [2]]), "column 'c'"),
        (pa.array([{"a": 1}, {"a": 2}]), "column 'c'"),
        (pa.array([1, 2], pa.duration("s")), "column 'c' has the type duration"),
        (pa.array([2**64 - 1, 1], pa.uint64()), "column 'c' holds integers above"),
    ],
)
def test_what_no_learner_can_use_in_a_file_is_refused_by_name(tmp_path, column, message):
    pq.write_table(pa.table({"y": [1.0, 2.0], "c": column}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=message):
        bm.as_data_backend(tmp_path / "t.parquet")


def test_types_that_have_a_meaning_here_are_mapped(tmp_path, large):
    days = pa.array([18262, None], pa.date32())
    table = pa.table({"d": [decimal.Decimal("1.50"), None], "day": days, "b": [True, None], "k": [7, 3]})
    pq.write_table(table, tmp_path / "t.parquet")
    backend = bm.as_data_backend(tmp_path / "t.parquet", "k")
    assert [info.type for info in backend.schema.values()] == ["numeric", "datetime", "logical", "integer"]
    assert backend.data([3, 7], ["d", "b"]).to_pydict()["b"] == [None, True]
    assert backend.digest == bm.as_data_backend(table, "k").digest


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([1, 1, 2], "duplicated row ids, the first of them 1"),
        ([1, None, 2], "1 missing values"),
        (["a", "b", "c"], "whole"),
    ],
)
def test_keys_that_are_none_are_refused(tmp_path, keys, message):
    table = pa.table({"k": keys, "y": [1.0, 2.0, 3.0]})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(DataError, match=message):
        bm.as_data_backend(tmp_path / "t.parquet", "k")
    with sqlite3.connect(tmp_path / "t.db") as connection:
        connection.execute("CREATE TABLE t (k, y REAL)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", zip(keys, [1.0, 2.0, 3.0], strict=True))
    connection.close()
    with pytest.raises(DataError, match=message):
        bm.as_data_backend("t", "k", source=f"sqlite:///{tmp_path / 't.db'}")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no.parquet", "there is no file 'no.parquet'"),
        ("no*.parquet", "no file matches"),
        ("no.csv", "there is no file"),
        ("no.arrow", "there is no file"),
        ("no.duckdb", "there is no file"),
        ("s3x://b/f.parquet", "cannot be opened"),
        (["a.csv", "b.parquet"], "different kinds"),
        ("SELECT 1", "needs source="),
    ],
)
def test_what_is_not_there_is_named(path, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        bm.as_data_backend(path)


@pytest.mark.parametrize("name", ["bad.parquet", "bad.arrow", "bad.duckdb"])
def test_a_file_of_another_kind_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"nonsense" * 4000)
    with pytest.raises((DataError, DataUnavailableError), match=name):
        bm.as_data_backend(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"bad\.csv' is empty"),
        ("a,b\n1,2\n3\n4,5,6\n", r"bad\.csv' cannot be read as CSV: its first line names several"),
    ],
)
def test_a_csv_file_without_columns_or_with_ragged_lines_is_refused(tmp_path, content, message):
    (tmp_path / "bad.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        bm.as_data_backend(tmp_path / "bad.csv")


def test_the_first_line_of_a_csv_file_is_its_header_whatever_it_looks_like(tmp_path):
    (tmp_path / "t.csv").write_text("name,city\nanna,bonn\n,NA\n", encoding="utf-8")
    backend = bm.as_data_backend(tmp_path / "t.csv")
    assert backend.columns == ("name", "city")
    assert backend.missings() == {"name": 1, "city": 1}


def test_columns_that_are_called_like_positions_do_not_pass_for_them(tmp_path):
    pq.write_table(pa.table({"file_row_number": [5, 7], "y": [1.0, 2.0]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="cannot be counted beside a column 'file_row_number'"):
        bm.as_data_backend(tmp_path / "t.parquet")
    assert bm.as_data_backend(tmp_path / "t.parquet", "file_row_number").data([7], ["y"]).column(0).to_pylist() == [2.0]


def test_threads_share_a_database_file(tmp_path, large):
    backend = bm.as_duckdb_backend(numbers(200), tmp_path / "t.duckdb")
    found = []

    def read(i):
        found.append(backend.data(range(i, 200, 7), ["y"]).num_rows + backend.data(None, ["x0"]).num_rows)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [228, 228, 229, 229, 229, 229]


# DuckDB


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "d.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute('CREATE TABLE "we""ird é" AS SELECT i AS "K", i * 0.5 AS "x ""y""" FROM range(100) t(i)')
        connection.execute("CREATE TABLE holes AS SELECT i AS v FROM range(10) t(i)")
        connection.execute("DELETE FROM holes WHERE v IN (2, 3)")
        connection.execute("CREATE VIEW spy AS SELECT 1 AS k, * FROM read_text('/etc/hostname')")
    return path


def test_a_duckdb_query_that_reads_what_it_was_not_given_is_refused(database, tmp_path):
    given, other = tmp_path / "given.csv", tmp_path / "other.csv"
    for path in (given, other):
        path.write_text("k,v\n1,2\n2,3\n", encoding="utf-8")

    def asked(query, **options):
        return bm.as_data_backend(database, "k", query=query, **options)

    assert asked(f"SELECT * FROM read_csv('{given}')", files=[given]).n_rows == 2
    for query in (
        f"SELECT * FROM read_csv('{other}')",
        f"SELECT * FROM '{other}'",
        "SELECT 1 AS k, content FROM read_text('/etc/hostname')",
        f"SELECT 1 AS k, * FROM glob('{tmp_path}/*')",
        "SELECT * FROM spy",
    ):
        with pytest.raises(DataError, match="reaches for what it was not given"):
            asked(query, files=[given])
    with pytest.raises(DataError, match="reaches for"):
        bm.as_data_backend(database, "k", table="spy")


@pytest.mark.parametrize(
    "query",
    [
        "CREATE TABLE t (i INT)",
        "SELECT 1 AS k; DROP TABLE holes",
        "COPY (SELECT 1) TO '/tmp/batchml-never.csv'",
        "ATTACH '/tmp/batchml-never.db'",
        "SET threads = 8",
        "INSTALL httpfs",
        "DELETE FROM holes RETURNING v AS k",
    ],
)
def test_a_duckdb_query_with_side_effects_is_refused(database, query):
    before = database.read_bytes()
    with pytest.raises(DataError, match="one SELECT or WITH"):
        bm.as_data_backend(database, "k", query=query)
    assert database.read_bytes() == before


def test_tables_of_duckdb_have_quotes_in_names_and_gaps_in_rows(database, large):
    backend = reopened(bm.as_data_backend(database, table='we"ird é'))
    assert backend.data([3, 1], ['x "y"']).column(0).to_pylist() == [1.5, 0.5]
    assert bm.as_data_backend(database, "K", table='we"ird é').data([99]).num_rows == 1
    holes = bm.as_data_backend(database, table="holes")
    assert holes.data([7, 2], ["v"]).column(0).to_pylist() == [9, 4]
    with pytest.raises(ConfigError, match="has 3 tables"):
        bm.as_data_backend(database)
    with pytest.raises(UnknownKeyError, match="did you mean 'holes'"):
        bm.as_data_backend(database, table="hole")
    with pytest.raises(DataError, match="primary_key="):
        bm.as_data_backend(database, query="SELECT * FROM holes")
    with pytest.raises(DataError, match=r"DuckDB refuses.*nope"):
        bm.as_data_backend(database, "k", query="SELECT nope AS k FROM holes")


# databases


def test_only_needed_rows_and_columns_are_asked_of_a_database(tmp_path, queries):
    url = sqlite_file(tmp_path / "t.db")
    backend = reopened(bm.as_data_backend("SELECT *, x + 1 AS z FROM t WHERE id % 2 = 0", "id", source=url))
    backend.data([2])
    queries.clear()
    found = backend.data([8, 4, 4, 31], ["z"])
    assert found.column("z").to_pylist() == [5.0, 3.0, 3.0]
    (asked,) = [query for query in queries if "SELECT q." in query]
    assert asked.startswith('SELECT q."id", q."z" FROM')
    assert "[4,8,31]" in asked


def test_a_select_needs_a_key_and_a_table_has_one(tmp_path):
    url = sqlite_file(tmp_path / "t.db")
    assert bm.as_data_backend("t", source=url).primary_key == "id"
    with pytest.raises(DataError, match="primary_key="):
        bm.as_data_backend("SELECT * FROM t", source=url)
    with pytest.raises(UnknownKeyError, match=r"no table .tt. .did you mean .t."):
        bm.as_data_backend("tt", source=url)
    with pytest.raises(DataError, match="needs source="):
        bm.as_data_backend(sa.select(sa.column("a")))


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM t",
        "SELECT * FROM t; DELETE FROM t",
        "WITH a AS (SELECT 1) DELETE FROM t",
        "PRAGMA user_version = 3",
        "ATTACH 'x.db' AS x",
        "SELECT load_extension('x') AS id",
    ],
)
def test_a_query_with_side_effects_is_refused(tmp_path, query):
    url = sqlite_file(tmp_path / "t.db")
    before = (tmp_path / "t.db").read_bytes()
    with pytest.raises((DataError, UnknownKeyError)):
        bm.as_data_backend(query, "id", source=url)
    assert (tmp_path / "t.db").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    ["DELETE FROM t WHERE id = 7", "UPDATE t SET x = x + 0.001 WHERE id = 5", "UPDATE t SET g = 'c' WHERE id = 1",
     "INSERT INTO t VALUES (1000, 1, 'a', 1)"],
)  # fmt: skip
def test_a_changed_table_is_refused(tmp_path, change):
    url = sqlite_file(tmp_path / "t.db")
    backend = bm.as_data_backend("t", source=url)
    with sqlite3.connect(tmp_path / "t.db") as connection:
        connection.execute(change)
    connection.close()
    for each in (reopened(backend), backend):
        with pytest.raises(DataError, match="have changed since"):
            each.data([1, 2])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DROP TABLE t", "no such table: t"),
        ("ALTER TABLE t RENAME TO u", "no such table: t"),
        ("ALTER TABLE t DROP COLUMN x", r"no such column: q\.x"),
    ],
)
def test_what_was_dropped_since_is_named_with_what_to_do(tmp_path, change, said):
    url = sqlite_file(tmp_path / "t.db")
    backend = bm.as_data_backend("t", source=url)
    with sqlite3.connect(tmp_path / "t.db") as connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(
        DataError, match=rf"t\.db cannot be read: {said}; the query \(.*t.*\) could .*dropped or renamed since"
    ):
        reopened(backend).data([1, 2])


def test_identifiers_of_sqlite_may_have_quotes_and_any_letters(tmp_path):
    with sqlite3.connect(tmp_path / "t.db") as connection:
        connection.execute('CREATE TABLE "we""ird é %" ("k ""é" INTEGER PRIMARY KEY, "x %s ""q""" REAL, "Ünï;--" REAL)')
        connection.executemany('INSERT INTO "we""ird é %" VALUES (?, ?, ?)', [(i, i / 2, 2.0 * i) for i in range(9)])
    connection.close()
    task = bm.as_task_regr(bm.as_data_backend('we"ird é %', source=f"sqlite:///{tmp_path}/t.db"), "Ünï;--", id="t")
    assert task.backend.primary_key == 'k "é'
    assert task.features([1, 3]).tolist() == [[0.5], [1.5]]
    assert task.truth([7]).tolist() == [14.0]


def test_what_a_checksum_cannot_see_an_exact_check_does(tmp_path):
    url = sqlite_file(tmp_path / "t.db")
    cheap, exact = (bm.as_data_backend("t", source=url, check=check) for check in ("cheap", "exact"))
    with sqlite3.connect(tmp_path / "t.db") as connection:  # two values change places
        connection.execute("UPDATE t SET x = CASE id WHEN 10 THEN 10.0 ELSE 5.0 END WHERE id IN (10, 20)")
    connection.close()
    assert reopened(cheap).data([10]).num_rows == 1
    with pytest.raises(DataError, match="its content is another one"):
        reopened(exact).data([10])
    with pytest.raises(ConfigError, match="cheap"):
        bm.as_data_backend("t", source=url, check="none")


def test_a_database_that_went_away_is_no_fault_of_the_user(tmp_path):
    url = sqlite_file(tmp_path / "t.db")
    backend = bm.as_data_backend("t", source=url)
    (tmp_path / "t.db").rename(tmp_path / "gone.db")
    with pytest.raises(DataUnavailableError, match="is not there"):
        reopened(backend)
    with pytest.raises(DataUnavailableError):
        backend.data([1])
    with pytest.raises(DataError, match="there is no file"):
        bm.as_data_backend("t", source=url)
    with pytest.raises(
        DataUnavailableError, match=r"postgresql\+psycopg://nobody:\*\*\*@127.0.0.1:1/x|cannot be reached"
    ) as caught:
        bm.as_data_backend("t", source="postgresql://nobody:s3cret@127.0.0.1:1/x")
    assert "s3cret" not in str(caught.value)


def test_a_password_never_enters_a_spec(tmp_path, postgres_url, monkeypatch):
    engine = sa.create_engine(
        postgres_url.replace("postgresql://", "postgresql+psycopg://"),
        poolclass=sa.NullPool,
        execution_options={"no_parameters": True},
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE t AS SELECT i AS id, i * 0.5 AS y, 'a' || i % 3 AS g FROM generate_series(1, 9) i"
        )
    plain = sa.make_url(postgres_url)
    if plain.password is None:
        password = Path(plain.query["passfile"]).read_text(encoding="utf-8").strip().rpartition(":")[2]
        assert bm.as_data_backend("t", "id", source=postgres_url).source() is not None
        postgres_url = plain.set(password=password, query={}).render_as_string(hide_password=False)
    backend = bm.as_data_backend("t", "id", source=postgres_url)
    assert backend.data([9, 3], ["g"]).column(0).to_pylist() == ["a0", "a0"]
    password = sa.make_url(postgres_url).password
    for url in (f"postgresql://x@127.0.0.1:1/x?password={password}", f"mysql://x:{password}@127.0.0.1:1/x"):
        with pytest.raises(DataUnavailableError) as away:
            bm.as_data_backend("t", "id", source=url)
        assert password not in str(away.value)
    assert password not in repr(backend)
    with pytest.raises(SpecError, match=r"below \[sources\]") as caught:
        backend.source()
    assert password not in str(caught.value)
    with pytest.raises(SpecError), bm.Registry.create(f"sqlite:///{tmp_path}/r.db") as registry:
        registry.add(bm.benchmark_grid(bm.as_task_regr(backend, "y"), "regr.tree", "holdout"))
    (tmp_path / "batchml.toml").write_text(f'[sources]\nlab = "{postgres_url}"\n', encoding="utf-8")
    monkeypatch.setenv("BATCHML_CONFIG", str(tmp_path / "batchml.toml"))
    named = bm.as_data_backend("t", "id", source="lab")
    assert password not in json.dumps(named.source())
    with pytest.raises(ConfigError, match=r"no data source is called 'lap'.*did you mean 'lab'"):
        bm.as_data_backend("t", "id", source="lap")


def test_types_of_postgres_are_mapped_or_refused_by_name(postgres_url):
    engine = sa.create_engine(
        postgres_url.replace("postgresql://", "postgresql+psycopg://"),
        poolclass=sa.NullPool,
        execution_options={"no_parameters": True},
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(
            """CREATE TABLE t AS SELECT 1 AS id, 1.5::numeric AS "dec", date '2020-01-01' AS day, true AS b,
            timestamptz '2020-01-01 12:00+02' AS zoned, 'NaN'::float8 AS hole, 'Infinity'::float8 AS top,
            gen_random_uuid() AS u, 100 % 7 AS pct, null::text AS none, 'x%y'::text AS "per%cent" """
        )
        for name, value in {
            "blob": "'a'::bytea",
            "nested": "'{}'::jsonb",
            "list": "array[1]",
            "span": "interval '1 h'",
        }.items():
            connection.exec_driver_sql(f"CREATE TABLE t_{name} AS SELECT 1 AS id, {value} AS c")
    backend = bm.as_data_backend("t", "id", source=postgres_url)
    kinds = [info.type for info in backend.schema.values()]
    assert kinds == ["integer", "numeric", "datetime", "logical", "datetime", "numeric", "numeric", "categorical",
                     "integer", "numeric", "categorical"]  # fmt: skip
    assert backend.missings([1], ["hole", "none"]) == {"hole": 1, "none": 1}
    assert backend.missings()["hole"] == 1
    assert backend.infinite()["top"] == 1
    row = backend.data([1]).to_pylist()[0]
    assert (row["dec"], row["b"], row["per%cent"], row["zoned"].isoformat()) == (
        1.5,
        True,
        "x%y",
        "2020-01-01T10:00:00+00:00",
    )
    for name in ("blob", "nested", "list", "span"):
        with pytest.raises(DataError, match="column 'c' holds values of the type"):
            bm.as_data_backend(f"t_{name}", "id", source=postgres_url)
    for query in (
        "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
        "SELECT id, nextval('s') FROM t",
        "SELECT 1 id; COMMIT; DROP TABLE t",
    ):
        with pytest.raises(DataError):
            bm.as_data_backend(query, "id", source=postgres_url)
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 1


def test_booleans_of_sqlite_are_known_by_their_column(tmp_path):
    with sqlite3.connect(tmp_path / "t.db") as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, b BOOLEAN, day DATE, mixed)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", [(1, 1, "2020-01-01", 1), (2, 0, None, 2.5)])
    connection.close()
    url = f"sqlite:///{tmp_path / 't.db'}"
    backend = bm.as_data_backend("t", source=url)
    assert [info.type for info in backend.schema.values()] == ["integer", "logical", "datetime", "numeric"]
    assert backend.data([2, 1], ["b"]).column(0).to_pylist() == [False, True]
    plain = bm.as_data_backend("SELECT * FROM t", "id", source=url)
    assert plain.schema["b"].type == "integer"
    for value, message in ((b"x", "type bytes"), ("text", "mixes texts and numbers")):
        with sqlite3.connect(tmp_path / "t.db") as connection:
            connection.execute("UPDATE t SET mixed = ? WHERE id = 1", (value,))
        connection.close()
        with pytest.raises(DataError, match=f"column 'mixed'.*{message}|column 'mixed' {message}"):
            bm.as_data_backend("t", source=url)


# what is written


def test_a_written_database_is_named_by_its_content_and_used_again(tmp_path):
    table = pa.table({"x": [1.5, None], "g": pd.Categorical(["b", "a"], categories=["b", "a"], ordered=True)})
    for write in (bm.as_duckdb_backend, bm.as_sqlite_backend):
        folder = tmp_path / write.__name__
        folder.mkdir()
        first = write(table, folder)
        (file,) = folder.iterdir()
        before = file.stat().st_mtime_ns
        assert write(table, folder).digest == first.digest
        assert file.stat().st_mtime_ns == before
        assert dict(reopened(first).schema)["g"] == ColumnInfo(type="ordered", levels=("b", "a"))
        with pytest.raises(DataError, match="already"):
            write(table, file.with_name("x.db") if not file.with_name("x.db").touch() else file)
    assert first.primary_key == "row_id"
    assert first.n_cols == 3


# remote files


def test_remote_files_are_copied_once_by_whoever_comes_first(tmp_path):
    pq.write_table(numbers(100), tmp_path / "t.parquet")
    url = (tmp_path / "t.parquet").as_uri()
    backend = bm.as_data_backend(url)
    assert backend.digest == bm.as_data_backend(tmp_path / "t.parquet").digest
    spec = json.loads(json.dumps(backend.source()))
    files = tmp_path / "cache" / "files"
    (copy,) = files.iterdir()
    copy.unlink()
    threads = [threading.Thread(target=lambda: DuckBackend.from_spec(spec).data([1])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert copy.exists()
    (tmp_path / "t.parquet").unlink()
    assert DuckBackend.from_spec(spec).data([1]).num_rows == 1  # offline
    copy.unlink()
    with pytest.raises(DataUnavailableError, match="cannot be reached"):
        DuckBackend.from_spec(spec).data([1])
    pq.write_table(numbers(100, seed=1), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="has changed since"):
        DuckBackend.from_spec(spec).data([1])
    assert [path.name for path in files.iterdir() if path.name.startswith("tmp")] == []


def test_a_pinned_copy_is_what_was_pinned(tmp_path):
    (tmp_path / "f").write_bytes(b"one")
    file = pinned_remote((tmp_path / "f").as_uri())
    assert cached_copy(file).read_bytes() == b"one"


def test_artifacts_live_behind_a_url_with_a_copy_on_each_machine(tmp_path, monkeypatch):
    url = f"local://{tmp_path}/bucket"
    folder = artifact_folder(url)
    assert isinstance(folder, RemoteArtifacts)
    backend = bm.as_data_backend(numbers(100))
    digest = write_table(folder, backend)
    assert folder.has("table", digest)
    assert (tmp_path / "bucket" / "table" / digest[:2] / digest).exists()
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "another machine"))
    there = open_table(artifact_folder(url), digest)
    assert there.data([3]).equals(backend.data([3]))
    with pytest.raises(ArtifactError, match="is missing"):
        open_table(artifact_folder(url), "0" * 64)
    with pytest.raises(DataError, match="cannot be opened"):
        bm.Registry.create(f"sqlite:///{tmp_path}/r.db", artifacts="s3x://bucket")


def test_files_that_were_moved_are_found_below_the_configured_folder(tmp_path, monkeypatch):
    old, new = tmp_path / "old" / "tables", tmp_path / "scratch" / "tables"
    old.mkdir(parents=True)
    pq.write_table(numbers(20), old / "t.parquet")
    with pa.ipc.new_file(old / "t.arrow", numbers(20).schema) as writer:
        writer.write_table(numbers(20))
    backends = [bm.as_data_backend(old / name) for name in ("t.parquet", "t.arrow")]
    new.parent.mkdir()
    old.rename(new)
    with pytest.raises(DataUnavailableError):
        reopened(backends[0]).data([1])
    (tmp_path / "c.toml").write_text(f'[paths]\ndata = "{tmp_path}/scratch"\n', encoding="utf-8")
    monkeypatch.setenv("BATCHML_CONFIG", str(tmp_path / "c.toml"))
    for backend in backends:
        assert reopened(backend).data([1]).num_rows == 1
    # A design that still names the old place means the same table.
    again = bm.as_data_backend(old / "t.parquet")
    assert again.digest == backends[0].digest == bm.as_data_backend(old).digest


def test_a_reading_that_needs_more_memory_gets_it(tmp_path, large, monkeypatch):
    monkeypatch.setattr("batchml.data.duck._FRUGAL", "1KB")
    pq.write_table(numbers(5000, columns=8), tmp_path / "t.parquet")
    assert bm.as_data_backend(tmp_path / "t.parquet").data(range(0, 5000, 2)).num_rows == 2500
