"""Query results as pandas tables, the same from both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from sqlalchemy import Connection, Executable

__all__ = ["as_frame", "read_frame"]

_COUNTS = ("job_id", "attempt_id", "experiment_id", "iteration", "attempts", "worker_id", "submission_id", "pid")
_SECONDS = ("fit_s", "predict_s", "wall_s", "cpu_s", "peak_mb", "value", "mean", "sd")
_MOMENTS = ("started_at", "ended_at", "heartbeat_at", "created_at", "changed_at", "stopped_at")


def as_frame(names: list[str], rows: list[Any]) -> pd.DataFrame:
    """Return rows as a table; moments become UTC timestamps, known measurements floats also where all are NULL."""
    import pandas as pd

    frame = pd.DataFrame.from_records([tuple(row) for row in rows], columns=names)
    for name in names:
        if name in _MOMENTS:
            frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601" if frame[name].dtype != "O" else None)
        elif name in _SECONDS:
            frame[name] = frame[name].astype("float64")
        elif name in _COUNTS and (frame.empty or not frame[name].isna().any()):
            frame[name] = frame[name].astype("int64")
    return frame


def read_frame(connection: Connection, statement: Executable, values: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Run a statement and return its rows as a table."""
    found = connection.execute(statement, dict(values or {}))
    return as_frame(list(found.keys()), list(found.all()))
