"""Run one stage in this process, or hand it to a partner."""

from __future__ import annotations

import contextlib
import random
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batchml.core.prediction import as_prediction
from batchml.core.seed import seed_globals
from batchml.errors import ArtifactError, ConfigError, DataUnavailableError, LearnerError, StageTimeoutError
from batchml.execution.call import Failure, FailureKind, Partner, StageCall, StageName, StageReply
from batchml.execution.capture import Recorder, error_condition, recording
from batchml.execution.limits import thread_limit, time_limit
from batchml.execution.memory import give_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchml.core.learner import Learner

__all__ = ["execute", "kept_random_state", "run_stage"]

_MANY_ROWS = 1 << 18
"""More predictions than these are large themselves: what their features took is given back before they are checked."""


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
    if failure is not None and failure.kind == "timeout" and timeout is not None:
        # The limit began a moment before the clock: what hit it took that long.
        elapsed = max(elapsed, timeout)
    conditions = recorder.conditions() if record else ()
    if failure is not None:
        conditions = (*conditions, failure.condition)
    return StageReply(value=value, conditions=conditions, elapsed=elapsed, failure=failure)


def _run(call: StageCall) -> Any:
    learner = call.learner.with_threads(call.threads)
    if call.stage == "train":
        return _fitted(learner, call)
    raw = learner._predict(call.model, call.task, call.row_ids, seed=call.seed)  # noqa: SLF001
    many = len(call.row_ids) > _MANY_ROWS
    if many:
        give_back()
    # Checked within the stage: a wrong length or an unknown label is the learner's error, and can be encapsulated.
    prediction = as_prediction(call.task, call.row_ids, raw)
    if many:  # the truth has been read, and measures come next
        give_back()
    return prediction


def _fitted(learner: Learner, call: StageCall) -> Any:
    """Return the trained model; where the rows are at fault rather than the method, say so."""
    where = f"learner '{learner.id}' cannot be trained on task '{call.task.id}'"
    if not len(call.row_ids):
        raise LearnerError(f"{where}: the training set has no rows; give the resampling another ratio or other sets")
    try:
        return learner._fit(call.task, call.row_ids, seed=call.seed)  # noqa: SLF001 - the hooks of subclasses
    except (StageTimeoutError, ConfigError, DataUnavailableError):
        raise
    except Exception as error:
        only = _only_class(call)
        if only is None:
            raise
        raise LearnerError(
            f"{where}: the training rows have only the class {only!r} ({type(error).__name__}: {error}); stratify the "
            "resampling by the target (stratify=True), or give the learner a fallback"
        ) from error


def _only_class(call: StageCall) -> Any:
    """Return the class of the training rows if they have only one, else None."""
    if call.task.task_type != "classif":
        return None
    labels = set(call.task.truth(call.row_ids).tolist())
    return labels.pop() if len(labels) == 1 else None


def _failure(stage: StageName, error: BaseException) -> Failure:
    kind: FailureKind = "error"
    name = None
    if isinstance(error, ConfigError):
        kind = "config"
    elif isinstance(error, DataUnavailableError | ArtifactError):
        kind = "data"
    elif isinstance(error, StageTimeoutError):
        kind = name = "timeout"
    elif isinstance(error, MemoryError):
        kind = "memory"
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
        return partner.run(replace(call, learner=call.learner.alone()), timeout)
    captured = method == "capture"
    return execute(call, timeout=timeout, record=record or captured, output=captured, interrupts=record)


@contextlib.contextmanager
def kept_random_state() -> Iterator[None]:
    """Give a session its global random numbers back after the body: stages are seeded from their job alone."""
    from numpy import random as numpy_random

    state, numpy_state = random.getstate(), numpy_random.get_state()  # noqa: NPY002 - the state learners draw from
    torch = sys.modules.get("torch")
    torch_state = torch.get_rng_state() if torch is not None and hasattr(torch, "get_rng_state") else None
    try:
        yield
    finally:
        random.setstate(state)
        numpy_random.set_state(numpy_state)  # noqa: NPY002
        if torch is not None and torch_state is not None:
            torch.set_rng_state(torch_state)
