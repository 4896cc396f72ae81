"""What a spec never holds, and what to do instead."""

from __future__ import annotations

import enum
import functools
import re
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["FORBIDDEN_PARAMS", "PICKLED", "Forbidden", "remedy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden:
    """A rule on a parameter's name, at any depth and also as a key of a search grid."""

    refuses: Callable[[Any], bool]
    reason: str


def _leaves(value: Any) -> list[Any]:
    """Return the values in lists, tuples and dicts, and also in their encodings."""
    if isinstance(value, Mapping):
        return [leaf for item in value.values() for leaf in _leaves(item)] or ([value] if value else [])
    if isinstance(value, (list, tuple, set, frozenset)):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _holds_more_than_numbers(value: Any) -> bool:
    # Numbers pass: {"memory": 2.0} may be the weight of a class of that name.
    return any(leaf is not None and not isinstance(leaf, (bool, int, float)) for leaf in _leaves(value))


def _holds_file_mode(value: Any) -> bool:
    return any(isinstance(leaf, str) and leaf in {"file", "filename"} for leaf in _leaves(value))


def _holds_code(value: Any) -> bool:
    return any(isinstance(leaf, str) and not _PRE_DISPATCH.fullmatch(leaf) for leaf in _leaves(value))


_PRE_DISPATCH: Final = re.compile(r"all|[\d.\s*+/n_jobs-]{1,40}")
_CACHE: Final = Forbidden(
    refuses=_holds_more_than_numbers,
    reason="names a cache, whose files run as code when they are read; leave it None",
)

FORBIDDEN_PARAMS: Final[Mapping[str, Forbidden]] = {
    "memory": _CACHE,
    "cache_dir": _CACHE,
    "cachedir": _CACHE,
    "input": Forbidden(
        refuses=_holds_file_mode, reason="reads files that the data name; put the text itself into a column"
    ),
    "pre_dispatch": Forbidden(
        refuses=_holds_code, reason="is evaluated by joblib; give an int or a text such as '2*n_jobs'"
    ),
}

PICKLED: Final = (functools.partial, types.MethodType)
"""Types that have no word in a spec, but whose pickles keep all there is."""

_SEED: Final = "give an int, or None: each None is filled from the job's own seed"
_BY_NAME: Final = {
    "numpy.random.mtrand.RandomState": f"is a RandomState, whose state changes with use; {_SEED}",
    "numpy.random._mtrand.RandomState": f"is a RandomState, whose state changes with use; {_SEED}",
    "numpy.random._generator.Generator": f"is a numpy Generator, whose state changes with use; {_SEED}",
    "random.Random": f"is a random.Random, whose state changes with use; {_SEED}",
    "functools.partial": "is a functools.partial; write a named function in a module file beside your design",
    "builtins.method": "is a method of an object; write a named function in a module file beside your design",
    "builtins.generator": "is a generator, which can be used only once; give a list",
    "builtins.module": "is a module; give a class or a function of it",
    "builtins.bytearray": "is a bytearray; give bytes",
    "builtins.memoryview": "is a memoryview; give bytes or an array",
    "collections.OrderedDict": "is an OrderedDict; give a dict",
    "collections.defaultdict": "is a defaultdict; give a dict",
    "sklearn.utils._bunch.Bunch": "is a Bunch; give a dict",
}
_BY_PACKAGE: Final = {
    "pandas": "is a pandas {name}; give a list, a numpy array or a dtype's name ('category'), or name columns as text",
    "polars": "is a polars {name}; give a list or a numpy array",
    "pyarrow": "is a pyarrow {name}; give a list or a numpy array",
    "joblib": "is a joblib {name}; caches and parallel back-ends are no part of a spec: leave it None",
    "pathlib": "is a path, which another machine may not have; load the file in a class of your own module",
    "scipy.sparse": "is a sparse {name}; give a dense numpy array",
    "sklearn.metrics._dist_metrics": "is a DistanceMetric; give the metric's name and metric_params",
    "sklearn._loss": "is a loss object; give the loss's name",
}


def remedy(value: Any) -> str | None:
    """Return why a value is refused and what to give instead, None if no rule speaks against it."""
    cls = type(value)
    full_name = f"{cls.__module__}.{cls.__qualname__}"
    if full_name in _BY_NAME:
        return _BY_NAME[full_name]
    if cls.__name__ == "NAType":
        return None
    for package, text in _BY_PACKAGE.items():
        if cls.__module__ == package or cls.__module__.startswith(f"{package}."):
            return text.format(name=cls.__name__)
    if isinstance(value, enum.Enum):
        return f"is the enum member {value}; give its value"
    if isinstance(value, (str, bytes, int, float, list, tuple, dict, set, frozenset)) and not _is_numpy(value):
        base = next(b.__name__ for b in cls.__mro__ if b.__module__ == "builtins")
        return f"is a {full_name}, a kind of {base}; give a plain {base}"
    top = cls.__module__.partition(".")[0]
    if top in sys.stdlib_module_names and not callable(value):
        return f"is a {full_name}, for which specs have no word; give numbers, text, lists or dicts"
    return None


def _is_numpy(value: Any) -> bool:
    return type(value).__module__ == "numpy"
