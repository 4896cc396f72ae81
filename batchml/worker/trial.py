"""Run one job without writing anything, to see what it does."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Assignment, Ending, Experiment, Outcome
from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batchml.core.trust import Trust
    from batchml.registry.store import Store

__all__ = ["try_job"]


_BETWEEN = ("encapsulate", "fallback", "when", "timeout")
"""What a policy puts between a learner and its caller."""


def try_job(
    store: Store, job_id: int, *, external: bool, debug: bool, trust: Trust, paths: Iterable[str] = ()
) -> dict[str, Any]:
    """Run a job's iteration and return what came of it, as plain data.

    Parameters
    ----------
    external
        In a child process, as a worker would; else in this one.
    debug
        In this process, with the same seed and rows, but nothing encapsulated, no fallback and no limit: what is raised
        comes out as it is, for a debugger.
    paths
        Folders of the user's own modules.

    Raises
    ------
    UnknownKeyError
        There is no such job.
    Exception
        With `debug`: whatever the learner raises.
    """
    experiment, iteration = _read(store, job_id)
    if external and debug:
        raise ConfigError("a job is debugged in this process: external and debug exclude each other")
    if external:
        found = _outside(store, job_id, experiment, iteration, trust, paths)
    else:
        for path in paths:
            if path not in sys.path:
                sys.path.append(path)
        found = _bare(store, experiment, iteration, trust) if debug else _inside(store, experiment, iteration, trust)
    return {"job_id": job_id, "iteration": iteration, **found}


def _read(store: Store, job_id: int) -> tuple[Experiment, int]:
    from batchml.registry.experiments import read_job

    return read_job(store, job_id)


def _outside(
    store: Store, job_id: int, experiment: Experiment, iteration: int, trust: Trust, paths: Iterable[str]
) -> dict[str, Any]:
    from batchml.worker.slots import SandboxPool

    pool = SandboxPool(1, store.artifact_path, trust, paths)
    try:
        pool.submit(Assignment(attempt_id=0, job_id=job_id, iteration=iteration, experiment=experiment, alone=True))
        ended: list[Outcome] = []
        while not ended:
            ended = pool.wait(1.0)
    finally:
        pool.close()
    outcome = ended[0]
    names = {row: spec.get("id") or spec.get("key") for row, spec in experiment.measures}
    scores = {} if outcome.result is None else {str(names[row]): value for row, value in outcome.result.scores}
    return {
        "ending": outcome.ending.value,
        "error": _error(outcome.error_type, outcome.message),
        "signal": outcome.signal,
        "prediction": None if outcome.result is None else outcome.result.completeness,
        "scores": scores,
        "fit_s": outcome.fit_s,
        "predict_s": outcome.predict_s,
        "conditions": [condition.as_json() for condition in outcome.conditions],
        "traceback": outcome.traceback,
        "log": outcome.log,
    }


def _bare(store: Store, experiment: Experiment, iteration: int, trust: Trust) -> dict[str, Any]:
    """Run an iteration with nothing between the learner and the caller."""
    policy = {name: value for name, value in experiment.policy.items() if name not in _BETWEEN}
    return _success(_iterate(store, replace(experiment, policy=policy), iteration, trust, record=False))


def _inside(store: Store, experiment: Experiment, iteration: int, trust: Trust) -> dict[str, Any]:
    from batchml.execution.call import IterationFailed
    from batchml.execution.sandbox.job import failure

    try:
        return _success(_iterate(store, experiment, iteration, trust, record=True))
    except IterationFailed as failed:
        cause, stage, conditions, timings = failed.cause, failed.stage, failed.conditions, failed.timings
    except Exception as error:  # noqa: BLE001 - the user's own code
        cause, stage, conditions, timings = error, "setup", (), {}
    report = failure(cause, stage)
    return {
        "ending": Ending(report["ending"]).value,
        "error": _error(report["error_type"], report["message"]),
        "signal": None,
        "prediction": None,
        "scores": {},
        **_timings(timings),
        "conditions": [condition.as_json() for condition in conditions],
        "traceback": report["traceback"],
        "log": "",
    }


def _iterate(store: Store, experiment: Experiment, iteration: int, trust: Trust, *, record: bool) -> Any:
    from batchml.core.learner import Learner
    from batchml.core.measure import Measure
    from batchml.core.resampling import Resampling
    from batchml.core.seed import derive
    from batchml.execution import iteration as execution
    from batchml.execution.sandbox.job import build_task

    task = build_task(experiment.task, str(store.artifact_path))
    resampling = Resampling.from_spec(experiment.resampling, trust=trust).instantiate(task, seed=experiment.seed)
    return execution.run(
        task,
        Learner.from_specs(experiment.learner, experiment.policy, id=None, trust=trust),
        resampling,
        iteration,
        job_seed=derive(experiment.seed, "job", experiment.digest, iteration),
        measures=[Measure.from_spec(spec, trust=trust) for _, spec in experiment.measures],
        record=record,
    )


def _success(result: Any) -> dict[str, Any]:
    return {
        "ending": Ending.DONE.value,
        "error": None,
        "signal": None,
        "prediction": result.completeness,
        "scores": dict(result.scores),
        **_timings(result.timings),
        "conditions": [condition.as_json() for condition in result.conditions],
        "traceback": None,
        "log": "",
    }


def _timings(timings: Mapping[str, float]) -> dict[str, float | None]:
    return {"fit_s": timings.get("train"), "predict_s": timings.get("predict")}


def _error(kind: str | None, message: str | None) -> str | None:
    return f"{kind}: {message}" if kind else message
