"""What a worker is given and what it gives back: assignments and outcomes."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.core.conditions import Condition

__all__ = ["Assignment", "Ending", "Exchange", "Experiment", "JobResult", "Order", "Outcome"]


class Ending(enum.StrEnum):
    """How an attempt ended; the table of outcomes says what becomes of the job."""

    DONE = "done"
    LEARNER_ERROR = "learner_error"
    CONFIG_ERROR = "config_error"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    LOST = "lost"
    INFRASTRUCTURE = "infrastructure"
    PREEMPTED = "preempted"
    RELEASED = "released"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


class Order(enum.StrEnum):
    """What the registry asks of a worker."""

    GO_ON = "go_on"
    DRAIN = "drain"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A cell of a benchmark as any process can rebuild it: plain data, shared by all its assignments.

    Attributes
    ----------
    id
        The row in the registry.
    digest
        The cell's identity (task, model, resampling family); with `seed` and an iteration it feeds all random numbers.
    task, learner, policy, resampling
        Specs, see `Task.spec`, `Learner.model_spec`, `Learner.policy_spec`, `Resampling.spec`.
    measures
        Pairs (registry row of the measure, its spec), scored where the job runs.
    seed
        The root seed.
    modules
        The user's own modules that the specs may name; trusted only if the submitting user trusted them too.
    registry
        The id of the registry, to which signatures of pickles are bound.
    """

    id: int
    digest: str
    task: Mapping[str, Any]
    learner: Mapping[str, Any]
    policy: Mapping[str, Any]
    resampling: Mapping[str, Any]
    measures: tuple[tuple[int, Mapping[str, Any]], ...]
    seed: int
    modules: tuple[str, ...] = ()
    registry: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain data for a frame or a file; see `from_json`."""
        return {
            "id": self.id,
            "digest": self.digest,
            "task": self.task,
            "learner": self.learner,
            "policy": self.policy,
            "resampling": self.resampling,
            "measures": [list(pair) for pair in self.measures],
            "seed": self.seed,
            "modules": list(self.modules),
            "registry": self.registry,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Experiment:
        """Return the experiment that `as_json` wrote."""
        fields = dict(data)
        fields["measures"] = tuple((int(key), spec) for key, spec in fields["measures"])
        fields["modules"] = tuple(fields["modules"])
        return cls(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One resampling iteration to run; `attempt_id` is the fencing token of everything reported about it.

    Attributes
    ----------
    alone
        A suspect: its last worker died. It runs only while nothing else runs in the same worker, or in the same worker
        of a cluster.
    expected_s
        Median wall time of this experiment's finished jobs in seconds, None if none has finished.
    """

    attempt_id: int
    job_id: int
    iteration: int
    experiment: Experiment
    alone: bool = False
    expected_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What a finished iteration leaves behind.

    Attributes
    ----------
    completeness
        ``full``, ``partial`` (some rows missing), ``imputed`` (a fallback filled some) or ``none``.
    predictions
        Predict set (``test``, ``train``) to the Arrow IPC bytes of its prediction.
    scores
        Pairs (row of the measure, value); the value may be nan or infinite, None says that there is nothing to score.
    n, n_missing, n_imputed
        Rows of the test set, those without a prediction, those that a fallback predicted.
    model
        The pickled model if it is to be stored; opaque to everybody but the user's own session.
    """

    completeness: str
    predictions: Mapping[str, bytes | memoryview]
    scores: tuple[tuple[int, float | None], ...]
    n: int
    n_missing: int = 0
    n_imputed: int = 0
    model: bytes | None = None

    @property
    def size(self) -> int:
        """How many bytes predictions and model take."""
        return sum(map(len, self.predictions.values())) + len(self.model or b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one attempt ended. Times are in seconds, memory in MB (2**20 bytes).

    Attributes
    ----------
    signal
        The number of the signal that ended the process, for `crashed` and kills.
    error_type, message, traceback
        Of the exception that ended the attempt; None when it ended well.
    conditions
        In the order in which they happened, also for `done`.
    log
        What the iteration printed (head and tail where it was long), clean of NUL and lone surrogates.
    queued_s
        Time between handing the assignment to the pool and its start.
    fit_s, predict_s, wall_s, cpu_s, peak_mb
        Measured; None if the iteration did not get there.
    dirty
        What the job left changed in its process, which was therefore replaced.
    host, place
        Where it ran if not on its worker's own machine: the machine, and what it is known by, the address of a Dask
        worker; "" otherwise.
    """

    attempt_id: int
    job_id: int
    ending: Ending
    signal: int | None = None
    error_type: str | None = None
    message: str | None = None
    traceback: str | None = None
    conditions: tuple[Condition, ...] = ()
    log: str = ""
    fit_s: float | None = None
    predict_s: float | None = None
    wall_s: float | None = None
    cpu_s: float | None = None
    peak_mb: float | None = None
    threads: int | None = None
    dirty: tuple[str, ...] = ()
    host: str = ""
    place: str = ""
    result: JobResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The registry's answer to a worker.

    Attributes
    ----------
    assignments
        Newly opened attempts.
    lost
        Attempt ids among the delivered outcomes that were refused: their attempt was closed in another way before.
    order
        Go on, drain (take nothing new, finish) or stop (end at once).
    cancel
        Attempt ids to end: cancelled by the user or superseded.
    waiting
        Jobs that this worker may claim now or later (back-off included); 0 tells an idle worker to leave.
    next_s
        Seconds until the next of them can be claimed, when none can be now.
    """

    assignments: tuple[Assignment, ...] = ()
    lost: tuple[int, ...] = ()
    order: Order = Order.GO_ON
    cancel: tuple[int, ...] = ()
    waiting: int = 0
    next_s: float = field(default=0.0)
