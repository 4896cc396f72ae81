"""One assignment in a slot: rebuild what its experiment names, run the iteration, and put the result into a frame."""

from __future__ import annotations

import traceback
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Ending, Experiment
from batchml.core.text import clean, error_text, safe_str
from batchml.errors import ArtifactError, ConfigError, DataUnavailableError, ProcessDiedError, StageTimeoutError
from batchml.execution.memory import give_back
from batchml.execution.sandbox.pickles import dumps
from batchml.execution.sandbox.protocol import Pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from batchml.core.conditions import Condition
    from batchml.core.learner import Learner
    from batchml.core.measure import Measure
    from batchml.core.resampling import Resampling
    from batchml.core.task import Task
    from batchml.execution.iteration import IterationResult
    from batchml.execution.sandbox.protocol import Link

    Blob = bytes | Pieces

__all__ = ["TASKS", "JobRunner", "build_task", "ending_of", "failure"]

TASKS = 8
"""So many tasks are kept open."""
_LARGE_BYTES = 1 << 24
"""After an iteration on a task of this size or more, what it has freed goes back to the system."""
_MESSAGE = 10_000
_TRACEBACK = 40_000


@dataclass(frozen=True, slots=True)
class _Built:
    """An experiment as objects."""

    experiment: Experiment
    task: Task
    learner: Learner
    resampling: Resampling
    measures: tuple[tuple[int, Measure], ...]
    store_model: bool


class JobRunner:
    """Runs the iterations of the experiments that this slot was told of.

    Parameters
    ----------
    settings
        `artifacts` (folder) and `trust` (module prefixes) among them.
    keeper
        Forks the partner for learners that are encapsulated in a process.
    announce
        To be called when a stage with a limit begins and ends.
    """

    def __init__(self, settings: Mapping[str, Any], keeper: Link, announce: Callable[[float | None], None]) -> None:
        from batchml.execution.sandbox.client import PartnerClient

        self._artifacts = settings["artifacts"]
        self._trust = tuple(settings["trust"])
        self._announce = announce
        self._experiments: dict[str, bytes] = {}
        self._built: dict[str, _Built] = {}
        self._tasks: OrderedDict[str, Task] = OrderedDict()
        self._task_specs: dict[int, Mapping[str, Any]] = {}
        self._resamplings: OrderedDict[str, Resampling] = OrderedDict()
        self._partner = PartnerClient(keeper, self._describe, keep_models=True)

    def learn(self, key: str, experiment: bytes) -> None:
        """Keep an experiment (its JSON) under a key."""
        self._experiments[key] = experiment
        self._built.pop(key, None)

    def forget(self, keys: Iterable[str]) -> None:
        """Drop experiments that will not be asked for again without being told anew."""
        for key in keys:
            self._experiments.pop(key, None)
            self._built.pop(key, None)

    def run(self, key: str, iteration: int, ready: Callable[[], None]) -> tuple[dict[str, Any], list[Blob]]:
        """Run one iteration; return the report and its blobs. Raises nothing.

        `ready` is called when something of ours was loaded and user code comes next.
        """
        try:
            built = self._built.get(key)
            if built is None:
                built = self._build(key)
                ready()
        except BaseException as error:  # noqa: BLE001 - the user's own modules are imported here
            return failure(error, "setup"), []
        try:
            return self._iterate(built, iteration)
        finally:
            if 8 * built.task.n_rows * built.task.n_cols > _LARGE_BYTES:
                give_back()

    # -- building ------------------------------------------------------------------------------------------------

    def _build(self, key: str) -> _Built:
        import json

        from batchml.core.learner import Learner
        from batchml.core.measure import Measure
        from batchml.core.signing import read_key
        from batchml.core.trust import Trust
        from batchml.data.pickles import SignedPickles

        experiment = Experiment.from_json(json.loads(self._experiments[key]))
        pickles = SignedPickles(folder=self._artifacts, registry=experiment.registry)
        trust = Trust(prefixes=self._trust, pickles=pickles)
        if experiment.policy.get("store_models"):
            read_key()  # without it the model could not be signed: said before hours are spent on it
        task = self._task(experiment)
        built = _Built(
            experiment,
            task,
            Learner.from_specs(experiment.learner, experiment.policy, id=None, trust=trust),
            self._resampling(experiment, task, trust),
            tuple((row, Measure.from_spec(spec, trust=trust)) for row, spec in experiment.measures),
            bool(experiment.policy.get("store_models")),
        )
        self._built[key] = built
        return built

    def _task(self, experiment: Experiment) -> Task:
        from batchml.core.digest import digest

        key = digest(experiment.task)
        if key not in self._tasks:
            task = self._tasks[key] = build_task(experiment.task, self._artifacts)
            self._task_specs[id(task)] = experiment.task
        self._tasks.move_to_end(key)
        while len(self._tasks) > TASKS:
            _, old = self._tasks.popitem(last=False)
            self._built = {name: built for name, built in self._built.items() if built.task is not old}
            self._task_specs.pop(id(old), None)
        return self._tasks[key]

    def _describe(self, task: Task) -> Mapping[str, Any] | None:
        return self._task_specs.get(id(task))

    def _resampling(self, experiment: Experiment, task: Task, trust: Any) -> Resampling:
        from batchml.core.digest import digest
        from batchml.core.resampling import Resampling

        key = digest([experiment.task, experiment.resampling, experiment.seed])
        if key not in self._resamplings:
            resampling = Resampling.from_spec(experiment.resampling, trust=trust)
            self._resamplings[key] = resampling.instantiate(task, seed=experiment.seed)
            while len(self._resamplings) > TASKS:
                self._resamplings.popitem(last=False)
        return self._resamplings[key]

    # -- running -------------------------------------------------------------------------------------------------

    def _iterate(self, built: _Built, iteration: int) -> tuple[dict[str, Any], list[Blob]]:
        from batchml.core.seed import derive
        from batchml.execution import iteration as execution
        from batchml.execution.call import IterationFailed
        from batchml.execution.limits import announced

        experiment, partner = built.experiment, self._partner
        partner.cpu_s = partner.peak_mb = 0.0
        try:
            with announced(self._announce):
                result = execution.run(
                    built.task,
                    built.learner,
                    built.resampling,
                    iteration,
                    job_seed=derive(experiment.seed, "job", experiment.digest, iteration),
                    measures=[measure for _, measure in built.measures],
                    store_model=built.store_model,
                    partner=partner,
                    record=True,
                )
            report, blobs = _report(built, result)
        except IterationFailed as failed:
            report, blobs = failure(failed.cause, failed.stage), []
            report["conditions"] = [condition.as_json() for condition in failed.conditions]
            report |= _timings(failed.timings)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises ends this job, not the slot
            report, blobs = failure(error, "job"), []
        report["threads"] = built.learner.threads
        if partner.cpu_s or partner.peak_mb:  # it was used
            report["partner"] = {"cpu_s": partner.cpu_s, "peak_mb": partner.peak_mb}
        return report, blobs


def _report(built: _Built, result: IterationResult) -> tuple[dict[str, Any], list[Blob]]:
    conditions = list(result.conditions)
    blobs: list[Blob] = [Pieces(prediction._arrow_parts()) for prediction in result.predictions.values()]  # noqa: SLF001
    model = None if result.model is None else _pickled(result.model, conditions)
    if model is not None:
        blobs.append(model)
    return {
        "ending": Ending.DONE,
        "predictions": list(result.predictions),
        "completeness": result.completeness,
        "scores": [[row, result.scores.get(measure.id)] for row, measure in built.measures],
        "n_rows": result.n,
        "n_missing": result.n_missing,
        "n_imputed": result.n_imputed,
        "conditions": [condition.as_json() for condition in conditions],
        "model": model is not None,
        **_timings(result.timings),
    }, blobs


def _pickled(model: Any, conditions: list[Condition]) -> bytes | None:
    """Return the pickle of a model; one that has none costs the model, not the job."""
    from batchml.execution.capture import error_condition
    from batchml.execution.sandbox.client import KeptModel

    if isinstance(model, KeptModel):
        return model.data
    try:
        return dumps(model)
    except BaseException as error:  # noqa: BLE001 - user objects may raise anything while they are pickled
        cause = TypeError(f"the model cannot be stored: {type(error).__name__}: {safe_str(error, 500)}")
        conditions.append(error_condition("train", cause))
        return None


def _timings(timings: Mapping[str, float]) -> dict[str, float]:
    return {("fit_s" if stage == "train" else f"{stage}_s"): seconds for stage, seconds in timings.items()}


def build_task(spec: Mapping[str, Any], artifacts: str) -> Task:
    """Return the task of a spec whose data are an artifact below `artifacts`, or lie where the spec says."""
    from batchml.core.task import Task
    from batchml.data.artifacts import artifact_folder
    from batchml.data.reopen import open_data

    folder = artifact_folder(artifacts)
    return Task.from_spec(spec, lambda data: open_data(data, folder))


def failure(error: BaseException, stage: str) -> dict[str, Any]:
    """Return the report of an attempt that an exception ended."""
    try:
        lines = traceback.format_exception(error)
        trace = clean("".join(lines), _TRACEBACK)
    except BaseException:  # noqa: BLE001 - hostile objects in a traceback; the error itself counts
        trace = None
    return {
        "ending": ending_of(error, stage),
        "error_type": clean(type(error).__name__, 200),
        "message": error_text(error, _MESSAGE),
        "traceback": trace,
        "conditions": [],
    }


def ending_of(error: BaseException, stage: str) -> Ending:
    """Classify an exception by its class, and by whether user code was running."""
    if isinstance(error, ConfigError):
        return Ending.CONFIG_ERROR
    if isinstance(error, DataUnavailableError | ArtifactError):
        return Ending.INFRASTRUCTURE
    if isinstance(error, StageTimeoutError):
        return Ending.TIMEOUT
    if isinstance(error, MemoryError):
        return Ending.OUT_OF_MEMORY
    if isinstance(error, ProcessDiedError):
        return Ending.CRASHED
    if stage != "setup":
        return Ending.LEARNER_ERROR
    # While an experiment is rebuilt: a disk that does not answer, or a module or class that is not what it was.
    return Ending.INFRASTRUCTURE if isinstance(error, OSError) else Ending.CONFIG_ERROR
