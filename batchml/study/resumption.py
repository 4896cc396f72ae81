"""What resuming found and did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchml.executors.submission import Submission
    from batchml.registry.rescue import Reconciliation

__all__ = ["Resumption"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """What `Registry.resume` found and did.

    Attributes
    ----------
    found
        Dead workers and what became of their jobs.
    delivered
        Results that a worker had left on this machine's disk.
    submissions
        The workers that were started, one entry per resource class; empty for a dry run, or if nobody was needed.
    """

    found: Reconciliation
    delivered: int = 0
    submissions: tuple[Submission, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        started = [{"id": each.id, "workers": list(each.workers)} for each in self.submissions]
        return {**self.found.as_json(), "delivered": self.delivered, "submissions": started}

    def __str__(self) -> str:
        """Return a few lines for people."""
        lines = [str(self.found)]
        if self.delivered:
            lines.append(f"{self.delivered} results that were left on this machine's disk were taken in")
        started = [(each.id, len(each.workers)) for each in self.submissions]
        lines += [f"started {n} {'worker' if n == 1 else 'workers'} (submission {key})" for key, n in started]
        return "\n".join(lines)
