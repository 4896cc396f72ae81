"""The slots of a Dask worker: started with what the supervisor has said, unless they would be of no use there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.worker.dask_bundle import Setup
    from batchml.worker.slots import SandboxPool

__all__ = ["start_slots"]


def start_slots(setup: Setup, tables: str, threads: int) -> SandboxPool:
    """Start slots, and try the imports meanwhile.

    Parameters
    ----------
    setup
        What the supervisor has said.
    tables
        Where the data of tasks are read here.
    threads
        Of the Dask worker.

    Raises
    ------
    BatchmlError
        Iterations cannot run here, and why.
    """
    from batchml.core.trust import Trust
    from batchml.data.snapshots import check_snapshots
    from batchml.errors import BatchmlError
    from batchml.worker.fitness import Trial
    from batchml.worker.slots import SandboxPool

    if words := _differences(setup.versions):
        raise BatchmlError(words)
    trial = Trial(setup.trust, setup.paths)
    try:
        check_snapshots(setup.paths)
        slots, devices = _places(setup.needs, threads)
        trust = Trust.default().with_modules(setup.trust)
        pool = SandboxPool(
            slots,
            tables,
            trust,
            setup.paths,
            memory_mb=setup.memory_mb,
            timeout_s=setup.timeout_s,
            devices=devices,
        )
        try:
            trial.require()
        except BatchmlError:
            pool.close()
            raise
    finally:
        trial.close()
    return pool


def _places(needs: Mapping[str, Any], threads: int) -> tuple[int, Any]:
    """Return how many iterations run at once, and which devices each sees, if this worker has been given any."""
    from batchml.worker.places import DEVICES, places

    slots = max(1, threads // int(needs.get("cpus") or 1))
    if needs.get("gpus") and os.environ.get(DEVICES):
        return places(slots, needs)
    return slots, ()


def _differences(wanted: Mapping[str, str]) -> str:
    from batchml.worker.dask_calls import versions

    found = versions()
    differ = [name for name in wanted if found.get(name) != wanted[name]]
    return "; ".join(
        f"{name} is {found.get(name)} there and {wanted[name]} for the supervisor: install the same" for name in differ
    )
