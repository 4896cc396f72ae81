"""The views: the public interface for SQL, with the same names and columns on every database.

One text serves SQLite and PostgreSQL. Migrations drop all views first and create them last, from here.
"""

from __future__ import annotations

from sqlalchemy import Connection, column, table

__all__ = ["NAMES", "all_jobs", "create_views", "drop_views", "jobs"]

_JOB_COLUMNS = """
    j.id AS job_id,
    {benchmark} AS benchmark,
    j.experiment_id AS experiment_id,
    {labels}.task AS task,
    {labels}.learner AS learner,
    {labels}.resampling AS resampling,
    {labels}.params AS params,
    j.iteration AS iteration,
    j.state AS state,
    a.outcome AS outcome,
    r.completeness AS prediction,
    j.attempts AS attempts,
    COALESCE(p.host, w.host) AS host,
    a.fit_s AS fit_s,
    a.predict_s AS predict_s,
    a.wall_s AS wall_s,
    a.peak_mb AS peak_mb,
    a.started_at AS started_at,
    a.ended_at AS ended_at
"""

# The attempt that a job is known by: the one that brought the result, else the last.
_LAST_ATTEMPT = """
    LEFT JOIN result r ON r.job_id = j.id
    LEFT JOIN attempt a ON a.id = COALESCE(r.attempt_id, (SELECT MAX(l.id) FROM attempt l WHERE l.job_id = j.id))
    LEFT JOIN worker w ON w.id = a.worker_id
    LEFT JOIN place p ON p.id = a.place_id
"""

_JOBS = f"""
SELECT {_JOB_COLUMNS.format(benchmark="b.name", labels="m")}
FROM benchmark b
    JOIN benchmark_experiment m ON m.benchmark_id = b.id
    JOIN job j ON j.experiment_id = m.experiment_id AND j.iteration < m.n_iterations
    {_LAST_ATTEMPT}
"""  # noqa: S608 - parts of this module

# Members under each of their benchmarks, the rest under the labels of the last design that named them.
_ALL_JOBS = f"""
SELECT {_JOB_COLUMNS.format(benchmark="b.name", labels="m")}
FROM benchmark b
    JOIN benchmark_experiment m ON m.benchmark_id = b.id
    JOIN job j ON j.experiment_id = m.experiment_id AND j.iteration < m.n_iterations
    {_LAST_ATTEMPT}
UNION ALL
SELECT {_JOB_COLUMNS.format(benchmark="CAST(NULL AS TEXT)", labels="e")}
FROM experiment e
    JOIN job j ON j.experiment_id = e.id
    {_LAST_ATTEMPT}
WHERE NOT EXISTS (SELECT 1 FROM benchmark_experiment m WHERE m.experiment_id = j.experiment_id AND j.iteration <
m.n_iterations)
"""  # noqa: S608 - parts of this module

_SCORES = """
SELECT
    j.id AS job_id,
    b.name AS benchmark,
    j.experiment_id AS experiment_id,
    m.task AS task,
    m.learner AS learner,
    m.resampling AS resampling,
    m.params AS params,
    j.iteration AS iteration,
    q.name AS measure,
    CASE WHEN s.kind IS NULL THEN 'missing' WHEN s.kind IN ('pos_inf', 'neg_inf') THEN 'inf' ELSE s.kind END AS kind,
    s.value AS value,
    COALESCE(r.n_imputed, 0) AS n_imputed
FROM benchmark b
    JOIN benchmark_experiment m ON m.benchmark_id = b.id
    JOIN job j ON j.experiment_id = m.experiment_id AND j.iteration < m.n_iterations
    JOIN benchmark_measure q ON q.benchmark_id = b.id
    LEFT JOIN result r ON r.job_id = j.id
    LEFT JOIN score s ON s.job_id = j.id AND s.measure_id = q.measure_id
WHERE j.state <> 'defined'
"""

# Deviations are taken from the mean of the cell, not by the textbook difference of squares, which cancels.
_AGGREGATES = """
SELECT
    d.benchmark AS benchmark,
    d.experiment_id AS experiment_id,
    d.task AS task,
    d.learner AS learner,
    d.resampling AS resampling,
    d.params AS params,
    d.measure AS measure,
    CASE WHEN COUNT(d.value) = COUNT(*) THEN AVG(d.value) END AS mean,
    CASE WHEN COUNT(d.value) = COUNT(*) AND COUNT(*) > 1
        THEN SQRT(SUM((d.value - d.centre) * (d.value - d.centre)) / (COUNT(*) - 1)) END AS sd,
    COUNT(*) AS n,
    SUM(CASE WHEN d.kind = 'missing' THEN 1 ELSE 0 END) AS n_missing,
    SUM(CASE WHEN d.n_imputed > 0 THEN 1 ELSE 0 END) AS n_imputed,
    CASE WHEN SUM(CASE WHEN d.kind IN ('nan', 'inf') THEN 1 ELSE 0 END) = 0 THEN AVG(d.value) END AS mean_finished
FROM (
    SELECT s.*, AVG(s.value) OVER (PARTITION BY s.benchmark, s.experiment_id, s.measure) AS centre
    FROM scores s
) d
GROUP BY d.benchmark, d.experiment_id, d.task, d.learner, d.resampling, d.params, d.measure
"""

# An exception that ended its attempt is also a condition of it: one row, with the stage.
_ERRORS = """
SELECT
    j.id AS job_id,
    a.id AS attempt_id,
    b.name AS benchmark,
    m.task AS task,
    m.learner AS learner,
    m.resampling AS resampling,
    j.iteration AS iteration,
    a.outcome AS outcome,
    f.stage AS stage,
    f.level AS level,
    f.message AS message,
    f.fingerprint AS fingerprint
FROM (
    SELECT c.attempt_id, c.stage, c.level, c.message, c.fingerprint
    FROM condition c
    WHERE c.level = 'error'
    UNION ALL
    SELECT x.id, 'job', 'error', COALESCE(x.message, x.outcome), x.fingerprint
    FROM attempt x
    WHERE x.fingerprint IS NOT NULL
        AND NOT EXISTS (
            SELECT 1 FROM condition c WHERE c.attempt_id = x.id AND c.level = 'error' AND c.fingerprint = x.fingerprint
        )
) f
    JOIN attempt a ON a.id = f.attempt_id
    JOIN job j ON j.id = a.job_id
    JOIN benchmark_experiment m ON m.experiment_id = j.experiment_id AND j.iteration < m.n_iterations
    JOIN benchmark b ON b.id = m.benchmark_id
"""

_CONDITIONS = """
SELECT
    j.id AS job_id,
    a.id AS attempt_id,
    m.task AS task,
    m.learner AS learner,
    m.resampling AS resampling,
    j.iteration AS iteration,
    c.stage AS stage,
    c.level AS level,
    c.message AS message
FROM condition c
    JOIN attempt a ON a.id = c.attempt_id
    JOIN job j ON j.id = a.job_id
    JOIN benchmark_experiment m ON m.experiment_id = j.experiment_id AND j.iteration < m.n_iterations
WHERE m.benchmark_id = (
    SELECT MIN(o.benchmark_id)
    FROM benchmark_experiment o
    WHERE o.experiment_id = j.experiment_id AND j.iteration < o.n_iterations
)
"""

_COVERAGE = """
SELECT
    b.name AS benchmark,
    m.task AS task,
    m.learner AS learner,
    m.resampling AS resampling,
    COUNT(*) AS defined,
    SUM(CASE WHEN j.state = 'done' THEN 1 ELSE 0 END) AS done,
    SUM(CASE WHEN j.state = 'error' THEN 1 ELSE 0 END) AS error,
    SUM(CASE WHEN j.state = 'cancelled' THEN 1 ELSE 0 END) AS cancelled,
    SUM(CASE WHEN j.state = 'done' THEN 0 ELSE 1 END) AS missing
FROM benchmark b
    JOIN benchmark_experiment m ON m.benchmark_id = b.id
    JOIN job j ON j.experiment_id = m.experiment_id AND j.iteration < m.n_iterations
GROUP BY b.name, m.task, m.learner, m.resampling
"""

_RUNTIMES = """
WITH one AS (
    SELECT DISTINCT m.task, m.learner, j.id AS job_id, a.fit_s, a.predict_s, a.peak_mb
    FROM benchmark_experiment m
        JOIN job j ON j.experiment_id = m.experiment_id AND j.iteration < m.n_iterations
        JOIN result r ON r.job_id = j.id
        JOIN attempt a ON a.id = r.attempt_id
), ranked AS (
    SELECT
        task, learner, fit_s, predict_s, peak_mb,
        ROW_NUMBER() OVER (PARTITION BY task, learner ORDER BY fit_s) AS fit_rank,
        ROW_NUMBER() OVER (PARTITION BY task, learner ORDER BY predict_s) AS predict_rank,
        COUNT(*) OVER (PARTITION BY task, learner) AS n
    FROM one
)
SELECT
    task AS task,
    learner AS learner,
    MAX(n) AS n_jobs,
    AVG(CASE WHEN 2 * fit_rank BETWEEN n AND n + 2 THEN fit_s END) AS fit_s_median,
    AVG(CASE WHEN 2 * predict_rank BETWEEN n AND n + 2 THEN predict_s END) AS predict_s_median,
    MAX(peak_mb) AS peak_mb_max
FROM ranked
GROUP BY task, learner
"""

_WORKERS = """
SELECT
    w.id AS worker_id,
    w.submission_id AS submission_id,
    s.executor AS executor,
    w.host AS host,
    w.pid AS pid,
    w.state AS state,
    w.heartbeat_at AS heartbeat_at,
    w.environment_id AS environment_id,
    w.allocation AS allocation,
    w.scheduler_id AS scheduler_id,
    w.slots AS slots,
    w.reason AS reason
FROM worker w
    JOIN submission s ON s.id = w.submission_id
"""

_ENVIRONMENTS = """
SELECT
    e.id AS environment_id,
    e.python AS python,
    e.platform AS platform,
    e.cpu AS cpu,
    e.cpu_level AS cpu_level,
    e.blas AS blas,
    e.packages AS packages,
    e.code AS code,
    (SELECT COUNT(*) FROM worker w WHERE w.environment_id = e.id)
        + (SELECT COUNT(*) FROM place p WHERE p.environment_id = e.id) AS n_workers,
    (
        SELECT COUNT(*)
        FROM result r
            JOIN attempt a ON a.id = r.attempt_id
            JOIN worker w ON w.id = a.worker_id
            LEFT JOIN place p ON p.id = a.place_id
        WHERE CASE WHEN p.id IS NULL THEN w.environment_id ELSE p.environment_id END = e.id
    ) AS n_jobs
FROM environment e
"""

_VIEWS = {
    "jobs": _JOBS,
    "all_jobs": _ALL_JOBS,
    "scores": _SCORES,
    "aggregates": _AGGREGATES,
    "errors": _ERRORS,
    "conditions": _CONDITIONS,
    "coverage": _COVERAGE,
    "runtimes": _RUNTIMES,
    "workers": _WORKERS,
    "environments": _ENVIRONMENTS,
}

NAMES = tuple(_VIEWS)
"""The names of all views, in the order of their creation."""

_JOB_NAMES = [
    "job_id",
    "benchmark",
    "experiment_id",
    "task",
    "learner",
    "resampling",
    "params",
    "iteration",
    "state",
    "outcome",
    "prediction",
    "attempts",
    "host",
    "fit_s",
    "predict_s",
    "wall_s",
    "peak_mb",
    "started_at",
    "ended_at",
]

jobs = table("jobs", *(column(name) for name in _JOB_NAMES))
"""The view of that name, for statements."""

all_jobs = table("all_jobs", *(column(name) for name in _JOB_NAMES))
"""The view of that name, for statements."""


def create_views(connection: Connection) -> None:
    """Create all views."""
    for name, body in _VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {body}")


def drop_views(connection: Connection) -> None:
    """Drop all views, also those of other versions: batch migrations of SQLite fail while one names a table they
    rebuild.
    """
    for name in reversed(NAMES):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
