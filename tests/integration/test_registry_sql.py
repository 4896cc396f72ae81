"""The user's own SQL reads, and does nothing else."""

from __future__ import annotations

import time

import pytest

from batchml.errors import ConfigError, RegistryError
from batchml.registry import views
from batchml.registry.fence import names
from batchml.registry.sql import sql
from batchml.registry.store import Store


def founded(url):
    with Store.create(url, seed=1) as store, store.write() as connection:
        connection.exec_driver_sql("INSERT INTO spec (kind, digest, body) VALUES ('task', 'd', '{}')")
    return Store.open(url)


@pytest.fixture(scope="module")
def server(postgres_server):
    """A registry on a server whose superuser asks: the worst that a user's own server can do."""
    import psycopg

    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE asked TEMPLATE template0")
    with founded(postgres_server.url.replace("/batchml?", "/asked?")) as store:
        yield store


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    with founded(f"sqlite:///{tmp_path_factory.mktemp('sql') / 'a.db'}") as store:
        yield store


@pytest.fixture(params=["file", "server"])
def store(request):
    return request.getfixturevalue(request.param)


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
        "SELECT 1 AS x INTO other",
        "WITH gone AS (DELETE FROM spec RETURNING *) SELECT * FROM gone",
        "WITH new AS (INSERT INTO spec (kind, digest, body) VALUES ('task', 'x', '{}') RETURNING 1) SELECT * FROM new",
        "WITH new AS (UPDATE spec SET digest = 'x' RETURNING 1) SELECT * FROM new",
        "VALUES (1); DELETE FROM spec",
        "SELECT 1 /* ; */; DELETE FROM spec --",
        "SELECT 1 -- \n; DELETE FROM spec",
        "SELECT 1) ; DELETE FROM spec; --",
        "(SELECT 1); DELETE FROM spec",
        "SELECT ':x'; DELETE FROM spec",
        "SELECT 1; COMMIT; DELETE FROM spec",
        "SELECT * FROM spec FOR UPDATE",
        "COPY spec TO '/tmp/batchml-copied'",
        "SELECT 1; COPY spec TO PROGRAM 'touch /tmp/batchml-copied'",
        "SELECT writefile('/tmp/batchml-copied', 'x')",
        "SELECT readfile('/etc/passwd')",
        "SELECT edit('x')",
        "SELECT fts3_tokenizer('x')",
        "SELECT pg_read_file('/etc/passwd')",
        "EXPLAIN ANALYZE DELETE FROM spec",
        "SET statement_timeout = 0",
        "CALL something()",
        "DO $$ BEGIN DELETE FROM spec; END $$",
    ],
)
def test_everything_else_is_refused_in_one_line(store, tmp_path, monkeypatch, query):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ConfigError, RegistryError)) as caught:
        sql(store, query, 5.0)
    assert "\n" not in str(caught.value)
    assert sql(store, "SELECT count(*) AS n FROM spec")["n"].tolist() == [1]
    assert not (tmp_path / "copy.db").exists()
    assert not (tmp_path / "other.db").exists()


def test_a_query_without_end_is_ended(store):
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(RegistryError, match="longer than"):
        sql(store, endless, 0.2)
    with pytest.raises(RegistryError, match="longer than"):  # one whose rows never end, one by one
        sql(store, endless.replace("count(*)", "x"), 0.2)


def test_ten_minutes_of_work_are_ended_after_the_time_that_was_given(store):
    heavy = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 100000) SELECT count(*) FROM n a, n b"
    )
    start = time.monotonic()
    with pytest.raises(RegistryError, match=r"longer than 0\.3 s"):
        sql(store, heavy, 0.3)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_time_out_is_a_number_of_seconds(store, seconds):
    with pytest.raises(ConfigError, match="time-out"):
        sql(store, "SELECT 1", seconds)


def test_a_result_without_end_does_not_fill_the_memory(store):
    rows = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000) SELECT x, x AS y FROM n"
    with pytest.raises(RegistryError, match=r"too large: more than [\d,]+ rows"):
        sql(store, rows, 60.0, 10_000)


@pytest.mark.parametrize(
    "query", ["SELECT zeroblob(200000000)", "SELECT replace(hex(zeroblob(9000000)), '0', 'xxxxxx')"]
)
def test_a_value_without_end_does_not_fill_the_memory(tmp_path, query):
    with (
        Store.create(f"sqlite:///{tmp_path}/a.db", seed=1) as store,
        pytest.raises((ConfigError, RegistryError), match="too big"),
    ):
        sql(store, query)


@pytest.mark.parametrize("view", views.NAMES)
def test_views_are_read_and_not_written(store, view):
    assert len(sql(store, f"SELECT * FROM {view}")) == 0
    for change in (f"DELETE FROM {view}", f"WITH a AS (SELECT 1) DELETE FROM {view}", f"DROP VIEW {view}"):
        with pytest.raises(ConfigError):
            sql(store, change)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("SELECT pg_sleep(600)", "pg_sleep"),
        ("SELECT PG_SLEEP (600)", "pg_sleep"),
        ('SELECT "pg_sleep"(600)', "pg_sleep"),
        ("SELECT pg_catalog.pg_sleep(600)", "pg_catalog"),
        ("SELECT pg_/**/sleep(600)", "pg_"),
        ("SELECT pg_read_file('/etc/passwd')", "pg_read_file"),
        ("SELECT pg_ls_dir('/')", "pg_ls_dir"),
        ("SELECT lo_import('/etc/passwd')", "lo_import"),
        ("SELECT lo_export(1, '/tmp/x')", "lo_export"),
        ("SELECT set_config('statement_timeout', '0', false)", "set_config"),
        ("SELECT nextval('spec_id_seq')", "nextval"),
        ("SELECT setval('spec_id_seq', 7)", "setval"),
        ("SELECT pg_terminate_backend(1)", "pg_terminate_backend"),
        ("SELECT pg_advisory_lock(1)", "pg_advisory_lock"),
        ("SELECT pg_reload_conf()", "pg_reload_conf"),
        ("SELECT pg_notify('a', 'b')", "pg_notify"),
        ("SELECT query_to_xml('DELETE FROM spec', true, true, '')", "query_to_xml"),
        ("SELECT query_to_xml('SELECT pg_' || 'sleep(600)', true, true, '')", "query_to_xml"),
        ("SELECT table_to_xml('pg_authid', true, true, '')", "table_to_xml"),
        ("SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t(x int)", "dblink"),
        ("SELECT * FROM pg_authid", "pg_authid"),
        ("SELECT * FROM pg_shadow", "pg_shadow"),
        ("SELECT (t).pg_sleep FROM (SELECT 600.0) t", "pg_sleep"),
        ("SELECT 'a' /* ' */, pg_sleep(600) --'", "pg_sleep"),
        ("SELECT 'a\\', pg_sleep(600) --'", "pg_sleep"),
        ("SELECT E'a\\', pg_sleep(600) --', pg_sleep(1) --'", "pg_sleep"),
        ("SELECT E'a'\n'\\', 1 --', pg_sleep(600) --'", "pg_sleep"),
        ("SELECT $x$ $y$ $x$, pg_sleep(600) --$y$", "pg_sleep"),
        ("SELECT $$ ' $$, pg_sleep(600) --'", "pg_sleep"),
        ("SELECT /* /* */ ' */ pg_sleep(600) --'", "pg_sleep"),
        ("SELECT 1 AS a$$, pg_sleep(600) --$$", "pg_sleep"),
        ('SELECT U&"\\0070g_sleep"(600)', "U&"),
        ("SELECT u&'x'", "U&"),
    ],
)
def test_functions_that_do_more_than_compute_are_refused_by_name(server, query, named):
    start = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        sql(server, query, 5.0)
    assert named in str(caught.value)
    assert time.monotonic() - start < 4


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("SELECT 'pg_sleep(1)' AS x", "pg_sleep(1)"),
        ("SELECT E'it\\'s' AS x /* pg_sleep */", "it's"),
        ("SELECT $a$it's$a$ AS x", "it's"),
        ("SELECT coalesce(NULL, round(sqrt(4))) AS x", 2.0),
        ("SELECT count(*) FILTER (WHERE random() < 2) AS x FROM generate_series(1, 3)", 3),
        ("SELECT sum(n) OVER (ORDER BY n) AS x FROM (VALUES (5)) AS t(n)", 5),
        ("SELECT json_build_object('a', 1)->>'a' AS x", "1"),
        ("SELECT to_char(date '2020-02-01', 'YYYY-MM') AS x", "2020-02"),
    ],
)
def test_functions_that_compute_are_not(server, query, value):
    assert sql(server, query)["x"].tolist() == [value]


def test_a_query_on_a_server_leaves_nothing_in_its_session(server):
    for _ in range(3):
        with pytest.raises(ConfigError):
            sql(server, "SELECT 1/0")
        sql(server, "SELECT 1")
    with server.write() as connection:
        assert connection.exec_driver_sql("SELECT current_user = session_user").scalar_one()
        assert connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "off"
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() != "60s"


@pytest.mark.parametrize("query", ["SELECT 'a", "SELECT E'a\\'", "SELECT /* /* */", "SELECT $a$ $b$"])
def test_queries_that_end_within_something_are_refused(query):
    with pytest.raises(ConfigError, match="does not end"):
        names(query)


def test_a_query_sees_what_was_just_written(store):
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE registry SET revision = 5")
    assert sql(store, "SELECT revision FROM registry")["revision"].tolist() == [5]
