"""Keys to objects, and names to import paths: how lower layers reach what they may not import.

Each kind of thing has a table that its own package provides: a mapping of keys to factories, ``"module:attribute"``
below batchml, or to a mapping with ``factory`` and further columns to show in the table of what there is::

    KEYS = {"cv": "resamplings.cv:CV", "holdout": {"factory": "resamplings.holdout:Holdout", "iterations": "1"}}

A factory is called as ``factory(key=key, **kwargs)`` with those keywords that its signature names (all of them if it
has ``**kwargs``); the rest sets parameters (`param_set`), else fields.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any, Final, NoReturn

from batchml.arguments import listed, shown
from batchml.errors import ConfigError, UnknownKeyError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

__all__ = ["keys", "lrn", "lrns", "msr", "msrs", "resolve", "resolve_name", "rsmp", "rsmps", "table", "tsk", "tsks"]

TABLES: Final[Mapping[str, str]] = {
    "task": "data.datasets:KEYS",
    "learner": "learners:KEYS",
    "resampling": "resamplings:KEYS",
    "measure": "measures:KEYS",
}

_CALLS: Final[Mapping[str, str]] = {"task": "tsk", "learner": "lrn", "resampling": "rsmp", "measure": "msr"}

# Attributes that say what an object is, not how it is to work.
_FIXED: Final = frozenset(
    """backend feature_types instance key model packages param_set parameters predict_types properties state
    task_type""".split()  # noqa: SIM905  # a list of words
)

# What users of R and of scikit-learn know under another name.
_KNOWN_AS: Final[Mapping[str, str]] = {
    "classif.rpart": "classif.tree",
    "regr.rpart": "regr.tree",
    "classif.ranger": "classif.random_forest",
    "regr.ranger": "regr.random_forest",
    "classif.kknn": "classif.knn",
    "regr.kknn": "regr.knn",
    "classif.xgboost": "classif.gradient_boosting",
    "regr.xgboost": "regr.gradient_boosting",
    "classif.lightgbm": "classif.gradient_boosting",
    "regr.lightgbm": "regr.gradient_boosting",
    "classif.gbm": "classif.gradient_boosting",
    "regr.gbm": "regr.gradient_boosting",
    "classif.glmnet": "classif.log_reg",
    "classif.cv_glmnet": "classif.log_reg",
    "classif.multinom": "classif.log_reg",
    "regr.glmnet": "regr.lm",
    "classif.ksvm": "classif.svm",
    "regr.ksvm": "regr.svm",
    "classif.mmce": "classif.ce",
    "mtcars": "diabetes",
    "boston_housing": "diabetes",
    "cp": "ccp_alpha",
    "maxdepth": "max_depth",
    "max.depth": "max_depth",
    "minsplit": "min_samples_split",
    "minbucket": "min_samples_leaf",
    "min.node.size": "min_samples_leaf",
    "mtry": "max_features",
    "num.trees": "n_estimators",
    "num_trees": "n_estimators",
    "ntree": "n_estimators",
    "num.threads": "n_jobs",
    "k": "n_neighbors",
    "cost": "C",
    "accuracy": "classif.acc",
    "log_loss": "classif.logloss",
    "dummy": "classif.featureless",
    "logistic_regression": "classif.log_reg",
    "linear_regression": "regr.lm",
    "svc": "classif.svm",
    "svr": "regr.svm",
    "kfold": "cv",
    "stratifiedkfold": "cv",
    "repeatedkfold": "repeated_cv",
    "leaveoneout": "loo",
    "shufflesplit": "subsampling",
    "train_test_split": "holdout",
}


def resolve_name(name: str) -> Any:
    """Return what an import path below batchml names, such as ``"execution.stages:train"``."""
    module, _, attribute = name.partition(":")
    obj = importlib.import_module(f"batchml.{module}")
    for part in attribute.split(".") if attribute else ():
        obj = getattr(obj, part)
    return obj


def keys(kind: str) -> list[str]:
    """Return the keys of a kind (``task``, ``learner``, ``resampling``, ``measure``), sorted."""
    return sorted(_entries(kind))


def resolve(kind: str, key: str) -> Callable[..., Any]:
    """Return the factory behind a key.

    Raises
    ------
    UnknownKeyError
        There is no such key; names the nearest.
    """
    entries = _entries(kind)
    if key not in entries:
        _unknown_key(kind, key, entries)
    entry = entries[key]
    factory: Callable[..., Any] = resolve_name(entry if isinstance(entry, str) else entry["factory"])
    return factory


def table(kind: str) -> pd.DataFrame:
    """Return what there is of a kind: a row for each key."""
    import pandas as pd

    return pd.DataFrame([{"key": key, **_columns(entry)} for key, entry in sorted(_entries(kind).items())])


def tsk(key: str | None = None, /, **kwargs: Any) -> Any:
    """Return the task of a key (``tsk("penguins")``), or without a key the table of tasks.

    Raises
    ------
    UnknownKeyError
        There is no such key, parameter or field; names the nearest.
    """
    return _get("task", key, kwargs)


def lrn(key: str | None = None, /, **kwargs: Any) -> Any:
    """Return the learner of a key (``lrn("classif.tree", max_depth=3)``), or without a key the table of learners.

    Keywords set parameters of the method, else fields (``id``, ``predict_type``, ``fallback``, ...).

    Raises
    ------
    UnknownKeyError
        There is no such key, parameter or field; names the nearest.
    """
    return _get("learner", key, kwargs)


def rsmp(key: str | None = None, /, **kwargs: Any) -> Any:
    """Return the resampling of a key (``rsmp("cv", folds=5)``), or without a key the table of resamplings.

    Raises
    ------
    UnknownKeyError
        There is no such key or parameter; names the nearest.
    """
    return _get("resampling", key, kwargs)


def msr(key: str | None = None, /, **kwargs: Any) -> Any:
    """Return the measure of a key (``msr("classif.acc")``), or without a key the table of measures.

    Raises
    ------
    UnknownKeyError
        There is no such key, parameter or field; names the nearest.
    """
    return _get("measure", key, kwargs)


def tsks(keys: Iterable[str] | None = None, /, **kwargs: Any) -> Any:
    """Return the tasks of several keys, or without keys the table of tasks."""
    return _get_all("task", keys, kwargs)


def lrns(keys: Iterable[str] | None = None, /, **kwargs: Any) -> Any:
    """Return the learners of several keys, each with the same keywords, or without keys the table of learners."""
    return _get_all("learner", keys, kwargs)


def rsmps(keys: Iterable[str] | None = None, /, **kwargs: Any) -> Any:
    """Return the resamplings of several keys, each with the same keywords, or without keys the table of resamplings."""
    return _get_all("resampling", keys, kwargs)


def msrs(keys: Iterable[str] | None = None, /, **kwargs: Any) -> Any:
    """Return the measures of several keys, each with the same keywords, or without keys the table of measures."""
    return _get_all("measure", keys, kwargs)


def hint(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for a misspelt word or one that others use, or nothing."""
    listed = list(known)
    for name in (word, str(word).lower(), f"classif.{word}", f"regr.{word}"):
        if _KNOWN_AS.get(name) in listed:
            return f" (did you mean '{_KNOWN_AS[name]}'?)"
    for name in listed:
        if name.endswith(f".{word}"):
            return f" (did you mean '{name}'?)"
    return nearest(word, listed)


def _columns(entry: Any) -> dict[str, Any]:
    return {} if isinstance(entry, str) else {name: value for name, value in entry.items() if name != "factory"}


def _entries(kind: str) -> Mapping[str, Any]:
    entries: Mapping[str, Any] = resolve_name(TABLES[kind])
    return entries


def _get(kind: str, key: Any, kwargs: Mapping[str, Any]) -> Any:
    if key is None:
        if kwargs:
            raise ConfigError(f"{', '.join(sorted(kwargs))} without a key: name the {kind} first")
        return table(kind)
    if not isinstance(key, str):
        call = _CALLS[kind]
        such = repr(keys(kind)[0])
        raise ConfigError(f"bm.{call} takes one key such as {such}, not {shown(key)}; several: bm.{call}s([...])")
    factory = resolve(kind, key)
    # A learner's open keywords are its parameters, which go the way of all parameters: through `param_set`.
    taken, named = _split(factory, kwargs, pass_all=kind != "learner")
    obj = factory(key=key, **taken)
    _set_rest(obj, {name: value for name, value in kwargs.items() if name not in taken}, f"{kind} {key!r}", named)
    return obj


def _get_all(kind: str, keys: Iterable[str] | None, kwargs: Mapping[str, Any]) -> Any:
    if keys is None:
        return _get(kind, None, kwargs)
    given = [keys] if isinstance(keys, str) else listed(keys, f"the argument of bm.{_CALLS[kind]}s", "keys")
    return [_get(kind, key, kwargs) for key in given]


def _split(
    factory: Callable[..., Any], kwargs: Mapping[str, Any], *, pass_all: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return the keywords that the factory itself takes, and all names that it has."""
    if not kwargs:
        return {}, []
    parameters = inspect.signature(factory).parameters.values()
    if pass_all and any(p.kind is p.VAR_KEYWORD for p in parameters):
        return dict(kwargs), []
    named = [p.name for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY} and p.name != "key"]
    return {name: value for name, value in kwargs.items() if name in named}, named


def _set_rest(obj: Any, kwargs: Mapping[str, Any], what: str, named: list[str]) -> None:
    param_set = getattr(obj, "param_set", None)
    ids = list(param_set.ids) if param_set is not None else []
    # A limit comes last: whether it can be held depends on the encapsulation.
    for name, value in sorted(kwargs.items(), key=lambda item: item[0] == "timeout"):
        if name in ids:
            obj.param_set.values[name] = value  # no table
        elif name in (fields := _fields(obj)):
            setattr(obj, name, value)
        else:
            known = [*ids, *named, *fields]
            raise UnknownKeyError(
                f"{what} has no parameter or field {name!r}{hint(name, known)}; it has {_some(dict.fromkeys(known))}"
            )


def _fields(obj: Any) -> list[str]:
    """Return the names of an object's public attributes that can be set."""
    cls = type(obj)
    names = []
    for name in dir(obj):
        if name.startswith("_") or name in _FIXED:
            continue
        static = inspect.getattr_static(cls, name, None)
        if isinstance(static, property):
            settable = static.fset is not None
        else:
            settable = not callable(static) and not isinstance(static, (classmethod, staticmethod))
        if settable:
            names.append(name)
    return names


def _unknown_key(kind: str, key: str, entries: Mapping[str, Any]) -> NoReturn:
    has = _some(sorted(entries))
    raise UnknownKeyError(
        f"no {kind} is called {key!r}{hint(key, entries)}; the catalogue has {has} (bm.{_CALLS[kind]}() lists all)"
    )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed) if len(listed) <= 16 else f"{', '.join(listed[:16])} and {len(listed) - 16} more"
