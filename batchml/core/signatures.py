"""Constructors: which parameters a class takes, their defaults, and the values that an object has for them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from batchml.errors import SpecError

__all__ = ["Constructor", "constructor", "param_values"]

_known: WeakKeyDictionary[type, Constructor] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True, kw_only=True)
class Constructor:
    """The parameters of a class.

    Attributes
    ----------
    names
        In the order of the signature, without ``*args`` and ``**kwargs``.
    defaults
        Of those that have one.
    open
        Takes any further keyword.
    encoded
        The defaults as plain data, filled when first asked for.
    """

    names: tuple[str, ...]
    defaults: dict[str, Any]
    open: bool = False
    encoded: dict[str, Any] = field(default_factory=dict)


def constructor(cls: type) -> Constructor:
    """Return what a class takes; remembered per class.

    Raises
    ------
    SpecError
        For classes without a readable signature.
    """
    known = _known.get(cls)
    if known is None:
        known = _known[cls] = _read(cls)
    return known


def param_values(obj: Any) -> dict[str, Any]:
    """Return the constructor parameters of an object, by `get_params` or by attributes of the same names.

    Raises
    ------
    SpecError
        An object that keeps its parameters elsewhere.
    """
    if hasattr(obj, "get_params"):
        try:
            return dict(obj.get_params(deep=False))
        except Exception as error:
            raise SpecError(f"is a {type(obj).__name__} whose get_params() fails: {error!r}") from error
    signature = constructor(type(obj))
    # Repeated splitters keep the arguments of the splitter that they repeat in a dict.
    inner = getattr(obj, "cvargs", None) or {}
    values = {name: getattr(obj, name, inner.get(name, _MISSING)) for name in signature.names}
    missing = sorted(name for name, value in values.items() if value is _MISSING)
    if missing or signature.open:
        raise SpecError(
            f"is a {type(obj).__module__}.{type(obj).__qualname__}, whose parameters cannot be read: give it "
            "get_params() or keep each constructor argument in an attribute of the same name"
        )
    return values


_MISSING: Any = object()


def _read(cls: type) -> Constructor:
    try:
        parameters = list(inspect.signature(cls).parameters.values())
    except (TypeError, ValueError) as error:
        raise SpecError(f"is a {cls.__module__}.{cls.__qualname__}, which has no readable signature") from error
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return Constructor(
        names=tuple(p.name for p in named),
        defaults={p.name: p.default for p in named if p.default is not p.empty},
        open=any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL, p.POSITIONAL_ONLY) for p in parameters),
    )
