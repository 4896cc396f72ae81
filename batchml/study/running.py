"""The part of `Registry` that has jobs run: it starts workers, waits for them, finds what was lost, stops them."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from batchml.arguments import listed
from batchml.core.attempt import Order
from batchml.core.resources import Resources, parse_duration
from batchml.errors import ConfigError
from batchml.executors.configured import configured_executor, configured_resources
from batchml.executors.retold import note_told, require_told, retold
from batchml.executors.spooled import served, try_folder, withdraw_spool
from batchml.executors.submission import (
    Submission,
    keep_snapshot,
    launch,
    launch_of,
    require_consent,
)
from batchml.study.changing import Changing
from batchml.study.ids import job_ids
from batchml.study.resumption import Resumption

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from batchml.core.trust import Trust
    from batchml.executors.base import Executor
    from batchml.executors.slurm import Slurm
    from batchml.registry.backlog import Backlog
    from batchml.registry.rescue import Reconciliation
    from batchml.registry.store import Store
    from batchml.study.ids import Jobs

__all__ = ["Running", "StalledWarning"]

_POLL_S = 0.2
_RESCUE_S = 10.0
"""Seconds between two looks for dead workers while waiting."""


class StalledWarning(UserWarning):
    """`Registry.wait` gave up because nobody is there to run what waits."""


class Running(Changing):
    """Workers, from `submit` to `stop`."""

    def __init__(self, store: Store, trust: Trust | None = None) -> None:
        super().__init__(store, trust)
        self._rescue_due = 0.0
        self._launched: list[Submission] = []  # their workers may leave with this session

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
        from batchml.registry.allocations import withdraw
        from batchml.registry.submissions import submit

        executor = executor or configured_executor()
        if isinstance(executor, type) or not hasattr(executor, "start"):
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
            note_told(self._store, executor, needs)
            launched = launch(self._store, executor, number, queued, needs, consent)
        except BaseException:
            withdraw(self._store, number)  # as if nothing had been said
            raise
        self._launched.append(launched)
        return launched

    def submittable(self, jobs: Jobs | None = None) -> list[int]:
        """Return the ids of those jobs that `submit` would queue: the defined ones."""
        from batchml.registry.submissions import defined_jobs

        with self._store.read() as connection:
            found = defined_jobs(connection, None if jobs is None else job_ids(jobs), self._store)
        return [job_id for job_id, _ in found]

    def preview(self, executor: Executor, resources: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Return what `submit` would ask SLURM for: the ``sum`` of all elements, the job ``script``; else nothing."""
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
        if not isinstance(executor, _slurm()):
            raise ConfigError(f"there is no node to check: the executor is {executor.name}")
        wanted = Resources.parse({**configured_resources(executor), **(resources or {})})
        needs = served(self._store, executor, wanted.as_json())
        where = try_folder(self._store, needs["spool"]) if "spool" in needs else ""
        handle = executor.start_check(launch_of(self._store, 0, needs, self._consent(), where))
        handle.wait()
        said = handle.last_words() or (
            f"{handle.name} ended as {handle.state} and has left no log {handle.log}: do nodes see that folder? "
            "workdir of [slurm] names another one"
        )
        return handle.state == "COMPLETED", "\n".join(filter(None, [said, executor.remark()]))

    def workers(self, *, live: bool = True) -> pd.DataFrame:
        """Return workers (`live`: that have not ended), with what SLURM calls their state beside the registry's."""
        where = "WHERE state IN ('running', 'draining')" if live else ""
        frame = self.sql(f"SELECT * FROM workers {where} ORDER BY worker_id")  # noqa: S608 - one of two texts
        names = frame["scheduler_id"].where(frame["scheduler_id"].notna(), None)
        frame["scheduler_state"] = self._watch().states(zip(names, frame["submission_id"], strict=True))
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

    def complaints(self) -> list[str]:
        """Return a sentence for each worker that cannot do all it should, e.g. deliver: nothing while all is well.

        Known from the logs of workers of this machine and of those that this session started, and from the silence of
        others.
        """
        from batchml.executors.complaints import complaints

        return complaints(self._store, self._launched)

    def resume(
        self,
        executor: Executor | None = None,
        resources: Mapping[str, Any] | None = None,
        dry_run: bool = False,  # noqa: FBT001, FBT002 - as in API.md
        *,
        assume_dead: Iterable[int] = (),
        detach: bool | None = None,
        workers: int | None = None,
        slots: int | None = None,
    ) -> Resumption:
        """Find what was lost, queue it again, and start workers where jobs wait and none is alive.

        Parameters
        ----------
        executor
            Default: as the last submission of those jobs had. Another kind than that gets what the configuration says
            of its resources where the jobs say nothing, and is not asked for what only the former one understands.
        resources
            Needs that replace those which the waiting jobs were submitted with.
        dry_run
            Only say what would be done.
        assume_dead
            Workers that you know to be dead though nothing proves it.
        detach
            Whether local workers shall outlive this session; None for as the last ones.
        workers, slots
            Instead of as many as the last submission had, where no `executor` says it.

        Raises
        ------
        ConfigError
            The executor is not there, or cannot give what jobs need; no worker was started.
        TrustError
            The jobs use a module, or their executor shell lines or the like, that this user has not trusted.
        """
        from batchml.executors.arrival import await_arrival, starting
        from batchml.reduce.sync import last_words
        from batchml.registry.backlog import adopt, orphaned
        from batchml.registry.rescue import reconcile
        from batchml.registry.submissions import submit
        from batchml.worker.legacy import take_over

        if executor is not None:
            executor.check(Resources.parse(resources))
        watch = self._watch()
        gone = listed(assume_dead, "assume_dead", "ids of workers")
        dead = partial(reconcile, self._store, assume_dead=gone, evidence=watch.evidence)
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
                wishes = {"detach": detach, "workers": workers, "slots": slots}
                how = executor or retold(row, wishes, consent)
                wanted = _needs(row, how, resources)
                if resources is None and how.name == row.executor:
                    require_told(how.name, {}, row.body, consent)
                how.check(wanted)
                needs = served(self._store, how, wanted.as_json())
                note_told(self._store, how, needs)
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

        chosen = None if workers is None else listed(workers, "workers", "their ids")
        told = stop_workers(self._store, chosen, now=now)
        self._tell_spools(None if chosen is not None else Order.STOP if now else Order.DRAIN)
        self._watch().stop(chosen, now=now)
        return told


def _slurm() -> type[Slurm]:
    from batchml.executors.slurm import Slurm

    return Slurm


def _needs(row: Any, how: Executor, resources: Mapping[str, Any] | None) -> Resources:
    """Return what waiting jobs need: what is said now, else what they were submitted with."""
    from batchml.core.resources import Resources

    said = dict(row.body) if resources is None else dict(resources)
    if how.name != row.executor:
        if resources is None:
            said.pop("extra", None)  # only that scheduler understands it
        said = {**configured_resources(how), **said}
    kept = {name: row.body[name] for name in ("snapshot",) if name in row.body}
    return Resources.parse({**said, **kept})
