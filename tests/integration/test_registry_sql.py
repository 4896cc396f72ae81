"""The user's own SQL reads, and does nothing else."""

from __future__ import annotations

import pytest

from batchml.errors import ConfigError, RegistryError
from batchml.registry.sql import sql
from batchml.registry.store import Store


@pytest.fixture
def store(tmp_path):
    with Store.create(f"sqlite:///{tmp_path / 'a.db'}", seed=1) as store, store.write() as connection:
        connection.exec_driver_sql("INSERT INTO spec (kind, digest, body) VALUES ('task', 'd', '{}')")
    with Store.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        yield store


def test_a_select_gives_a_frame(store):
    frame = sql(store, "SELECT kind, digest FROM spec WHERE kind = :kind", kind="task")
    assert frame.to_dict("records") == [{"kind": "task", "digest": "d"}]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS x",
        "  -- a remark\n WITH a AS (SELECT 1 AS x) SELECT x FROM a",
        "/* a remark */ select 1 as x;",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1) SELECT x FROM n",
        "SELECT 1 AS x UNION SELECT 1",
    ],
)
def test_forms_of_select(store, query):
    assert sql(store, query)["x"].tolist() == [1]


def test_columns_of_one_name_are_told_apart(store):
    assert list(sql(store, "SELECT 1 AS a, 2 AS a").columns) == ["a", "a_2"]


def test_no_rows_still_have_columns(store):
    assert list(sql(store, "SELECT * FROM jobs").columns)[:3] == ["job_id", "benchmark", "experiment_id"]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM spec",
        "WITH a AS (SELECT 1) DELETE FROM spec",
        "WITH a AS (SELECT 1) INSERT INTO spec (kind, digest, body) SELECT 'task', 'e', '{}'",
        "SELECT 1; DELETE FROM spec",
        "SELECT 1; SELECT 2",
        "ATTACH 'other.db' AS other",
        "SELECT 1; ATTACH 'other.db' AS other",
        "PRAGMA journal_mode = delete",
        "PRAGMA user_version",
        "SELECT * FROM pragma_table_info('spec')",
        "SELECT load_extension('x')",
        "CREATE TABLE t (x)",
        "CREATE TEMP TABLE t AS SELECT 1",
        "VACUUM INTO 'copy.db'",
        "EXPLAIN DELETE FROM spec",
        "BEGIN IMMEDIATE",
        "",
        "nonsense",
        "SELECT nothing FROM nowhere",
        "SELECT :missing",
        "SELECT '\x00",
    ],
)
def test_everything_else_is_refused_in_one_line(store, tmp_path, query):
    with pytest.raises((ConfigError, RegistryError)) as caught:
        sql(store, query)
    assert "\n" not in str(caught.value)
    assert sql(store, "SELECT count(*) AS n FROM spec")["n"].tolist() == [1]
    assert not (tmp_path / "copy.db").exists()
    assert not (tmp_path / "other.db").exists()


def test_a_query_without_end_is_ended(store):
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(RegistryError, match="longer than"):
        sql(store, endless, 0.2)


def test_a_query_sees_what_was_just_written(store):
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE registry SET revision = 5")
    assert sql(store, "SELECT revision FROM registry")["revision"].tolist() == [5]
