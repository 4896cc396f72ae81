"""The public `Registry`: a thin facade over the store, the executors and the reducer."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from batchml.core.attempt import Order
from batchml.core.resources import parse_duration
from batchml.errors import ConfigError, NotARegistryError, RegistryError
from batchml.executors.configured import configured_executor, configured_resources
from batchml.executors.consent import Consent, remember
from batchml.executors.spooled import served, try_folder, withdraw_spool
from batchml.executors.submission import (
    Submission,
    executor_of,
    keep_snapshot,
    launch,
    launch_of,
    require_consent,
)
from batchml.study.ids import job_ids, the_design
from batchml.study.resumption import Resumption
from batchml.study.syncing import Syncing

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from batchml.core.trust import Trust
    from batchml.executors.base import Executor
    from batchml.executors.slurm import Slurm
    from batchml.experiment.design import BenchmarkDesign
    from batchml.reduce.rescore import Rescored
    from batchml.registry.backlog import Backlog
    from batchml.registry.rescue import Reconciliation
    from batchml.registry.store import Store
    from batchml.study.ids import Jobs

__all__ = ["Registry", "StalledWarning"]

_POLL_S = 0.2
_RESCUE_S = 10.0
"""Seconds between two looks for dead workers while waiting."""


class StalledWarning(UserWarning):
    """`Registry.wait` gave up because nobody is there to run what waits."""


class Registry(Syncing):
    """A database of benchmarks: designs, jobs, attempts, results.

    Made by `Registry.create` and `Registry.open`; a with-statement closes it. Jobs are named by ids or by a frame with
    a column ``job_id``, as `jobs` returns it.
    """

    def __init__(self, store: Store, trust: Trust | None = None) -> None:
        super().__init__(store, trust)
        self._rescue_due = 0.0
        self._launched: list[Submission] = []  # their workers may leave with this session

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
            Folder or fsspec URL for task data and models; default ``$BATCHML_ARTIFACTS``, else ``<file>.artifacts``
            beside the file.
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

    # -- designs ----------------------------------------------------------------------------------------------------

    def add(
        self,
        design: BenchmarkDesign,
        name: str | None = None,
        allow_pickle: bool = False,  # noqa: FBT001, FBT002 - as in API.md
    ) -> list[int]:
        """Make a design the current one of its benchmark and return the ids of new jobs; adding it again adds none.

        Parameters
        ----------
        allow_pickle
            Take lambdas and what a notebook or script (``__main__``) defines, too: they are stored as pickles that
            carry this user's signature, and workers with the same signing key open them.

        Raises
        ------
        ConfigError
            The design cannot run, or holds an object that cannot be described; nothing was changed.
        """
        from batchml.registry.benchmarks import add

        ids = add(self._store, the_design(design), name, trust=self._trust, allow_pickle=allow_pickle)
        if design.modules:
            # The user has just chosen to run this code; the registry's word alone would not do.
            remember(self._store.uuid, Consent(modules=tuple(design.modules), paths=tuple(design.paths)))
        self._sync_changes()
        return ids

    # -- running ----------------------------------------------------------------------------------------------------

    def submit(
        self,
        jobs: Jobs | None = None,
        executor: Executor | None = None,
        resources: Mapping[str, Any] | None = None,
        *,
        priority: int = 0,
        snapshot: bool = False,
    ) -> Submission:
        """Queue defined jobs, start workers, and return at once.

        Parameters
        ----------
        jobs
            Default: all defined jobs of current benchmarks. What is queued, running or has ended stays as it is.
        executor
            Who starts the workers; default ``Local()``, or what ``[executor]`` of the configuration says.
        resources
            What each iteration needs: cpus, memory, gpus. Workers claim jobs of equal needs. What is not said comes
            from ``[resources]`` of the configuration.
        priority
            From -500 to 500; jobs of a higher one are claimed first. Of equal ones the first iteration of each cell
            goes first, then what is expected to take longest.
        snapshot
            Copy the folders of the designs' own modules beside the registry and have the workers run the copy: what is
            edited from now on changes nothing for these jobs, also when they are resumed.

        Raises
        ------
        TrustError
            The jobs use a module that this user has not trusted; nothing was queued.
        """
        from batchml.core.resources import Resources
        from batchml.registry.allocations import withdraw
        from batchml.registry.submissions import submit

        executor = executor or configured_executor()
        if not hasattr(executor, "start"):
            raise ConfigError(f"executor is an object such as bm.Local(slots=2), not {executor!r:.60}")
        if not hasattr(resources or {}, "items"):
            raise ConfigError(f'resources are a mapping such as {{"cpus": 2}}, not {resources!r:.60}')
        wanted = Resources.parse({**configured_resources(executor), **(resources or {})})
        if wanted.snapshot is not None:
            raise ConfigError("a snapshot is no resource: give submit(snapshot=True)")
        if wanted.spool is not None:
            raise ConfigError("a spool is no resource: give it to the executor, such as bm.Slurm(spool=True)")
        executor.check(wanted)
        needs = served(self._store, executor, wanted.as_json())
        ids = None if jobs is None else job_ids(jobs)
        consent = self._consent()
        require_consent(self._store, consent, "defined", ids)
        if snapshot:
            consent = keep_snapshot(self._store, consent)
            needs["snapshot"] = consent.snapshots[-1]
        number, queued = submit(self._store, ids, needs, executor.name, executor.settings, priority)
        try:
            launched = launch(self._store, executor, number, queued, needs, consent)
        except BaseException:
            withdraw(self._store, number)  # as if nothing had been said
            raise
        self._launched.append(launched)
        return launched

    def preview(self, executor: Executor, resources: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Return what `submit` would ask SLURM for: the ``sum`` of all elements, the job ``script``; else nothing."""
        from batchml.core.resources import Resources

        wanted = Resources.parse({**configured_resources(executor), **(resources or {})})
        executor.check(wanted)
        if not isinstance(executor, _slurm()):
            return {}
        needs = served(self._store, executor, wanted.as_json())
        launch = launch_of(self._store, 0, needs, self._consent(), needs.get("spool", ""))
        return {"sum": executor.summary(wanted), "script": executor.script(launch)}

    def check_node(self, executor: Executor, resources: Mapping[str, Any] | None = None) -> tuple[bool, str]:
        """Have one element of a cluster see whether workers could work there; return the verdict and what it said.

        Imports, registry and artifacts are tried; nothing is queued, nothing is claimed.
        """
        from batchml.core.resources import Resources

        if not isinstance(executor, _slurm()):
            raise ConfigError(f"there is no node to check: the executor is {executor.name}")
        wanted = Resources.parse({**configured_resources(executor), **(resources or {})})
        needs = served(self._store, executor, wanted.as_json())
        where = try_folder(self._store, needs["spool"]) if "spool" in needs else ""
        handle = executor.start_check(launch_of(self._store, 0, needs, self._consent(), where))
        handle.wait()
        said = handle.last_words()
        return handle.state == "COMPLETED", said or f"{handle.name} ended as {handle.state} and has left no log"

    def workers(self, *, live: bool = True) -> pd.DataFrame:
        """Return workers (`live`: that have not ended), with what SLURM calls their state beside the registry's."""
        where = "WHERE state IN ('running', 'draining')" if live else ""
        frame = self.sql(f"SELECT * FROM workers {where} ORDER BY worker_id")  # noqa: S608 - one of two texts
        frame["scheduler_state"] = self._watch().states(
            frame["scheduler_id"].where(frame["scheduler_id"].notna(), None)
        )
        return frame

    def allocations(self) -> pd.DataFrame:
        """Return a row for each submission whose elements SLURM holds: how many are in which state, why they wait."""
        import pandas as pd

        return pd.DataFrame(self._watch().arrays(), columns=["submission", "array", "states", "reason"])

    def wait(self, timeout: float | str | None = None) -> bool:
        """Wait until no job is queued or running, no longer than `timeout` (seconds, or ``"2h"``).

        Returns
        -------
        bool
            False if time is up, or if jobs wait and nobody is there to run them: the reason is a `StalledWarning`.
        """
        deadline = None if timeout is None else time.monotonic() + parse_duration(timeout)
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
        """Return what waits, what runs, and why it may never end.

        Meanwhile jobs of dead workers are queued again, and workers are started for jobs that the retry policy gives
        more memory than those alive have.
        """
        from batchml.executors.arrival import departed
        from batchml.executors.growth import serve_grown
        from batchml.reduce.sync import last_words
        from batchml.registry.backlog import read_backlog
        from batchml.registry.rescue import reconcile
        from batchml.worker.legacy import take_over

        now = time.monotonic()
        if not self._store.readonly and now >= self._rescue_due:
            self._rescue_due = now + _RESCUE_S
            take_over(self._store)
            reconcile(self._store, evidence=self._watch().evidence, before=last_words(self._store))
        self._sync_now_and_then()
        found = read_backlog(self._store, self._watch().served, departed(self._launched))
        if found.stalled and self.spooled and not self._store.readonly:
            self._sync_changes()  # a worker without a database that is gone may have said goodbye
            found = read_backlog(self._store, self._watch().served, departed(self._launched))
        if found.stalled and not self._store.readonly:
            self._launched += serve_grown(self._store, self._consent(), self._watch().served())
            found = read_backlog(self._store, self._watch().served, departed(self._launched))
        return found

    def resume(
        self,
        executor: Executor | None = None,
        resources: Mapping[str, Any] | None = None,
        dry_run: bool = False,  # noqa: FBT001, FBT002 - as in API.md
        *,
        assume_dead: Iterable[int] = (),
        detach: bool | None = None,
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
        detach
            Whether local workers shall outlive this session; None for as the last ones.
        """
        from batchml.core.resources import Resources
        from batchml.executors.arrival import await_arrival, starting
        from batchml.reduce.sync import last_words
        from batchml.registry.backlog import adopt, orphaned
        from batchml.registry.rescue import reconcile
        from batchml.registry.submissions import submit
        from batchml.worker.legacy import take_over

        watch = self._watch()
        dead = partial(reconcile, self._store, assume_dead=list(assume_dead), evidence=watch.evidence)
        if dry_run:
            return self._foresee(dead(dry_run=True))
        legacy = take_over(self._store)
        synced = self._sync_changes()
        dead = partial(dead, before=last_words(self._store))
        found = dead()
        if found.silent and (wait := watch.recheck_s) is not None:
            # SLURM does not know them: the second list that says so is the proof.
            time.sleep(wait)
            found = dead() | found
        synced += self._sync_changes()  # what the dead had not begun
        consent = self._consent()
        require_consent(self._store, consent, "queued")
        started = []
        with starting(self._store.uuid):
            for row in orphaned(self._store, served=watch.served):
                how = executor or executor_of(row.executor, _override(row.settings, detach=detach))
                needs = row.body
                if resources is not None:
                    kept = {name: row.body[name] for name in ("snapshot",) if name in row.body}
                    needs = Resources.parse(resources).as_json() | kept
                needs = served(self._store, how, needs)
                if row.body.get("spool") and needs != row.body:
                    withdraw_spool(self._store, row.resource_id)
                launch_of(self._store, 0, needs, consent)  # refuses a snapshot before anything is changed
                number, _ = submit(self._store, [], needs, how.name, how.settings)
                queued = adopt(self._store, row.resource_id, number)
                started.append(launch(self._store, how, number, queued, needs, consent))
            self._launched += started
            for submission in started:
                await_arrival(self._store, submission)
        return Resumption(
            found=found,
            legacy=legacy,
            delivered=synced.delivered,
            unserved=len(started),
            submissions=tuple(started),
        )

    def _foresee(self, found: Reconciliation) -> Resumption:
        """Say what `resume` would do; what workers have left is read and stays where it is."""
        from batchml.registry.backlog import orphaned
        from batchml.registry.outlook import outlook
        from batchml.worker.legacy import take_over
        from batchml.worker.spool_unread import unread

        legacy = take_over(self._store, dry_run=True)
        seen = outlook(self._store, found, unread(self._store))
        unserved = orphaned(self._store, seen.gone, lambda: {*self._watch().served(), *seen.served}, seen.over)
        # Those were not taken over before they were counted.
        found = replace(seen.found, requeued=max(0, seen.found.requeued - legacy.delivered - legacy.unstarted))
        return Resumption(found=found, legacy=legacy, delivered=seen.delivered, unserved=len(unserved))

    def stop(self, workers: Iterable[int] | None = None, now: bool = False) -> list[int]:  # noqa: FBT001, FBT002
        """Ask workers (default: all) to finish what runs and leave; `now`: to end that too. Return who will be told."""
        from batchml.registry.workers import stop_workers

        chosen = None if workers is None else list(workers)
        told = stop_workers(self._store, chosen, now=now)
        self._tell_spools(None if chosen is not None else Order.STOP if now else Order.DRAIN)
        self._watch().stop(chosen, now=now)
        return told

    # -- changing ---------------------------------------------------------------------------------------------------

    def retry(self, jobs: Jobs) -> int:
        """Queue failed or cancelled jobs again and return how many; their history stays. `resume` starts workers."""
        from batchml.registry import moves

        count = moves.retry(self._fresh(), job_ids(jobs))
        self._sync_changes()
        return count

    def reset(self, jobs: Jobs) -> int:
        """Drop results and make jobs defined again; return how many."""
        from batchml.registry import moves

        count = moves.reset(self._store, job_ids(jobs))
        self._sync_changes()
        return count

    def cancel(self, jobs: Jobs, running: bool = False) -> int:  # noqa: FBT001, FBT002 - as in API.md
        """Cancel jobs that have not started (`running`: those that run, too); return how many."""
        from batchml.registry import moves

        cancelled = moves.cancel(self._fresh(), job_ids(jobs), running=running)
        self._sync_changes()
        self._watch().drop_idle()
        return cancelled

    def remove(self, jobs: Jobs) -> int:
        """Delete jobs with results, attempts and logs; return how many."""
        from batchml.registry import moves

        count = moves.remove(self._store, job_ids(jobs))
        self._sync_changes()
        return count

    def tag(self, jobs: Jobs, tag: str) -> int:
        """Give jobs a tag; return how many did not have it."""
        from batchml.registry import moves

        return moves.tag(self._store, job_ids(jobs), tag)

    def untag(self, jobs: Jobs, tag: str) -> int:
        """Take a tag from jobs; return how many had it."""
        from batchml.registry import moves

        return moves.untag(self._store, job_ids(jobs), tag)

    def rescore(self, measures: Any = None, benchmark: str | None = None, *, slots: int | None = None) -> Rescored:
        """Give benchmarks further measures, and score what is finished by them from stored predictions.

        Cut off anywhere, calling it again does the rest.

        Parameters
        ----------
        measures
            Keys or objects; None: score what lacks scores by the measures that the benchmarks have.
        benchmark
            Its name; None: all.
        slots
            Processes; None: one for each core if there is much to do.

        Raises
        ------
        ConfigError
            A measure needs what is not stored: the trained learner, or predictions of other rows.
        """
        from batchml.reduce.rescore import rescore

        return rescore(self._store, measures, benchmark, slots=slots, trust=self._reading_trust())

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


def _slurm() -> type[Slurm]:
    from batchml.executors.slurm import Slurm

    return Slurm


def _override(settings: Mapping[str, Any], *, detach: bool | None) -> dict[str, Any]:
    return {**settings, "detach": detach} if detach is not None and "detach" in settings else dict(settings)
