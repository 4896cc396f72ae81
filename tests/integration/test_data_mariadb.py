"""The contract of data backends over MariaDB, a server on the loopback that ends with the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

import batchml as bm
from batchml.errors import DataError, DataUnavailableError
from batchml.testing.backends import BackendContract, contract_table

pytestmark = pytest.mark.xdist_group("mariadb")

WORD = 'wo"rd é'


@pytest.fixture(scope="session")
def mariadb_url(services):
    """The URL of an empty database."""
    pytest.importorskip("pymysql", reason="pip install 'batchml[mysql]'")
    programs = [
        shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("mariadbd", "mariadb-install-db")
    ]
    if None in programs:
        services.missing("MariaDB", "no mariadbd and mariadb-install-db on the path")
    folder = Path(tempfile.mkdtemp(prefix="batchml-mariadb-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = [f"--datadir={folder / 'data'}", *([f"--user={_owner(folder)}"] if os.geteuid() == 0 else [])]
    made = subprocess.run(
        [programs[1], "--no-defaults", *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        shutil.rmtree(folder)
        services.missing("MariaDB", (made.stderr + made.stdout).strip()[-300:])
    log = (folder / "log").open("wb")
    options = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 'socket'}", "--skip-log-bin"]
    server = subprocess.Popen([programs[0], "--no-defaults", *common, *options], stdout=log, stderr=log)
    try:
        yield _awaited(f"mysql://root@127.0.0.1:{port}/study", folder, server, services)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _owner(folder):
    """Return the user to run as: the server does not run as root."""
    import pwd

    name = next((name for name in ("mysql", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()}), "nobody")
    entry = pwd.getpwnam(name)
    folder.chmod(0o755)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return name


def _awaited(url, folder, server, services):
    engine = sa.create_engine(url.replace("mysql://", "mysql+pymysql://").replace("/study", "/"), poolclass=sa.NullPool)
    end = time.monotonic() + 30
    while True:
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql("CREATE DATABASE study CHARACTER SET utf8mb4")
                return url
        except sa.exc.OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                said = (folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
                services.missing("MariaDB", said[-1] if said else "it does not answer")
            time.sleep(0.1)


def filled(url):
    engine = sa.create_engine(url.replace("mysql://", "mysql+pymysql://"), poolclass=sa.NullPool)
    kinds = {
        "id": sa.Integer,
        "x": sa.Double,
        "n": sa.BigInteger,
        WORD: sa.String(20),
        "day": sa.DateTime,
        "y": sa.Double,
    }
    table = sa.Table("t", sa.MetaData(), *(sa.Column(name, kind) for name, kind in kinds.items()))
    with engine.begin() as connection:
        table.drop(connection, checkfirst=True)
        table.create(connection)
        connection.execute(table.insert(), contract_table().to_pylist())
    return table, engine


class TestMariaDB(BackendContract):
    logical = False

    @pytest.fixture(autouse=True)
    def _server(self, mariadb_url):
        self.url = mariadb_url

    def backend(self, tmp_path):
        table, _ = filled(self.url)
        return bm.as_data_backend(sa.select(table), "id", source=self.url)

    def test_levels_and_changes_are_seen_although_mariadb_ignores_case(self, tmp_path):
        table, engine = filled(self.url)
        with engine.begin() as connection:
            connection.execute(table.update().where(table.c.id == 1).values({WORD: "A"}))
        backend = bm.as_data_backend("t", "id", source=self.url)
        assert backend.schema[WORD].levels == ("A", "a", "b", "ç'x")
        assert backend.data([1, 3], [WORD]).column(0).to_pylist() == ["A", "a"]
        with engine.begin() as connection:
            connection.execute(table.update().where(table.c.id == 1).values(x=1.25))
        with pytest.raises(DataError, match="have changed since"):
            bm.as_data_backend("t", "id", source=self.url).__class__.from_spec(backend.source()).data([1])
        with pytest.raises(DataError):
            bm.as_data_backend("SELECT 1 AS id INTO OUTFILE '/tmp/batchml-never'", "id", source=self.url)
        with pytest.raises(DataUnavailableError):
            bm.as_data_backend("t", "id", source="mysql://root@127.0.0.1:1/study")
