"""A worker from its start to its end: what `batchml worker` does."""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import logging
import os
import sys
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from batchml.errors import BatchmlError, ConfigError
from batchml.worker.allocation import own_allocation
from batchml.worker.dask_link import Link
from batchml.worker.fitness import (
    Trial,
    check_artifacts,
    check_fitness,
    check_registry,
    leave_word,
    require_fitness,
)
from batchml.worker.insist import insist
from batchml.worker.places import places
from batchml.worker.settings import Settings
from batchml.worker.signals import StopSignals
from batchml.worker.told import ARTIFACTS, LIFELINE, Task, forget_registry, hear_task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batchml.execution.sandbox.family import Family
    from batchml.registry.store import Store
    from batchml.worker.dask import DaskPool
    from batchml.worker.dask_start import ClusterProbe
    from batchml.worker.ledger import LocalLedger
    from batchml.worker.loop import Report
    from batchml.worker.probe import Probe
    from batchml.worker.slots import SandboxPool

__all__ = ["check_worker", "run_worker"]

_LITTER = 1000
"""Objects between two collections of garbage: commands, which end soon, let much more of it pile up."""

_log = logging.getLogger(__name__)


def run_worker(
    url: str,
    *,
    submission: int | None = None,
    spool: str | None = None,
    slots: int | None = None,
    paths: Iterable[str] = (),
    trust: Iterable[str] = (),
    needs: Mapping[str, Any] | None = None,
    dask: str | None = None,
    settings: Settings | None = None,
) -> int:
    """Claim and run the jobs of a submission until none is left or somebody says stop; return the exit status.

    To be called from the main thread of a process of its own: it takes over signals, environment and standard input.

    Parameters
    ----------
    url
        The registry.
    submission
        Whose resource class may be claimed; None to warm up and be told everything by a line of JSON on the lifeline.
    spool
        Folder on a shared disk with the work, instead of the registry, which is not opened then.
    slots
        Iterations at once; None for the CPUs that this process may use.
    paths
        Folders of the user's own modules.
    trust
        Module prefixes that specs may name besides the default ones.
    needs
        What one iteration needs, by which the slots are counted where `slots` does not say: cpus, memory_mb, gpus.
    dask
        The address of a Dask scheduler: iterations run on its workers.

    Raises
    ------
    ArtifactError
        The data of tasks cannot be read here; nothing was claimed.
    UnfitError
        Something cannot be imported on this node of a cluster; nothing was claimed.
    """
    task = Task(
        url=url, submission=submission or 0, spool=spool or "", slots=slots, paths=tuple(paths), trust=tuple(trust)
    )
    task = replace(task, artifacts=os.environ.pop(ARTIFACTS, ""), needs=needs or {}, link=Link.told(dask))
    forget_registry()
    if submission is None and spool is None and LIFELINE not in os.environ:
        raise ConfigError("--submission is missing: say whose jobs this worker may claim")
    settings = settings or Settings.from_environment()
    stop = _listen()
    stop.allocation = own_allocation()
    early = None
    if submission is None and spool is None:
        early = _start_template()
        _import_rest()
        told = hear_task(stop)
        if told is None:
            early.close()
            return 0
        task = told
    # From here on there is garbage; what was imported is none, and is not looked through for some.
    gc.freeze()
    gc.set_threshold(_LITTER, *gc.get_threshold()[1:])
    report = _work_spool(task, settings, stop) if task.spool else _work(task, early, settings, stop)
    if report is None:
        return 0
    _log.info(
        "left (%s): %d outcomes, %d refused, %d undelivered",
        report.reason,
        report.finished,
        report.refused,
        report.undelivered,
    )
    if report.reason == "drained" and stop.killed_soon:
        stop.allocation.requeue_if_preempted()
    return 1 if task.spool and report.undelivered else 0


def check_worker(url: str, *, spool: str | None = None, paths: Iterable[str] = (), trust: Iterable[str] = ()) -> str:
    """Look whether a worker could work here, claim nothing, and return what was looked at in a sentence.

    Parameters
    ----------
    url, spool, paths, trust
        As those of `run_worker`.

    Raises
    ------
    UnfitError
        It could not.
    """
    forget_registry()
    if spool is None:
        return check_fitness(trust, paths, partial(check_registry, url), ", registry and artifacts")
    from batchml.worker.spool_folder import SpoolFolder

    return check_fitness(trust, paths, SpoolFolder(spool).about, " and spool")


def _work_spool(task: Task, settings: Settings, stop: StopSignals) -> Report | None:
    from batchml.worker.spool_main import serve_spool

    _speak()
    return serve_spool(
        task.spool,
        lambda artifacts: _start_pool(task, artifacts, None),
        settings,
        stop,
        trust=task.trust,
        paths=task.paths,
        clock=_boot_clock,
    )


def _work(task: Task, early: Family | None, settings: Settings, stop: StopSignals) -> Report:
    with contextlib.ExitStack() as stack:
        # First of all the slots: their imports take longer than everything else here, and run beside it.
        trial = None
        if stop.allocation.element is not None:
            trial = Trial(task.trust, task.paths)
            stack.callback(trial.close)
        pool: SandboxPool | None = None
        if task.link is None and (early is not None or task.artifacts):
            pool = _start_pool(task, task.artifacts, early)
            stack.callback(pool.close)
        from batchml.registry.store import Store

        _speak()
        store = insist(lambda: Store.open(task.url), settings, stop)
        stack.callback(store.close)
        if trial is None:
            check_artifacts(store)
        else:
            told = partial(leave_word, store, task.submission)
            require_fitness(trial, partial(check_artifacts, store), told)
        if task.link is not None:
            return _serve_dask(store, task, task.link, settings, stop)
        if pool is None:
            pool = _start_pool(task, str(store.artifact_path), None)
            stack.callback(pool.close)
        insist(lambda: _limit(pool, store, task.submission), settings, stop)
        return _serve(store, task, pool, settings, stop)


def _limit(pool: SandboxPool, store: Store, submission: int) -> None:
    """Hold iterations to what was submitted for each of them."""
    from batchml.core.resources import Resources
    from batchml.registry.submissions import resources_of

    needs = Resources.parse(resources_of(store, submission))
    if needs.memory_mb is not None or needs.timeout_s is not None:
        pool.limit(memory_mb=needs.memory_mb, timeout_s=needs.timeout_s)


def _serve_dask(store: Store, task: Task, link: Link, settings: Settings, stop: StopSignals) -> Report:
    from batchml.core.resources import Resources
    from batchml.registry.submissions import resources_of
    from batchml.worker.dask_start import BlamelessLedger, ClusterProbe, start_dask

    needs = Resources.parse(insist(lambda: resources_of(store, task.submission), settings, stop))
    try:
        pool = start_dask(store, link, needs, paths=task.paths, trust=task.trust, needs=task.needs, stop=stop)
    except BatchmlError as error:
        leave_word(store, task.submission, error)
        raise
    with contextlib.closing(pool):
        # A cluster of its own is on this machine, and may have taken the worker with it.
        ledger = BlamelessLedger if link.address else None
        return _serve(store, task, pool, settings, stop, probe=ClusterProbe(pool), ledger=ledger)


def _serve(
    store: Store,
    task: Task,
    pool: SandboxPool | DaskPool,
    settings: Settings,
    stop: StopSignals,
    *,
    probe: Probe | ClusterProbe | None = None,
    ledger: type[LocalLedger] | None = None,
) -> Report:
    from batchml.registry.workers import register_worker
    from batchml.worker.courier import ThreadCourier
    from batchml.worker.direct import DirectChannel
    from batchml.worker.ledger import LocalLedger
    from batchml.worker.legacy import take_over
    from batchml.worker.loop import Loop
    from batchml.worker.probe import Probe
    from batchml.worker.undelivered import LocalKeep

    insist(lambda: take_over(store), settings, stop)
    calls = itertools.count()
    enter = partial(
        register_worker,
        store,
        task.submission,
        slots=pool.slots,
        scheduler_id=stop.allocation.element,
        incarnation=stop.allocation.restarts,
        lease_s=settings.lease_s,
    )
    worker_id = insist(lambda: enter(again=next(calls) > 0), settings, stop)
    _log.info("worker %d, submission %d, %d slots", worker_id, task.submission, pool.slots)
    # The channel thread computes too, and the slots wait for the main thread: it shall get the interpreter soon.
    sys.setswitchinterval(0.0005)
    loop = Loop(
        pool,
        ThreadCourier(DirectChannel(store, worker_id, probe or Probe(task.paths), stop.allocation, pool)),
        settings,
        stop=stop,
        keep=LocalKeep(store.uuid, worker_id),
        ledger=(ledger or LocalLedger)(store.uuid, worker_id),
        clock=_boot_clock,
    )
    return loop.run()


def _boot_clock() -> float:
    """Seconds since boot, time asleep included: a machine that slept has missed its beats."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _start_template() -> Family:
    from batchml.execution.sandbox.family import Family

    return Family(None)


def _import_rest() -> None:
    """Load what the first exchange needs, while nobody waits for it."""
    for layer, names in (("worker", ("slots", "loop", "direct")), ("registry", ("store", "exchange", "workers"))):
        for name in names:
            importlib.import_module(f"batchml.{layer}.{name}")


def _start_pool(task: Task, artifacts: str, early: Family | None) -> SandboxPool:
    from batchml.core.trust import Trust
    from batchml.data.snapshots import check_snapshots
    from batchml.worker.slots import SandboxPool

    check_snapshots(task.paths)
    slots, devices = places(task.slots, task.needs)
    trust = Trust.default().with_modules(task.trust)
    return SandboxPool(slots, artifacts, trust, task.paths, family=early, devices=devices)


def _listen() -> StopSignals:
    """Listen to signals and, if there is one, to the lifeline on standard input."""
    lifeline = None
    if os.environ.pop(LIFELINE, None):
        lifeline = os.dup(0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
    stop = StopSignals(lifeline)
    stop.install()
    # Never given back: a second Ctrl-C while the interpreter shuts down would end in a traceback.
    return stop


def _speak() -> None:
    """Write what the worker has to say to standard error, which its executor keeps."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("batchml").setLevel(logging.INFO)
