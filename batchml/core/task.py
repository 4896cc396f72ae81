"""Tasks: a table with a target to be predicted, and how to make one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchml.core.catalog import resolve_name
from batchml.core.intake import as_task, as_task_classif, as_task_regr
from batchml.core.task_types import Task, TaskClassif, TaskRegr

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Task", "TaskClassif", "TaskRegr", "as_task", "as_task_classif", "as_task_regr", "partition"]


def partition(task: Task | str, ratio: float = 0.67, *, seed: int | None = None) -> dict[str, NDArray[np.int64]]:
    """Return row ids for training and test, drawn like a holdout: by the task's strata or groups if it has any.

    Parameters
    ----------
    task
        A task or its key.
    ratio
        The share of rows for training; half a row is rounded to even.
    seed
        None: drawn.

    Examples
    --------
    >>> import batchml as bm
    >>> {name: len(rows) for name, rows in bm.partition("penguins", 0.67, seed=1).items()}
    {'train': 230, 'test': 114}
    """
    whole = as_task(task)
    holdout: Any = resolve_name("resamplings.shares:Holdout")(ratio=ratio)
    bound = holdout.instantiate(whole, seed)
    return {"train": bound.train_set(0), "test": bound.test_set(0)}
