"""What a worker is told by whoever starts it: by its environment and, once it is warm, by a line on its lifeline."""

from __future__ import annotations

import json
import os
import select
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.worker.dask_link import Link
    from batchml.worker.signals import StopSignals

__all__ = ["ARTIFACTS", "LIFELINE", "REGISTRY", "REGISTRY_FILE", "Task", "forget_registry", "hear_task"]

REGISTRY = "BATCHML_REGISTRY"
REGISTRY_FILE = "BATCHML_REGISTRY_FILE"
"""Set by executors: a file with the registry's URL, where an environment would be kept by somebody else."""
ARTIFACTS = "BATCHML_WORKER_ARTIFACTS"
"""Set by executors: the folder with the data of tasks, known before the database is asked."""
LIFELINE = "BATCHML_LIFELINE"
"""Set by executors: standard input is a pipe that ends with the process that started the worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a worker is to do."""

    url: str = field(repr=False)
    submission: int
    spool: str = ""
    slots: int | None = None
    artifacts: str = ""
    paths: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    needs: Mapping[str, Any] = field(default_factory=dict)
    link: Link | None = None


def forget_registry() -> None:
    """User code has no business with a password."""
    for name in (REGISTRY, REGISTRY_FILE):
        os.environ.pop(name, None)


def hear_task(stop: StopSignals) -> Task | None:
    """Wait for the line that says what to do; None if the other end is gone, or somebody says stop."""
    from batchml.core.attempt import Order  # whoever starts a worker needs only the names above, and soon

    poll = select.poll()
    for descriptor in stop.descriptors:
        poll.register(descriptor, select.POLLIN)
    while stop.order is Order.GO_ON and b"\n" not in stop.heard:
        poll.poll()
    if b"\n" not in stop.heard:
        return None
    data = json.loads(stop.heard)
    return Task(**{**data, "paths": tuple(data["paths"]), "trust": tuple(data["trust"])})
