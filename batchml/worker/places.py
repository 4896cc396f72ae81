"""How many slots a worker has, and which devices each of them sees."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from batchml.core.resources import available_cores
from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DEVICES", "places"]

DEVICES = "CUDA_VISIBLE_DEVICES"


def places(slots: int | None, needs: Mapping[str, int]) -> tuple[int, Sequence[str]]:
    """Return the number of slots, and for each of them its value of ``CUDA_VISIBLE_DEVICES``; none if jobs need none.

    Parameters
    ----------
    slots
        What was asked for; None for as many as processors, memory and devices of the allocation allow.
    needs
        Of one iteration: cpus, memory_mb, gpus.

    Raises
    ------
    ConfigError
        There are fewer devices than one slot needs.
    """
    number = slots or _by_room(needs)
    gpus = int(needs.get("gpus") or 0)
    if not gpus:
        return number, ()
    seen = [word for word in os.environ.get(DEVICES, "").split(",") if word.strip()]
    number = min(number, len(seen) // gpus)
    if number < 1:
        raise ConfigError(f"a job needs {gpus} GPUs, but ${DEVICES} names {len(seen)} here: ask the scheduler for them")
    return number, [",".join(seen[place * gpus : (place + 1) * gpus]) for place in range(number)]


def _by_room(needs: Mapping[str, int]) -> int:
    most = available_cores() // int(needs.get("cpus") or 1)
    granted = os.environ.get("SLURM_MEM_PER_NODE", "")
    if needs.get("memory_mb") and granted.isdecimal() and int(granted):
        most = min(most, int(granted) // int(needs["memory_mb"]))
    return max(1, most)
