"""Turn what a registry holds into a `BenchmarkResult`: columns now, predictions when they are asked for."""

from __future__ import annotations

import copy
import functools
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.errors import ConfigError, IncompleteError, UnknownKeyError
from batchml.experiment.result import BenchmarkResult
from batchml.experiment.scoring import measure_key
from batchml.experiment.table import CELL_COLUMNS, JOB_COLUMNS, ResultTable
from batchml.reduce.source import RegistrySource
from batchml.registry import reduction
from batchml.registry.finding import STATES
from batchml.registry.recorded import read_condition_counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from batchml.core.measure import Measure
    from batchml.core.trust import Trust
    from batchml.registry.reduction import Member
    from batchml.registry.store import Store

__all__ = ["reduce"]


def reduce(
    store: Store,
    jobs: Any = None,
    benchmark: str | None = None,
    strict: bool = False,  # noqa: FBT001, FBT002  (positional in API.md)
    *,
    trust: Trust | None = None,
    open_models: bool = False,
) -> BenchmarkResult:
    """Return the results of a benchmark's current members, of all benchmarks by default.

    Scores that were stored are not computed again, and no prediction is read. What has no result stays in as such.

    Parameters
    ----------
    jobs
        Ids, or a frame with ``job_id``: only these.
    strict
        Raise if any of the jobs has no result.
    open_models
        Whether stored models, which are pickles, may be opened.

    Raises
    ------
    IncompleteError
        With `strict`, naming how many are missing and why.
    UnknownKeyError
        For a benchmark or job that is not there.
    """
    benchmarks = reduction.read_benchmarks(store, benchmark)
    members = reduction.read_members(store, benchmarks)
    frame = _job_frame(store, benchmarks, members)
    if jobs is not None:
        frame = _only(frame, _ids(jobs))
    if strict:
        _require_complete(frame)
    cells = _cell_frame(members)
    _refuse_mixed_types(store, members)
    source = RegistrySource(store, members, frame, benchmarks, trust, open_models=open_models)
    measures = _measures(store, benchmarks, trust)
    scores, unscored = _scores(store, frame, measures)
    table = ResultTable(
        cells=cells,
        jobs=frame[list(JOB_COLUMNS)],
        sources=(source,),
        scores=scores,
        unscored=unscored,
        measures=tuple(measure for _, measure in measures),
        seed=_one_seed(members),
    )
    if jobs is not None:
        table = table.where(np.ones(len(frame), dtype=bool))
    return BenchmarkResult(table)


def _cell_frame(members: Sequence[Member]) -> pd.DataFrame:
    import pandas as pd

    params = functools.cache(json.loads)  # of a hundred thousand cells most have the same
    labels = {name: [getattr(one, name) for one in members] for name in ("task", "learner", "resampling", "digest")}
    settings = [{} if one.params == "{}" else copy.deepcopy(params(one.params)) for one in members]
    columns = {**labels, "params": pd.Series(settings, dtype=object), "source": 0, "key": np.arange(len(members))}
    return pd.DataFrame(columns, columns=list(CELL_COLUMNS))


def _job_frame(store: Store, benchmarks: Sequence[int], members: Sequence[Member]) -> pd.DataFrame:
    """Return `JOB_COLUMNS`, ``job_id`` and ``attempt`` of all jobs, in design order."""
    import pandas as pd

    jobs = reduction.read_jobs(store, benchmarks)
    jobs["cell"] = _places(jobs.pop("experiment"), np.array([member.id for member in members], dtype=np.int64))
    order = np.lexsort((jobs["iteration"], jobs["cell"]))
    order = order[jobs["cell"][order] >= 0]  # somebody may have added cells since the members were read
    jobs = {name: values[order] for name, values in jobs.items()}
    jobs["n_warnings"], jobs["n_errors"] = _condition_counts(store, jobs)
    jobs["source"] = np.zeros(len(order), dtype=np.int64)
    jobs["key"] = jobs["cell"].copy()
    states = pd.array(STATES, dtype="str").take(jobs.pop("state"))
    return pd.DataFrame({**jobs, "state": states}, copy=False)


def _places(ids: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each of the ids stands among the known ones, -1 if it does not."""
    if not len(known):
        return np.full(len(ids), -1)
    order = np.argsort(known)
    place = order[np.searchsorted(known, ids, sorter=order).clip(max=len(known) - 1)]
    return np.where(known[place] == ids, place, -1)


def _condition_counts(store: Store, columns: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return numbers of warnings and errors of the jobs; one that failed without a recorded error has its ending."""
    known = columns["attempt"]
    has = known > 0
    warned, failed = np.zeros(len(known), dtype=np.int64), np.zeros(len(known), dtype=np.int64)
    if has.any():
        attempts, *counts = read_condition_counts(store, int(known[has].min()), int(known.max()))
        at = np.searchsorted(attempts, known)
        recorded = at < len(attempts)
        recorded[recorded] &= attempts[at[recorded]] == known[recorded]
        for numbers, counted in zip((warned, failed), counts, strict=True):
            numbers[recorded] = counted[at[recorded]]
    failed[has & (failed == 0) & (columns["state"] == STATES.index("error"))] = 1
    return warned, failed


def _scores(
    store: Store, frame: pd.DataFrame, measures: Sequence[tuple[int, Measure]]
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.bool_]]]:
    """Return the stored values of each measure, aligned with the jobs, and which finished jobs lack one."""
    ids = frame["job_id"].to_numpy()
    order = np.argsort(ids, kind="stable")
    done = (frame["state"] == "done").to_numpy()
    first, last = (int(ids[order[0]]), int(ids[order[-1]])) if len(ids) else (0, 0)
    found, lacking = {}, {}
    for row, measure in measures:
        jobs, values = reduction.read_scores(store, row, first, last)
        at = np.searchsorted(ids, jobs, sorter=order)
        known = at < len(ids)
        known[known] &= ids[order[at[known]]] == jobs[known]
        column = np.full(len(ids), np.nan)
        has = np.zeros(len(ids), dtype=bool)
        column[order[at[known]]] = values[known]
        has[order[at[known]]] = True
        key = measure_key(measure)
        found[key] = column
        if (done & ~has).any():
            lacking[key] = done & ~has
    return found, lacking


def _measures(store: Store, benchmarks: Sequence[int], trust: Trust | None) -> list[tuple[int, Measure]]:
    from batchml.core.measure import Measure

    rows = reduction.read_measures(store, benchmarks)
    return [(row, Measure.from_spec(spec, trust, id=name)) for row, name, spec in rows]


def _ids(jobs: Any) -> NDArray[np.int64]:
    if hasattr(jobs, "columns"):
        if "job_id" not in jobs.columns:
            raise ConfigError("jobs must be ids or a frame with a column job_id, as reg.jobs() returns")
        jobs = jobs["job_id"]
    try:
        return np.unique(np.asarray(jobs, dtype=np.int64))
    except OverflowError:
        raise UnknownKeyError("jobs have numbers below 2**63: see reg.jobs()") from None


def _only(frame: pd.DataFrame, ids: NDArray[np.int64]) -> pd.DataFrame:
    unknown = ids[~np.isin(ids, frame["job_id"].to_numpy())]
    if len(unknown):
        some = ", ".join(str(one) for one in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise UnknownKeyError(f"jobs {some} are not in a current benchmark: see reg.jobs()")
    return frame[frame["job_id"].isin(ids)].reset_index(drop=True)


def _require_complete(frame: pd.DataFrame) -> None:
    missing = frame[frame["state"] != "done"]
    if len(missing):
        why = ", ".join(f"{count} {state}" for state, count in missing["state"].value_counts().sort_index().items())
        raise IncompleteError(
            f"{len(missing)} of {len(frame)} jobs have no result ({why}): see reg.errors(), then reg.retry() or "
            "reg.resume(), or reduce without strict"
        )


def _refuse_mixed_types(store: Store, members: Sequence[Member]) -> None:
    bodies = reduction.read_specs(store, [member.model_id for member in members])
    types = sorted({body["type"] for body in bodies.values()})
    if len(types) > 1:
        raise ConfigError(f"the benchmarks in this registry mix {' and '.join(types)} tasks: name one with benchmark=")


def _one_seed(members: Sequence[Member]) -> int | None:
    seeds = {member.seed for member in members}
    return seeds.pop() if len(seeds) == 1 else None
