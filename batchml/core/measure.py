"""Measures, and how a key, a scorer or a function becomes one."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from batchml.core.catalog import resolve_name
from batchml.core.measure_base import Measure
from batchml.core.measure_facts import Facts
from batchml.errors import ConfigError, DesignError, nearest

__all__ = ["Facts", "Measure", "as_measure", "as_measures", "default_measures"]


def as_measure(obj: Any) -> Measure:
    """Return a measure: of a key, a scikit-learn scorer, a function of (truth, response), or as it is.

    Raises
    ------
    UnknownKeyError
        No such key.
    ConfigError
        Something else.
    """
    if isinstance(obj, Measure):
        return obj
    if isinstance(obj, str):
        made: Measure = resolve_name("core.catalog:msr")(obj)
        return made
    if hasattr(obj, "_score_func"):
        scored: Measure = resolve_name("measures.foreign:MeasureScorer")(obj)
        return scored
    if inspect.isfunction(obj) or inspect.isbuiltin(obj):
        called: Measure = resolve_name("measures.foreign:MeasureFunction")(obj)
        return called
    raise ConfigError(f"{type(obj).__name__} is no measure: give a key such as 'classif.acc', a scorer or a function")


def as_measures(obj: Any, task_type: str | None = None) -> list[Measure]:
    """Return one measure or several as a list; None: the default of the task type.

    Raises
    ------
    ConfigError
        Two measures with one id.
    """
    if obj is None:
        if task_type is None:
            raise ConfigError("name a measure")
        return default_measures(task_type)
    several = isinstance(obj, Iterable) and not isinstance(obj, (str, Measure))
    found = [as_measure(one) for one in obj] if several else [as_measure(obj)]
    ids = [one.id for one in found]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise DesignError(f"two measures are called {twice!r}: give one of them another id")
    return found


def default_measures(task_type: str) -> list[Measure]:
    """Return the classification error, or the mean squared error."""
    keys = {"classif": "classif.ce", "regr": "regr.mse"}
    if task_type not in keys:
        raise ConfigError(f"there is no task type {task_type!r}{nearest(task_type, keys)}")
    return [as_measure(keys[task_type])]
