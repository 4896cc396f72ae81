"""Alembic's environment: runs the migrations in the transaction of a given connection, with all views out of the
way.
"""

from __future__ import annotations

from alembic import context

from batchml.registry import tables, views

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=tables.metadata,
    version_table=tables.version.name,
    transactional_ddl=True,
    render_as_batch=True,
)
# Views first, tables next: batch migrations of SQLite fail while a view names a table that is being rebuilt.
views.drop_views(connection)
with context.begin_transaction():
    context.run_migrations()
if context.get_context().get_current_revision() == context.script.get_current_head():
    views.create_views(connection)
