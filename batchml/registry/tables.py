"""The tables. They may change from version to version: what users rely on are the views (`views.py`).

Every rule that a row must keep is a constraint here, because bulk statements pass the Python code by.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from batchml.registry.dialects import CLEANED_OFTEN, Id, Json, Time, utc_now

__all__ = [
    "attempt",
    "benchmark",
    "benchmark_experiment",
    "benchmark_measure",
    "bundle",
    "condition",
    "environment",
    "experiment",
    "job",
    "job_tag",
    "log",
    "metadata",
    "prediction",
    "registry",
    "resource",
    "result",
    "score",
    "spec",
    "submission",
    "version",
    "worker",
]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _words(column: str, *words: str) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


def _flag(name: str) -> Column[Any]:
    return Column(
        name,
        SmallInteger,
        CheckConstraint(f"{name} IN (0, 1)", name=f"{name}_is_flag"),
        nullable=False,
        server_default="0",
    )


def _count(name: str) -> Column[Any]:
    return Column(
        name, SmallInteger, CheckConstraint(f"{name} >= 0", name=f"{name}_counts"), nullable=False, server_default="0"
    )


def _id(
    name: str, target: str, *, nullable: bool = False, ondelete: str | None = None, primary_key: bool = False
) -> Column[Any]:
    return Column(name, Id, ForeignKey(target, ondelete=ondelete), nullable=nullable, primary_key=primary_key)


# As Alembic writes it, and outside the metadata that it compares.
version = Table(
    "batchml_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="batchml_version_pkc"),
)

registry = Table(
    "registry",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
    Column("uuid", Text, nullable=False),
    Column("root_seed", Id, nullable=False),
    Column("artifacts", Text),  # NULL: the default place beside the file, wherever that was moved
    # Raised by every change of designs, so that a worker knows when the specs it holds are old.
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("created_at", Time, nullable=False, server_default=utc_now()),
)

spec = Table(
    "spec",
    metadata,
    Column("id", Id, primary_key=True),
    Column(
        "kind",
        Text,
        CheckConstraint(
            _words("kind", "task", "model", "policy", "resampling", "measure", "source"), name="known_kind"
        ),
        nullable=False,
    ),
    Column("digest", Text, nullable=False),
    Column("body", Json, nullable=False),
    Column("created_at", Time, nullable=False, server_default=utc_now()),
    UniqueConstraint("kind", "digest"),
)

# A cell with its root seed. Labels are those of the last design that named it; they identify nothing.
experiment = Table(
    "experiment",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("cell_digest", Text, nullable=False),
    Column("seed", Id, nullable=False),
    _id("task_id", "spec.id"),
    _id("model_id", "spec.id"),
    _id("policy_id", "spec.id"),
    # The member of the resampling's family with the most iterations asked for so far.
    _id("resampling_id", "spec.id"),
    _id("source_id", "spec.id", nullable=True),
    Column("n_iterations", Integer, CheckConstraint("n_iterations > 0", name="some_iterations"), nullable=False),
    # Iterations 0 .. n_jobs - 1 have their row in `job`: written with them, so that an interrupted add is completed by
    # the next.
    Column("n_jobs", Integer, CheckConstraint("n_jobs >= 0", name="n_jobs_counts"), nullable=False, server_default="0"),
    Column("task", Text, nullable=False),
    Column("learner", Text, nullable=False),
    Column("resampling", Text, nullable=False),
    Column("params", Text, nullable=False, server_default="{}"),
)
Index("ix_experiment_task_id", experiment.c.task_id)
Index("ix_experiment_model_id", experiment.c.model_id)

benchmark = Table(
    "benchmark",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("modules", Json, nullable=False),
    Column("paths", Json, nullable=False),
    Column("retry", Json, nullable=False, server_default="{}"),  # the policy of `batchml.core.retry`
    Column("created_at", Time, nullable=False, server_default=utc_now()),
    Column("changed_at", Time, nullable=False, server_default=utc_now()),
)

benchmark_experiment = Table(
    "benchmark_experiment",
    metadata,
    _id("benchmark_id", "benchmark.id", ondelete="CASCADE", primary_key=True),
    _id("experiment_id", "experiment.id", primary_key=True),
    Column("position", Integer, nullable=False),
    Column("n_iterations", Integer, CheckConstraint("n_iterations > 0", name="some_iterations"), nullable=False),
    _id("resampling_id", "spec.id"),
    Column("task", Text, nullable=False),
    Column("learner", Text, nullable=False),
    Column("resampling", Text, nullable=False),
    Column("params", Text, nullable=False, server_default="{}"),
)
Index("ix_benchmark_experiment_experiment_id", benchmark_experiment.c.experiment_id)

benchmark_measure = Table(
    "benchmark_measure",
    metadata,
    _id("benchmark_id", "benchmark.id", ondelete="CASCADE", primary_key=True),
    _id("measure_id", "spec.id", primary_key=True),
    Column("position", Integer, nullable=False),
    Column("name", Text, nullable=False),
)

resource = Table(
    "resource",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("body", Json, nullable=False),
    # The folder through which workers that reach no database are served, until all that was in it has been taken.
    Column("spool", Text),
)

submission = Table(
    "submission",
    metadata,
    Column("id", Id, primary_key=True),
    _id("resource_id", "resource.id"),
    Column("executor", Text, nullable=False),
    Column("settings", Json, nullable=False),
    # What a scheduler calls the workers that were started for it: "12@cluster 13@cluster", the numbers of job arrays.
    Column("scheduler_id", Text),
    Column("created_at", Time, nullable=False, server_default=utc_now()),
    sqlite_autoincrement=True,
)

# Jobs that were written down together for a worker that reaches no database: a file of the spool, named by the id.
bundle = Table(
    "bundle",
    metadata,
    Column("id", Id, primary_key=True),
    _id("resource_id", "resource.id"),
    Column("n_jobs", Integer, nullable=False),
    Column("created_at", Time, nullable=False, server_default=utc_now()),
    sqlite_autoincrement=True,
)

# What results depend on besides their specs; equal machines share a row.
environment = Table(
    "environment",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    *(
        Column(name, Text, nullable=False)
        for name in ("python", "platform", "cpu", "cpu_level", "cpu_features", "blas", "packages", "code")
    ),
    Column("created_at", Time, nullable=False, server_default=utc_now()),
)

worker = Table(
    "worker",
    metadata,
    Column("id", Id, primary_key=True),
    _id("submission_id", "submission.id"),
    _id("environment_id", "environment.id", nullable=True),  # NULL until it is known, some seconds after the start
    Column("allocation", Text),  # what its scheduler calls it: JSON
    Column("host", Text, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_start", Id, nullable=False),
    Column("pid_ns", Text, nullable=False),
    Column("scheduler_id", Text),
    Column("incarnation", Integer, nullable=False, server_default="0"),
    # The file of a worker that reaches no database, and how many of its bytes have been taken into the registry.
    Column("segment", Text, unique=True),
    Column("synced", Id, nullable=False, server_default="0"),
    Column("slots", Integer, CheckConstraint("slots > 0", name="some_slots"), nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint(_words("state", "running", "draining", "stopped", "lost"), name="known_state"),
        nullable=False,
        server_default="running",
    ),
    Column(
        "wanted",
        Text,
        CheckConstraint(_words("wanted", "go_on", "drain", "stop"), name="known_order"),
        nullable=False,
        server_default="go_on",
    ),
    Column("reason", Text),
    # Seconds of CLOCK_BOOTTIME on SQLite, of the server's clock on PostgreSQL: what leases are reckoned by.
    Column("beat_s", Double, nullable=False),
    # A worker that was not heard of for so long may be presumed dead.
    Column("lease_s", Double, nullable=False, server_default="60"),
    Column("started_at", Time, nullable=False, server_default=utc_now()),
    Column("heartbeat_at", Time, nullable=False, server_default=utc_now()),
    Column("stopped_at", Time),
    CheckConstraint("(stopped_at IS NULL) = (state IN ('running', 'draining'))", name="ended_is_stopped"),
    sqlite_autoincrement=True,
)
Index(
    "ix_worker_live",
    worker.c.submission_id,
    sqlite_where=text("stopped_at IS NULL"),
    postgresql_where=text("stopped_at IS NULL"),
)

# Where attempts run that are not on their worker's own machine: the workers of a Dask cluster.
place = Table(
    "place",
    metadata,
    Column("id", Id, primary_key=True),
    _id("worker_id", "worker.id"),
    Column("name", Text, nullable=False),  # its address
    Column("host", Text, nullable=False),
    _id("environment_id", "environment.id", nullable=True),
    UniqueConstraint("worker_id", "name"),
)

job = Table(
    "job",
    metadata,
    Column("id", Id, primary_key=True),
    _id("experiment_id", "experiment.id"),
    Column("iteration", Integer, CheckConstraint("iteration >= 0", name="iteration_counts"), nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint(
            _words("state", "defined", "queued", "running", "done", "error", "cancelled"), name="known_state"
        ),
        nullable=False,
        server_default="defined",
    ),
    _id("submission_id", "submission.id", nullable=True),
    _id("resource_id", "resource.id", nullable=True),
    Column("priority", SmallInteger, nullable=False, server_default="0"),
    # `reset`, `cancel` and a re-run raise it: what an attempt of an older generation brings is dropped.
    Column("generation", Integer, nullable=False, server_default="0"),
    _count("attempts"),
    _count("charged"),
    _count("hiccups"),  # attempts in a row that ended as `infrastructure`
    _count("lost_alone"),
    _flag("suspect"),
    Column("not_before", Double),  # epoch seconds by the database's clock
    UniqueConstraint("experiment_id", "iteration"),
    CheckConstraint("state IN ('defined', 'cancelled') OR resource_id IS NOT NULL", name="submitted_has_resource"),
    sqlite_autoincrement=True,
    postgresql_with={"fillfactor": "70"} | CLEANED_OFTEN,
)
_queued = text("state = 'queued'")
Index(
    "ix_job_claim",
    job.c.resource_id,
    job.c.suspect,
    job.c.priority.desc(),
    job.c.id,
    sqlite_where=_queued,
    postgresql_where=_queued,
)
Index("ix_job_state", job.c.state, job.c.experiment_id)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Id, primary_key=True),  # the fencing token: never used twice
    _id("job_id", "job.id", ondelete="CASCADE"),
    _id("worker_id", "worker.id", nullable=True),  # NULL while it is planned: in a bundle that nobody has begun
    _id("policy_id", "spec.id"),
    _id("source_id", "spec.id", nullable=True),
    Column("bundle_id", Id),
    _id("place_id", "place.id", nullable=True),  # NULL on the worker's own machine
    Column("generation", Integer, nullable=False),
    _flag("alone"),
    # Closed by somebody else while its worker may still run it: told to the worker until it answers.
    _flag("recalled"),
    Column("started_at", Time, server_default=utc_now()),  # NULL while it is planned
    Column("ended_at", Time),
    Column(
        "outcome",
        Text,
        CheckConstraint(
            _words(
                "outcome",
                "done",
                "learner_error",
                "config_error",
                "timeout",
                "out_of_memory",
                "crashed",
                "lost",
                "infrastructure",
                "preempted",
                "released",
                "superseded",
                "cancelled",
            ),
            name="known_outcome",
        ),
    ),
    Column("signal", SmallInteger),
    Column("error_type", Text),
    Column("message", Text, CheckConstraint("length(message) <= 2000", name="message_is_short")),
    Column("traceback", Text, CheckConstraint("length(traceback) <= 20000", name="traceback_is_short")),
    Column("fingerprint", Text),
    Column("fit_s", Double),
    Column("predict_s", Double),
    Column("wall_s", Double),
    Column("cpu_s", Double),
    Column("peak_mb", Double),
    Column("threads", SmallInteger),
    Column("dirty", Text),
    CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ended_with_outcome"),
    sqlite_autoincrement=True,
)
_open = text("ended_at IS NULL")
_recalled = text("recalled = 1")
# With the id: PostgreSQL looks for a job's last attempt from the end of the table where that seems to be near.
Index("ix_attempt_job_id", attempt.c.job_id, attempt.c.id)
Index("uq_attempt_open", attempt.c.job_id, unique=True, sqlite_where=_open, postgresql_where=_open)
Index("ix_attempt_open", attempt.c.worker_id, sqlite_where=_open, postgresql_where=_open)
_planned = text("ended_at IS NULL AND worker_id IS NULL")
Index("ix_attempt_planned", attempt.c.bundle_id, sqlite_where=_planned, postgresql_where=_planned)
Index("ix_attempt_recalled", attempt.c.worker_id, sqlite_where=_recalled, postgresql_where=_recalled)

result = Table(
    "result",
    metadata,
    Column("job_id", Id, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("attempt_id", Id, ForeignKey("attempt.id"), nullable=False, unique=True),
    Column(
        "completeness",
        Text,
        CheckConstraint(_words("completeness", "full", "partial", "imputed", "none"), name="known_word"),
        nullable=False,
    ),
    Column("n", Integer, nullable=False),
    Column("n_missing", Integer, nullable=False, server_default="0"),
    Column("n_imputed", Integer, nullable=False, server_default="0"),
    Column("model", Text),  # digest of the stored model
    Column("model_mark", Text),  # its signature, and by which key
)

score = Table(
    "score",
    metadata,
    Column("job_id", Id, ForeignKey("result.job_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    _id("measure_id", "spec.id", primary_key=True),
    Column(
        "kind",
        Text,
        CheckConstraint(_words("kind", "finite", "nan", "pos_inf", "neg_inf"), name="known_kind"),
        nullable=False,
    ),
    Column("value", Double),
    # SQLite turns NaN into NULL and PostgreSQL keeps it: hence a kind beside the value.
    CheckConstraint("(kind = 'finite') = (value IS NOT NULL)", name="finite_has_value"),
    sqlite_with_rowid=False,
)

prediction = Table(
    "prediction",
    metadata,
    Column("job_id", Id, ForeignKey("result.job_id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("predict_set", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

condition = Table(
    "condition",
    metadata,
    Column("attempt_id", Id, ForeignKey("attempt.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column(
        "stage",
        Text,
        CheckConstraint(_words("stage", "setup", "train", "predict", "score", "job"), name="known_stage"),
        nullable=False,
    ),
    Column(
        "level",
        Text,
        CheckConstraint(_words("level", "output", "warning", "error"), name="known_level"),
        nullable=False,
    ),
    Column("kind", Text, nullable=False, server_default=""),
    Column("message", Text, CheckConstraint("length(message) <= 2000", name="message_is_short"), nullable=False),
    Column("traceback", Text, CheckConstraint("length(traceback) <= 20000", name="traceback_is_short")),
    Column("fingerprint", Text, nullable=False),
    sqlite_with_rowid=False,
)
_error = text("level = 'error'")
Index("ix_condition_error", condition.c.attempt_id, sqlite_where=_error, postgresql_where=_error)

log = Table(
    "log",
    metadata,
    Column("attempt_id", Id, ForeignKey("attempt.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)

job_tag = Table(
    "job_tag",
    metadata,
    Column("job_id", Id, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("tag", Text, CheckConstraint("length(tag) BETWEEN 1 AND 200", name="tag_is_short"), primary_key=True),
    sqlite_with_rowid=False,
)
Index("ix_job_tag_tag", job_tag.c.tag, job_tag.c.job_id)
