"""What resuming found and did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchml.worker.legacy import Legacy

if TYPE_CHECKING:
    from batchml.executors.submission import Submission
    from batchml.registry.rescue import Reconciliation

__all__ = ["Resumption"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Resumption:
    """What `Registry.resume` found and did.

    Attributes
    ----------
    found
        Dead workers and what became of their jobs.
    legacy
        What dead workers had left on this machine's disk.
    delivered
        Outcomes that workers without a database had left on the shared disk: taken in, or, after a dry run, waiting.
    unserved
        Classes of resources that jobs wait for and no live worker has: workers were started for each, or, after a dry
        run, would be.
    submissions
        The workers that were started, one entry per class; empty for a dry run, or if nobody was needed.
    """

    found: Reconciliation
    legacy: Legacy = field(default_factory=Legacy)
    delivered: int = 0
    unserved: int = 0
    submissions: tuple[Submission, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        started = [{"id": each.id, "workers": list(each.workers)} for each in self.submissions]
        delivered = self.legacy.delivered + self.delivered
        left = {"delivered": delivered, "unstarted": self.legacy.unstarted, "unserved": self.unserved}
        return {**self.found.as_json(), **left, "submissions": started}

    def __str__(self) -> str:
        """Return a few lines for people."""
        lines = [str(self.found)]
        were = "would be" if self.found.dry_run else "were"
        if self.delivered:
            lines.append(f"{self.delivered} outcomes that were left on the shared disk {were} taken in")
        if self.legacy.delivered:
            lines.append(f"{self.legacy.delivered} results that were left on this machine's disk {were} taken in")
        if self.legacy.unstarted:
            lines.append(f"{self.legacy.unstarted} claims that dead workers had not started {were} given back")
        started = [(each.id, len(each.workers)) for each in self.submissions]
        lines += [f"started {n} {'worker' if n == 1 else 'workers'} (submission {key})" for key, n in started]
        if self.found.dry_run and self.unserved:
            lines.append("workers would be started: jobs wait that no live worker serves")
        return "\n".join(lines)

    __repr__ = __str__
