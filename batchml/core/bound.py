"""The rows that a resampling is bound to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from batchml.core.rows import RowIndex
from batchml.core.split import Units
from batchml.errors import DataError

if TYPE_CHECKING:
    from batchml.core.resampling import Resampling
    from batchml.core.task_types import Task

__all__ = ["Bound"]


class Bound:
    """The rows that a resampling is bound to, and the repetition drawn last."""

    def __init__(self, task: Task, resampling: Resampling, root: int) -> None:
        if task.n_rows == 0:
            raise DataError(f"task {task.id!r} has no rows: there is nothing to split")
        self.root = root
        self.rows = RowIndex(task.row_ids)
        self.row_digest = task.row_digest
        self.family = resampling.family_digest
        self.task: Task | None = task.clone()
        self.task_id = task.id
        self.units = _units(task, resampling)
        self.iters = resampling.n_iterations(task)
        resampling.check_units(self.units, task)
        self.drawn: tuple[int, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "drawn": None}


def _units(task: Task, resampling: Resampling) -> Units:
    if not resampling.heeds_strata:
        return Units(n_rows=task.n_rows)
    stratify = resampling.params.get("stratify")
    stratum = task.strata
    if stratify is False:
        stratum = None
    elif stratify is True:
        if stratum is None and task.task_type != "classif":
            _no_strata(task, resampling)
        stratum = task.stratify([task.target]) if stratum is None else stratum
    elif stratify is not None:
        stratum = task.stratify([stratify] if isinstance(stratify, str) else stratify)
    group = task.groups
    if stratum is not None and group is not None:
        raise DataError(
            f"task {task.id!r}, resampling {resampling.id!r}: strata and groups cannot be combined; "
            "use sklearn.model_selection.StratifiedGroupKFold, or drop one of them"
        )
    if group is not None:
        group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    return Units(n_rows=task.n_rows, stratum=stratum, group=group)


def _no_strata(task: Task, resampling: Resampling) -> NoReturn:
    raise DataError(
        f"task {task.id!r}, resampling {resampling.id!r}: stratify=True needs classes or stratum columns; "
        "see task.add_strata for numeric ones"
    )
