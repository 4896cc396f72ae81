"""Cross tasks, learners and resamplings into a design."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batchml.arguments import flag, listed, mapping
from batchml.errors import DesignError
from batchml.experiment.design import BenchmarkDesign, Cell
from batchml.experiment.preflight import measures_for, warn_of_unscored

if TYPE_CHECKING:
    from batchml.core.learner import Learner
    from batchml.core.measure import Measure
    from batchml.core.resampling import Resampling
    from batchml.core.retry import Retry
    from batchml.core.task import Task

__all__ = ["benchmark_grid", "coerce_task", "cross", "refuse_duplicates", "vary"]

Settings = Mapping[str, Any]


def benchmark_grid(
    tasks: Any,
    learners: Any,
    resamplings: Any,
    *,
    measures: Any = None,
    paired: bool = False,
    param_values: Sequence[Sequence[Settings]] | None = None,
    store_models: bool = False,
    seed: int | None = None,
    name: str | None = None,
    retry: Retry | Mapping[str, Any] | None = None,
) -> BenchmarkDesign:
    """Return the design that runs every learner on every task under every resampling.

    Keys, scikit-learn objects, and one instead of a list will do everywhere.
    All learners get the same splits of a task.

    Parameters
    ----------
    measures
        Keys or objects; None takes the default of the task type (classif.ce, regr.mse).
    paired
        ``tasks[i]`` goes with ``resamplings[i]`` only, which must be instantiated on it.
    param_values
        For each learner a list of settings; each makes a variant under the learner's id, labelled by its settings.
    store_models
        Whether trained models are kept with the results.
    seed
        The root of all random numbers; None takes that of instantiated resamplings, else the registry's, or draws one
        in session.
    name
        What a registry calls the benchmark.
    retry
        Which failures a registry tries again by itself: ``{"timeout": 1, "out_of_memory": 2, "memory": "x2"}`` tries
        once more after a time limit, twice after a lack of memory with twice the memory each time; also ``crashed``.

    Raises
    ------
    DesignError
        For ids used twice, mixed task types, the same model twice, some resamplings instantiated and others not, and
        resamplings instantiated on other rows than a task's.

    Examples
    --------
    >>> benchmark_grid("penguins", ["classif.featureless", "classif.tree"], "cv")
    1 task x 2 learners x cv10 = 20 iterations
    """
    from batchml.core.learner import as_learner
    from batchml.core.measure import as_measure
    from batchml.core.resampling import as_resampling

    all_tasks: list[Task] = [coerce_task(task) for task in _listed(tasks)]
    all_learners: list[Learner] = [as_learner(learner) for learner in _listed(learners)]
    all_resamplings: list[Resampling] = [as_resampling(resampling) for resampling in _listed(resamplings)]
    all_measures: list[Measure] = [as_measure(measure) for measure in _listed(measures)]
    for noun, objects in (("task", all_tasks), ("learner", all_learners), ("resampling", all_resamplings)):
        _require_some(noun, objects)
    for noun, objects in (("task", all_tasks), ("learner", all_learners)):
        refuse_duplicates(noun, [thing.id for thing in objects])
    if not flag(paired, "paired"):
        refuse_duplicates("resampling", [resampling.id for resampling in all_resamplings])
    _refuse_mixed_instantiation(all_resamplings, paired=paired)
    variants = _variants(all_learners, param_values)
    cells = cross(_partners(all_tasks, all_resamplings, paired=paired), variants)
    chosen = measures_for(cells, all_measures)
    warn_of_unscored(cells, chosen)
    return BenchmarkDesign(
        cells=cells,
        name=name,
        seed=_seed_of(all_resamplings) if seed is None else seed,
        measures=chosen,
        store_models=flag(store_models, "store_models"),
        retry=retry,
    )


def cross(
    partners: Iterable[tuple[Task, Sequence[Resampling]]], variants: Sequence[tuple[Learner, Settings]]
) -> tuple[Cell, ...]:
    """Return the cells of each task with its resamplings, in the order task > learner > variant > resampling."""
    return tuple(
        Cell(task=task, learner=learner, resampling=resampling, params=params)
        for task, splits in partners
        for learner, params in variants
        for resampling in splits
    )


def vary(learner: Learner, settings: Settings) -> tuple[Learner, Settings]:
    """Return a copy of the learner with some parameters set, under the same id, and the label that tells it apart."""
    copy = learner.clone()
    for parameter, value in settings.items():
        copy.param_set.values[parameter] = value
    return copy, {parameter: _label(value) for parameter, value in settings.items()}


def _label(value: Any) -> Any:
    """Return a value as plain data that people recognise."""
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value  # JSON has no word for nan and infinities
    if isinstance(value, (list, tuple)):
        return [_label(item) for item in value]
    return " ".join(str(value).split())


def coerce_task(task: Any) -> Task:
    """Return a task for a key or a task."""
    from batchml.core import catalog
    from batchml.core.task import Task

    if isinstance(task, str):
        found: Task = catalog.tsk(task)
        return found
    if isinstance(task, Task):
        return task
    raise DesignError(
        f"a task is a key or a Task, not {type(task).__name__}: as_task_classif(data, target) and as_task_regr make one"
    )


def _listed(objects: Any) -> list[Any]:
    """Return one or many as a list; a table, a mapping or an estimator counts as one."""
    if objects is None:
        return []
    if isinstance(objects, (list, tuple)):
        return list(objects)
    return [objects]


def _require_some(noun: str, objects: Sequence[Any]) -> None:
    if not objects:
        raise DesignError(f"a design needs at least one {noun}")


def refuse_duplicates(noun: str, ids: Iterable[str]) -> None:
    """Raise if an id occurs twice."""
    twice = sorted(name for name, times in Counter(ids).items() if times > 1)
    if twice:
        names = ", ".join(f"'{name}'" for name in twice)
        raise DesignError(f"{noun} ids must be unique, but {names} occurs more than once: set another with id=")


def _refuse_mixed_instantiation(resamplings: Sequence[Resampling], *, paired: bool) -> None:
    bound = [resampling.id for resampling in resamplings if resampling.is_instantiated]
    loose = [resampling.id for resampling in resamplings if not resampling.is_instantiated]
    if paired and loose:
        raise DesignError(
            f"paired=True needs instantiated resamplings, but '{loose[0]}' is not: call .instantiate(task)"
        )
    if bound and loose:
        raise DesignError(
            f"resamplings are all instantiated or none is, but '{bound[0]}' is and '{loose[0]}' is not: "
            "pass uninstantiated ones, they are drawn from the seed for each task"
        )


def _seed_of(resamplings: Iterable[Resampling]) -> int | None:
    """Return the seed that all instantiated resamplings share: a registry draws the same splits from it."""
    seeds = {resampling.seed for resampling in resamplings}
    return seeds.pop() if len(seeds) == 1 else None


def _variants(
    learners: Sequence[Learner], param_values: Sequence[Sequence[Settings]] | None
) -> list[tuple[Learner, Settings]]:
    if param_values is None:
        return [(learner, {}) for learner in learners]
    param_values = listed(param_values, "param_values", "lists of settings, one for each learner")
    if len(param_values) != len(learners):
        raise DesignError(
            f"param_values has {len(param_values)} lists for {len(learners)} learners: give one list of settings "
            "for each (an empty list leaves the learner as it is)"
        )
    made: list[tuple[Learner, Settings]] = []
    for learner, alternatives in zip(learners, param_values, strict=True):
        if isinstance(alternatives, Mapping):
            raise DesignError(
                f"param_values for learner '{learner.id}' is a mapping: it takes a list of them, [{alternatives!r}]"
            )
        what = f"param_values for learner '{learner.id}'"
        settings = listed(alternatives, what, "settings")
        made += [vary(learner, mapping(one, f"each of {what}", "parameters to values")) for one in settings] or [
            (learner, {})
        ]
    return made


def _partners(
    tasks: Sequence[Task], resamplings: Sequence[Resampling], *, paired: bool
) -> list[tuple[Task, Sequence[Resampling]]]:
    if paired and len(tasks) != len(resamplings):
        raise DesignError(
            f"paired=True puts each task with one resampling, but there are {len(tasks)} tasks and "
            f"{len(resamplings)} resamplings"
        )
    pairs = (
        zip(tasks, ([one] for one in resamplings), strict=True) if paired else ((task, resamplings) for task in tasks)
    )
    partners: list[tuple[Task, Sequence[Resampling]]] = list(pairs)
    for task, splits in partners:
        for resampling in splits:
            _require_bound_to(resampling, task)
    return partners


def _require_bound_to(resampling: Resampling, task: Task) -> None:
    if resampling.is_instantiated and resampling.task_row_digest != task.row_digest:
        raise DesignError(
            f"resampling '{resampling.id}' is not instantiated on task '{task.id}' but on one with other rows, strata "
            "or groups: instantiate it on this task, or pass it uninstantiated"
        )
