"""Started workers and the jobs they were started for."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.core.configuration import load_configuration
from batchml.core.resources import parse_duration
from batchml.core.trust import Trust
from batchml.data.snapshots import check_snapshots, snapshot_folders, take_snapshot
from batchml.errors import ConfigError, TrustError, nearest
from batchml.execution.environment import project
from batchml.executors.base import Launch
from batchml.executors.consent import Consent, remember
from batchml.executors.spooled import prepare
from batchml.registry.allocations import set_scheduler_id
from batchml.registry.backlog import class_waits, modules_of_waiting, submission_jobs, threads_of_waiting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchml.executors.base import Executor, Handle
    from batchml.registry.store import Store
    from batchml.worker.spool_plan import Spool

__all__ = ["Submission", "executor_of", "launch", "launch_of", "require_consent"]

_POLL_S = 0.1
_SYNC_S = 0.3


class Submission:
    """Jobs that were queued together, and the workers that were started for them.

    Attributes
    ----------
    id
        The submission's row.
    queued
        How many jobs it queued.
    handles
        The workers as their executor knows them.
    """

    def __init__(
        self, store: Store, submission_id: int, queued: int, handles: Sequence[Handle], spool: Spool | None = None
    ) -> None:
        self._store = store
        self._spool = spool
        self.id = submission_id
        self.queued = queued
        self.handles = tuple(handles)

    @property
    def workers(self) -> tuple[str, ...]:
        """The names of its workers: process ids for local ones."""
        return tuple(handle.name for handle in self.handles)

    @property
    def alive(self) -> bool:
        """Whether any of its workers has not ended."""
        return any(handle.alive() for handle in self.handles)

    def wait(self, timeout: float | str | None = None) -> bool:
        """Wait until the jobs that its workers serve have ended; False if time is up, or the workers left before."""
        deadline = None if timeout is None else time.monotonic() + parse_duration(timeout)
        look = 0.0
        while True:
            alive = self.alive
            if self._spool is not None and (time.monotonic() >= look or not alive):
                self._spool.refresh()
                look = time.monotonic() + _SYNC_S
            if not class_waits(self._store, self.id):
                return True
            if not alive or (deadline is not None and time.monotonic() >= deadline):
                return False
            time.sleep(_POLL_S)

    def cancel(self, *, running: bool = True) -> int:
        """Cancel its jobs that have not ended (`running`: those that run, too) and return how many."""
        from batchml.registry.moves import cancel

        states = ("queued", "running") if running else ("queued",)
        cancelled = cancel(self._store, submission_jobs(self._store, self.id, states), running=running)
        if self._spool is not None:
            self._spool.refresh(thorough=True)
        if not class_waits(self._store, self.id):
            for kind, handles in self._by_kind():
                if hasattr(kind, "drop_waiting"):
                    kind.drop_waiting(handles)
        return cancelled

    def stop(self, *, now: bool = False, timeout: float | None = None) -> bool:
        """Let its workers finish what runs (`now`: end that too) and wait for their end; what is left stays queued."""
        for kind, handles in self._by_kind():
            if hasattr(kind, "stop_all"):
                kind.stop_all(handles, now=now)
            else:
                for handle in handles:
                    handle.stop(now=now)
        deadline = None if timeout is None else time.monotonic() + timeout
        ended = True
        for handle in self.handles:
            ended &= handle.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return ended

    @property
    def outlives(self) -> bool:
        """Whether its workers live on when this session ends."""
        return any(handle.outlives for handle in self.handles)

    def _by_kind(self) -> list[tuple[Any, list[Handle]]]:
        """Return the handles by their class: one that talks to a scheduler does so once for all of its kind."""
        kinds = dict.fromkeys(type(handle) for handle in self.handles)
        return [(kind, [handle for handle in self.handles if type(handle) is kind]) for kind in kinds]

    def last_words(self, lines: int = 3) -> str:
        """Return the end of what its workers complained about, for when they left too early."""
        for handle in self.handles:
            try:
                text = handle.log.read_text(encoding="utf-8", errors="replace") if handle.log else ""
            except OSError:
                continue
            complaints = [line for line in text.splitlines() if line.strip() and " INFO " not in line]
            if complaints:
                return "\n".join(complaints[-lines:])
        return ""

    def __repr__(self) -> str:
        names = ", ".join(self.workers)
        return f"<Submission {self.id}: {self.queued} jobs queued, workers {names}>"


def launch(
    store: Store, executor: Executor, submission_id: int, queued: int, resources: Mapping[str, Any], consent: Consent
) -> Submission:
    """Start an executor's workers for a submission that has been entered; none where nothing waits for them."""
    if not queued and not class_waits(store, submission_id):
        return Submission(store, submission_id, queued, [])
    spool = prepare(store, executor, submission_id, resources)
    where = "" if spool is None else str(spool.folder.root)
    handles = executor.start(launch_of(store, submission_id, resources, consent, where))
    allocations = list(dict.fromkeys(handle.allocation for handle in handles if handle.allocation))
    if allocations:
        set_scheduler_id(store, submission_id, " ".join(allocations))
    return Submission(store, submission_id, queued, handles, spool)


def launch_of(
    store: Store, submission_id: int, resources: Mapping[str, Any], consent: Consent, spool: str = ""
) -> Launch:
    """Return what the workers of a submission are told; `spool` is the folder that serves them, if one does.

    Raises
    ------
    TrustError
        Its jobs run a snapshot that this user has not taken: who can write to the registry could name any.
    ArtifactError
        The snapshot is missing or was altered.
    """
    paths, snapshot = consent.paths, resources.get("snapshot")
    if snapshot is not None:
        if snapshot not in consent.snapshots:
            raise TrustError(
                f"jobs wait for the code snapshot {str(snapshot)[:12]}, which was not taken by you on this machine: "
                "resume where they were submitted, or reset them and submit again"
            )
        paths = snapshot_folders(store.artifacts, snapshot)
        check_snapshots(paths)
    return Launch(
        url=store.url,
        registry=store.uuid,
        submission=submission_id,
        artifacts=store.artifact_path,
        spool=spool,
        paths=paths,
        trust=tuple(dict.fromkeys([*consent.modules, *load_configuration().trusted_modules])),
        resources=resources,
        threads=threads_of_waiting(store),
    )


def keep_snapshot(store: Store, consent: Consent) -> Consent:
    """Copy the folders of the user's own modules; return the consent with the snapshot as its last."""
    about = [found for folder in consent.paths if (found := project(str(Path(folder).resolve()))) is not None]
    digest = take_snapshot(store.artifacts, consent.paths, about)
    others = tuple(known for known in consent.snapshots if known != digest)
    remember(store.uuid, Consent(snapshots=(digest,)))
    return replace(consent, snapshots=(*others, digest))


def require_consent(store: Store, consent: Consent, state: str, jobs: Sequence[int] | None = None) -> None:
    """Refuse to start workers for jobs whose modules nobody here trusts: each of those jobs would fail.

    Parameters
    ----------
    state, jobs
        The jobs in question: those in that state, of these ids or any.

    Raises
    ------
    TrustError
        Naming benchmark and module.
    """
    trust = Trust.default().with_modules(consent.modules)
    for benchmark, modules in modules_of_waiting(store, state, jobs).items():
        foreign = [module for module in modules if not trust.covers(module)]
        if foreign:
            raise TrustError(
                f"benchmark '{benchmark}' uses the module {foreign[0]}, which was not trusted on this machine: add its "
                f"design here again, or set BATCHML_TRUSTED_MODULES={foreign[0]} if you know that code"
            )


def executor_of(name: str, settings: Mapping[str, Any]) -> Executor:
    """Return the executor that a submission was made with."""
    from batchml.executors.dask import Dask
    from batchml.executors.local import Local
    from batchml.executors.slurm import Slurm

    known: dict[str, type[Executor]] = {"local": Local, "slurm": Slurm, "dask": Dask}
    if name not in known:
        raise ConfigError(f"no executor is called '{name}'{nearest(name, known)}; there are {', '.join(known)}")
    return known[name](**settings)
