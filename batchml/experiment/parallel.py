"""Who computes the iterations of a session: this thread, or the workers of the joblib backend that the user chose."""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchml.core.learner import Learner
    from batchml.core.measure import Measure
    from batchml.core.resampling import Resampling
    from batchml.core.task import Task
    from batchml.execution.iteration import IterationResult

__all__ = ["Job", "Work", "results"]

_ON_THIS_MACHINE = ("LokyBackend", "MultiprocessingBackend")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What all iterations of a cell share."""

    task: Task
    learner: Learner
    resampling: Resampling
    label: str
    measures: tuple[Measure, ...]
    store_model: bool


@dataclass(frozen=True, slots=True)
class Job:
    """One iteration of a cell, by the number of its `Work`."""

    cell: int
    iteration: int
    seed: int


def results(works: Sequence[Work], jobs: Sequence[Job]) -> Iterator[IterationResult]:
    """Yield the jobs' results in order; they do not depend on who computes them.

    Raises
    ------
    ConfigError
        A learner is encapsulated by ``capture`` and the backend has threads.
    """
    from joblib.parallel import get_active_backend

    backend, asked = get_active_backend(prefer="processes")
    workers = getattr(backend, "default_n_jobs", 1) if asked is None else asked
    if workers == 1 or len(jobs) < 2:
        return (_run(works[job.cell], job) for job in jobs)
    if getattr(backend, "uses_threads", False):
        return _in_threads(works, jobs)
    return _in_processes(works, jobs, here=type(backend).__name__ in _ON_THIS_MACHINE)


def _run(work: Work, job: Job) -> IterationResult:
    from batchml.execution.iteration import run

    try:
        return run(
            work.task,
            work.learner,
            work.resampling,
            job.iteration,
            job_seed=job.seed,
            measures=work.measures,
            store_model=work.store_model,
        )
    except Exception as error:
        error.add_note(f"in {work.label}, iteration {job.iteration}")
        raise


# Processes ---------------------------------------------------------------------------------------------------------


def _in_processes(works: Sequence[Work], jobs: Sequence[Job], *, here: bool) -> Iterator[IterationResult]:
    """Send the tasks once by a file, not once per job, where workers see this machine's files."""
    import joblib
    from joblib.externals.loky.backend.reduction import dumps

    parallel = joblib.Parallel(prefer="processes", return_as="generator")
    if not here:
        yield from parallel(joblib.delayed(_run)(works[job.cell], job) for job in jobs)
        return
    with tempfile.TemporaryDirectory(prefix="batchml-") as folder:
        file = Path(folder) / "works"
        file.write_bytes(dumps(list(works)))
        yield from parallel(joblib.delayed(_run_from)(str(file), job) for job in jobs)


_opened: tuple[str, list[Work]] = ("", [])


def _run_from(file: str, job: Job) -> IterationResult:
    global _opened  # noqa: PLW0603 - a worker process keeps the last benchmark that it worked for
    if _opened[0] != file:
        _opened = (file, pickle.loads(Path(file).read_bytes()))  # noqa: S301 - this session wrote it
    return _run(_opened[1][job.cell], job)


# Threads -----------------------------------------------------------------------------------------------------------


def _in_threads(works: Sequence[Work], jobs: Sequence[Job]) -> Iterator[IterationResult]:
    """Run in threads what threads cannot disturb; the rest afterwards, one after another.

    The global random generators, the warnings filters and the thread pools of numerical libraries belong to the whole
    process, so code that may depend on them has to have them for itself.
    """
    import joblib

    from batchml.execution.execute import kept_random_state
    from batchml.execution.limits import thread_limit

    _refuse_capture(works)
    shared = [_may_share(work.learner) for work in works]
    done: dict[Job, Any] = {}
    with kept_random_state(), thread_limit(1):
        side_by_side = [job for job in jobs if shared[job.cell]]
        found = joblib.Parallel(prefer="processes")(joblib.delayed(_run)(works[job.cell], job) for job in side_by_side)
        done.update(zip(side_by_side, found, strict=True))
    for job in jobs:
        yield done.pop(job) if job in done else _run(works[job.cell], job)


def _may_share(learner: Learner) -> bool:
    return learner.fallback is None and learner.threads == 1 and not learner.draws_globally


def _refuse_capture(works: Sequence[Work]) -> None:
    """Raise if threads would record each other's warnings and output, which belong to the whole process."""
    for work in works:
        if "capture" in work.learner.encapsulate.values():
            raise ConfigError(
                f"learner '{work.learner.id}' is encapsulated by 'capture', which cannot tell threads apart: choose "
                "joblib's backend 'loky', or encapsulate = 'process'"
            )
