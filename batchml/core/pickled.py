"""What has no spec (lambdas, classes of ``__main__``) as a pickle: named by what it does, kept only if somebody asks.

A design may be described *strictly*, which refuses such objects (the default); with `naming`, which gives them a name
that is equal in every process, so that they can be used in a session; or with `collecting`, which also keeps their
pickles, for a registry to store them signed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections import ChainMap
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from batchml.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Pickled", "Pickles", "collecting", "describe_pickled", "naming"]

MAX_BYTES = 64 << 20
_TRACKER = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


class Pickles(Protocol):
    """Where the pickles that specs name are opened."""

    def open(self, digest: str, what: str) -> Any:
        """Return the object, after its signature was verified.

        Raises
        ------
        TrustError
            It is unsigned, altered, or comes from elsewhere.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pickled:
    """An object that has no spec.

    Attributes
    ----------
    what
        Its own name, such as ``<lambda>`` or ``MyForest``.
    refusal
        What a strict description says about it.
    content
        Its pickle.
    """

    what: str
    refusal: str
    content: bytes


_found: ContextVar[dict[str, Pickled] | None] = ContextVar("batchml_pickled", default=None)


@contextlib.contextmanager
def collecting() -> Iterator[dict[str, Pickled]]:
    """Describe objects without a spec as pickles, which are added to the dict (by digest) that this gives."""
    found: dict[str, Pickled] = {}
    token = _found.set(found)
    try:
        yield found
    finally:
        _found.reset(token)


@contextlib.contextmanager
def naming() -> Iterator[None]:
    """Give objects without a spec a name; whoever collects goes on collecting."""
    if _found.get() is not None:
        yield
        return
    with collecting():
        yield


def describe_pickled(value: Any, refusal: str) -> dict[str, str] | None:
    """Return ``{"$pickle": digest, "what": name}``, None if descriptions are strict.

    Raises
    ------
    SpecError
        It cannot be pickled either.
    """
    found = _found.get()
    if found is None:
        return None
    what = str(getattr(value, "__qualname__", None) or type(value).__qualname__)[:200]
    try:
        content, name = _dumps(value), _name(value)
    except RecursionError:
        raise SpecError(f"{refusal} (and it is nested too deeply to be pickled)") from None
    except Exception as error:  # noqa: BLE001 - user objects may raise anything while they are pickled
        raise SpecError(f"{refusal} (and it cannot be pickled: {error})") from None
    if len(content) > MAX_BYTES:
        raise SpecError(
            f"{refusal} (its pickle would hold {len(content) >> 20} MB, since it refers to data: pass data by the task)"
        )
    found[name] = Pickled(what=what, refusal=refusal, content=content)
    return {"$pickle": name, "what": what}


def _dumps(value: Any) -> bytes:
    import cloudpickle

    content: bytes = cloudpickle.dumps(value, protocol=5)
    return content


def _name(value: Any) -> str:
    """Return a digest of what a pickle would do, equal in every process of one Python version.

    Left out are the places of code in files, which a notebook draws anew, and the random ids that cloudpickle gives to
    classes.
    """
    buffer = io.BytesIO()
    _pickler()(buffer, protocol=5).dump(value)
    numbers: dict[bytes, bytes] = {}

    def numbered(match: re.Match[bytes]) -> bytes:
        return numbers.setdefault(match[0], f"{len(numbers):032d}".encode())

    return hashlib.sha256(_TRACKER.sub(numbered, buffer.getvalue())).hexdigest()


@cache
def _pickler() -> Any:
    from cloudpickle import Pickler

    class Namer(Pickler):  # type: ignore[misc]  # it has no types
        dispatch_table: ClassVar[Any] = ChainMap({CodeType: _reduce_code}, Pickler.dispatch_table)

        def reducer_override(self, obj: Any) -> Any:
            reduced = super().reducer_override(obj)
            return tuple(map(_ordered, reduced)) if isinstance(reduced, tuple) else reduced

    return Namer


def _reduce_code(code: CodeType) -> tuple[Any, ...]:
    parts = (
        code.co_code,
        _ordered(code.co_consts),
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
    )
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return tuple, ((*parts, *counts, code.co_exceptiontable),)


def _ordered(value: Any) -> Any:
    """Return a value with its sets in an order that does not change with Python's hashes."""
    kind = type(value)
    if kind in (set, frozenset):
        return kind.__name__, sorted(value, key=repr)
    if kind is dict:
        return {key: _ordered(item) for key, item in value.items()}
    if kind in (tuple, list):
        return kind(map(_ordered, value))
    return value
