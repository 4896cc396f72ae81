"""The public `Registry`: a thin facade over the store, the executors and the reducer."""

from __future__ import annotations

import operator
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from batchml.errors import ConfigError, NotARegistryError, RegistryError
from batchml.executors.consent import Consent, recall, remember
from batchml.executors.submission import Submission, executor_of, launch, require_consent

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    import pandas as pd
    import pyarrow as pa

    from batchml.core.trust import Trust
    from batchml.executors.base import Executor
    from batchml.experiment.design import BenchmarkDesign
    from batchml.experiment.result import BenchmarkResult
    from batchml.registry.backlog import Backlog
    from batchml.registry.estimates import Estimate
    from batchml.registry.plan import Plan
    from batchml.registry.rescue import Reconciliation
    from batchml.registry.store import Store

    Jobs = int | Iterable[int] | pd.DataFrame

__all__ = ["Registry", "Resumption", "StalledWarning", "Submission"]

_POLL_S = 0.2
_RESCUE_S = 10.0
"""Seconds between two looks for dead workers while waiting."""


class StalledWarning(UserWarning):
    """`Registry.wait` gave up because nobody is there to run what waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """What `Registry.resume` found and did.

    Attributes
    ----------
    found
        Dead workers and what became of their jobs.
    delivered
        Results that a worker had left on this machine's disk.
    submissions
        The workers that were started, one entry per resource class; empty for a dry run, or if nobody was needed.
    """

    found: Reconciliation
    delivered: int = 0
    submissions: tuple[Submission, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        started = [{"id": each.id, "workers": list(each.workers)} for each in self.submissions]
        return {**self.found.as_json(), "delivered": self.delivered, "submissions": started}

    def __str__(self) -> str:
        """Return a few lines for people."""
        lines = [str(self.found)]
        if self.delivered:
            lines.append(f"{self.delivered} results that were left on this machine's disk were taken in")
        lines += [f"started {len(each.workers)} workers (submission {each.id})" for each in self.submissions]
        return "\n".join(lines)


class Registry:
    """A database of benchmarks: designs, jobs, attempts, results.

    Made by `Registry.create` and `Registry.open`; a with-statement closes it. Jobs are named by ids or by a frame with
    a column ``job_id``, as `jobs` returns it.
    """

    def __init__(self, store: Store, trust: Trust | None = None) -> None:
        self._store = store
        self._trust = trust
        self._rescue_due = 0.0

    @classmethod
    def create(
        cls,
        url: str,
        seed: int | None = None,
        artifacts: str | os.PathLike[str] | None = None,
        *,
        exist_ok: bool = False,
        trust: Trust | None = None,
    ) -> Self:
        """Create a registry and open it.

        Parameters
        ----------
        url
            ``sqlite:///study.db``; relative paths are relative to the working directory.
        seed
            The root seed of designs that bring none; None draws one.
        artifacts
            Folder for task data and models; default ``$BATCHML_ARTIFACTS``, else ``<file>.artifacts`` beside the file.
        exist_ok
            Open the registry that is there, if there is one, instead of refusing.
        trust
            Which modules specs may name; None for the default.
        """
        from batchml.registry.store import Store

        if exist_ok:
            try:
                return cls.open(url, trust=trust)
            except NotARegistryError:
                pass  # `create` tells whether there is nothing or something else
        try:
            return cls(Store.create(url, seed, artifacts), trust)
        except RegistryError as error:
            if exist_ok and "already" in str(error):  # another process was faster
                return cls.open(url, trust=trust)
            raise

    @classmethod
    def open(
        cls,
        url: str,
        readonly: bool = False,  # noqa: FBT001, FBT002 - as in API.md
        *,
        trust: Trust | None = None,
    ) -> Self:
        """Open a registry that is there; with `readonly` nothing can be changed and no writer is disturbed."""
        from batchml.registry.store import Store

        return cls(Store.open(url, readonly), trust)

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

    # -- designs ----------------------------------------------------------------------------------------------------

    def plan(self, design: BenchmarkDesign, name: str | None = None) -> Plan:
        """Say what `add` would do: what is new, reused, runs again and why."""
        from batchml.registry.benchmarks import plan

        return plan(self._store, design, name, trust=self._trust)

    def add(
        self,
        design: BenchmarkDesign,
        name: str | None = None,
        allow_pickle: bool = False,  # noqa: FBT001, FBT002 - as in API.md
    ) -> list[int]:
        """Make a design the current one of its benchmark and return the ids of new jobs; adding it again adds none."""
        from batchml.registry.benchmarks import add

        if allow_pickle:
            raise ConfigError(
                "allow_pickle is not supported yet: define the object in a module and name that by modules="
            )
        ids = add(self._store, design, name, trust=self._trust)
        if design.modules:
            # The user has just chosen to run this code; the registry's word alone would not do.
            remember(self._store.uuid, Consent(modules=tuple(design.modules), paths=tuple(design.paths)))
        return ids

    # -- running ----------------------------------------------------------------------------------------------------

    def submit(
        self,
        jobs: Jobs | None = None,
        executor: Executor | None = None,
        resources: Mapping[str, Any] | None = None,
    ) -> Submission:
        """Queue defined jobs, start workers, and return at once.

        Parameters
        ----------
        jobs
            Default: all defined jobs of current benchmarks. What is queued, running or has ended stays as it is.
        executor
            Who starts the workers; default ``Local()``.
        resources
            What each iteration needs: cpus, memory, gpus. Workers claim jobs of equal needs.

        Raises
        ------
        TrustError
            The jobs use a module that this user has not trusted; nothing was queued.
        """
        from batchml.core.resources import Resources
        from batchml.registry.submissions import submit

        executor = executor or executor_of("local", {})
        needs = Resources.parse(resources).as_json()
        ids = None if jobs is None else _ids(jobs)
        consent = self._consent()
        require_consent(self._store, consent, "defined", ids)
        number, queued = submit(self._store, ids, needs, executor.name, executor.settings)
        return launch(self._store, executor, number, queued, needs, consent)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no job is queued or running.

        Returns
        -------
        bool
            False if time is up, or if jobs wait and nobody is there to run them: the reason is a `StalledWarning`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            backlog = self.backlog()
            if not backlog.queued + backlog.running:
                return True
            if backlog.stalled:
                warnings.warn(f"{backlog.stalled}: resume() starts workers", StalledWarning, stacklevel=2)
                return False
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)

    def backlog(self) -> Backlog:
        """Return what waits, what runs, and why it may never end; jobs of dead workers are queued again meanwhile."""
        from batchml.registry.backlog import read_backlog
        from batchml.registry.rescue import reconcile

        now = time.monotonic()
        if not self._store.readonly and now >= self._rescue_due:
            self._rescue_due = now + _RESCUE_S
            reconcile(self._store)
        return read_backlog(self._store)

    def resume(
        self,
        executor: Executor | None = None,
        resources: Mapping[str, Any] | None = None,
        dry_run: bool = False,  # noqa: FBT001, FBT002 - as in API.md
        *,
        assume_dead: Iterable[int] = (),
    ) -> Resumption:
        """Find what was lost, queue it again, and start workers where jobs wait and none is alive.

        Parameters
        ----------
        executor
            Default: as the last submission of those jobs had.
        resources
            Needs that replace those which the waiting jobs were submitted with.
        dry_run
            Only say what would be done.
        assume_dead
            Workers that you know to be dead though nothing proves it.
        """
        from batchml.core.resources import Resources
        from batchml.registry.backlog import adopt, orphaned
        from batchml.registry.rescue import reconcile
        from batchml.registry.submissions import submit
        from batchml.worker.undelivered import ingest

        if dry_run:
            return Resumption(found=reconcile(self._store, dry_run=True, assume_dead=list(assume_dead)))
        delivered = ingest(self._store)
        found = reconcile(self._store, assume_dead=list(assume_dead))
        consent = self._consent()
        require_consent(self._store, consent, "queued")
        started = []
        for row in orphaned(self._store):
            how = executor or executor_of(row.executor, row.settings)
            needs = row.body if resources is None else Resources.parse(resources).as_json()
            number, _ = submit(self._store, [], needs, how.name, how.settings)
            started.append(launch(self._store, how, number, adopt(self._store, row.id, number), needs, consent))
        return Resumption(found=found, delivered=delivered, submissions=tuple(started))

    def stop(self, workers: Iterable[int] | None = None, now: bool = False) -> list[int]:  # noqa: FBT001, FBT002
        """Ask workers (default: all) to finish what runs and leave; `now`: to end that too. Return who will be told."""
        from batchml.registry.workers import stop_workers

        return stop_workers(self._store, None if workers is None else list(workers), now=now)

    def _consent(self) -> Consent:
        return recall(self._store.uuid)

    # -- looking ----------------------------------------------------------------------------------------------------

    def status(self, benchmark: str | None = None) -> pd.DataFrame:
        """Return a row per benchmark: its jobs by state."""
        from batchml.registry import jobs

        return jobs.status(self._store, benchmark)

    def tally(self) -> dict[str, int]:
        """Count the jobs of current benchmarks by state, each job once."""
        from batchml.registry import jobs

        return jobs.tally(self._store)

    def jobs(self, **filters: Any) -> pd.DataFrame:
        """Return jobs of current benchmarks as a table.

        Parameters
        ----------
        **filters
            state, outcome, task, learner, resampling, iteration, tag, benchmark: one value, or several that will do.
        """
        from batchml.registry import jobs

        return jobs.find(self._store, **filters)

    def errors(self, benchmark: str | None = None) -> pd.DataFrame:
        """Return recorded errors: where, in which stage, what."""
        from batchml.registry import history

        return history.errors(self._store, benchmark)

    def log(self, job_id: int) -> str:
        """Return what the attempts at a job printed, warned and raised."""
        from batchml.registry import history

        return history.log_of(self._store, job_id)

    def grep_logs(self, pattern: str) -> pd.DataFrame:
        """Return the lines of logs and conditions that match a regular expression."""
        from batchml.registry import history

        return history.grep_logs(self._store, pattern)

    def attempts(self, job_id: int) -> pd.DataFrame:
        """Return the attempts at a job, first to last."""
        from batchml.registry import history

        return history.attempts(self._store, job_id)

    def why(self, job_id: int) -> str:
        """Say why a job is in its state: what it waits for, or what ended it."""
        from batchml.registry import history

        return history.why(self._store, job_id)

    def test_job(self, job_id: int, external: bool = False, debug: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """Run a job here without writing anything, and return what came of it.

        Parameters
        ----------
        external
            In a child process, as a worker would.
        debug
            In this process, with the debugger where it fails.
        """
        from batchml.worker.trial import try_job

        trust, paths = self._reading_trust(), self._consent().paths
        return try_job(self._store, job_id, external=external, debug=debug, trust=trust, paths=paths)

    def estimate(self, slots: int | None = None, *, submitted: bool = False) -> Estimate:
        """Return how long the jobs that are left (only submitted ones, if asked) will take, by measured runtimes."""
        from batchml.registry.estimates import estimate

        return estimate(self._store, slots, submitted=submitted)

    # -- changing ---------------------------------------------------------------------------------------------------

    def retry(self, jobs: Jobs) -> int:
        """Queue failed or cancelled jobs again and return how many; their history stays. `resume` starts workers."""
        from batchml.registry import moves

        return moves.retry(self._store, _ids(jobs))

    def reset(self, jobs: Jobs) -> int:
        """Drop results and make jobs defined again; return how many."""
        from batchml.registry import moves

        return moves.reset(self._store, _ids(jobs))

    def cancel(self, jobs: Jobs, running: bool = False) -> int:  # noqa: FBT001, FBT002 - as in API.md
        """Cancel jobs that have not started (`running`: those that run, too); return how many."""
        from batchml.registry import moves

        return moves.cancel(self._store, _ids(jobs), running=running)

    def remove(self, jobs: Jobs) -> int:
        """Delete jobs with results, attempts and logs; return how many."""
        from batchml.registry import moves

        return moves.remove(self._store, _ids(jobs))

    def tag(self, jobs: Jobs, tag: str) -> int:
        """Give jobs a tag; return how many did not have it."""
        from batchml.registry import moves

        return moves.tag(self._store, _ids(jobs), tag)

    def untag(self, jobs: Jobs, tag: str) -> int:
        """Take a tag from jobs; return how many had it."""
        from batchml.registry import moves

        return moves.untag(self._store, _ids(jobs), tag)

    # -- results ----------------------------------------------------------------------------------------------------

    def reduce(
        self,
        jobs: Jobs | None = None,
        benchmark: str | None = None,
        strict: bool = False,  # noqa: FBT001, FBT002 - as in API.md
    ) -> BenchmarkResult:
        """Return the results of current benchmarks; with `strict`, refuse while any is missing."""
        from batchml.reduce.collect import reduce

        ids = None if jobs is None else _ids(jobs)
        return reduce(self._store, ids, benchmark, strict, trust=self._reading_trust())

    def predictions(self, jobs: Jobs | None = None) -> pa.RecordBatchReader:
        """Return the predictions of jobs as a stream of record batches, a row per predicted row."""
        from batchml.reduce.export import predictions

        return predictions(self._store, None if jobs is None else _ids(jobs))

    def sql(self, query: str, /, **params: Any) -> pd.DataFrame:
        """Return the rows of one SELECT on the views; ``:name`` in it stands for the parameter of that name."""
        from batchml.registry.sql import sql

        return sql(self._store, query, **params)

    def export(self, folder: str | os.PathLike[str]) -> None:
        """Write jobs, scores, conditions and predictions as Parquet files."""
        from batchml.reduce.export import export

        export(self._store, folder)

    def info(self) -> dict[str, Any]:
        """Return facts about the registry: where it is, its schema, how much is in it."""
        from batchml.registry.care import describe

        return describe(self._store)

    def check(self) -> list[str]:
        """Return what is wrong with the registry in sentences, nothing if it is sound."""
        from batchml.registry.care import problems

        return problems(self._store)

    @staticmethod
    def upgrade(url: str) -> tuple[str, str]:
        """Bring the schema of the registry at `url` to this version; return the revisions before and after."""
        from batchml.registry.store import upgrade

        return upgrade(url)

    @staticmethod
    def unlock(url: str) -> str | None:
        """Take a registry on a network file system from a host that is gone; return who held it."""
        from batchml.registry.care import unlock

        return unlock(url)

    def _reading_trust(self) -> Trust:
        from batchml.core.trust import Trust

        return (self._trust or Trust.default()).with_modules(self._consent().modules)

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {state}" for state, number in self.tally().items() if number)
        return f"<Registry {self.url}>\n* Jobs: {counts or 'none'}\n* Benchmarks: {len(self.status())}"

    def _repr_html_(self) -> str:
        return f"<p>Registry {self.url}</p>{self.status().to_html(index=False)}"


def _ids(jobs: Jobs) -> list[int]:
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
