"""scikit-learn splitters as they are."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from batchml.core.pickled import naming
from batchml.core.resampling import Resampling
from batchml.core.seed import fill_random_state
from batchml.core.spec import build, describe
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from batchml.core.task_types import Task
    from batchml.core.trust import Trust

    _Sets = tuple[NDArray[np.int64], NDArray[np.int64]]

__all__ = ["Splitter"]


class Splitter(Resampling):
    """Any object with scikit-learn's ``split(X, y, groups)`` and ``get_n_splits``.

    It gets the task's rows (sorted by the columns with the role order), labels or numbers as y, and groups if it heeds
    them; one that does not warns on a task with groups. A `random_state` that is None is filled from the split's seed,
    an integer stays.

    Parameters
    ----------
    splitter
        E.g. ``sklearn.model_selection.StratifiedGroupKFold(5)``.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"splitter": None}
    heeds_strata: ClassVar[bool] = False

    def __init__(self, splitter: Any, *, key: str = "splitter", id: str | None = None) -> None:
        super().__init__(key, id=type(splitter).__name__ if id is None else id, splitter=splitter)
        with naming():
            self._spec_params()  # what is wrong with it shall show here

    @classmethod
    def from_params(cls, params: Mapping[str, Any], trust: Trust | None) -> Self:
        """Return the resampling whose spec has these params."""
        return cls(build(params["splitter"], trust=trust))

    def _spec_params(self) -> dict[str, Any]:
        return {"splitter": describe(self._params["splitter"], where=f"resampling {self.id!r}")}

    def _iterations_on(self, task: Task) -> int:
        """Return what the splitter says."""
        where = f"task {task.id!r}, resampling {self.id!r}"
        heeds = _heeds_groups(self._params["splitter"])
        if heeds is True and task.groups is None:
            raise DataError(f"{where}: it needs groups, but the task has no group column: name one with group=")
        if heeds is False and task.groups is not None:
            warnings.warn(
                f"{where}: it does not heed groups, so that rows of one group may be in training and in test",
                UserWarning,
                stacklevel=4,
            )
        given = getattr(self._params["splitter"], "test_fold", None)
        if given is not None and len(given) != task.n_rows:
            raise DataError(f"{where}: it has folds for {len(given)} rows, but {task.n_rows} are in use")
        return int(self._ask(task, lambda splitter, *data: splitter.get_n_splits(*data)))

    def _fixed_iters(self) -> int:
        try:
            return int(self._params["splitter"].get_n_splits())
        except (TypeError, ValueError):
            return super()._fixed_iters()

    def _repetition_of(self, i: int, bound: Any) -> tuple[int, int]:  # noqa: ARG002
        return 0, i

    def _draw(self, bound: Any, seed: int, repetition: int) -> _Stream:  # noqa: ARG002
        splitter = copy.deepcopy(self._params["splitter"])
        if getattr(splitter, "shuffle", True):  # KFold(shuffle=False) refuses a random_state
            fill_random_state(splitter, seed)
        return _Stream(lambda: self._ask(bound.task, lambda _, *data: splitter.split(*data)), bound.task)

    def _sets(self, drawn: Any, part: int) -> _Sets:
        try:
            both: _Sets = drawn.at(part)
        except ValueError as problem:
            raise DataError(f"task {drawn.task.id!r}, resampling {self.id!r}: {problem}") from problem
        return both

    def _ask(self, task: Task, question: Any) -> Any:
        order = task.order
        splitter = self._params["splitter"]
        groups = None if _heeds_groups(splitter) is False else task.groups
        rows = task.row_ids[order]
        # scikit-learn's own splitters only count the rows of X.
        own = type(splitter).__module__.partition(".")[0] == "sklearn"
        data = np.zeros((task.n_rows, 1)) if own else task.features(rows)
        try:
            return question(splitter, data, task.truth(rows), None if groups is None else groups[order])
        except ValueError as problem:
            raise DataError(f"task {task.id!r}, resampling {self.id!r}: {problem}") from problem


def _heeds_groups(splitter: Any) -> bool | None:
    """Whether a splitter of scikit-learn heeds groups; None: of someone else, so that nobody knows."""
    if type(splitter).__module__.partition(".")[0] != "sklearn":
        return None
    request = getattr(splitter, "get_metadata_routing", None)
    asked = getattr(getattr(request(), "split", None), "requests", {}) if request else {}
    return "groups" in asked


class _Stream:
    """The splits of a splitter, one at a time: asking in order draws each once, going back draws anew."""

    def __init__(self, start: Any, task: Task) -> None:
        self.start = start
        self.task = task
        self.splits: Iterator[Any] | None = None
        self.number = -1
        self.current: _Sets | None = None

    def at(self, number: int) -> _Sets:
        if number < self.number or self.splits is None:
            self.splits, self.number = iter(self.start()), -1
        while self.number < number:
            train, test = next(self.splits)
            order = self.task.order
            self.current = (order[np.asarray(train)], order[np.asarray(test)])
            self.number += 1
        assert self.current is not None
        return self.current
