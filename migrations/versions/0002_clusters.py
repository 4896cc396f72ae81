"""What a registry for a cluster knows besides.

To add a column or a table while this revision is not released, in one commit:

1. `batchml/registry/tables.py`: the column, nullable or with a `server_default`, so that the rows that are there get it
   without being rewritten; an index beside it.
2. `upgrade` here: ``op.add_column(TABLE, Column(...))``, ``op.create_table`` or ``op.create_index``, spelt as in
   `tables.py`; `downgrade`: the opposite, in the opposite order. SQLite drops a column only by copying the table:
   ``with op.batch_alter_table(TABLE) as batch: batch.drop_column(NAME)``.
3. `batchml/registry/views.py` if users are to see it: nothing to do here, since all views are made anew.

A constraint or a default that changes also needs ``batch_alter_table``; that copies the table on SQLite, which takes
seconds for a million rows, and forgets that ids are never used twice unless ``table_kwargs=_NUMBERED`` says so. Columns
are compared by name and type, not by place: `tables.py` may put them where they are best read. `tests/migration`
compares both ways on both databases, with the rows of revision 0001 inside.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Double, ForeignKey, Integer, PrimaryKeyConstraint, Text, UniqueConstraint, text

from batchml.registry.dialects import Id, Time, clean_often, utc_now

revision = "0002"
down_revision = "0001"

_NUMBERED = {"sqlite_autoincrement": True}  # a copy of a table forgets it
_PLANNED = text("ended_at IS NULL AND worker_id IS NULL")
_ENVIRONMENT = ("python", "platform", "cpu", "cpu_level", "cpu_features", "blas", "packages", "code")


def upgrade() -> None:
    """Add them."""
    op.add_column("submission", Column("scheduler_id", Text))
    op.add_column("worker", Column("lease_s", Double, nullable=False, server_default="60"))
    op.create_table(
        "environment",
        Column("id", Id, autoincrement=True, nullable=False),
        Column("digest", Text, nullable=False),
        *(Column(name, Text, nullable=False) for name in _ENVIRONMENT),
        Column("created_at", Time, nullable=False, server_default=utc_now()),
        PrimaryKeyConstraint("id", name="pk_environment"),
        UniqueConstraint("digest", name="uq_environment_digest"),
    )
    key = ForeignKey("environment.id", name="fk_worker_environment_id")
    with op.batch_alter_table("worker", table_kwargs=_NUMBERED) as batch:  # small enough to be copied for a foreign key
        batch.add_column(Column("environment_id", Id, key, nullable=True))
        batch.add_column(Column("allocation", Text))
    op.add_column("result", Column("model_mark", Text))
    op.drop_index("ix_attempt_job_id", "attempt")
    op.create_index("ix_attempt_job_id", "attempt", ["job_id", "id"])
    _add_places()
    _add_spool()
    clean_often(op.get_bind())


def _add_places() -> None:
    """Where attempts ran that were not on their worker's own machine."""
    op.create_table(
        "place",
        Column("id", Id, autoincrement=True, nullable=False),
        Column("worker_id", Id, ForeignKey("worker.id", name="fk_place_worker_id"), nullable=False),
        Column("name", Text, nullable=False),
        Column("host", Text, nullable=False),
        Column("environment_id", Id, ForeignKey("environment.id", name="fk_place_environment_id"), nullable=True),
        PrimaryKeyConstraint("id", name="pk_place"),
        UniqueConstraint("worker_id", "name", name="uq_place_worker_id_name"),
    )


def _add_spool() -> None:
    """Planned attempts: in bundles that go by a shared disk, not yet begun by any worker."""
    op.add_column("resource", Column("spool", Text))
    op.create_table(
        "bundle",
        Column("id", Id, autoincrement=True, nullable=False),
        Column("resource_id", Id, ForeignKey("resource.id", name="fk_bundle_resource_id"), nullable=False),
        Column("n_jobs", Integer, nullable=False),
        Column("created_at", Time, nullable=False, server_default=utc_now()),
        PrimaryKeyConstraint("id", name="pk_bundle"),
        **_NUMBERED,
    )
    with op.batch_alter_table("worker", table_kwargs=_NUMBERED) as batch:
        batch.add_column(Column("segment", Text))
        batch.add_column(Column("synced", Id, nullable=False, server_default="0"))
        batch.create_unique_constraint("uq_worker_segment", ["segment"])
    with op.batch_alter_table("attempt", table_kwargs=_NUMBERED) as batch:
        batch.add_column(Column("bundle_id", Id))
        batch.add_column(Column("place_id", Id, ForeignKey("place.id", name="fk_attempt_place_id"), nullable=True))
        batch.alter_column("worker_id", existing_type=Id, nullable=True)
        batch.alter_column("started_at", existing_type=Time, existing_server_default=utc_now(), nullable=True)
    op.create_index("ix_attempt_planned", "attempt", ["bundle_id"], sqlite_where=_PLANNED, postgresql_where=_PLANNED)


def _drop_spool() -> None:
    op.drop_index("ix_attempt_planned", "attempt")
    op.execute(text("DELETE FROM attempt WHERE worker_id IS NULL"))  # older versions know no such attempts
    op.execute(text("UPDATE attempt SET started_at = ended_at WHERE started_at IS NULL"))
    with op.batch_alter_table("attempt", table_kwargs=_NUMBERED) as batch:
        batch.alter_column("started_at", existing_type=Time, existing_server_default=utc_now(), nullable=False)
        batch.alter_column("worker_id", existing_type=Id, nullable=False)
        batch.drop_column("bundle_id")
        batch.drop_constraint("fk_attempt_place_id", type_="foreignkey")
        batch.drop_column("place_id")
    with op.batch_alter_table("worker", table_kwargs=_NUMBERED) as batch:
        batch.drop_constraint("uq_worker_segment", type_="unique")
        batch.drop_column("synced")
        batch.drop_column("segment")
    op.drop_table("bundle")
    with op.batch_alter_table("resource") as batch:
        batch.drop_column("spool")


def downgrade() -> None:
    """Take them away again."""
    clean_often(op.get_bind(), often=False)
    _drop_spool()
    op.drop_table("place")
    op.drop_index("ix_attempt_job_id", "attempt")
    op.create_index("ix_attempt_job_id", "attempt", ["job_id"])
    with op.batch_alter_table("result") as batch:
        batch.drop_column("model_mark")
    with op.batch_alter_table("worker", table_kwargs=_NUMBERED) as batch:
        batch.drop_constraint("fk_worker_environment_id", type_="foreignkey")
        batch.drop_column("environment_id")
        batch.drop_column("allocation")
    op.drop_table("environment")
    with op.batch_alter_table("worker", table_kwargs=_NUMBERED) as batch:
        batch.drop_column("lease_s")
    with op.batch_alter_table("submission", table_kwargs=_NUMBERED) as batch:
        batch.drop_column("scheduler_id")
