"""The contract of data backends over MariaDB, a server on the loopback that ends with the tests."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa

import batchml as bm
from batchml.errors import DataError, DataUnavailableError
from batchml.testing.backends import BackendContract, contract_table

WORD = 'wo"rd é'


@pytest.fixture(scope="session")
def mariadb_url(services):
    """The URL of an empty database."""
    pytest.importorskip("pymysql", reason="pip install 'batchml[mysql]'")
    from mariadb_server import MariaServer, MariaUnavailableError

    # Not below pytest's folder: nobody but root may enter it there, and MariaDB does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="batchml-mariadb-"))
    folder.chmod(0o755)
    server = None
    try:
        server = MariaServer(folder / "server")
        engine = sa.create_engine(f"mysql+pymysql://root@127.0.0.1:{server.port}/", poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE DATABASE study CHARACTER SET utf8mb4")
        yield f"mysql://root@127.0.0.1:{server.port}/study"
    except MariaUnavailableError as error:
        services.missing("MariaDB", str(error))
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


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
