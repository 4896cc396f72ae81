"""One stage of an iteration as a value: what it needs, how it went, and who may run it elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from batchml.core.conditions import Condition
from batchml.errors import ConfigError, DataUnavailableError, LearnerError, ProcessDiedError, StageTimeoutError
from batchml.execution.capture import error_condition
from batchml.execution.limits import TIMEOUT_MESSAGE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from batchml.core.learner import Learner
    from batchml.core.task import Task

__all__ = [
    "Failure",
    "FailureKind",
    "IterationFailed",
    "Partner",
    "StageCall",
    "StageName",
    "StageReply",
    "died_reply",
    "timeout_reply",
]

StageName = Literal["train", "predict"]
FailureKind = Literal["error", "timeout", "died", "memory", "config", "data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCall:
    """One stage to run, here or in a partner process: everything it needs, nothing that depends on the process.

    Attributes
    ----------
    learner
        Untrained: parameters only, without state.
    row_ids
        The rows to train on or to predict.
    seed
        Of this stage; all its random numbers come from it.
    model
        What training returned; for predict only.
    """

    stage: StageName
    learner: Learner
    task: Task
    row_ids: NDArray[np.int64]
    seed: int
    threads: int = 1
    model: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a stage came to no value.

    Attributes
    ----------
    kind
        ``error`` (an exception), ``timeout``, ``died`` (its process is gone), ``memory`` (there was not enough),
        ``config`` (the user's mistake) or ``data`` (its source cannot be reached): nothing stands in for these two.
    condition
        The condition of level error that was recorded, also last in the reply's conditions.
    error
        The exception itself if the stage ran in this process.
    """

    kind: FailureKind
    condition: Condition
    error: BaseException | None = None

    def exception(self) -> BaseException:
        """Return the exception to raise where the failure is not to be lived with."""
        if self.error is not None:
            return self.error
        classes: dict[FailureKind, type[Exception]]
        classes = {
            "timeout": StageTimeoutError,
            "died": ProcessDiedError,
            "memory": MemoryError,
            "config": ConfigError,
            "data": DataUnavailableError,
        }
        return classes.get(self.kind, LearnerError)(self.condition.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReply:
    """How a stage went.

    Attributes
    ----------
    value
        The model, or the checked `Prediction`; None on failure.
    conditions
        In the order in which they happened.
    elapsed
        Wall time of the stage in seconds.
    output
        What a partner's process wrote to its file descriptors, if it was kept apart.
    failure
        None if the stage ended well.
    """

    value: Any = None
    conditions: tuple[Condition, ...] = ()
    elapsed: float = 0.0
    output: str = ""
    failure: Failure | None = None


class Partner(Protocol):
    """Another process that runs stages, so that whatever happens there is survived here.

    An implementation calls `execute(call)` in that process and hands back its reply with `Failure.error` left out
    (exceptions need not pickle). It never raises for what the stage does: a value that cannot be sent back, a limit
    reached (`timeout_reply`) and a process that died (`died_reply`) are replies. The next `run` gets a live process.
    """

    def run(self, call: StageCall, timeout: float | None) -> StageReply:
        """Run one stage; kill its process after `timeout` seconds."""
        ...


class IterationFailed(Exception):  # noqa: N818 - it is a carrier; the error is its cause
    """An error escaped a stage: nothing encapsulated it, or `when` said so, or it is a configuration error.

    Attributes
    ----------
    stage
        Where it happened.
    cause
        The original exception (also ``__cause__``).
    conditions
        What was recorded until then, the error last.
    timings
        Seconds per stage as far as it got.
    """

    def __init__(
        self,
        stage: str,
        cause: BaseException,
        conditions: tuple[Condition, ...] = (),
        timings: dict[str, float] | None = None,
    ) -> None:
        super().__init__(stage, cause)
        self.stage = stage
        self.cause = cause
        self.conditions = conditions
        self.timings = timings or {}


def died_reply(
    stage: StageName,
    status: int,
    conditions: tuple[Condition, ...] = (),
    elapsed: float = 0.0,
    memory: str | None = None,
) -> StageReply:
    """Return the reply for a process that ended with `status` (negative: by that signal), as subprocess counts.

    `memory` says why, if that was for want of memory.
    """
    message = f"process exited with status {status}" + (f": {memory}" if memory else "")
    kind: FailureKind = "memory" if memory else "died"
    condition = Condition(stage=stage, level="error", message=message, kind="out_of_memory" if memory else "died")
    failure = Failure(kind=kind, condition=condition)
    return StageReply(conditions=(*conditions, condition), elapsed=elapsed, failure=failure)


def timeout_reply(
    stage: StageName, elapsed: float, conditions: tuple[Condition, ...] = (), dump: str | None = None
) -> StageReply:
    """Return the reply for a stage whose process was ended at its time limit; `dump` is the stack where it hung."""
    error = StageTimeoutError(TIMEOUT_MESSAGE)
    condition = replace(error_condition(stage, error, kind="timeout"), traceback=dump)
    failure = Failure(kind="timeout", condition=condition)
    return StageReply(conditions=(*conditions, condition), elapsed=elapsed, failure=failure)
