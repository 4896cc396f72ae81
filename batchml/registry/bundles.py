"""Dealing queued jobs out in bundles: about five minutes of work each, the longest jobs first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Waiting", "pack"]

_WORK_S = 300.0
_MOST_JOBS = 5000
_SHARES = 4  # bundles for each worker at least, where there is little work
_UNKNOWN = 200  # bundles at most, of experiments that nobody has measured
_LEAST_S = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A job to be dealt out."""

    job_id: int
    experiment_id: int
    iteration: int
    suspect: bool
    priority: int


def pack(
    jobs: Sequence[Waiting], expected: Mapping[int, float], *, workers: int, slots: int
) -> Iterator[tuple[Waiting, ...]]:
    """Return bundles, the most urgent first.

    A bundle is about five minutes of work, or less where otherwise some workers would get none. Of an experiment that
    was never measured nobody knows how long a job takes, so such bundles are small: a job or two for each slot, or,
    where there are very many, a two-hundredth of them. Each suspect, whose last worker died, has a bundle of its own.

    Parameters
    ----------
    expected
        Experiment to the seconds that one of its jobs is expected to take, where that is known.
    workers, slots
        Workers that share the work, and what each runs at once.

    Examples
    --------
    >>> jobs = [
    ...     Waiting(job_id=i, experiment_id=i % 2, iteration=0, suspect=i == 5, priority=0) for i in range(6)
    ... ]
    >>> [[job.job_id for job in bundle] for bundle in pack(jobs, {0: 100.0, 1: 200.0}, workers=1, slots=1)]
    [[1], [3], [0], [2], [4], [5]]
    """
    plain = [job for job in jobs if not job.suspect]
    total = sum(expected.get(job.experiment_id, 0.0) for job in plain)
    unknown = sum(job.experiment_id not in expected for job in plain)
    work_s = max(_LEAST_S, min(_WORK_S, total / (_SHARES * workers)))
    few = max(2 * slots, math.ceil(unknown / max(_UNKNOWN, _SHARES * workers)))
    plain.sort(key=lambda job: (-job.priority, -expected.get(job.experiment_id, math.inf), job.job_id))
    bundle: list[Waiting] = []
    filled = 0.0
    for job in plain:
        seconds = expected.get(job.experiment_id)
        part = 1.0 / few if seconds is None else seconds / work_s
        if bundle and (filled + part > 1.0 + 1e-9 or len(bundle) >= _MOST_JOBS):
            yield tuple(bundle)
            bundle, filled = [], 0.0
        bundle.append(job)
        filled += part
    if bundle:
        yield tuple(bundle)
    yield from ((job,) for job in jobs if job.suspect)
