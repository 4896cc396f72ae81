"""The migrations lead to the tables that the code uses, and back, with rows inside."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from batchml.errors import NotARegistryError, SchemaError
from batchml.registry import engine, schema, tables, views
from batchml.registry.specs import put_specs
from batchml.registry.store import Store, upgrade


def url(path):
    return f"sqlite:///{path}"


def migrated(path, revision="head"):
    """Make a database by running migrations from nothing."""
    place = engine.parse_url(url(path))
    made = engine.connect(place, "create")
    with made.connect() as connection, engine.writing(connection).begin():
        schema.upgrade_schema(connection, revision)
    made.dispose()


def definitions(path):
    connection = sqlite3.connect(path)
    try:
        return sorted(connection.execute("SELECT type, name, sql FROM sqlite_schema"))
    finally:
        connection.close()


def test_the_head_that_the_code_knows_is_the_last_migration():
    from alembic.script import ScriptDirectory

    assert ScriptDirectory(str(schema.migrations_folder())).get_current_head() == schema.HEAD


def test_all_migrations_give_the_schema_that_create_makes(tmp_path):
    Store.create(url(tmp_path / "created.db")).close()
    migrated(tmp_path / "migrated.db")
    assert definitions(tmp_path / "migrated.db") == definitions(tmp_path / "created.db")


def test_alembic_finds_no_difference_between_migrations_and_tables(tmp_path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    migrated(tmp_path / "a.db")
    made = engine.connect(engine.parse_url(url(tmp_path / "a.db")), "write")
    with made.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": tables.version.name})
        assert compare_metadata(context, tables.metadata) == []
    made.dispose()


def test_down_and_up_again_gives_the_same_schema(tmp_path):
    path = tmp_path / "a.db"
    migrated(path)
    before = definitions(path)
    made = engine.connect(engine.parse_url(url(path)), "write")
    with made.connect() as connection, engine.writing(connection).begin():
        schema.downgrade_schema(connection, "base")
    made.dispose()
    left = {name for kind, name, _ in definitions(path) if kind in {"table", "view"} and not name.startswith("sqlite_")}
    assert left == {"batchml_version"}
    migrated(path)
    assert definitions(path) == before


def test_an_upgrade_of_a_current_registry_keeps_rows_and_views(tmp_path):
    path = tmp_path / "a.db"
    with Store.create(url(path), seed=3) as store, store.write() as connection:
        put_specs(connection, "measure", {"m": {"key": "classif.acc"}})
    before = definitions(path)
    assert upgrade(url(path)) == (schema.HEAD, schema.HEAD)
    assert definitions(path) == before
    with Store.open(url(path)) as store, store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM spec").scalar() == 1
        assert store.root_seed == 3


def set_revision(path, revision):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE batchml_version SET version_num = ?", (revision,))
    connection.close()


def test_a_newer_schema_is_refused_by_name(tmp_path):
    Store.create(url(tmp_path / "a.db")).close()
    set_revision(tmp_path / "a.db", "9999")
    with pytest.raises(SchemaError, match=r"newer batchml.*9999.*upgrade batchml"):
        Store.open(url(tmp_path / "a.db"))
    with pytest.raises(SchemaError, match="newer"):
        upgrade(url(tmp_path / "a.db"))


def test_an_older_schema_names_the_command_that_upgrades(tmp_path):
    Store.create(url(tmp_path / "a.db")).close()
    set_revision(tmp_path / "a.db", "0000")
    with pytest.raises(SchemaError, match="batchml db upgrade"):
        Store.open(url(tmp_path / "a.db"))


def test_another_database_is_not_upgraded(tmp_path):
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    before = definitions(tmp_path / "other.db")
    with pytest.raises(NotARegistryError):
        upgrade(url(tmp_path / "other.db"))
    assert definitions(tmp_path / "other.db") == before


def test_upgrades_at_the_same_time_wait_for_each_other(tmp_path):
    path = tmp_path / "a.db"
    Store.create(url(path)).close()
    before = definitions(path)
    code = f"from batchml.registry.store import upgrade; print(upgrade({url(path)!r}))"
    children = [subprocess.Popen([sys.executable, "-W", "error", "-c", code]) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert definitions(path) == before


def test_views_can_be_dropped_and_made_again(tmp_path):
    with Store.create(url(tmp_path / "a.db")) as store, store.write() as connection:
        views.drop_views(connection)
        views.create_views(connection)
        for name in views.NAMES:
            connection.exec_driver_sql(f"SELECT * FROM {name}").all()
