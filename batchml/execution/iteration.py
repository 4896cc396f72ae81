"""One resampling iteration: the one way in which a learner is trained, predicted with and scored."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from batchml.core.learner_state import with_state
from batchml.execution import stages
from batchml.execution.call import IterationFailed
from batchml.execution.capture import Recorder, error_condition, recording
from batchml.execution.execute import kept_random_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from batchml.core.conditions import Condition
    from batchml.core.learner import Learner
    from batchml.core.learner_state import Trained
    from batchml.core.measure import Measure
    from batchml.core.prediction import Prediction
    from batchml.core.resampling import Resampling
    from batchml.core.task import Task
    from batchml.execution.call import Partner

__all__ = ["Completeness", "IterationFailed", "IterationResult", "run", "score"]

Completeness = Literal["full", "partial", "imputed", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationResult:
    """What one iteration came to.

    Attributes
    ----------
    predictions
        Predict set to prediction; a set without one (an encapsulated failure, no fallback) is left out.
    conditions
        What was recorded, in order.
    timings
        Seconds of ``train`` and ``predict`` (all predict sets together).
    scores
        Measure id to value, None where there is no prediction to score.
    model, trained
        If it was asked for: the trained model, and with it all that training left.
    completeness
        Of the test set (or the only set there is): ``none`` (no row predicted), ``partial`` (some missing), ``imputed``
        (all there, some from the fallback), ``full``.
    n, n_missing, n_imputed
        Rows of that set, those without a prediction, those that the fallback predicted.
    """

    predictions: Mapping[str, Prediction] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float | None] = field(default_factory=dict)
    model: Any = None
    trained: Trained | None = None
    completeness: Completeness = "none"
    n: int = 0
    n_missing: int = 0
    n_imputed: int = 0


def run(
    task: Task,
    learner: Learner,
    resampling: Resampling,
    iteration: int,
    *,
    job_seed: int,
    measures: Sequence[Measure] = (),
    threads: int | None = None,
    store_model: bool = False,
    partner: Partner | None = None,
    record: bool = False,
) -> IterationResult:
    """Train a learner on an iteration's training rows, predict its predict sets, score.

    Parameters
    ----------
    resampling
        Instantiated on the task.
    job_seed
        Every random number comes from it, in whatever process this runs.
    measures
        Scored at once.
    threads
        Of the numerical libraries; None: the learner's own number.
    store_model
        Hand the model back.
    partner
        Where stages encapsulated in a process run; None: the session's own.
    record
        For workers: record conditions whatever the encapsulation, and raise `IterationFailed`.

    Raises
    ------
    IterationFailed
        With `record`: an error escaped; it names the stage and carries what was recorded.
    Exception
        Without: the original exception.
    """
    threads = learner.threads if threads is None else threads
    try:
        with contextlib.nullcontext() if record else kept_random_state():
            return _run(
                task,
                learner.with_threads(threads),
                resampling,
                iteration,
                job_seed=job_seed,
                measures=measures,
                store_model=store_model,
                partner=partner,
                record=record,
            )
    except IterationFailed as failed:
        if record:
            raise
        cause = failed.cause
    raise cause


def _run(
    task: Task,
    learner: Learner,
    resampling: Resampling,
    iteration: int,
    *,
    job_seed: int,
    measures: Sequence[Measure],
    store_model: bool,
    partner: Partner | None,
    record: bool,
) -> IterationResult:
    with _setting_up():
        sets = {"train": resampling.train_set, "test": resampling.test_set}
        rows = {name: sets[name](iteration) for name in dict.fromkeys(("train", *learner.predict_sets))}
    options: dict[str, Any]
    options = {"seed": job_seed, "threads": learner.threads, "partner": partner, "record": record}
    trained = stages.train(learner, task, rows["train"], **options)
    conditions = trained.conditions
    timings = {"train": trained.elapsed, "predict": 0.0}
    predictions: dict[str, Prediction] = {}
    for name in learner.predict_sets:
        try:
            predicted = stages.predict(learner, task, rows[name], trained, **options)
        except IterationFailed as failed:
            timings["predict"] += failed.timings.get("predict", 0.0)
            raise IterationFailed(
                failed.stage, failed.cause, (*conditions, *failed.conditions), timings
            ) from failed.cause
        conditions += predicted.conditions
        timings["predict"] += predicted.elapsed
        if predicted.prediction is not None:
            predictions[name] = predicted.prediction
    if any(measure.facts.needs == "learner" for measure in measures):
        learner = with_state(learner, task, trained, seed=job_seed, timings=timings)
    scores, scoring = _score(measures, predictions, timings, learner, task, record=record)
    return IterationResult(
        predictions=predictions,
        conditions=(*conditions, *scoring),
        timings=timings,
        scores=scores,
        model=trained.model if store_model else None,
        trained=trained if store_model else None,
        **_completeness(learner, predictions, rows),
    )


@contextlib.contextmanager
def _setting_up() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise IterationFailed("setup", error, (error_condition("setup", error),)) from error


def _completeness(
    learner: Learner, predictions: Mapping[str, Prediction], rows: Mapping[str, NDArray[np.int64]]
) -> dict[str, Any]:
    name = "test" if "test" in learner.predict_sets else learner.predict_sets[0]
    n, prediction = len(rows[name]), predictions.get(name)
    if prediction is None:
        return {"completeness": "none", "n": n, "n_missing": n, "n_imputed": 0}
    missing, imputed = prediction.n_missing, prediction.n_imputed
    completeness: Completeness = "full"
    if missing:
        completeness = "none" if missing == n else "partial"
    elif imputed:
        completeness = "imputed"
    return {"completeness": completeness, "n": n, "n_missing": missing, "n_imputed": imputed}


def _score(
    measures: Sequence[Measure],
    predictions: Mapping[str, Prediction],
    timings: Mapping[str, float],
    learner: Learner,
    task: Task,
    *,
    record: bool,
) -> tuple[dict[str, float | None], tuple[Condition, ...]]:
    """Return scores, and as conditions what measures of the user's own raised."""
    recorder = Recorder("score")
    scores: dict[str, float | None] = {}
    with recording(recorder, output=False) if record and measures else contextlib.nullcontext():
        for one in measures:
            # A measure warns once in its life; what a job's record says must not depend on the jobs before it.
            measure = one.fresh() if record else one
            scores[measure.id] = None
            try:
                scores[measure.id] = score(measure, predictions, timings=timings, learner=learner, task=task)
            except Exception as error:  # noqa: BLE001 - a measure's failure is no reason to lose the predictions
                condition = error_condition("score", error)
                recorder.add(
                    "error", f"measure '{measure.id}': {condition.message}", condition.kind, condition.traceback
                )
    return scores, recorder.conditions()


def score(measure: Measure, predictions: Mapping[str, Prediction], **about: Any) -> float | None:
    """Return what a measure makes of an iteration's predictions, None if there are none.

    Parameters
    ----------
    predictions
        By predict set.
    **about
        timings, learner and task, as `Measure.score` takes them.
    """
    sets = [predictions[name] for name in measure.predict_sets if name in predictions]
    if not sets:
        return None
    prediction = sets[0] if len(sets) == 1 else sets[0].combine(sets)
    return float(measure.score(prediction, **about))
