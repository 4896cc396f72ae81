"""The canonical import path of classes and functions."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

from batchml.errors import SpecError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["EXPERIMENTAL", "canonical_path", "own_module"]

# scikit-learn shows these modules' classes at their public place only after an enabling import. It is done here, so
# that an identity does not depend on what the process happened to import.
EXPERIMENTAL: Final = {
    "sklearn.model_selection._search_successive_halving": "sklearn.experimental.enable_halving_search_cv",
    "sklearn.impute._iterative": "sklearn.experimental.enable_iterative_imputer",
}
# ufuncs know their name but not always their module.
_UFUNC_HOMES: Final = ("numpy", "scipy.special")
# User modules are not remembered: they may be reloaded in a session.
_REMEMBERED: Final = ("sklearn.", "numpy", "scipy.", "builtins")
_paths: dict[Any, str] = {}


def own_module(obj: Any) -> str | None:
    """Return the module that a class or function says it comes from, None if it does not say."""
    home = getattr(obj, "__module__", None)
    if isinstance(home, str):
        return home
    if type(obj).__name__ == "ufunc":
        return next((place for place in _UFUNC_HOMES if _at(place, obj.__name__) is obj), None)
    return None


def canonical_path(obj: Any) -> str:
    """Return the shortest public import path that gives this very class or function.

    Raises
    ------
    SpecError
        For lambdas, local functions, objects of ``__main__`` and whatever else an import cannot give back.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> canonical_path(DecisionTreeClassifier)  # defined in sklearn.tree._classes
    'sklearn.tree.DecisionTreeClassifier'
    """
    try:
        known = _paths.get(obj)
    except TypeError:
        raise SpecError(f"is {_short(obj)}, which has no import path; give a class or a function of a module") from None
    if known is not None:
        return known
    path = _search(obj)
    if path.startswith(_REMEMBERED):
        _paths[obj] = path
    return path


def _search(obj: Any) -> str:
    home = own_module(obj)
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
    if home is None or not isinstance(name, str):
        raise SpecError(f"is {_short(obj)}, which has no import path; give a class or a function of a module")
    _check_place(home, name)
    if home in EXPERIMENTAL:
        importlib.import_module(EXPERIMENTAL[home])
    parts = home.split(".")
    for length in range(1, len(parts) + 1):
        public = not any(part.startswith("_") for part in parts[:length])
        prefix = ".".join(parts[:length])
        if (public or length == len(parts)) and _at(prefix, name) is obj:
            return f"{prefix}.{name}"
    raise SpecError(
        f"is {home}.{name}, but not what an import of that path gives (redefined, wrapped or deleted); "
        "give the object that the module holds"
    )


def _check_place(home: str, name: str) -> None:
    if "<lambda>" in name:
        raise SpecError("is a lambda; write a named function in a module file beside your design")
    if "<locals>" in name:
        raise SpecError(f"is {name}, defined inside a function; move it to the top of a module file beside your design")
    if home in {"__main__", "__mp_main__"}:
        raise SpecError(
            f"is {name}, defined in __main__ (a script or notebook), which no worker can import; move it to a module "
            "file beside your design, import it from there and list that module under `modules`"
        )


def _at(module_name: str, name: str) -> Any:
    module: ModuleType | None = sys.modules.get(module_name)
    obj: Any = module
    try:
        for part in name.split("."):
            obj = getattr(obj, part)
    except (AttributeError, ImportError):
        return None
    return obj


def _short(obj: Any) -> str:
    return f"a {type(obj).__module__}.{type(obj).__qualname__} object"
