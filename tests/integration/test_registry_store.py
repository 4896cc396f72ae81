"""Opening and creating registries: wrong files, rights, disks, hosts."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from batchml.errors import BatchmlError, BusyError, ConfigError, NotARegistryError, ReadOnlyError, RegistryError
from batchml.registry import owner, processes
from batchml.registry.engine import parse_url
from batchml.registry.processes import Process, here
from batchml.registry.store import Store

NFS = "22 1 0:20 / / rw - ext4 /dev/vda rw\n30 22 0:44 / {} rw,relatime shared:5 - nfs4 server:/export rw\n"


def url(path):
    return f"sqlite:///{path}"


def test_a_registry_keeps_its_seed_and_name(registry_url, tmp_path):
    with Store.create(registry_url, seed=42) as store:
        name = store.uuid
    with Store.open(registry_url) as store:
        assert (store.root_seed, store.uuid) == (42, name)
        beside = tmp_path / "study.db.artifacts"
        assert store.artifact_path == (beside if store.place.path else tmp_path / "data" / "batchml" / name)


def test_without_a_seed_one_is_drawn(registry_url, tmp_path):
    with Store.create(registry_url) as first, Store.create(url(tmp_path / "b.db")) as second:
        assert first.root_seed != second.root_seed


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "1", True])
def test_a_seed_that_is_none_is_refused(registry_url, tmp_path, seed):
    with pytest.raises(ConfigError, match="root seed"):
        Store.create(registry_url, seed=seed)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotARegistryError):
        Store.open(registry_url)


def test_sqlite_is_set_up_for_many_processes(tmp_path):
    with Store.create(url(tmp_path / "a.db")) as store, store.read() as connection:
        ask = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "foreign_keys")}
        assert ask == {"journal_mode": "wal", "foreign_keys": 1}
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
    with Store.open(url(tmp_path / "a.db") + "?synchronous=full") as store, store.read() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def text_file(path):
    path.write_text("name,value\n1,2\n" * 100)


def other_database(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (text_file, "not a SQLite database"),
        (other_database, "no batchml registry"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: None, "there is no registry"),
        (lambda path: path.touch(), "not a SQLite database"),
    ],
    ids=["text", "other", "folder", "missing", "empty"],
)
def test_what_is_no_registry_is_refused_and_left_alone(tmp_path, make, words):
    path = tmp_path / "a.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    for readonly in (False, True):
        with pytest.raises(NotARegistryError, match=words) as caught:
            Store.open(url(path), readonly=readonly)
        assert "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("make", [text_file, other_database, lambda path: path.mkdir()])
def test_create_does_not_touch_other_files(tmp_path, make):
    path = tmp_path / "a.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(NotARegistryError):
        Store.create(url(path))
    assert (path.read_bytes() if path.is_file() else None) == before


def test_create_does_not_replace_a_registry(registry_url):
    Store.create(registry_url, seed=1).close()
    with pytest.raises(RegistryError, match="already"):
        Store.create(registry_url, seed=2)
    with Store.open(registry_url) as store:
        assert store.root_seed == 1


def test_create_in_a_missing_folder_says_so(tmp_path):
    with pytest.raises(RegistryError, match="does not exist"):
        Store.create(url(tmp_path / "no" / "a.db"))


def test_one_of_several_creations_at_once_wins(registry_url):
    code = f"""
        from batchml.registry.store import Store
        from batchml.errors import RegistryError
        try:
            Store.create({registry_url!r}).close(); print("made")
        except RegistryError: print("refused")
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = sorted(child.communicate(timeout=60)[0].strip() for child in children)
    assert said == ["made", "refused", "refused", "refused"]
    Store.open(registry_url).close()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("study.db", "sqlite:///study.db"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("oracle://u:geheim@h/x", "not in 'oracle'"),
        ("postgresql://u:geheim@h:port/x", "not a database URL"),
        ("sqlite:///a.db?cache=shared", "take"),
        ("sqlite:///a.db?password=geheim", "not 'password'"),
        ("postgresql:/u:geheim@h/x", "not by this: sqlite:///study.db"),
        ("host=h password=geheim", "not by this: sqlite:///study.db"),
        ("", "URL"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(given, words):
    with pytest.raises(ConfigError) as caught:
        parse_url(given)
    assert words in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_a_url_that_the_driver_cannot_read_is_a_mistake_and_no_outage():
    pytest.importorskip("psycopg")
    for wrong, words in (("127.0.0.1:99999/x", "invalid port number"), ("127.0.0.1:1/x?sslmode=no", "invalid sslmode")):
        with pytest.raises(ConfigError, match=words) as caught:
            Store.open(f"postgresql://u:geheim@{wrong}")
        assert "geheim" not in str(caught.value)


def test_passwords_never_show():
    place = parse_url("postgresql://user:ge%40heim@host/db?password=zweites&sslmode=require")
    for text in (str(place), repr(place)):
        assert "heim" not in text
        assert "zweites" not in text
        assert "password=***" in text
        assert "sslmode=require" in text
    assert "ge%40heim" in place.secret_url
    assert place.scrub("FATAL: ge@heim or zweites or ge%40heim") == "FATAL: *** or *** or ***"


def test_a_server_that_is_not_there_is_one_line_without_the_password(monkeypatch):
    pytest.importorskip("psycopg")
    with pytest.raises(RegistryError) as caught:
        Store.open("postgresql://user:geheim@127.0.0.1:1/db")
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_readonly_refuses_to_write(registry_url):
    Store.create(registry_url).close()
    with Store.open(registry_url, readonly=True) as store:
        with pytest.raises(ReadOnlyError, match="readonly=True"), store.write():
            pass
        with pytest.raises(RegistryError), store.read() as connection:
            connection.exec_driver_sql("DELETE FROM spec")


def as_nobody(code):
    """Run code as a user without rights; return what it printed."""
    drop = (
        "import batchml.registry.store, batchml.core.seed, os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    )
    head = "from batchml.registry.store import Store; from batchml.errors import *\n"
    done = subprocess.run(
        [sys.executable, "-c", head + drop + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.root
def test_a_folder_without_the_right_to_write_is_said_and_can_be_looked_at(tmp_path):
    assert os.getuid() == 0, "this test drops rights and needs to be root"
    folder = tmp_path
    while folder.stat().st_uid == 0 and str(folder) != "/tmp":
        folder.chmod(0o755)
        folder = folder.parent
    Store.create(url(tmp_path / "a.db"), seed=5).close()
    said = as_nobody(f"""
        try: Store.open({url(tmp_path / "a.db")!r})
        except ReadOnlyError as error: print("refused", error)
        with Store.open({url(tmp_path / "a.db")!r}, readonly=True) as store: print(store.root_seed)
        try: Store.create({url(tmp_path / "b.db")!r})
        except ReadOnlyError as error: print("refused", error)
    """)
    lines = said.splitlines()
    assert lines[0].startswith("refused")
    assert "readonly=True" in lines[0]
    assert lines[1] == "5"
    assert lines[2].startswith("refused")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "a.db.lock", "a.db.turn"]


@pytest.mark.root
def test_a_reader_without_rights_sees_what_a_writer_just_wrote(tmp_path):
    assert os.getuid() == 0, "this test drops rights and needs to be root"
    folder = tmp_path
    while folder.stat().st_uid == 0 and str(folder) != "/tmp":
        folder.chmod(0o755)
        folder = folder.parent
    with Store.create(url(tmp_path / "a.db"), seed=5) as store:
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE registry SET revision = 77")
        ask = "store.read().__enter__().exec_driver_sql('SELECT revision FROM registry').scalar()"
        said = as_nobody(f"""
            with Store.open({url(tmp_path / "a.db")!r}, readonly=True) as store:
                with store.read() as c: print(c.exec_driver_sql('SELECT revision FROM registry').scalar())
        """)
        assert said == "77", ask


@pytest.fixture
def small_disk(tmp_path):
    assert os.getuid() == 0, "this test mounts a small disk and needs to be root"
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill_disk(folder):
    file = os.open(folder / "ballast", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(file, b"x" * 4096)
    os.close(file)


@pytest.mark.root
def test_a_full_disk_is_one_clear_line_and_nothing_half_written(small_disk):
    path = small_disk / "a.db"
    with Store.create(url(path), seed=5) as store:
        fill_disk(small_disk)
        rows = [(f"d{i}", "x" * 1000) for i in range(2000)]
        insert = "INSERT INTO spec (kind, digest, body) VALUES ('task', ?, ?)"
        with pytest.raises(RegistryError, match="full"), store.write() as connection:
            connection.exec_driver_sql(insert, rows)
        (small_disk / "ballast").unlink()
        with store.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM spec").scalar() == 0
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE registry SET revision = 1")


@pytest.mark.root
def test_a_registry_is_not_half_created_on_a_full_disk(small_disk):
    fill_disk(small_disk)
    with pytest.raises(BatchmlError, match=r"full|No space") as caught:
        Store.create(url(small_disk / "a.db"), seed=5)
    assert "\n" not in str(caught.value)
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def test_on_a_network_file_system_several_processes_of_one_host_work(tmp_path):
    mounts = NFS.format(tmp_path)
    with Store.create(url(tmp_path / "a.db"), seed=1, mountinfo=mounts) as store:
        assert store.place.shared
        assert owner.owner_path(tmp_path / "a.db").exists()
        with store.read() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
            assert connection.exec_driver_sql("PRAGMA locking_mode").scalar() == "exclusive"
        with Store.open(url(tmp_path / "a.db"), mountinfo=mounts) as second:
            for each in (store, second, store):
                with each.write() as connection:
                    connection.exec_driver_sql("UPDATE registry SET revision = revision + 1")
            with second.read() as connection:
                assert connection.exec_driver_sql("SELECT revision FROM registry").scalar() == 3
    assert not owner.owner_path(tmp_path / "a.db").exists()


def stranger(**changes):
    me = here()
    fields = {name: getattr(me, name) for name in Process.__slots__}
    return Process(**(fields | {"host": "node7", "boot_id": "other", "pid": 4711} | changes))


def test_a_second_host_is_refused_with_the_holders_name(tmp_path):
    mounts = NFS.format(tmp_path)
    Store.create(url(tmp_path / "a.db"), seed=1, mountinfo=mounts).close()
    owner.claim_host(tmp_path / "a.db", stranger())
    with pytest.raises(BusyError, match=r"node7 \(process 4711\)"):
        Store.open(url(tmp_path / "a.db"), mountinfo=mounts)
    with pytest.raises(BusyError, match="node7"):
        Store.open(url(tmp_path / "a.db"), readonly=True, mountinfo=mounts)


def test_a_claim_lost_while_open_stops_the_next_write(tmp_path):
    mounts = NFS.format(tmp_path)
    with Store.create(url(tmp_path / "a.db"), seed=1, mountinfo=mounts) as store:
        owner.owner_path(tmp_path / "a.db").unlink()
        owner.claim_host(tmp_path / "a.db", stranger())
        with pytest.raises(BusyError), store.write():
            pass


def test_a_claim_of_this_host_before_a_reboot_is_taken_over(tmp_path):
    mounts = NFS.format(tmp_path)
    Store.create(url(tmp_path / "a.db"), seed=1, mountinfo=mounts).close()
    owner.claim_host(tmp_path / "a.db", stranger(host=processes.host_name()))
    Store.open(url(tmp_path / "a.db"), mountinfo=mounts).close()


def test_a_reader_blocks_no_writer_and_keeps_its_view(registry_url):
    with Store.create(registry_url) as store, store.read() as reader:
        ask = "SELECT revision FROM registry"
        assert reader.exec_driver_sql(ask).scalar() == 0
        with store.write() as writer:
            writer.exec_driver_sql("UPDATE registry SET revision = 1")
        assert reader.exec_driver_sql(ask).scalar() == 0
        with store.read() as second:
            assert second.exec_driver_sql(ask).scalar() == 1


def test_an_exception_leaves_nothing_behind(registry_url):
    with Store.create(registry_url) as store:

        def change():
            with store.write() as connection:
                connection.exec_driver_sql("UPDATE registry SET revision = 1")
                raise KeyError

        with pytest.raises(KeyError):
            change()
        with store.write() as connection:
            assert connection.exec_driver_sql("SELECT revision FROM registry").scalar() == 0


def test_another_program_that_holds_the_file_is_named_as_the_cause(tmp_path):
    with Store.create(url(tmp_path / "a.db")) as store:
        other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with store.read() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 50")
        with pytest.raises(BusyError, match="in use by another program"), store.write():
            pass
        other.close()


@pytest.mark.parametrize("url", [None, 3, b"sqlite:///a.db", "", "study.db", "sqlite:///a\0b.db", "mysql://h/d"])
def test_what_is_no_url_is_refused_in_a_sentence(url):
    for act in (Store.open, Store.create):
        with pytest.raises(ConfigError, match="registry"):
            act(url)


def test_a_registry_that_is_opened_twice_in_one_process_loses_nothing_to_another_process(tmp_path):
    """Closing a file drops all locks of its process: nothing but SQLite may have the registry's file open."""
    file = tmp_path / "study.db"
    with Store.create(f"sqlite:///{file}") as store:
        Store.open(f"sqlite:///{file}").close()
        # Whoever closes last deletes the write-ahead log: this must not take itself for the last.
        script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM job'); c.close()"
        subprocess.run([sys.executable, "-c", script, str(file)], check=True)
        with store.write() as connection:
            connection.exec_driver_sql("CREATE TABLE mark (x)")
        with contextlib.closing(sqlite3.connect(file)) as other:
            assert other.execute("SELECT count(*) FROM mark").fetchall() == [(0,)]
