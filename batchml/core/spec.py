"""Objects as plain data and back: estimators, splitters, kernels, scorers, distributions, functions and values.

A spec names the class by its canonical import path and holds only the parameters that differ from the constructor's
defaults, so that a new version of a library does not rename what a study has computed. What JSON has no word for is a
dict with one key that starts with ``$``::

    {"$tuple": [..]}  {"$dict": [[k, v], ..]}  {"$set": [..]}  {"$frozenset": [..]}
    {"$slice": [a, b, c]}  {"$range": [a, b, c]}
    {"$float": "nan" | "inf" | "-inf" | "-0.0"}  {"$complex": [re, im]}  {"$bytes": base64}  {"$na": "pandas.NA"}
    {"$type": path}  {"$function": path}  {"$dtype": "<f8"}  {"$numpy": ["<f8", value]}
    {"$array": {"dtype": "<f8", "shape": [..], "data": base64}}
    {"$array": {"dtype": "|O", "shape": [..], "values": [..]}}
    {"$object": path, "params": {..}}  {"$scorer": path, "kwargs": {..}, ..}
    {"$pickle": digest, "what": name}
    {"$distribution": path}  {"$frozen": path, "args": [..], "kwds": {..}}
    {"$space": ..}  {"$tune": ..}   parameter spaces and what is to be tuned, see `batchml.core.space_spec`

At the top level the same without ``$``: ``{"object": path, "params": {..}}``, ``{"function": path}``.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from batchml.core.naming import canonical_path
from batchml.core.signatures import constructor
from batchml.core.spec_decode import Decoder
from batchml.core.spec_encode import Encoder
from batchml.core.trust import Trust
from batchml.errors import SpecError, UnknownKeyError

__all__ = [
    "FORMAT",
    "build",
    "canonical_path",
    "class_defaults",
    "decode",
    "describe",
    "encode",
    "full_params",
    "module_sources",
]

# The number that specs carry; a change of any encoding below raises it.
FORMAT: Final = 1

_TOP_TAGS: Final = ("object", "function", "scorer", "distribution", "frozen", "pickle")
_PATH_KEYS: Final = frozenset({"object", "function", "$object", "$function", "$type", "scorer", "$scorer", "class"})
_PACKAGES: Final = ("batchml", "builtins", "numpy", "scipy", "sklearn")


def encode(value: Any, *, where: str) -> Any:
    """Return a parameter value as plain data.

    Parameters
    ----------
    value
        Anything that a constructor may take.
    where
        What the value belongs to, for messages: ``"learner 'forest'"``.

    Raises
    ------
    SpecError
        Names the parameter by its path, and the remedy.
    """
    return Encoder(where).encode(value)


def decode(data: Any, *, trust: Trust | None = None, where: str = "spec") -> Any:
    """Return the value that `encode` wrote; code that it names must be trusted."""
    return Decoder(trust or Trust.default(), where).decode(data)


def describe(obj: Any, *, where: str = "") -> dict[str, Any]:
    """Return the spec of an estimator, splitter, kernel, scorer, distribution or function.

    Raises
    ------
    SpecError
        Names the parameter by its path (``clf__random_state``), and the remedy.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> describe(DecisionTreeClassifier(max_depth=3))
    {'object': 'sklearn.tree.DecisionTreeClassifier', 'params': {'max_depth': 3}}
    """
    data = Encoder(where or type(obj).__name__).encode(obj)
    tag = next(iter(data)) if isinstance(data, dict) and data else ""
    if not tag.startswith("$") or tag[1:] not in _TOP_TAGS:
        raise SpecError(f"{where or 'spec'}: {type(obj).__name__} is no estimator, splitter or function")
    return {key.removeprefix("$"): value for key, value in data.items()}


def build(data: Any, *, trust: Trust | None = None, where: str = "spec") -> Any:
    """Return a new object from what `describe` wrote (or a user did).

    Raises
    ------
    SpecError
        The spec is malformed, or holds what specs refuse.
    TrustError
        It names code that is not trusted.
    UnknownKeyError
        A module, class or parameter does not exist.
    """
    if not isinstance(data, Mapping):
        raise SpecError(f"{where}: a spec is a mapping, not a {type(data).__name__}")
    tag = next((tag for tag in _TOP_TAGS if tag in data), None)
    if tag is None:
        has = ", ".join(map(str, data)) or "none"
        raise SpecError(f"{where}: a spec needs one of the keys {', '.join(_TOP_TAGS)}; it has {has}")
    tagged = {f"${tag}" if key == tag else key: value for key, value in data.items()}
    return Decoder(trust or Trust.default(), where).decode(tagged)


def full_params(obj: Any) -> dict[str, Any]:
    """Return all parameters of an object, defaults too, as provenance; what has no encoding is shown as ``$repr``."""
    return Encoder("provenance", lenient=True).all_params(obj)


def module_sources(data: Any, trust: Trust | None = None) -> dict[str, str]:
    """Return the sha256 of the source of every own module that a spec names.

    Own modules are those that are neither installed (site-packages) nor part of Python. The digest is recorded beside a
    benchmark, so that `plan` can say that code changed under the same name; it is no part of any identity.
    """
    trust = trust or Trust.default()
    digests = {}
    for path in sorted(set(_paths_in(data))):
        if path.partition(".")[0] in _PACKAGES or not trust.covers(path):
            continue
        try:
            home = trust.resolve(path).__module__
        except (SpecError, UnknownKeyError):
            continue  # a text that only looks like a path, or what `build` will name
        source = _own_source(home)
        if source is not None:
            digests[home] = hashlib.sha256(source.read_bytes()).hexdigest()
    return digests


def class_defaults(data: Any, trust: Trust | None = None) -> dict[str, dict[str, Any]]:
    """Return the defaults of the constructor of every class that a spec names, by its path.

    A spec holds what differs from them, so that an upgrade which changes a default changes no identity: `plan` tells by
    these that it happened.
    """
    trust = trust or Trust.default()
    found = {}
    for path in sorted(set(_paths_in(data))):
        if not trust.covers(path):
            continue
        try:
            named = trust.resolve(path)
            if isinstance(named, type):
                shown = Encoder("provenance", lenient=True)
                found[path] = {name: shown.value(value, name) for name, value in constructor(named).defaults.items()}
        except (SpecError, UnknownKeyError):
            continue
    return found


def _paths_in(data: Any) -> Iterator[str]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            if key in _PATH_KEYS and isinstance(value, str):
                yield value
            else:
                yield from _paths_in(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from _paths_in(value)


def _own_source(name: str) -> Path | None:
    module = sys.modules.get(name) or importlib.import_module(name)
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        return None
    path = Path(file).resolve()
    installed = (Path(sysconfig.get_path(key)).resolve() for key in ("purelib", "platlib", "stdlib"))
    return None if any(path.is_relative_to(folder) for folder in installed) else path
