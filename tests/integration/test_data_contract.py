"""One contract over all data backends."""

from __future__ import annotations

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

import batchml as bm
from batchml.data.artifacts import ArtifactFolder
from batchml.data.tables import open_table, write_table
from batchml.data.written import as_duckdb_backend, as_sqlite_backend
from batchml.testing.backends import BackendContract, contract_table

TABLE = contract_table()
WORD = 'wo"rd é'


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "cache"))


class TestPandas(BackendContract):
    def backend(self, tmp_path):
        return bm.as_data_backend(TABLE.to_pandas().astype({"n": "Int64"}), "id")


class TestPolars(BackendContract):
    def backend(self, tmp_path):
        return bm.as_data_backend(pl.from_arrow(TABLE), "id")


class TestArrow(BackendContract):
    def backend(self, tmp_path):
        return bm.as_data_backend(TABLE, "id")


class TestArtifact(BackendContract):
    def backend(self, tmp_path):
        folder = ArtifactFolder(tmp_path / "artifacts")
        return open_table(folder, write_table(folder, bm.as_data_backend(TABLE, "id")))


class TestParquet(BackendContract):
    def backend(self, tmp_path):
        pq.write_table(TABLE, tmp_path / "t.parquet", row_group_size=3)
        return bm.as_data_backend(tmp_path / "t.parquet", "id")


class TestParquetFiles(BackendContract):
    def backend(self, tmp_path):
        for i, start in enumerate((0, 3, 5)):
            pq.write_table(TABLE.slice(start, (3, 2, 3)[i]), tmp_path / f"{i}.parquet")
        return bm.as_data_backend([tmp_path / f"{i}.parquet" for i in range(3)], "id")


class TestParquetLarge(TestParquetFiles):
    """As if it were too large to be kept."""

    @pytest.fixture(autouse=True)
    def _large(self, monkeypatch):
        monkeypatch.setattr("batchml.data.duck._KEPT_BYTES", 0)


class TestCsv(BackendContract):
    def backend(self, tmp_path):
        TABLE.to_pandas().astype({"n": "Int64"}).to_csv(tmp_path / "t.csv", index=False)
        return bm.as_data_backend(tmp_path / "t.csv", "id")


class TestFeather(BackendContract):
    def backend(self, tmp_path):
        pa.feather.write_feather(TABLE, tmp_path / "t.feather", compression="uncompressed")
        return bm.as_data_backend(tmp_path / "t.feather", "id")


class TestArrowStream(BackendContract):
    def backend(self, tmp_path):
        with pa.ipc.new_stream(tmp_path / "t.arrow", TABLE.schema) as writer:
            writer.write_table(TABLE)
        return bm.as_data_backend(tmp_path / "t.arrow", "id")


class TestDuckTable(BackendContract):
    def backend(self, tmp_path):
        return as_duckdb_backend(TABLE, tmp_path / "t.duckdb", "id")


class TestDuckQuery(BackendContract):
    @pytest.fixture(autouse=True)
    def _large(self, monkeypatch):
        monkeypatch.setattr("batchml.data.duck._KEPT_BYTES", 0)

    def backend(self, tmp_path):
        with duckdb.connect(tmp_path / "t.duckdb") as connection:
            connection.register("given", TABLE)
            connection.execute("CREATE TABLE t AS SELECT * FROM given ORDER BY id DESC")
        return bm.as_data_backend(tmp_path / "t.duckdb", "id", query="SELECT * FROM t -- all of it\n;")


class TestSqlite(BackendContract):
    def backend(self, tmp_path):
        return as_sqlite_backend(TABLE, tmp_path / "t.db", "id")


def filled(url):
    """Write the contract's table to a database and return it as SQLAlchemy knows it."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.pool.NullPool)
    kinds = {
        "id": sa.Integer,
        "x": sa.Double,
        "n": sa.BigInteger,
        WORD: sa.String(20),
        "day": sa.DateTime,
        "y": sa.Double,
    }
    table = sa.Table("wéird name", sa.MetaData(), *(sa.Column(name, kind) for name, kind in kinds.items()))
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(table.insert(), TABLE.to_pylist())
    return table


class TestSqliteSelect(BackendContract):
    logical = False

    def backend(self, tmp_path):
        url = f"sqlite:///{tmp_path / 't.db'}"
        return bm.as_data_backend(sa.select(filled(url)), "id", source=url)


class TestSqliteExact(BackendContract):
    def backend(self, tmp_path):
        url = f"sqlite:///{tmp_path / 't.db'}"
        return bm.as_data_backend(filled(url), "id", source=url, check="exact")


class TestSqliteSnapshot(BackendContract):
    def backend(self, tmp_path):
        url = f"sqlite:///{tmp_path / 't.db'}"
        return bm.as_data_backend(filled(url), "id", source=url, snapshot=True)


class TestPostgres(BackendContract):
    logical = False

    @pytest.fixture(autouse=True)
    def _named(self, postgres_url, tmp_path, monkeypatch):
        self.url = postgres_url
        (tmp_path / "sources.toml").write_text(f'[sources]\nlab = "{postgres_url}"\n', encoding="utf-8")
        monkeypatch.setenv("BATCHML_CONFIG", str(tmp_path / "sources.toml"))

    def backend(self, tmp_path):
        return bm.as_data_backend(sa.select(filled(self.url)), "id", source="lab")
