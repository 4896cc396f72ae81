"""Which jobs are meant: ids, or a table of jobs."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from batchml.arguments import shown
from batchml.errors import ConfigError, DesignError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from batchml.experiment.design import BenchmarkDesign

    Jobs = int | Iterable[int] | pd.DataFrame

__all__ = ["job_id", "job_ids", "the_design"]


def job_ids(jobs: Jobs) -> list[int]:
    """Return job ids, once each.

    Raises
    ------
    ConfigError
        They are no whole numbers, or a frame without ``job_id``.
    """
    given: Any = jobs
    if hasattr(given, "columns"):
        if "job_id" not in given.columns:
            raise ConfigError("jobs are ids or a frame with a column job_id, as jobs() returns it")
        given = given["job_id"]
    listed = list(given) if hasattr(given, "__iter__") else [given]
    if not all(type(each) is int for each in listed):  # most are, and there may be a million
        try:
            listed = [job_id(each) for each in listed]
        except ConfigError:
            raise ConfigError(f"jobs are whole numbers or a frame with a column job_id, not {shown(jobs)}") from None
    return list(dict.fromkeys(listed))


def job_id(job: Any) -> int:
    """Return the id of one job.

    Raises
    ------
    ConfigError
        It is no whole number. True is none: a column of them, as comparing gives it, names no jobs.
    """
    try:
        number = operator.index(job)
    except TypeError:
        number = None
    if number is None or isinstance(job, bool):
        raise ConfigError(f"a job is named by a whole number, not by {shown(job)}")
    return number


def the_design(design: Any) -> BenchmarkDesign:
    """Return the design.

    Raises
    ------
    DesignError
        It is something else.
    """
    from batchml.experiment.design import BenchmarkDesign

    if not isinstance(design, BenchmarkDesign):
        raise DesignError(f"a design is what benchmark_grid(tasks, learners, resamplings) returns, not {design!r:.60}")
    return design
