"""A design as rows: digests and specs of its cells, each object described once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchml.arguments import shown
from batchml.core.digest import digest
from batchml.core.pickled import collecting
from batchml.core.retry import Retry
from batchml.errors import DesignError, SpecError
from batchml.registry.names import checked_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.core.learner import Learner
    from batchml.core.measure import Measure
    from batchml.core.pickled import Pickled
    from batchml.core.resampling import Resampling
    from batchml.core.task import Task
    from batchml.core.trust import Trust
    from batchml.experiment.design import BenchmarkDesign, Cell

__all__ = ["DEFAULTS", "CellRow", "Survey", "survey"]

DEFAULTS = "defaults of "
"""Begins the names under which the defaults of classes are kept beside the sources of modules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRow:
    """A cell by its digests and labels.

    Attributes
    ----------
    experiment
        Digest of the cell with its root seed.
    cell, task, model, policy, resampling
        Digests; the resampling's is of the whole spec, with its repeats.
    source
        Digest of the sources of the user's own modules that the model names, and of the defaults of its classes; None
        if it names none.
    n_iterations
        How many iterations the design asks for.
    labels
        (task, learner, resampling, params as JSON text).
    """

    experiment: str
    cell: str
    task: str
    model: str
    policy: str
    resampling: str
    source: str | None
    n_iterations: int
    labels: tuple[str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A design as rows.

    Attributes
    ----------
    bodies
        Specs by kind and digest.
    measures
        Pairs (id, digest of the spec) in order.
    tasks
        The tasks by their digest, for their data.
    pickles
        What has no spec, by digest.
    """

    name: str
    seed: int
    cells: tuple[CellRow, ...]
    measures: tuple[tuple[str, str], ...]
    modules: tuple[str, ...]
    paths: tuple[str, ...]
    retry: Mapping[str, Any]
    bodies: Mapping[str, Mapping[str, Any]]
    tasks: Mapping[str, Task]
    pickles: Mapping[str, Pickled]


def survey(
    design: BenchmarkDesign,
    *,
    name: str | None,
    root_seed: int,
    trust: Trust | None = None,
    allow_pickle: bool = False,
) -> Survey:
    """Describe a design, after refusing what could not run.

    Raises
    ------
    DesignError
        It has no cells, or names one model twice under different policies.
    ConfigError
        A learner cannot take its task, or an object cannot be written down.
    """
    from batchml.experiment.preflight import check_cells, check_splits, measures_for

    name = next(word for word in (name, design.name, "benchmark") if word is not None)
    if not design.cells:
        raise DesignError("the design has no cells: it needs at least one task, one learner and one resampling")
    check_cells(design.cells)
    seed = root_seed if design.seed is None else design.seed
    check_splits(design.cells, seed)
    scribe = _Scribe(design, trust)
    with collecting() as pickles:
        rows = tuple(scribe.row(cell, seed) for cell in design.cells)
        _refuse_twins(rows)
        chosen = measures_for(design.cells, design.measures)
        measures = tuple((measure.id, scribe.measure(measure)) for measure in chosen)
    _refuse_unstorable({*(label for row in rows for label in row.labels), *(label for label, _ in measures)})
    if pickles and not allow_pickle:
        refusal = next(iter(pickles.values())).refusal
        raise SpecError(f"{refusal}; or have it pickled: add(design, allow_pickle=True), add --allow-pickle")
    return Survey(
        name=checked_name(name, "a benchmark's name"),
        seed=seed,
        cells=rows,
        measures=measures,
        modules=tuple(design.modules),
        paths=tuple(design.paths),
        retry=Retry.parse(design.retry).as_json(),
        bodies=scribe.bodies,
        tasks=scribe.tasks,
        pickles=pickles,
    )


def _refuse_unstorable(labels: set[str]) -> None:
    """Refuse what one of the databases would not store, on all of them: designs move from one to another."""
    for label in sorted(labels):
        if "\0" in label or label != label.encode("utf-8", "replace").decode("utf-8"):
            raise DesignError(f"no database stores the id {shown(label)}: it holds a NUL character or is not Unicode")


def _refuse_twins(rows: tuple[CellRow, ...]) -> None:
    seen: dict[str, CellRow] = {}
    for row in rows:
        other = seen.setdefault(row.experiment, row)
        if other is not row:
            how = "the same model under different policies" if other.policy != row.policy else "the same computation"
            raise DesignError(
                f"learners '{other.labels[1]}' and '{row.labels[1]}' are {how} on task '{row.labels[0]}' "
                f"with resampling '{row.labels[2]}': keep one of them in this design"
            )


@dataclass(slots=True)
class _Scribe:
    """Describes each object of a design once, however many cells share it; the design keeps them alive, so `id` names
    them.
    """

    design: BenchmarkDesign
    trust: Trust | None
    bodies: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {kind: {} for kind in ("task", "model", "policy", "resampling", "measure", "source")}
    )
    tasks: dict[str, Task] = field(default_factory=dict)
    _task_digests: dict[int, str] = field(default_factory=dict)
    _learners: dict[int, tuple[str, str, str | None]] = field(default_factory=dict)
    _resamplings: dict[int, tuple[str, str]] = field(default_factory=dict)
    _iterations: dict[tuple[int, int], int] = field(default_factory=dict)

    def row(self, cell: Cell, seed: int) -> CellRow:
        from batchml.experiment.design import params_label

        task = self._task(cell.task)
        model, policy, source = self._learner(cell.learner)
        resampling, family = self._resampling(cell.resampling)
        name = digest([task, model, family])
        pair = (id(cell.resampling), id(cell.task))
        if pair not in self._iterations:
            self._iterations[pair] = cell.iters
        return CellRow(
            experiment=digest([name, seed]),
            cell=name,
            task=task,
            model=model,
            policy=policy,
            resampling=resampling,
            source=source,
            n_iterations=self._iterations[pair],
            labels=(cell.task.id, cell.learner.id, cell.resampling.id, params_label(cell.params)),
        )

    def measure(self, measure: Measure) -> str:
        return self._keep("measure", measure.spec())

    def _keep(self, kind: str, body: Any) -> str:
        name = digest(body)
        self.bodies[kind][name] = body
        return name

    def _task(self, task: Task) -> str:
        if id(task) not in self._task_digests:
            name = task.digest
            self.bodies["task"][name] = task.spec()
            self.tasks[name] = task
            self._task_digests[id(task)] = name
        return self._task_digests[id(task)]

    def _learner(self, learner: Learner) -> tuple[str, str, str | None]:
        if id(learner) not in self._learners:
            model, policy = learner.model_spec(), learner.policy_spec(store_models=self.design.store_models)
            source = self._sources([model, policy])
            self._learners[id(learner)] = (self._keep("model", model), self._keep("policy", policy), source)
        return self._learners[id(learner)]

    def _sources(self, specs: list[Any]) -> str | None:
        from batchml.core.spec import class_defaults, module_sources
        from batchml.core.trust import Trust

        trust = (self.trust or Trust.default()).with_modules(self.design.modules)
        found: dict[str, Any] = module_sources(specs, trust)
        found |= {f"{DEFAULTS}{path}": values for path, values in class_defaults(specs, trust).items()}
        return self._keep("source", found) if found else None

    def _resampling(self, resampling: Resampling) -> tuple[str, str]:
        if id(resampling) not in self._resamplings:
            names = (self._keep("resampling", resampling.spec()), resampling.family_digest)
            self._resamplings[id(resampling)] = names
        return self._resamplings[id(resampling)]
