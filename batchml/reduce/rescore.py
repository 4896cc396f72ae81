"""Score finished jobs by further measures from their stored predictions; nothing is trained or predicted again."""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError, DesignError
from batchml.registry import reduction, rescoring

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchml.core.measure import Measure
    from batchml.core.trust import Trust
    from batchml.registry.rescoring import Unscored
    from batchml.registry.store import Store

__all__ = ["Rescored", "rescore"]

_PIECE = 200  # jobs that one process scores at a time
_AT_ONCE = 1000  # scores in a transaction
_PATIENCE_S = 2.0  # starting processes takes as long


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Rescored:
    """What `Registry.rescore` did.

    Attributes
    ----------
    benchmarks, measures
        Names of the benchmarks that have the measures now, and of the measures.
    scores
        New scores.
    jobs
        Jobs that were looked at because they lacked one.
    """

    benchmarks: tuple[str, ...]
    measures: tuple[str, ...]
    scores: int
    jobs: int

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def __str__(self) -> str:
        """Return a sentence."""
        names = ", ".join(f"'{name}'" for name in self.benchmarks)
        of = f" by {', '.join(self.measures)}" if self.measures else ""
        if not self.scores:
            return f"benchmark {names}: no finished job lacks a score{of}"
        return f"benchmark {names}: {self.scores} new scores{of}"

    __repr__ = __str__


def rescore(
    store: Store,
    measures: Any = None,
    benchmark: str | None = None,
    *,
    slots: int | None = None,
    trust: Trust | None = None,
) -> Rescored:
    """Give benchmarks further measures and score what is finished by them.

    Jobs are read, scored and written some hundred at a time, each part in a transaction of its own: cut off anywhere,
    calling it again does the rest. Values do not depend on `slots`, and equal those of a design that had the measures
    from the start.

    Parameters
    ----------
    measures
        Keys or objects; None: score what lacks scores by the measures that the benchmarks have.
    benchmark
        Its name; None: all.
    slots
        Processes; None: one for each core if it takes more than two seconds.

    Raises
    ------
    ConfigError
        A measure needs what is not stored: the trained learner, or predictions of other rows.
    DesignError
        It is for another task type, or a benchmark has another measure of that name.
    """
    from batchml.core.measure import Measure

    if slots is not None and (not hasattr(slots, "__index__") or slots < 1):
        raise ConfigError(f"slots are a whole number from 1, not {slots!r:.40}")
    benchmarks = reduction.read_benchmarks(store, benchmark)
    types = rescoring.task_types(store, benchmarks)
    if not types:
        raise DesignError("there is no benchmark to score yet: add a design first")
    chosen = _chosen(measures, types)
    if chosen:
        _refuse_what_is_not_stored(store, benchmarks, chosen)
        rescoring.ask_for(store, benchmarks, chosen)
    asked = {
        row: Measure.from_spec(spec, trust, id=name) for row, name, spec in reduction.read_measures(store, benchmarks)
    }
    stored = {row: measure for row, measure in asked.items() if measure.facts.needs in {None, "timings"}}
    said: Counter[str] = Counter()
    new = looked = 0
    pending: Scores = []
    for jobs, (scores, problems) in _scored(rescoring.unscored(store, benchmarks, list(stored)), stored, slots):
        pending += scores
        if len(pending) >= _AT_ONCE:
            new += rescoring.put_scores(store, pending)
            pending = []
        looked += jobs
        said.update(problems)
    new += rescoring.put_scores(store, pending)
    for words, number in said.items():
        warnings.warn(f"{words} (in {number} jobs)", UserWarning, stacklevel=3)
    names = tuple(measure.id for measure in chosen or stored.values())
    return Rescored(benchmarks=tuple(types), measures=names, scores=new, jobs=looked)


def _chosen(measures: Any, types: dict[str, str]) -> tuple[Measure, ...]:
    from batchml.core.measure import as_measures
    from batchml.experiment.scoring import refuse_column_names

    if measures is None:
        return ()
    chosen = tuple(as_measures(measures, next(iter(types.values()))))
    if not chosen:
        raise ConfigError("name at least one measure, or none at all for those that the benchmark has")
    for measure in chosen:
        for name, task_type in types.items():
            if measure.task_type not in {None, task_type}:
                raise DesignError(
                    f"measure '{measure.id}' is for {measure.task_type} tasks, benchmark '{name}' has {task_type} "
                    "tasks: name another benchmark"
                )
    refuse_column_names(chosen)
    return chosen


def _refuse_what_is_not_stored(store: Store, benchmarks: Sequence[int], measures: Sequence[Measure]) -> None:
    policies = rescoring.policies_of(store, benchmarks)
    for measure in measures:
        if measure.facts.needs not in {None, "timings"}:
            raise ConfigError(
                f"measure '{measure.id}' asks the trained learner, which a registry does not open: put it into the "
                "design, whose new jobs are scored while the model is there, or use benchmark(..., store_models=True)"
            )
        for learner, policy in sorted(policies.items()):
            lacking = sorted(set(measure.predict_sets) - set(policy.get("predict_sets", ["test"])))
            if lacking:
                raise ConfigError(
                    f"measure '{measure.id}' needs predictions of the {lacking[0]} set, and learner '{learner}' keeps "
                    f"none: set its predict_sets in the design, which runs it again"
                )


Scores = list[tuple[int, int, int, float]]


def _scored(
    pages: Iterator[list[Unscored]], measures: dict[int, Measure], slots: int | None
) -> Iterator[tuple[int, tuple[Scores, list[str]]]]:
    """Yield of each piece of the pages the number of jobs, their scores, and what went wrong."""
    pieces = (page[start : start + _PIECE] for page in pages for start in range(0, len(page), _PIECE))
    processes = slots or _cores()
    if processes == 1 or slots is None:
        end = math.inf if processes == 1 else time.monotonic() + _PATIENCE_S
        for piece in pieces:
            yield len(piece), score_page(piece, measures)
            if time.monotonic() > end:
                break
        else:
            return
    import joblib

    sizes: list[int] = []

    def calls() -> Iterator[Any]:
        for piece in pieces:
            sizes.append(len(piece))
            yield joblib.delayed(score_page)(piece, measures)

    # Pages are read as processes want them: memory is bounded.
    parallel = joblib.Parallel(n_jobs=processes, return_as="generator", pre_dispatch="4*n_jobs", batch_size=1)
    for number, answer in enumerate(parallel(calls())):
        yield sizes[number], answer


def _cores() -> int:
    from batchml.core.resources import available_cores

    return available_cores()


def score_page(page: list[Unscored], measures: dict[int, Measure]) -> tuple[Scores, list[str]]:
    """Return the scores that jobs lack, as (job, attempt, measure, value), and a line for each one that failed."""
    from batchml.execution.iteration import score
    from batchml.reduce.source import stored_prediction

    found: Scores = []
    problems: list[str] = []
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for one in page:
            predictions = {name: stored_prediction(one.job_id, data) for name, data in one.predictions.items()}
            timings = {"train": one.fit_s or 0.0, "predict": one.predict_s or 0.0}
            for row in one.lacks:
                measure = measures[row].fresh()
                try:
                    value = score(measure, predictions, timings=timings)
                except Exception as error:  # noqa: BLE001 - a measure of the user's own; the other scores remain
                    problems.append(f"measure '{measure.id}' failed: {type(error).__name__}: {error}")
                    continue
                if value is not None:
                    found.append((one.job_id, one.attempt_id, row, value))
    return found, problems + [str(warning.message) for warning in heard]
