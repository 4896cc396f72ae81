"""Canonical JSON and the digest that names plain data by its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from batchml.errors import SpecError

__all__ = ["canonical_json", "digest"]


def canonical_json(obj: Any) -> str:
    """Return the one JSON text of plain data: sorted keys, no spaces, ASCII only.

    Raises
    ------
    SpecError
        For what JSON would change silently (keys that are not text, nan, infinities) or cannot hold.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": (1.0, None)})
    '{"a":[1.0,null],"b":1}'
    """
    _check_keys(obj)
    try:
        return json.dumps(obj, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise SpecError(f"not plain data: {error}; encode it first (batchml.core.spec.encode)") from None


def digest(obj: Any) -> str:
    """Name plain data by its content: 64 hexadecimal digits of sha256 over `canonical_json`."""
    return hashlib.sha256(canonical_json(obj).encode("ascii")).hexdigest()


def _plain(obj: Any) -> dict[str, Any]:
    if isinstance(obj, Mapping):
        return dict(obj)
    raise TypeError(f"{type(obj).__module__}.{type(obj).__qualname__} object {str(obj)[:80]!r}")


def _check_keys(obj: Any) -> None:
    """Refuse keys that are not text: json writes 1, 1.0, True and "1" in ways that collide."""
    if isinstance(obj, Mapping):
        for key, value in obj.items():
            if not isinstance(key, str):
                raise SpecError(f"not plain data: the key {key!r} is no text; encode it first")
            _check_keys(value)
    elif isinstance(obj, (list, tuple)):
        for value in obj:
            _check_keys(value)
