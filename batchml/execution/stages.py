"""Train and predict as stages: encapsulated, limited in time, with a fallback where the learner has one."""

from __future__ import annotations

import contextlib
import random
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from batchml.core.conditions import Condition
from batchml.core.seed import derive, seed_globals
from batchml.errors import ConfigError, LearnerError, ProcessDiedError, StageTimeoutError
from batchml.execution.capture import Recorder, error_condition, recording
from batchml.execution.limits import thread_limit, time_limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from batchml.core.learner import Learner
    from batchml.core.task import Task

__all__ = ["Failure", "IterationFailed", "Partner", "StageCall", "StageReply", "execute", "run_stage"]

StageName = Literal["train", "predict"]
FailureKind = Literal["error", "timeout", "died", "config"]


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
        ``error`` (an exception), ``timeout``, ``died`` (its process is gone) or ``config`` (the user's mistake).
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
        classes = {"timeout": StageTimeoutError, "died": ProcessDiedError, "config": ConfigError}
        return classes.get(self.kind, LearnerError)(self.condition.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReply:
    """How a stage went.

    Attributes
    ----------
    value
        The model, or the raw prediction (a mapping, see `batchml.core.prediction.as_prediction`); None on failure.
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
    stage: StageName, status: int, conditions: tuple[Condition, ...] = (), elapsed: float = 0.0
) -> StageReply:
    """Return the reply for a process that ended with `status` (negative: by that signal), as subprocess counts."""
    condition = Condition(stage=stage, level="error", message=f"process exited with status {status}", kind="died")
    failure = Failure(kind="died", condition=condition)
    return StageReply(conditions=(*conditions, condition), elapsed=elapsed, failure=failure)


def timeout_reply(
    stage: StageName, elapsed: float, conditions: tuple[Condition, ...] = (), dump: str | None = None
) -> StageReply:
    """Return the reply for a stage whose process was ended at its time limit; `dump` is the stack where it hung."""
    error = StageTimeoutError("reached elapsed time limit")
    condition = replace(error_condition(stage, error, kind="timeout"), traceback=dump)
    failure = Failure(kind="timeout", condition=condition)
    return StageReply(conditions=(*conditions, condition), elapsed=elapsed, failure=failure)


def execute(
    call: StageCall,
    *,
    timeout: float | None = None,
    record: bool = True,
    output: bool = True,
    interrupts: bool = True,
) -> StageReply:
    """Run a stage in this process. Never raises for what the learner does.

    Parameters
    ----------
    timeout
        Seconds; Python code only, see `batchml.execution.limits.time_limit`.
    record
        Record warnings and logging as conditions (else they go where they usually go).
    output
        Record what is printed, too.
    interrupts
        Count KeyboardInterrupt as the learner's error. False in a session, where it is the user's.
    """
    recorder = Recorder(call.stage)
    value, failure = None, None
    start = time.perf_counter()
    with recording(recorder, output=output) if record else contextlib.nullcontext():
        try:
            with time_limit(timeout), thread_limit(call.threads):
                seed_globals(call.seed)
                start = time.perf_counter()
                value = _run(call)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and not interrupts:
                raise
            failure = _failure(call.stage, error)
    elapsed = time.perf_counter() - start
    conditions = recorder.conditions() if record else ()
    if failure is not None:
        conditions = (*conditions, failure.condition)
    return StageReply(value=value, conditions=conditions, elapsed=elapsed, failure=failure)


def _run(call: StageCall) -> Any:
    if call.stage == "train":
        return call.learner._fit(call.task, call.row_ids, seed=call.seed)  # noqa: SLF001 - the hook of subclasses
    raw = call.learner._predict(call.model, call.task, call.row_ids, seed=call.seed)  # noqa: SLF001
    return raw


def _failure(stage: StageName, error: BaseException) -> Failure:
    kind: FailureKind = "error"
    name = None
    if isinstance(error, ConfigError):
        kind = "config"
    elif isinstance(error, StageTimeoutError):
        kind = name = "timeout"
    return Failure(kind=kind, condition=error_condition(stage, error, kind=name), error=error)


def run_stage(
    call: StageCall,
    method: str,
    *,
    timeout: float | None = None,
    partner: Partner | None = None,
    record: bool = False,
) -> StageReply:
    """Run a stage as its encapsulation says: ``none`` and ``capture`` here, ``process`` in a partner.

    `record` is for workers: conditions are recorded whatever the encapsulation, and an interrupt is the learner's.
    """
    if method == "process":
        if partner is None:
            from batchml.core.catalog import resolve_name

            partner = resolve_name("execution.sandbox:session_partner")()
        return partner.run(call, timeout)
    captured = method == "capture"
    with _kept_random_state() if not record else contextlib.nullcontext():
        return execute(call, timeout=timeout, record=record or captured, output=captured, interrupts=record)


@contextlib.contextmanager
def _kept_random_state() -> Iterator[None]:
    """Give a session its global random numbers back: a stage is seeded from its job alone."""
    from numpy.random import get_state, set_state

    state, numpy_state = random.getstate(), get_state()
    torch = sys.modules.get("torch")
    torch_state = torch.get_rng_state() if torch is not None and hasattr(torch, "get_rng_state") else None
    try:
        yield
    finally:
        random.setstate(state)
        set_state(numpy_state)
        if torch is not None and torch_state is not None:
            torch.set_rng_state(torch_state)


def stage_seed(job_seed: int, stage: str, what: str = "learner") -> int:
    """Return the seed of one stage: the same in any process, whatever ran before."""
    return derive(job_seed, "stage", stage, what)
