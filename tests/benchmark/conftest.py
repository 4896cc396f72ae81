"""What the benchmarks measure besides seconds: statements, and what goes through the write-ahead log."""

from __future__ import annotations

import contextlib
import os
import threading

import pytest
from sqlalchemy import Engine, event


@pytest.fixture(scope="session")
def durable_server(postgres_server):
    """A PostgreSQL server that waits for the disk, as a real one does."""
    from postgres_folder import postgres_folder

    from batchml.registry.server import serve

    with postgres_folder() as folder:
        yield serve(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def bench_url(request, tmp_path, monkeypatch):
    """The URL of a registry that is not there yet, on each database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'study.db'}"
        return
    import psycopg

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    server = request.getfixturevalue("durable_server")
    name = f"bench_{os.getpid()}_{abs(hash(request.node.nodeid))}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield server.url.replace("/batchml?", f"/{name}?")
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def statements(monkeypatch):
    """A list that grows by each statement that is issued: how often it stands for how many rows."""
    issued = []

    def note(connection, _cursor, statement, parameters, _context, executemany):
        if connection.dialect.name == "sqlite":
            issued.append((statement, len(parameters) if executemany else 1))

    event.listen(Engine, "before_cursor_execute", note)
    _note_trips(monkeypatch, issued)
    yield issued
    event.remove(Engine, "before_cursor_execute", note)


def _note_trips(monkeypatch, issued):
    """Note what goes to a server where the driver sends it: not all of it passes SQLAlchemy."""
    psycopg = pytest.importorskip("psycopg")
    once, many = psycopg.Cursor.execute, psycopg.Cursor.executemany

    def execute(self, query, *values, **options):
        issued.append((query, 1))
        return once(self, query, *values, **options)

    def executemany(self, query, rows, **options):
        issued.append((query, len(rows)))
        return many(self, query, rows, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", execute)
    monkeypatch.setattr(psycopg.Cursor, "executemany", executemany)


class Wal:
    """How much goes through the write-ahead log: bytes written on PostgreSQL, the file's greatest size on SQLite."""

    def __init__(self, store):
        self.store, self.mb = store, 0.0

    @contextlib.contextmanager
    def watched(self):
        path = self.store.place.path
        if path is None:
            before = self._written()
            yield self
            self.mb = (self._written() - before) / 2**20
            return
        stop, file = threading.Event(), path.with_name(path.name + "-wal")

        def watch():
            while not stop.wait(0.005):
                self.mb = max(self.mb, file.stat().st_size / 2**20 if file.exists() else 0.0)

        thread = threading.Thread(target=watch)
        thread.start()
        yield self
        stop.set()
        thread.join()

    def _written(self):
        with self.store.read() as connection:
            position = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"
            return float(connection.exec_driver_sql(position).scalar_one())


@pytest.fixture
def wal():
    return Wal
