"""The version of the schema: creating, checking and upgrading it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, select

from batchml.errors import NotARegistryError, SchemaError
from batchml.registry import tables, views

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["HEAD", "check_schema", "create_schema", "current_revision", "migrations_folder", "upgrade_schema"]

HEAD = "0002"
"""The revision this code works with. Alembic, which takes long to import, is asked only to upgrade; a test compares."""


def migrations_folder() -> Path:
    """Return the folder with Alembic's environment: in the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise SchemaError(f"the migrations that belong to batchml are missing beside {package}; install batchml again")


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    # Doubled, because Alembic interpolates its options.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def create_schema(connection: Connection) -> None:
    """Create all tables and views in an empty database; equal, by a test, to running all migrations."""
    tables.metadata.create_all(connection, checkfirst=False)
    views.create_views(connection)
    tables.version.create(connection, checkfirst=False)
    connection.execute(tables.version.insert().values(version_num=HEAD))


def upgrade_schema(connection: Connection, revision: str = "head") -> tuple[str, str]:
    """Run the missing migrations in the caller's transaction, and make views anew of which one is gone; return the
    revisions before and after.
    """
    from alembic import command

    before = current_revision(connection) or "none"
    command.upgrade(_config(connection), revision)
    after = current_revision(connection) or "none"
    if after == HEAD and not {*views.NAMES} <= {*inspect(connection).get_view_names()}:
        views.drop_views(connection)
        views.create_views(connection)
    return before, after


def downgrade_schema(connection: Connection, revision: str) -> None:
    """Undo migrations, in the caller's transaction. For tests: data that only the newer schema holds is lost."""
    from alembic import command

    command.downgrade(_config(connection), revision)


def current_revision(connection: Connection) -> str | None:
    """Return the revision of the schema, None if the database holds no registry."""
    if not inspect(connection).has_table(tables.version.name):
        return None
    return connection.execute(select(tables.version.c.version_num)).scalar()


def check_schema(connection: Connection, place: str) -> None:
    """Raise unless this code can work with the database.

    Raises
    ------
    NotARegistryError
        It holds no registry.
    SchemaError
        It is newer or older than this code.
    """
    revision = current_revision(connection)
    if revision is None:
        raise NotARegistryError(
            f"{place} is a database, but no batchml registry yet; if it is empty, `batchml add DESIGN` or "
            "Registry.create(url) makes one"
        )
    if revision > HEAD:
        raise SchemaError(
            f"{place} was written by a newer batchml (schema {revision}, this one knows {HEAD}); upgrade batchml"
        )
    if revision < HEAD:
        raise SchemaError(f"{place} has the older schema {revision}; bring it to {HEAD} by `batchml db upgrade`")
