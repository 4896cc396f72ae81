"""The registry's password: every way to give it works, and it is seen nowhere."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import traceback
import urllib.parse
from pathlib import Path

import pytest
import warm_command

import batchml as bm
from batchml.errors import RegistryError

ROOT = Path(__file__).parents[2]
SECRET = "h0rse-b@ttery/staple"
FORMS = (SECRET, urllib.parse.quote(SECRET), urllib.parse.quote(SECRET, safe=""))
DESIGN = """
[benchmark]
name = "secret"
seed = 1
measures = ["classif.acc"]
[[task]]
key = "iris"
[[learner]]
key = "classif.featureless"
[[learner]]
key = "classif.debug"
id = "broken"
params = { error_train = 1.0 }
[[resampling]]
key = "cv"
folds = 2
"""


@pytest.fixture
def server(postgres_url, postgres_server):
    """Host, port and database of a registry whose user `ann` has the password."""
    import psycopg
    from psycopg import sql

    name = postgres_url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE ann LOGIN PASSWORD {}").format(sql.Literal(SECRET)))
        connection.execute(f"ALTER DATABASE {name} OWNER TO ann")
        connection.execute("ALTER SCHEMA public OWNER TO ann")
    yield "127.0.0.1", postgres_server.port, name
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("REASSIGN OWNED BY ann TO batchml")
        connection.execute("DROP OWNED BY ann")
        connection.execute("DROP ROLE ann")


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "design.toml").write_text(DESIGN)
    return tmp_path


def url_of(server, password=""):
    host, port, name = server
    return f"postgresql://ann{password and ':' + urllib.parse.quote(password, safe='')}@{host}:{port}/{name}"


def environment(home, **more):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BATCHML_", "PG", "XDG_"))}
    return {**clean, "HOME": str(home / "home"), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **more}


def batchml(home, *words, **more):
    return warm_command.run(*words, cwd=home / "work", env=environment(home, **more))


def fresh_batchml(home, *words, **more):
    """Run the command in a process whose command line is its own."""
    return subprocess.run(
        [sys.executable, "-m", "batchml", *words],
        cwd=home / "work", env=environment(home, **more), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def by_url(home, server):
    return {"BATCHML_REGISTRY": url_of(server, SECRET)}


def by_environment(home, server):
    return {"BATCHML_REGISTRY": url_of(server), "PGPASSWORD": SECRET}


def by_pgpass(home, server):
    host, port, name = server
    file = home / "home" / ".pgpass"
    file.write_text(f"{host}:{port}:{name}:ann:{SECRET}\n")
    file.chmod(0o600)
    return {"BATCHML_REGISTRY": url_of(server)}


def by_service(home, server):
    host, port, name = server
    file = home / "home" / ".pg_service.conf"
    file.write_text(f"[study]\nhost={host}\nport={port}\ndbname={name}\nuser=ann\npassword={SECRET}\n")
    file.chmod(0o600)
    return {"BATCHML_REGISTRY": "postgresql://", "PGSERVICE": "study"}


def by_configuration(home, server):
    folder = home / "home" / ".config" / "batchml"
    folder.mkdir(parents=True)
    file = folder / "batchml.toml"
    file.write_text(f'registry = "{url_of(server, SECRET)}"\n')
    file.chmod(0o600)
    return {}


GIVEN = (".pgpass", ".pg_service.conf", ".config/batchml/batchml.toml")


def assert_unseen(*texts):
    for text in texts:
        for form in FORMS:
            assert form not in text


def assert_in_no_file(home):
    for path in home.rglob("*"):
        if path.is_file() and not str(path).endswith(GIVEN):
            assert not any(form.encode() in path.read_bytes() for form in FORMS), path


@pytest.mark.parametrize("give", [by_url, by_environment, by_pgpass, by_service, by_configuration])
def test_every_way_to_give_the_password_works_and_shows_it_nowhere(home, server, give):
    given = give(home, server)
    for words in (["add", "design.toml"], ["db", "info", "--json"]):
        done = batchml(home, *words, **given)
        assert done.returncode == 0, done.stderr
        assert_unseen(done.stdout, done.stderr)
    assert json.loads(done.stdout)["jobs"] == 4
    assert_in_no_file(home)


def test_while_workers_run_it_is_in_no_command_line_no_file_no_log_and_not_in_the_database(home, server, postgres_url):
    import psycopg

    seen = set()
    stop = threading.Event()

    def watch():
        known = {}
        while not stop.is_set():
            now = time.monotonic()
            found = {pid: known.get(pid, now) for pid in filter(str.isdecimal, os.listdir("/proc"))}  # noqa: PTH208
            # What a process is called changes in its first moments only: to read all again would take a processor.
            for pid in [pid for pid, since in found.items() if now - since < 5.0]:
                with contextlib.suppress(OSError):
                    words = Path(f"/proc/{pid}/cmdline").read_bytes()
                    if any(form.encode() in words for form in FORMS):
                        seen.add(words)
            known = found
            stop.wait(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = fresh_batchml(home, "run", "design.toml", "--slots", "2", **by_url(home, server))
    finally:
        stop.set()
        watcher.join()
    assert done.returncode == 1, done.stderr  # some jobs failed, as they should
    assert seen == set()
    assert_unseen(done.stdout, done.stderr)
    for words in (["errors"], ["sql", "SELECT * FROM workers", "--json"]):
        told = batchml(home, *words, **by_url(home, server))
        assert_unseen(told.stdout, told.stderr)
    batchml(home, "export", "out", **by_url(home, server))
    assert_in_no_file(home)
    with psycopg.connect(postgres_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            assert_unseen(*(row[0] for row in connection.execute(f"SELECT t::text FROM {table} t").fetchall()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url.replace("ann:", "bob:"), "refused the login"),
        (lambda url: url.replace("@127.0.0.1", "9@127.0.0.1"), "refused the login"),
        (lambda url: url.rpartition("/")[0] + "/elsewhere", "does not exist"),
        (lambda url: url + "?connect_timeout=soon", ""),
        (lambda url: url + "?no_such_option=1", "no_such_option"),
        (lambda url: url.replace("127.0.0.1:", "no-such-host.invalid:"), ""),
        (lambda url: url.replace("127.0.0.1:", "127.0.0.1:9"), ""),
        (lambda url: url.replace("postgresql:", "postgresq:"), "postgresq"),
        (lambda url: url.replace("127.0.0.1", "127.0.0.1]["), ""),
    ],
)
def test_what_goes_wrong_is_one_line_without_it(home, server, change, words):
    url = change(url_of(server, SECRET))
    done = batchml(home, "--registry", url, "status")
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert_unseen(done.stdout, done.stderr)


def test_objects_and_tracebacks_do_not_show_it(server):
    with bm.Registry.create(url_of(server, SECRET), seed=1) as registry:
        store = registry._store
        assert_unseen(repr(registry), registry._repr_html_(), repr(store), str(store.place), repr(store.engine))
        assert_unseen(repr(store.engine.url), json.dumps(registry.info(), default=str))
        with store.read() as connection:
            assert_unseen(repr(connection), repr(connection.connection.dbapi_connection))
        with pytest.raises(RegistryError) as caught, store.read() as connection:
            connection.exec_driver_sql("SELECT nothing FROM nowhere")
        assert_unseen("".join(traceback.format_exception(caught.value)))
    for wrong in (url_of(server, SECRET).replace("ann", "bob"), url_of(server, SECRET) + "x"):
        with pytest.raises(RegistryError) as caught:
            bm.Registry.open(wrong)
        error = caught.value
        while error is not None:
            assert_unseen(str(error), "".join(traceback.format_exception(error)))
            error = error.__cause__ or error.__context__


def test_configuration_that_names_a_password_is_shown_masked(home, server):
    (home / "work" / "batchml.toml").write_text(
        f'registry = "{url_of(server, SECRET)}"\n[sources]\nwarehouse = "{url_of(server, SECRET)}"\n'
    )
    for words in (["config", "show"], ["config", "show", "--json"]):
        done = batchml(home, *words)
        assert "***" in done.stdout
        assert_unseen(done.stdout, done.stderr)
