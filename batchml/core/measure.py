"""Measures, and how a key, a scorer or a function becomes one."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from batchml.arguments import function
from batchml.core.catalog import resolve_name
from batchml.core.measure_base import Measure
from batchml.core.measure_facts import Facts
from batchml.errors import ConfigError, DesignError, UnknownKeyError, nearest

if TYPE_CHECKING:
    from batchml.core.trust import Trust

__all__ = ["Facts", "Measure", "as_measure", "as_measures", "default_measures"]

#: What keys begin with; other dotted names are import paths.
_KINDS = frozenset({"classif", "regr", "sim", "clust", "surv"})


def as_measure(scorer: Any, *, trust: Trust | None = None) -> Measure:
    """Return a measure: of a key, a scikit-learn scorer, a function of (truth, response), or as it is.

    Parameters
    ----------
    scorer
        A key; a scorer or its name in scikit-learn (``"neg_log_loss"``); a function or its import path
        (``"sklearn.metrics.mean_pinball_loss"``); a measure.
    trust
        The modules that import paths may name.

    Raises
    ------
    UnknownKeyError
        No such key.
    TrustError
        An import path into a module that nobody trusted.
    ConfigError
        Something else.

    Examples
    --------
    >>> as_measure("f1_macro").id, as_measure("sklearn.metrics.zero_one_loss").id
    ('f1_macro', 'zero_one_loss')
    """
    if isinstance(scorer, Measure):
        return scorer
    if isinstance(scorer, str):
        return _named(scorer, trust)
    if hasattr(scorer, "_score_func"):
        scored: Measure = resolve_name("measures.foreign:MeasureScorer")(scorer)
        return scored
    if inspect.isfunction(scorer) or inspect.isbuiltin(scorer):
        function(scorer, "a measure", "truth", "response")
        called: Measure = resolve_name("measures.foreign:MeasureFunction")(scorer)
        return called
    raise ConfigError(f"{type(scorer).__name__} is no measure: give a key ('classif.acc'), a scorer or a function")


def _named(text: str, trust: Trust | None) -> Measure:
    try:
        made: Measure = resolve_name("core.catalog:msr")(text)
    except UnknownKeyError:
        found = _elsewhere(text, trust)
        if found is None:
            raise
        return as_measure(found, trust=trust)
    return made


def _elsewhere(text: str, trust: Trust | None) -> Any:
    """Return the scorer or function that a text names, None if it looks like a key that does not exist."""
    if "." not in text:
        from sklearn.metrics import get_scorer, get_scorer_names

        return get_scorer(text) if text in get_scorer_names() else None
    head = text.partition(".")[0]
    # A misspelt key must not end as advice to trust a module of that name.
    if head in _KINDS or (head and nearest(head, _KINDS) and importlib.util.find_spec(head) is None):
        return None
    from batchml.core.spec import decode

    return decode({"$function": text}, trust=trust)


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
    several = isinstance(obj, Iterable) and not isinstance(obj, (str, Measure)) and getattr(obj, "ndim", 1) != 0
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
