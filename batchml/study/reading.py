"""What can be asked of a registry without changing it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from batchml.errors import UnknownKeyError, UnreachableError, nearest
from batchml.executors.consent import Consent, recall
from batchml.study.ids import job_id as the_job
from batchml.study.ids import job_ids, the_design

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    import pandas as pd
    import pyarrow as pa

    from batchml.core.trust import Trust
    from batchml.experiment.design import BenchmarkDesign
    from batchml.experiment.result import BenchmarkResult
    from batchml.registry.estimates import Estimate
    from batchml.registry.plan import Plan
    from batchml.registry.store import Store
    from batchml.study.ids import Jobs

__all__ = ["Reading"]

Answer = TypeVar("Answer")

_FILTERS = ("state", "outcome", "task", "learner", "resampling", "iteration", "tag", "benchmark", "params")


def _checked(filters: dict[str, Any]) -> dict[str, Any]:
    for name in filters:
        if name not in _FILTERS:
            known = ", ".join(_FILTERS)
            raise UnknownKeyError(f"there is no filter {name!r}{nearest(name, _FILTERS)}; there are {known}")
    return filters


def _twice(read: Callable[[], Answer]) -> Answer:
    """Read all anew if the server was started anew meanwhile: connecting waits for it."""
    try:
        return read()
    except UnreachableError:
        return read()


class Reading:
    """The part of `Registry` that a registry opened with ``readonly=True`` has too."""

    def __init__(self, store: Store, trust: Trust | None = None) -> None:
        self._store = store
        self._trust = trust

    def close(self) -> None:
        """Close it. Workers that were started go on until they are done, as long as this process lives."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it is, without the password."""
        return str(self._store.place)

    @property
    def seed(self) -> int:
        """The root seed of designs that bring none."""
        return self._store.root_seed

    def _fresh(self) -> Store:
        """Return the store, with what is known by now in it."""
        return self._store

    # -- jobs -------------------------------------------------------------------------------------------------------

    def plan(
        self,
        design: BenchmarkDesign,
        name: str | None = None,
        allow_pickle: bool = False,  # noqa: FBT001, FBT002 - as `add`
    ) -> Plan:
        """Say what `add` would do: what is new, reused, runs again and why."""
        from batchml.registry.benchmarks import plan

        return plan(self._store, the_design(design), name, trust=self._trust, allow_pickle=allow_pickle)

    def status(self, benchmark: str | None = None, *, cumulative: bool = False) -> pd.DataFrame:
        """Return a row per benchmark: its jobs by state; `cumulative`: how far they have come (defined, submitted,
        started, done; queued, running and expired now).
        """
        from batchml.registry import jobs

        return jobs.status(self._fresh(), benchmark, cumulative=cumulative)

    def summary(self, by: str | Iterable[str] = ("task", "learner"), **filters: Any) -> pd.DataFrame:
        """Return a row per group of jobs: their numbers by state, and their total.

        Parameters
        ----------
        by
            benchmark, task, learner, resampling, params, iteration, outcome, prediction, host, tag, or the name of a
            parameter of learners.
        **filters
            Which jobs, as `jobs` takes them.
        """
        from batchml.registry import jobs

        return jobs.summary(self._fresh(), by, **_checked(filters))

    def tags(self) -> pd.DataFrame:
        """Return a row per tag: its jobs by state, and their total."""
        from batchml.registry import jobs

        return jobs.tags(self._fresh())

    def tally(self) -> dict[str, int]:
        """Count the jobs of current benchmarks by state, each job once."""
        from batchml.registry import jobs

        return jobs.tally(self._fresh())

    def jobs(self, **filters: Any) -> pd.DataFrame:
        """Return jobs of current benchmarks as a table.

        Parameters
        ----------
        **filters
            state, outcome, task, learner, resampling, iteration, tag, benchmark: one value, or several that will do.
            ``state="expired"`` are running jobs whose worker is dead or silent. Names may be patterns (``"classif.*"``)
            or compiled regular expressions. ``params``: conditions that must all hold, such as ``"max_depth>=3"`` or
            ``{"max_depth": 3}``.
        """
        from batchml.registry import jobs

        return jobs.find(self._fresh(), **_checked(filters))

    def errors(self, benchmark: str | None = None, *, grouped: bool = False) -> pd.DataFrame:
        """Return recorded errors: where, in which stage, what; `grouped`: a row per kind of error, the most frequent
        first, with how many jobs, which tasks and learners, and a job to look at.
        """
        from batchml.registry import errors

        show = errors.overview if grouped else errors.errors
        return show(self._fresh(), benchmark)

    def log(self, job_id: int) -> str:
        """Return what the attempts at a job printed, warned and raised."""
        from batchml.registry import history

        return history.log_of(self._fresh(), the_job(job_id))

    def grep_logs(
        self, pattern: str, *, ignore_case: bool = False, fixed: bool = False, jobs: Jobs | None = None
    ) -> pd.DataFrame:
        """Return the lines of logs and conditions that match a regular expression, or (`fixed`) contain a text."""
        from batchml.registry import history

        ids = None if jobs is None else job_ids(jobs)
        return history.grep_logs(self._fresh(), pattern, ignore_case=ignore_case, fixed=fixed, jobs=ids)

    def attempts(self, job_id: int) -> pd.DataFrame:
        """Return the attempts at a job, first to last."""
        from batchml.registry import history

        return history.attempts(self._fresh(), the_job(job_id))

    def why(self, job_id: int) -> str:
        """Say why a job is in its state: what it waits for, or what ended it."""
        from batchml.registry.reasons import why

        return why(self._fresh(), the_job(job_id))

    def test_job(self, job_id: int, external: bool = False, debug: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """Run a job here without writing anything, and return what came of it.

        Parameters
        ----------
        external
            In a child process, as a worker would.
        debug
            In this process, same seed and rows, nothing encapsulated, no fallback, no limit: what the learner raises
            comes out, for `pdb.pm` or ``%debug``.
        """
        from batchml.worker.trial import try_job

        trust, paths = self._reading_trust(), self._consent().paths
        return try_job(self._store, the_job(job_id), external=external, debug=debug, trust=trust, paths=paths)

    def estimate(self, slots: int | None = None, *, submitted: bool = False) -> Estimate:
        """Return how long the jobs that are left (only submitted ones, if asked) will take, by measured runtimes."""
        from batchml.registry.estimates import estimate

        return estimate(self._fresh(), slots, submitted=submitted)

    # -- results ----------------------------------------------------------------------------------------------------

    def reduce(
        self,
        jobs: Jobs | None = None,
        benchmark: str | None = None,
        strict: bool = False,  # noqa: FBT001, FBT002 - as in API.md
        *,
        allow_pickle: bool = False,
    ) -> BenchmarkResult:
        """Return the results of current benchmarks; with `strict`, refuse while any is missing.

        Parameters
        ----------
        allow_pickle
            Open stored models when they are asked for (``rr.learners``): pickles, and only those that this user's own
            workers signed.
        """
        from batchml.reduce.collect import reduce

        ids = None if jobs is None else job_ids(jobs)
        trust = self._reading_trust()
        return _twice(lambda: reduce(self._fresh(), ids, benchmark, strict, trust=trust, open_models=allow_pickle))

    def predictions(self, jobs: Jobs | None = None) -> pa.RecordBatchReader:
        """Return the predictions of jobs as a stream of record batches, a row per predicted row.

        Columns: job_id, predict_set, row_id, imputed; of classes truth and response as text and prob, a map from class
        to probability; of numbers truth_value, response_value, se and quantiles, a map from probability to quantile.
        What a job did not predict is null.

        Parameters
        ----------
        jobs
            Default: all of current benchmarks.
        """
        from batchml.reduce.export import predictions

        return predictions(self._fresh(), None if jobs is None else job_ids(jobs))

    def sql(self, query: str, timeout_s: float = 60.0, /, **params: Any) -> pd.DataFrame:
        """Return the rows of one SELECT on the views; ``:name`` in it stands for the parameter of that name.

        Raises
        ------
        ConfigError
            It is no such statement, or does more than read.
        RegistryError
            It took longer than `timeout_s` seconds, or gave more than 20 million values.
        """
        from batchml.registry.sql import sql

        return sql(self._store, query, timeout_s, **params)

    def export(self, folder: str | os.PathLike[str]) -> None:
        """Write jobs, attempts, environments, scores, conditions and predictions as Parquet files."""
        from batchml.reduce.export import export

        _twice(lambda: export(self._fresh(), folder))

    def info(self) -> dict[str, Any]:
        """Return facts about the registry: where it is, its schema, how much is in it."""
        from batchml.registry.care import describe

        return describe(self._store)

    def check(self) -> list[str]:
        """Return what is wrong with the registry in sentences, nothing if it is sound."""
        from batchml.registry.care import problems

        return problems(self._store)

    def _reading_trust(self) -> Trust:
        from batchml.core.trust import Trust
        from batchml.data.pickles import SignedPickles

        trust = (self._trust or Trust.default()).with_modules(self._consent().modules)
        pickles = SignedPickles(folder=str(self._store.artifact_path), registry=self._store.uuid)
        return replace(trust, pickles=pickles)

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {state}" for state, number in self.tally().items() if number)
        return f"<Registry {self.url}>\n* Jobs: {counts or 'none'}\n* Benchmarks: {len(self.status())}"

    def _repr_html_(self) -> str:
        return f"<p>Registry {self.url}</p>{self.status().to_html(index=False)}"

    def _consent(self) -> Consent:
        return recall(self._store.uuid)
