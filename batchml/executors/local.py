"""Workers on this machine, as processes of their own."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchml.core.resources import available_cores
from batchml.errors import ConfigError, nearest
from batchml.executors.base import needs_of, work_of
from batchml.executors.process import LocalHandle, spawn
from batchml.executors.spooled import check_spool
from batchml.executors.warm import take_waiting
from batchml.worker.home import worker_log
from batchml.worker.told import ARTIFACTS, REGISTRY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.core.resources import Resources
    from batchml.executors.base import Launch

__all__ = ["Local", "LocalHandle"]

_RESOURCES = ("cpus", "memory", "gpus", "timeout", "walltime", "partition")


@dataclass(frozen=True, slots=True)
class Local:
    """Start workers on this machine.

    Parameters
    ----------
    slots
        Iterations at once in each worker; None for the CPUs that this process may use, shared among the workers and
        divided by what one iteration uses (its `cpus`, or its learner's threads).
    workers
        Supervising processes. One is nearly always right: each has its own slots.
    detach
        Workers outlive this session. Otherwise they finish what runs and leave when it ends, however it ends.
    spool
        True, or a folder: workers do not open the registry but take their work from files, as on a cluster whose nodes
        reach no database. `Registry.sync` takes in what they did.
    """

    slots: int | None = None
    workers: int = 1
    detach: bool = False
    spool: bool | str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that start nothing."""
        check_spool("Local", self.spool)
        for name in ("slots", "workers"):
            value = getattr(self, name)
            if value is None and name == "slots":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"Local({name}=...) is a whole number from 1, not {value!r}")

    @property
    def name(self) -> str:
        """The executor's name in the registry."""
        return "local"

    @property
    def settings(self) -> Mapping[str, Any]:
        """What `resume` needs to do the same again."""
        said = {"slots": self.slots, "workers": self.workers, "detach": self.detach}
        return {**said, "spool": self.spool if self.spool is True else os.fspath(self.spool)} if self.spool else said

    def spool_for(self, _url: str) -> str | None:
        """The folder that serves its workers, "" for one of batchml's choice, None where they open the registry."""
        if not self.spool:
            return None
        return "" if self.spool is True else os.fspath(self.spool)

    def check(self, resources: Resources) -> None:
        """Refuse names that only a scheduler could know: here they are slips of the pen.

        Raises
        ------
        ConfigError
            Names the resource and the nearest that there is.
        """
        for name in resources.extra:
            hint = nearest(name, _RESOURCES)
            raise ConfigError(f"this machine has no resource '{name}'{hint}; it takes {', '.join(_RESOURCES)}")

    def start(self, launch: Launch) -> list[LocalHandle]:
        """Start the workers; returns at once. Slots that were asked for and leave too few CPUs warn."""
        each, cores = max(launch.threads, int(launch.resources.get("cpus") or 1)), available_cores()
        slots = self.slots or max(1, cores // (self.workers * each))
        if each > 1 and self.workers * slots * each > cores:
            warnings.warn(
                f"{self.workers * slots} x {each} threads at once want more than the {cores} CPUs here and slow each "
                "other down: ask for fewer slots, cpus or threads",
                UserWarning,
                stacklevel=4,
            )
        return [self._start(launch, slots) for _ in range(self.workers)]

    def _start(self, launch: Launch, slots: int) -> LocalHandle:
        if not self.detach and not launch.spool and (waiting := take_waiting(launch, slots)) is not None:
            return waiting
        words = [*work_of(launch), "--slots", str(slots)]
        words += [word for path in launch.paths for word in ("--path", str(path))]
        words += [word for name in launch.trust for word in ("--trust", name)]
        words += [word for need in needs_of(launch) for word in ("--need", need)]
        told = {} if launch.spool else {REGISTRY: launch.url, ARTIFACTS: str(launch.artifacts)}
        return spawn(words, told, worker_log(launch.registry, launch.submission), lifeline=not self.detach)
