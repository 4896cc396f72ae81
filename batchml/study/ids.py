"""Which jobs are meant: ids, or a table of jobs."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError, DesignError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from batchml.experiment.design import BenchmarkDesign

    Jobs = int | Iterable[int] | pd.DataFrame

__all__ = ["job_ids", "the_design"]


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
    try:
        return list(dict.fromkeys(operator.index(each) for each in listed))
    except TypeError:
        raise ConfigError(f"jobs are whole numbers or a frame with a column job_id, not {jobs!r:.60}") from None


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
