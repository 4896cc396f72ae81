"""The seam to whatever starts workers. Executors start, list and stop workers; they never see a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from batchml.core.resources import Resources

__all__ = ["NEEDS", "Executor", "Handle", "Launch", "needs_of", "work_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What workers must be told to serve a submission.

    Attributes
    ----------
    url
        The registry's URL, password included: it goes into environments and pipes, never into an argument list.
    registry
        The registry's own id.
    submission
        The submission whose jobs they may claim.
    artifacts
        The folder with the data of tasks.
    spool
        The folder that serves its workers instead of the registry, of which they are told nothing; "" if none does.
    paths
        Folders of the user's own modules.
    trust
        Module prefixes that the submitting user trusts besides the default ones.
    resources
        What one iteration needs, as plain data.
    threads
        The most that a learner of its jobs uses.
    """

    url: str = field(repr=False)
    registry: str
    submission: int
    artifacts: Path | str = ""
    spool: str = ""
    paths: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    resources: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1


NEEDS = ("cpus", "memory_mb", "gpus")
"""What a worker is told about one iteration, to count its slots and deal out devices."""


def work_of(launch: Launch) -> list[str]:
    """Return words for ``batchml worker``: where its work comes from."""
    return ["--spool", launch.spool] if launch.spool else ["--submission", str(launch.submission)]


def needs_of(launch: Launch) -> list[str]:
    """Return words for ``batchml worker --need``."""
    return [f"{name}={launch.resources[name]}" for name in NEEDS if launch.resources.get(name)]


class Handle(Protocol):
    """One started worker, as its executor knows it."""

    @property
    def name(self) -> str:
        """What people call it: a process id, a job id of the scheduler."""
        ...

    @property
    def allocation(self) -> str:
        """What its scheduler calls the array it belongs to, "" for a process."""
        ...

    @property
    def outlives(self) -> bool:
        """Whether it lives on when this session ends."""
        ...

    @property
    def log(self) -> Path | None:
        """The file with what the worker itself had to say."""
        ...

    def alive(self) -> bool:
        """Whether it has not ended."""
        ...

    def stop(self, *, now: bool = False) -> None:
        """Ask it to finish what runs and leave; `now`: to end what runs too. Does not wait."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end; False if it has not come in `timeout` seconds."""
        ...


class Executor(Protocol):
    """Where workers are started."""

    @property
    def name(self) -> str:
        """``local``, ``slurm``, ..."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Plain data from which `resume` makes an equal executor: ``type(executor)(**settings)``."""
        ...

    def check(self, resources: Resources) -> None:
        """Refuse what it could not give; asked before anything is stored."""
        ...

    def start(self, launch: Launch) -> Sequence[Handle]:
        """Start workers; returns at once."""
        ...
