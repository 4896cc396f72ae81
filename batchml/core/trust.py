"""Which code a spec may name: the resolved object decides, not the path that was written down."""

from __future__ import annotations

import functools
import importlib
import sys
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from batchml.core.naming import EXPERIMENTAL, canonical_path, own_module
from batchml.errors import ConfigError, SpecError, TrustError, UnknownKeyError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchml.core.pickled import Pickles

__all__ = ["Trust"]

# Large packages hold code that runs commands, reads and writes files: of these only vetted kinds of objects count.
_VETTED: Final = ("batchml", "numpy", "scipy", "sklearn")
# Of numpy and scipy nothing else is even imported: `numpy.f2py.__main__` runs when it is imported.
_NUMERIC_MODULES: Final = frozenset({"numpy", "scipy.spatial.distance", "scipy.special", "scipy.stats"})
# Parts of scikit-learn without methods; some have side effects when imported.
_NO_METHODS_IN: Final = frozenset(
    """__check_build _build_utils _distributor_init _min_dependencies callback conftest datasets experimental externals
    tests utils""".split()  # noqa: SIM905  # a list of words
)
_BUILTIN_TYPES: Final = frozenset({"bool", "bytes", "complex", "float", "int", "object", "str"})
_BATCHML_METHODS: Final = ("batchml.learners.", "batchml.resamplings.", "batchml.measures.")
# Whoever may call these may run anything.
_NEVER: Final = frozenset({"__main__", "cloudpickle", "dill", "joblib"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Module prefixes whose code a spec may name; passed explicitly, never read from a registry.

    Attributes
    ----------
    prefixes
        Dotted names; ``"mylab"`` covers ``mylab`` and ``mylab.trees``, not ``mylabevil``. Of batchml, scikit-learn,
        numpy and scipy only estimators, splitters, kernels, distributions and listed functions count; of other
        modules all classes and functions that they define themselves.
    pickles
        Opens the signed pickles that specs of a registry name; None where no pickle is to be opened.
    """

    prefixes: tuple[str, ...]
    pickles: Pickles | None = None

    @classmethod
    def default(cls) -> Trust:
        """Return trust in scikit-learn, batchml, numeric functions of numpy and scipy, and what is configured.

        That is ``trusted_modules`` of ``batchml.toml`` and ``$BATCHML_TRUSTED_MODULES``.
        """
        from batchml.core.configuration import load_configuration

        return cls(prefixes=_VETTED).with_modules(load_configuration().trusted_modules)

    def with_modules(self, names: Iterable[str]) -> Trust:
        """Return trust in further module prefixes, all of them the user's own choice."""
        names = [names] if isinstance(names, str) else list(names)
        for name in names:
            _check_prefix(name)
        return replace(self, prefixes=tuple(dict.fromkeys([*self.prefixes, *names])))

    def covers(self, path: str) -> bool:
        """Tell whether a dotted path lies under a trusted prefix."""
        return any(path == prefix or path.startswith(f"{prefix}.") for prefix in self.prefixes)

    def resolve(self, path: str) -> Any:
        """Return the class or function at a dotted path, if it may be named in a spec.

        Raises
        ------
        TrustError
            The path or the object behind it is not trusted.
        UnknownKeyError
            There is no such module or attribute.
        ConfigError
            The module fails to import.
        """
        if "." not in path or not all(part.isidentifier() for part in path.split(".")):
            raise SpecError(f"{path!r} is no import path; write package.module.Name")
        if path.startswith(_CACHED_PREFIXES):
            return _resolve_cached(path, self)
        return _resolve(path, self)

    def check(self, obj: Any, path: str | None = None) -> None:
        """Refuse an object that is at hand as `resolve` would."""
        _vet(obj, path or canonical_path(obj), self)


_CACHED_PREFIXES: Final = ("sklearn.", "numpy.", "scipy.", "builtins.")


def _check_prefix(name: str) -> None:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(f"cannot trust {name!r}: write module names such as my_learners or mylab.trees")
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in _NEVER:
        raise ConfigError(
            f"cannot trust {name!r}: it belongs to Python itself or loads what it is given; "
            "name the module with your own classes"
        )


@functools.lru_cache(maxsize=4096)
def _resolve_cached(path: str, trust: Trust) -> Any:
    return _resolve(path, trust)


def _resolve(path: str, trust: Trust) -> Any:
    if path.startswith("builtins.") and path[len("builtins.") :] in _BUILTIN_TYPES:
        return getattr(importlib.import_module("builtins"), path.rpartition(".")[2])
    # Importing runs code, so the written path is checked before, and the object's own module after.
    if not trust.covers(path):
        raise TrustError(_not_trusted(path, path, trust))
    _check_importable(path)
    obj = _find(path)
    _vet(obj, path, trust)
    return obj


def _check_importable(path: str) -> None:
    parts = path.split(".")
    if parts[0] in {"numpy", "scipy"} and ".".join(parts[:-1]) not in _NUMERIC_MODULES:
        raise TrustError(f"{path} may not be named in a spec: of {parts[0]} only listed numeric functions may")
    if parts[0] == "batchml" and not path.startswith(_BATCHML_METHODS):
        raise TrustError(f"{path} may not be named in a spec: of batchml only learners, resamplings and measures may")
    if parts[0] == "sklearn" and not _NO_METHODS_IN.isdisjoint(parts):
        raise TrustError(f"{path} may not be named in a spec: it is no estimator, splitter, kernel or listed function")
    if any(part.startswith("__") for part in parts):
        raise TrustError(f"{path} may not be named in a spec: {path!r} reaches into Python's internals")


def _find(path: str) -> Any:
    """Import the longest module that `path` starts with and follow the rest through classes only."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = _import(".".join(parts[:length]), path)
        if module is not None:
            return _follow(module, parts[length:], path)
    known = ".".join(parts[:-1]) or path
    raise UnknownKeyError(
        f"there is no module {known!r} (wanted for {path}); install it, or put its folder on the path "
        "(a design's `modules`, `batchml worker --path`)"
    )


def _import(name: str, path: str) -> ModuleType | None:
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise ConfigError(f"{path} cannot be imported: module {name!r} needs {error.name!r}") from error
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"  # of a syntax error: what, which file, which line
        raise ConfigError(f"{path} cannot be imported: module {name!r} fails: {reason}") from error


def _follow(module: ModuleType, names: list[str], path: str) -> Any:
    obj: Any = module
    for position, name in enumerate(names):
        if position and not isinstance(obj, type):
            raise TrustError(f"{path} may not be named in a spec: it reaches through {names[position - 1]!r}")
        try:
            obj = getattr(obj, name)
        except (AttributeError, ImportError):
            obj = _experimental(module, name, path)
    return obj


def _experimental(module: ModuleType, name: str, path: str) -> Any:
    """Return what scikit-learn shows only after an enabling import, or say what the module has instead."""
    for home, enabler in EXPERIMENTAL.items():
        if home.startswith(f"{module.__name__}.") and hasattr(importlib.import_module(home), name):
            importlib.import_module(enabler)
            return getattr(module, name)
    public = getattr(module, "__all__", None) or [known for known in vars(module) if not known.startswith("_")]
    raise UnknownKeyError(f"there is no {path}: {module.__name__} has no {name!r}{nearest(name, public)}")


def _vet(obj: Any, path: str, trust: Trust) -> None:
    """Refuse an object whose own module is not trusted, or that is of no kind that a spec may name."""
    if isinstance(obj, ModuleType):
        raise TrustError(f"{path} may not be named in a spec: it is a module")
    try:
        own = canonical_path(obj)
    except SpecError:
        home = own_module(obj)
        if home is not None and not trust.covers(home):
            raise TrustError(_not_trusted(path, home, trust)) from None
        raise TrustError(f"{path} may not be named in a spec: it is no class and no function") from None
    home = own_module(obj) or own
    if not trust.covers(own) or not trust.covers(home):
        raise TrustError(_not_trusted(path, own, trust))
    top = home.partition(".")[0]
    if top in _VETTED and not _is_vetted(obj, own, home, top):
        what = "a class of methods" if isinstance(obj, type) else "a listed function"
        raise TrustError(
            f"{path} may not be named in a spec: it is not {what}; write a function of your own that calls it, in a "
            "module that the design lists under `modules`"
        )


def _is_vetted(obj: Any, own: str, home: str, top: str) -> bool:
    if top == "sklearn" and not _NO_METHODS_IN.isdisjoint(home.split(".")):
        return False
    if not isinstance(obj, type):
        return top != "batchml" and _is_listed(obj, own)
    if top == "sklearn":
        return _is_method_class(obj, own)
    if top == "batchml":
        return f"{home}.".startswith(_BATCHML_METHODS) or _is_method_class(obj, own)
    return top == "numpy" and _is_scalar_type(obj)


def _is_listed(obj: Any, own: str) -> bool:
    import numpy as np

    from batchml.core.trusted_functions import FUNCTIONS

    if isinstance(obj, np.ufunc):
        # A ufunc computes numbers from numbers, whichever it is.
        return own.rpartition(".")[0] in {"numpy", "scipy.special"}
    return own in FUNCTIONS


def _is_scalar_type(cls: type) -> bool:
    import numpy as np

    return issubclass(cls, np.generic)


def _is_method_class(cls: type, own: str) -> bool:
    """Tell whether a class is an estimator, a splitter, a Gaussian process kernel or a column selector."""
    from sklearn.base import BaseEstimator

    if issubclass(cls, BaseEstimator) or own == "sklearn.compose.make_column_selector":
        return True
    if own.startswith("sklearn.model_selection."):
        return callable(getattr(cls, "split", None)) and callable(getattr(cls, "get_n_splits", None))
    kernels = sys.modules.get("sklearn.gaussian_process.kernels")
    return kernels is not None and issubclass(cls, kernels.Kernel)


def _not_trusted(path: str, own: str, trust: Trust) -> str:
    really = "" if own == path else f" (it is {own})"
    top = own.partition(".")[0]
    if top in sys.stdlib_module_names or top in _NEVER:
        return f"{path}{really} is not trusted: specs never name what {top} holds"
    return (
        f"{path}{really} is not trusted: add {top!r} to the design's `modules`, to `trusted_modules` of the "
        f"configuration or to $BATCHML_TRUSTED_MODULES if you wrote or know that code; "
        f"trusted now: {', '.join(trust.prefixes)}"
    )
