"""A worker that reaches no database, from its start to its end: what `batchml worker --spool` does."""

from __future__ import annotations

import contextlib
import logging
import math
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from batchml.errors import ConfigError
from batchml.registry.processes import here
from batchml.worker.courier import ThreadCourier
from batchml.worker.fitness import Trial, require_fitness
from batchml.worker.loop import Loop
from batchml.worker.probe import Probe
from batchml.worker.spool import SpoolChannel
from batchml.worker.spool_folder import SpoolFolder
from batchml.worker.spool_segment import Segment, SpoolWorker, notice, segment_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from batchml.worker.fitness import UnfitError
    from batchml.worker.loop import Report
    from batchml.worker.settings import Settings
    from batchml.worker.signals import StopSignals
    from batchml.worker.slots import SandboxPool

__all__ = ["serve_spool"]

_log = logging.getLogger(__name__)


def serve_spool(
    root: str,
    start_pool: Callable[[str], SandboxPool],
    settings: Settings,
    stop: StopSignals,
    *,
    trust: Sequence[str] = (),
    paths: Sequence[str] = (),
    clock: Callable[[], float],
) -> Report | None:
    """Work off the bundles in a spool folder; None if there is nothing left to do in it.

    Parameters
    ----------
    start_pool
        Starts the slots, given the place of the data of tasks.

    Raises
    ------
    SpoolError
        There is no spool, or it cannot be trusted.
    UnfitError
        This node cannot do the work; nothing was claimed.
    """
    folder = SpoolFolder(root)
    about = folder.about()
    if about.get("closed"):
        _log.info("all that was in %s has been done", root)
        return None
    with contextlib.ExitStack() as stack:
        trial = None
        if stop.allocation.element is not None:
            trial = Trial(trust, paths)
            stack.callback(trial.close)
        pool = start_pool(about["artifacts"] or str(folder.artifacts))
        stack.callback(pool.close)
        worker = _worker(pool.slots, settings, stop)
        if trial is not None:
            require_fitness(trial, folder.about, partial(_leave_word, folder, worker))
        _limit(pool, about["resources"])
        channel = SpoolChannel(folder, about["registry"], worker, probe=Probe(paths), allocation=stop.allocation)
        _log.info("segment %s, %d slots", channel.name, pool.slots)
        sys.setswitchinterval(0.0005)  # as with a database: the slots wait for the main thread
        # What was given to this worker nobody else can run before the registry is told: it is not given back for being
        # slow.
        settings = replace(settings, stall_s=math.inf)
        report = Loop(pool, ThreadCourier(channel), settings, stop=stop, clock=clock).run()
        if report.undelivered:
            channel.give_up(report.undelivered)
        return report


def _worker(slots: int, settings: Settings, stop: StopSignals) -> SpoolWorker:
    from batchml.execution.environment import scheduler_ids

    return SpoolWorker(
        process=here(),
        slots=slots,
        lease_s=settings.lease_s,
        scheduler_id=stop.allocation.element,
        incarnation=stop.allocation.restarts,
        allocation=scheduler_ids() or None,
    )


def _leave_word(folder: SpoolFolder, worker: SpoolWorker, error: UnfitError) -> None:
    segment = Segment(folder.segments / segment_name(worker), worker)
    segment.append([notice("bye", reason=str(error))])
    segment.close()


def _limit(pool: SandboxPool, resources: Mapping[str, Any]) -> None:
    from batchml.core.resources import Resources

    try:
        needs = Resources.parse(resources)
    except ConfigError as error:
        raise ConfigError(f"the spool names resources that make no sense: {error}") from None
    if needs.memory_mb is not None or needs.timeout_s is not None:
        pool.limit(memory_mb=needs.memory_mb, timeout_s=needs.timeout_s)
