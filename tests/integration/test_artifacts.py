"""Tables on disk: artifacts, Parquet files, the cache of OpenML."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchml as bm
from batchml.core.task import Task
from batchml.data.artifacts import ArtifactFolder
from batchml.data.openml import openml_table
from batchml.data.sources import as_data_backend
from batchml.data.tables import open_table, write_table
from batchml.errors import ArtifactError, DataError, DataUnavailableError


def test_a_task_comes_back_from_its_artifact(tmp_path):
    task = bm.tsk("penguins")
    folder = ArtifactFolder(tmp_path / "artifacts")
    digest = write_table(folder, task.backend)
    assert digest == task.backend.digest
    assert folder.has("table", digest)
    again = Task.from_spec(task.spec(), lambda data: open_table(folder, data["digest"], verify=True), id="again")
    assert again.digest == task.digest
    pd.testing.assert_frame_equal(again.features(), task.features())
    assert as_data_backend(again.backend.data()).digest == digest


@pytest.mark.parametrize("key", [None, "k"])
def test_all_feature_types_come_back(tmp_path, key):
    table = pa.table(
        {
            "k": [7, 5, 6],
            "logical": [True, None, False],
            "integer": [1, None, 3],
            "numeric": [1.5, None, -0.0],
            "category": ["b", None, "a"],
            "text": ["free", None, "words"],
            "time": pd.to_datetime(["2020-01-01", None, "2021-01-01"]),
            "day": pd.to_datetime(["2020-01-01", None, "2021-01-01"]).tz_localize("Europe/Berlin"),
            "level": pd.Categorical([3, None, 1], categories=[3, 1, 2], ordered=True),
        }
    )
    backend = as_data_backend(table, key, text=["text"])
    folder = ArtifactFolder(tmp_path)
    again = open_table(folder, write_table(folder, backend))
    assert again.schema == backend.schema
    assert again.primary_key == key
    assert as_data_backend(again.data(), key, text=["text"]).digest == backend.digest


def test_an_opened_table_is_mapped_and_not_read(tmp_path):
    folder = ArtifactFolder(tmp_path)
    digest = write_table(folder, as_data_backend({"x": np.arange(1_000_000.0), "y": np.arange(1_000_000.0)}))
    before = pa.total_allocated_bytes()
    backend = open_table(folder, digest)
    assert backend.n_rows == 1_000_000
    assert pa.total_allocated_bytes() - before < 100_000


OPENED = """
import os, sys
from pathlib import Path
from batchml.data.artifacts import ArtifactFolder
from batchml.data.tables import open_table
import batchml.data.frame
def state():
    return len(os.listdir("/proc/self/task")), sorted(os.listdir("/proc/self/fd"))
before = state()
table = open_table(ArtifactFolder(Path(sys.argv[1])), sys.argv[2])
assert state() == before, (before, state())
"""


def test_an_opened_table_leaves_no_thread_and_no_descriptor(tmp_path):
    digest = write_table(ArtifactFolder(tmp_path), bm.tsk("iris").backend)
    subprocess.run([sys.executable, "-c", OPENED, str(tmp_path), digest], check=True)


def test_writing_twice_writes_once(tmp_path):
    folder = ArtifactFolder(tmp_path)
    backend = bm.tsk("iris").backend
    digest = write_table(folder, backend)
    stamp = folder.path("table", digest).stat().st_mtime_ns
    write_table(folder, backend)
    assert folder.path("table", digest).stat().st_mtime_ns == stamp
    assert not list(tmp_path.rglob("*tmp*"))


def test_a_failed_write_leaves_nothing(tmp_path):
    folder = ArtifactFolder(tmp_path)

    def full(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(ArtifactError, match=r"cannot write to the artifact folder .*No space left"):
        folder.put("model", "ab" * 32, full)
    assert not folder.has("model", "ab" * 32)
    assert not [one for one in tmp_path.rglob("*") if one.is_file()]


def test_missing_and_damaged_artifacts_are_told(tmp_path):
    folder = ArtifactFolder(tmp_path)
    with pytest.raises(ArtifactError, match="is the artifact folder the right one"):
        open_table(folder, "0" * 64)
    digest = write_table(folder, bm.tsk("iris").backend)
    path = folder.path("table", digest)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="does not match its checksum"):
        open_table(folder, digest, verify=True)
    path.write_bytes(content[:200])
    with pytest.raises(ArtifactError, match="is damaged"):
        open_table(folder, digest)


def test_a_table_is_verified_when_it_is_first_mapped_and_when_it_has_changed(tmp_path):
    folder = ArtifactFolder(tmp_path)
    digest = write_table(folder, bm.tsk("iris").backend)
    path = folder.path("table", digest)
    open_table(folder, digest)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{digest}.*does not match its checksum"):
        open_table(folder, digest)
    assert open_table(folder, digest, verify=False).n_rows == 150
    folder.path("table.sha256", digest).unlink()
    with pytest.raises(ArtifactError, match=r"has no checksum .*add the design again"):
        open_table(folder, digest)


def test_a_job_with_damaged_data_is_the_systems_fault_and_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as registry:
        (job,) = registry.add(bm.benchmark_grid("iris", "classif.tree", bm.rsmp("holdout")))
        (path,) = [one for one in (tmp_path / "study.db.artifacts" / "table").rglob("*") if one.is_file()]
        path.write_bytes(path.read_bytes().replace(b"setosa", b"sEtosa"))
        found = registry.test_job(job, external=True)
    assert found["ending"] == "infrastructure"
    assert "does not match its checksum" in found["error"]
    assert path.name in found["error"]


def test_a_million_rows_are_shared_by_processes(tmp_path):
    folder = ArtifactFolder(tmp_path)
    digest = write_table(folder, as_data_backend({"x": np.arange(1000.0), "y": np.arange(1000.0)}))
    code = (
        "import sys; from batchml.data.artifacts import *; from batchml.data.tables import *; "
        f"print(open_table(ArtifactFolder({str(tmp_path)!r}), {digest!r}).data()['x'][999].as_py())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "999.0"


def test_parquet_files_and_folders_are_tables(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2, 3, 4], "g": list("abab"), "y": list("nyny")})
    whole = as_data_backend(frame).digest
    frame.to_parquet(tmp_path / "all.parquet")
    assert as_data_backend(tmp_path / "all.parquet").digest == whole
    (tmp_path / "parts").mkdir()
    frame[:2].to_parquet(tmp_path / "parts" / "1.parquet")
    frame[2:].to_parquet(tmp_path / "parts" / "2.parquet")
    assert as_data_backend(str(tmp_path / "parts")).digest == whole
    assert as_data_backend([tmp_path / "parts" / "1.parquet", tmp_path / "parts" / "2.parquet"]).digest == whole
    assert bm.as_task_classif(tmp_path / "all.parquet", "y").n_rows == 4
    (tmp_path / "bad.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        as_data_backend(tmp_path / "bad.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no .parquet file"):
        as_data_backend(tmp_path / "empty")


def test_parquet_of_other_writers_is_the_same_table(tmp_path):
    table = pa.table({"x": [1.0, None], "s": ["a", "b"]})
    pq.write_table(table, tmp_path / "plain.parquet", use_dictionary=False, compression="none")
    pq.write_table(table, tmp_path / "small.parquet", row_group_size=1, compression="zstd")
    digests = {as_data_backend(tmp_path / name).digest for name in ("plain.parquet", "small.parquet")}
    assert digests == {as_data_backend(table).digest}


def test_openml_is_asked_once_and_the_cache_is_checked(tmp_path):
    asked = []

    def fetch(number):
        asked.append(number)
        return pd.DataFrame({"x": [1.0, 2.0], "class": pd.Categorical(["good", "bad"])})

    first = openml_table(31, cache=tmp_path, fetch=fetch)
    again = openml_table(31, cache=tmp_path, fetch=fetch)
    assert asked == [31]
    assert again.equals(first)
    path = tmp_path / "openml" / "31.arrow"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert openml_table(31, cache=tmp_path, fetch=fetch).equals(first)
    assert asked == [31, 31]


def test_without_a_network_it_says_what_to_do(tmp_path):
    def no_network(number):
        raise OSError(f"no route to {number}")

    with pytest.raises(
        DataUnavailableError, match=r"OpenML dataset 31 is not in the cache.*no route to 31.*BATCHML_CACHE"
    ):
        openml_table(31, cache=tmp_path, fetch=no_network)

    def no_such(number):
        raise ValueError(f"Unknown dataset {number}")

    with pytest.raises(DataError, match="OpenML dataset 99 cannot be used: Unknown dataset 99"):
        openml_table(99, cache=tmp_path, fetch=no_such)


def test_a_dataset_of_openml_is_a_task_from_the_cache(tmp_path, monkeypatch):
    frame = pd.DataFrame(
        {"V1": np.arange(6.0), "Class": pd.Categorical(["Rock", "Mine"] * 3, categories=["Rock", "Mine"])}
    )
    openml_table(40, cache=tmp_path, fetch=lambda _: frame)
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path))
    task = bm.tsk("sonar")
    assert (task.n_rows, task.positive, task.classes) == (6, "Mine", ("Rock", "Mine"))
