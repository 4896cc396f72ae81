"""The migrations lead to the tables that the code uses, and back, with the rows of every older revision inside."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

import batchml as bm
from batchml.errors import NotARegistryError, RegistryError, SchemaError
from batchml.registry import engine, schema, tables, views
from batchml.registry.exchange import exchange
from batchml.registry.store import Store, upgrade
from batchml.registry.submissions import submit
from batchml.registry.workers import register_worker

DUMPS = Path(__file__).parent / "dumps"
REVISIONS = sorted({file.name.split(".")[0] for file in DUMPS.iterdir()})


@contextlib.contextmanager
def transaction(url, access="write"):
    """Give a connection as migrations have it: without SQLite's foreign keys, or a rebuilt table loses its children."""
    made = engine.connect(engine.parse_url(url), access)
    with made.connect() as connection:
        if url.startswith("sqlite"):
            connection.connection.dbapi_connection.execute("PRAGMA foreign_keys = OFF")
        with engine.writing(connection).begin():
            yield connection
    made.dispose()


def migrated(url, revision="head"):
    with transaction(url, "create") as connection:
        schema.upgrade_schema(connection, revision)


def loaded(url, revision):
    """Make the registry that was written down at a revision."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.executescript((DUMPS / f"{revision}.sqlite.sql").read_text())
        return
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute((DUMPS / f"{revision}.postgresql.sql").read_text())


def structure(url):
    """Everything that the database knows about its tables and views; the place of a column is none of it."""
    with transaction(url) as connection:
        about = inspect(connection)
        found = {}
        for name in about.get_table_names():
            columns = [{key: str(value) for key, value in column.items()} for column in about.get_columns(name)]
            found[name] = {
                "columns": sorted(columns, key=lambda column: column["name"]),
                "key": about.get_pk_constraint(name),
                "foreign": sorted(map(str, about.get_foreign_keys(name))),
                "unique": sorted(map(str, about.get_unique_constraints(name))),
                "checks": sorted(map(str, about.get_check_constraints(name))),
                "kind": kind_of(connection, name),
                "indexes": sorted(map(described, about.get_indexes(name))),
            }
        return found, {name: about.get_view_definition(name) for name in sorted(about.get_view_names())}


def kind_of(connection, table):
    """What no inspector tells: ids that are never used twice, tables without row ids, room for updates."""
    if connection.dialect.name == "sqlite":
        body = connection.execute(
            text("SELECT sql FROM sqlite_schema WHERE name = :name"), {"name": table}
        ).scalar_one()
        return [word for word in ("AUTOINCREMENT", "WITHOUT ROWID") if word in body]
    return connection.execute(text("SELECT reloptions FROM pg_class WHERE relname = :name"), {"name": table}).scalar()


def described(index):
    options = {key: str(value) for key, value in index.pop("dialect_options", {}).items()}
    return f"{index} {options}"


def contents(url, columns=None):
    """Return the rows of all tables but the version, with the columns that are asked for, in the order of the keys."""
    with transaction(url) as connection:
        about = inspect(connection)
        if columns is None:
            columns = {name: [column["name"] for column in about.get_columns(name)] for name in about.get_table_names()}
            del columns[tables.version.name]
        rows = {}
        for table, names in columns.items():
            order = ", ".join(about.get_pk_constraint(table)["constrained_columns"])
            query = f"SELECT {', '.join(names)} FROM {table} ORDER BY {order}"
            rows[table] = [tuple(row) for row in connection.execute(text(query))]
        return columns, rows


def set_revision(url, revision):
    with transaction(url) as connection:
        connection.execute(tables.version.update().values(version_num=revision))


def test_the_head_that_the_code_knows_is_the_last_migration():
    from alembic.script import ScriptDirectory

    assert ScriptDirectory(str(schema.migrations_folder())).get_current_head() == schema.HEAD


def test_every_revision_before_the_head_has_its_dumps():
    """Write them by tests/migration/dump.py before a new revision is begun."""
    before = [f"{number:04}" for number in range(1, int(schema.HEAD))]
    assert set(before) <= set(REVISIONS)
    assert {file.name for file in DUMPS.iterdir()} == {
        f"{revision}.{name}.sql" for revision in REVISIONS for name in ("sqlite", "postgresql")
    }


def test_all_migrations_give_the_schema_that_create_makes(registry_url):
    Store.create(registry_url).close()
    created = structure(registry_url)
    with transaction(registry_url) as connection:
        schema.downgrade_schema(connection, "base")
    assert structure(registry_url) == ({"batchml_version": created[0]["batchml_version"]}, {})
    migrated(registry_url)
    assert structure(registry_url) == created


def test_alembic_finds_no_difference_between_migrations_and_tables(registry_url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    migrated(registry_url)
    with transaction(registry_url) as connection:
        options = {"version_table": tables.version.name, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata) == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_registry_of_an_older_revision_upgrades_with_everything_intact(registry_url, revision):
    loaded(registry_url, revision)
    columns, before = contents(registry_url)
    assert upgrade(registry_url) == (revision, schema.HEAD)
    assert contents(registry_url, columns)[1] == before
    assert upgrade(registry_url) == (schema.HEAD, schema.HEAD)

    with bm.Registry.open(registry_url) as registry:
        assert [problem for problem in registry.check() if "the data of a task is missing" not in problem] == []
        assert registry.info()["schema"] == schema.HEAD
        states = registry.jobs(benchmark="small")["state"].value_counts().to_dict()
        assert states == {"done": 6, "error": 3}
        assert len(registry.errors("small")) > 0
        with pytest.warns(UserWarning, match="3 of 9 iterations"):
            result = registry.reduce(benchmark="small").aggregate()
        result = result.set_index("learner")["classif.acc"]
        view = registry.sql("SELECT learner, mean FROM aggregates WHERE measure = 'classif.acc'").set_index("learner")
        for means in (result, view["mean"]):
            assert means["classif.tree"] == pytest.approx(0.946667, abs=1e-6)
            assert means["guarded"] == pytest.approx(0.266667, abs=1e-6)


@pytest.mark.parametrize("revision", REVISIONS)
def test_work_goes_on_after_an_upgrade(registry_url, revision):
    loaded(registry_url, revision)
    upgrade(registry_url)
    with Store.open(registry_url) as store:
        submission, queued = submit(store)
        assert queued == 1
        worker = register_worker(store, submission, slots=4)
        assert len(exchange(store, worker, [], [], 4).assignments) > 0


@pytest.mark.parametrize("revision", REVISIONS)
def test_after_an_upgrade_the_same_design_is_nothing_new(registry_url, revision):
    """Digests of a released version hold for ever, or everything would be computed again."""
    loaded(registry_url, revision)
    upgrade(registry_url)
    guarded = bm.lrn("classif.debug", id="guarded", error_train=0.7, encapsulate="capture")
    guarded.fallback = bm.lrn("classif.featureless")
    learners = ["classif.tree", guarded, bm.lrn("classif.debug", id="bare", error_train=1.0, warning_predict=1.0)]
    dumped = bm.benchmark_grid("iris", learners, bm.rsmp("cv", folds=3), measures=["classif.acc", "classif.ce"], seed=4)
    with bm.Registry.open(registry_url) as registry:
        assert registry.plan(dumped, "small").new == 0
        assert registry.add(dumped, "small") == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_down_and_up_again_keeps_the_rows(registry_url, revision):
    loaded(registry_url, revision)
    columns, before = contents(registry_url)
    upgrade(registry_url)
    above = structure(registry_url)
    with transaction(registry_url) as connection:
        schema.downgrade_schema(connection, revision)
    assert contents(registry_url) == (columns, before)
    upgrade(registry_url)
    assert contents(registry_url, columns)[1] == before
    assert structure(registry_url) == above


@pytest.mark.parametrize("revision", [one for one in REVISIONS if one < schema.HEAD])
def test_an_older_schema_names_the_command_that_upgrades(registry_url, revision):
    loaded(registry_url, revision)
    with pytest.raises(SchemaError, match="batchml db upgrade"):
        Store.open(registry_url)
    with pytest.raises(SchemaError, match="batchml db upgrade"):
        Store.open(registry_url, readonly=True)
    with pytest.raises(RegistryError, match="there is a registry"):
        Store.create(registry_url)


def test_a_newer_schema_is_refused_by_name(registry_url):
    Store.create(registry_url).close()
    set_revision(registry_url, "9999")
    with pytest.raises(SchemaError, match=r"newer batchml.*9999.*upgrade batchml"):
        Store.open(registry_url)
    with pytest.raises(SchemaError, match="newer"):
        upgrade(registry_url)


def test_another_database_is_not_upgraded(registry_url):
    with transaction(registry_url, "create") as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    before = structure_of_other(registry_url)
    with pytest.raises(NotARegistryError):
        upgrade(registry_url)
    assert structure_of_other(registry_url) == before


def structure_of_other(url):
    with transaction(url) as connection:
        return inspect(connection).get_table_names()


def test_upgrades_at_the_same_time_wait_for_each_other(registry_url):
    loaded(registry_url, REVISIONS[0])
    code = f"import json; from batchml.registry.store import upgrade; print(json.dumps(upgrade({registry_url!r})))"
    command = [sys.executable, "-W", "error", "-c", code]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    answers = sorted(json.loads(child.communicate(timeout=60)[0])[0] for child in children)
    assert [child.returncode for child in children] == [0, 0, 0]
    assert answers == sorted([REVISIONS[0], schema.HEAD, schema.HEAD])
    with Store.open(registry_url) as store, store.read() as connection:
        assert schema.current_revision(connection) == schema.HEAD


def test_of_several_creations_at_the_same_time_one_succeeds(registry_url):
    code = (
        "import sys\nfrom batchml.errors import RegistryError\nfrom batchml.registry.store import Store\n"
        f"try:\n    Store.create({registry_url!r}).close()\n"
        "except RegistryError as error:\n    sys.exit(3 if 'there is a registry' in str(error) else str(error))"
    )
    children = [subprocess.Popen([sys.executable, "-W", "error", "-c", code]) for _ in range(3)]
    assert sorted(child.wait(60) for child in children) == [0, 3, 3]


def test_views_can_be_dropped_and_made_again(registry_url):
    with Store.create(registry_url) as store, store.write() as connection:
        views.drop_views(connection)
        views.create_views(connection)
        for name in views.NAMES:
            connection.execute(text(f"SELECT * FROM {name}")).all()
