"""What is to be compared: the cells of a benchmark, and how it is seeded and scored."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchml.arguments import function, text
from batchml.core.digest import digest
from batchml.core.pickled import naming
from batchml.core.retry import Retry
from batchml.core.seed import check_root
from batchml.core.show import html_table
from batchml.errors import DesignError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pandas as pd

    from batchml.core.learner import Learner
    from batchml.core.measure import Measure
    from batchml.core.resampling import Resampling
    from batchml.core.task import Task

__all__ = ["BenchmarkDesign", "Cell", "cell_digest", "params_label"]


def cell_digest(task: Task, learner: Learner, resampling: Resampling) -> str:
    """Name what a cell computes: its data, its model and its way of splitting, without labels, policy and repeats."""
    with naming():
        return digest([task.digest, digest(learner.model_spec()), resampling.family_digest])


def params_label(params: Mapping[str, Any]) -> str:
    """Return the label of a variant as canonical text, ``{}`` if there is none.

    Examples
    --------
    >>> params_label({"max_depth": 3})
    '{"max_depth": 3}'
    """
    return json.dumps(dict(params), sort_keys=True, default=str, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination of a design: a learner on a task under a resampling.

    Attributes
    ----------
    task, learner, resampling
        The objects; the resampling is instantiated only if the user did so.
    params
        The settings that tell this variant from others of the same learner id; already set in `learner`.
    """

    task: Task
    learner: Learner
    resampling: Resampling
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def iters(self) -> int:
        """Number of iterations."""
        return int(self.resampling.n_iterations(self.task))

    @property
    def digest(self) -> str:
        """The identity that seeds are derived from, see `cell_digest`."""
        return cell_digest(self.task, self.learner, self.resampling)

    @property
    def label(self) -> str:
        """The cell in words, for messages."""
        variant = f" {params_label(self.params)}" if self.params else ""
        return f"task '{self.task.id}', learner '{self.learner.id}'{variant}, resampling '{self.resampling.id}'"


@dataclass(frozen=True, kw_only=True, repr=False)
class BenchmarkDesign:
    """The cells of a benchmark in their order, and what holds for all of them.

    Attributes
    ----------
    cells
        In the order task > learner > variant > resampling, as `benchmark_grid` makes them.
    name
        Under which a registry keeps the benchmark; a design file's own name if it gives none.
    seed
        The root of all random numbers; None takes the registry's, or draws one in session.
    measures
        Scored where the iterations run; empty for the defaults of the task type.
    modules
        The user's own modules that learners come from.
    paths
        Folders that workers put on their import path for them.
    store_models
        Whether to keep the fitted models.
    retry
        Which failures a registry tries again by itself, e.g. ``{"timeout": 1, "out_of_memory": 2, "memory": "x2"}``;
        by default none. See `batchml.core.retry.Retry`.

    Raises
    ------
    DesignError
        If ids do not tell cells apart, if task types are mixed, or if two cells are the same computation.

    Examples
    --------
    >>> import batchml as bm
    >>> design = bm.benchmark_grid(["iris", "wine"], "classif.tree", bm.rsmp("cv", folds=3))
    >>> design
    2 tasks x 1 learner x cv3 = 6 iterations
    >>> print(design.to_frame().drop(columns="params"))
       task       learner resampling  iters
    0  iris  classif.tree         cv      3
    1  wine  classif.tree         cv      3
    """

    cells: tuple[Cell, ...]
    name: str | None = None
    seed: int | None = None
    measures: tuple[Measure, ...] = ()
    modules: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    store_models: bool = False
    retry: Retry | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be told apart later."""
        object.__setattr__(self, "retry", Retry.parse(self.retry))
        if self.seed is not None:
            object.__setattr__(self, "seed", check_root(self.seed))
        if self.name is not None:
            text(self.name, "the name of a design")
        refuse_mixed_types(self.cells)
        refuse_other_types(self.cells)
        refuse_shared_ids(self.cells)
        refuse_repeated_cells(self.cells)

    def __len__(self) -> int:
        """Return the number of iterations."""
        return sum(cell.iters for cell in self.cells)

    def __iter__(self) -> Iterator[Cell]:
        """Iterate over the cells."""
        return iter(self.cells)

    def __add__(self, other: BenchmarkDesign) -> BenchmarkDesign:
        """Return both designs as one; cells that are in both count once, settings come from the first that has them."""
        if not isinstance(other, BenchmarkDesign):
            return NotImplemented
        if self.seed is not None and other.seed is not None and self.seed != other.seed:
            raise DesignError(f"designs with different seeds ({self.seed} and {other.seed}) cannot be added: give one")
        known = {_key(cell): cell.digest for cell in self.cells}
        new = tuple(cell for cell in other.cells if known.get(_key(cell)) != cell.digest)
        ids = {measure.id for measure in self.measures}
        return dataclasses.replace(
            self,
            cells=self.cells + new,
            name=self.name if self.name is not None else other.name,
            seed=self.seed if self.seed is not None else other.seed,
            measures=self.measures + tuple(measure for measure in other.measures if measure.id not in ids),
            modules=tuple(dict.fromkeys(self.modules + other.modules)),
            paths=tuple(dict.fromkeys(self.paths + other.paths)),
            store_models=self.store_models or other.store_models,
            retry=Retry.parse(self.retry) | Retry.parse(other.retry),
        )

    def __repr__(self) -> str:
        """Return e.g. ``3 tasks x 5 learners x cv10 = 150 iterations``."""
        tasks = list(dict.fromkeys(cell.task.id for cell in self.cells))
        learners = list(dict.fromkeys((cell.learner.id, params_label(cell.params)) for cell in self.cells))
        resamplings = list(dict.fromkeys(_short(cell.resampling) for cell in self.cells))
        last = resamplings[0] if len(resamplings) == 1 else _count(len(resamplings), "resampling")
        product = f"{_count(len(tasks), 'task')} x {_count(len(learners), 'learner')} x {last}"
        full = len(self.cells) == len(tasks) * len(learners) * len({cell.resampling.id for cell in self.cells})
        if not full:
            product = f"{_count(len(self.cells), 'cell')} of {product}"
        return f"{product} = {_count(len(self), 'iteration')}"

    def _repr_html_(self) -> str:
        return html_table(repr(self), frame=self.to_frame())

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row per cell: ids, the variant's settings, iterations."""
        import pandas as pd

        rows = [
            {
                "task": cell.task.id,
                "learner": cell.learner.id,
                "resampling": cell.resampling.id,
                "params": dict(cell.params),
                "iters": cell.iters,
            }
            for cell in self.cells
        ]
        return pd.DataFrame(rows, columns=["task", "learner", "resampling", "params", "iters"])

    def filter(self, keep: Callable[[pd.Series[Any]], bool]) -> BenchmarkDesign:
        """Return the design with those cells only whose row of `to_frame` makes `keep` true.

        Examples
        --------
        >>> import batchml as bm
        >>> design = bm.benchmark_grid(["iris", "wine"], ["classif.featureless", "classif.tree"], "cv")
        >>> design.filter(lambda row: row.task != "wine" or row.learner != "classif.tree")
        3 cells of 2 tasks x 2 learners x cv10 = 30 iterations
        """
        function(keep, "what a design is filtered by", "a row")
        rows = (row for _, row in self.to_frame().iterrows())
        cells = tuple(cell for cell, row in zip(self.cells, rows, strict=True) if keep(row))
        return dataclasses.replace(self, cells=cells)


def refuse_mixed_types(cells: tuple[Cell, ...]) -> None:
    """Raise if classification meets regression: their scores cannot stand in one table."""
    types: dict[str, str] = {}
    for cell in cells:
        types.setdefault(cell.task.task_type, cell.task.id)
    if len(types) > 1:
        found = ", ".join(f"'{task}' is {kind}" for kind, task in types.items())
        raise DesignError(f"a benchmark compares tasks of one type, but {found}: make a design for each type")


def refuse_other_types(cells: tuple[Cell, ...]) -> None:
    """Raise if a learner is for another type of task."""
    from batchml.core.learner_check import check_task_type

    for cell in cells:
        check_task_type(cell.learner, cell.task)


def refuse_shared_ids(cells: tuple[Cell, ...]) -> None:
    """Raise if one id names two different things: tables could not tell them apart."""
    cells_of: Counter[tuple[str, str, str, str]] = Counter(_key(cell) for cell in cells)
    for (task, learner, resampling, params), times in cells_of.items():
        if times > 1:
            variant = "" if params == "{}" else f" {params}"
            raise DesignError(
                f"{times} cells are called task '{task}', learner '{learner}'{variant}, resampling '{resampling}': "
                "give them different names with id="
            )
    tasks: dict[str, str] = {}
    for cell in cells:
        if tasks.setdefault(cell.task.id, cell.task.digest) != cell.task.digest:
            raise DesignError(f"two different tasks are called '{cell.task.id}': give them different names with id=")


def refuse_repeated_cells(cells: tuple[Cell, ...]) -> None:
    """Raise if two cells would compute the same: scored twice it would look like two methods that agree."""
    seen: dict[str, Cell] = {}
    for cell in cells:
        other = seen.setdefault(cell.digest, cell)
        if other is not cell:
            raise DesignError(
                f"the same computation twice: {other.label} and {cell.label} have the same data, model and splits "
                "(names, encapsulation, fallback, limits and repeats do not make them different): remove one"
            )


def _key(cell: Cell) -> tuple[str, str, str, str]:
    return cell.task.id, cell.learner.id, cell.resampling.id, params_label(cell.params)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _short(resampling: Resampling) -> str:
    """Return e.g. ``cv10`` or ``repeated_cv 10x5`` (folds x repeats)."""
    name, params = resampling.id, resampling.params
    if name != resampling.key:
        return str(name)
    folds, repeats = params.get("folds"), params.get("repeats")
    if folds and repeats:
        return f"{name} {folds}x{repeats}"
    return f"{name}{folds or repeats or ''}"
