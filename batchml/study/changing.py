"""The part of `Registry` that changes jobs, their tags and their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchml.study.ids import job_ids
from batchml.study.syncing import Syncing

if TYPE_CHECKING:
    from batchml.reduce.rescore import Rescored
    from batchml.study.ids import Jobs

__all__ = ["Changing"]


class Changing(Syncing):
    """What is changed reaches workers without a database, too."""

    def retry(self, jobs: Jobs) -> int:
        """Queue failed or cancelled jobs again and return how many; their history stays. `resume` starts workers."""
        from batchml.registry import moves

        count = moves.retry(self._fresh(), job_ids(jobs))
        self._sync_changes()
        return count

    def reset(self, jobs: Jobs) -> int:
        """Drop results and make jobs defined again; return how many."""
        from batchml.registry import moves

        count = moves.reset(self._store, job_ids(jobs))
        self._sync_changes()
        return count

    def cancel(self, jobs: Jobs, running: bool = False) -> int:  # noqa: FBT001, FBT002 - as in API.md
        """Cancel jobs that have not started (`running`: those that run, too); return how many."""
        from batchml.registry import moves

        cancelled = moves.cancel(self._fresh(), job_ids(jobs), running=running)
        self._sync_changes()
        self._watch().drop_idle()
        return cancelled

    def remove(self, jobs: Jobs) -> int:
        """Delete jobs with results, attempts and logs; return how many."""
        from batchml.registry import moves

        count = moves.remove(self._store, job_ids(jobs))
        self._sync_changes()
        return count

    def tag(self, jobs: Jobs, tag: str) -> int:
        """Give jobs a tag; return how many did not have it."""
        from batchml.registry import moves

        return moves.tag(self._store, job_ids(jobs), tag)

    def untag(self, jobs: Jobs, tag: str) -> int:
        """Take a tag from jobs; return how many had it."""
        from batchml.registry import moves

        return moves.untag(self._store, job_ids(jobs), tag)

    def rescore(self, measures: Any = None, benchmark: str | None = None, *, slots: int | None = None) -> Rescored:
        """Give benchmarks further measures, and score what is finished by them from stored predictions.

        Cut off anywhere, calling it again does the rest.

        Parameters
        ----------
        measures
            Keys or objects; None: score what lacks scores by the measures that the benchmarks have.
        benchmark
            Its name; None: all.
        slots
            Processes; None: one for each core if there is much to do.

        Raises
        ------
        ConfigError
            A measure needs what is not stored: the trained learner, or predictions of other rows.
        """
        from batchml.reduce.rescore import rescore

        return rescore(self._store, measures, benchmark, slots=slots, trust=self._reading_trust())
