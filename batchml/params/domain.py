"""Domains: which values a parameter may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NO_DEFAULT", "Domain", "p_uty"]


class _NoDefault:
    def __repr__(self) -> str:
        return "<NoDefault>"

    def __reduce__(self) -> str:
        return "NO_DEFAULT"  # the one there is, also in another process and in a copy


NO_DEFAULT: Final = _NoDefault()


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What is known of one parameter.

    Attributes
    ----------
    kind
        ``uty``: any value.
    default
        What the method does without a value; `NO_DEFAULT` if a value must be given.
    tags
        Words to find parameters by, e.g. ``threads``.
    """

    kind: str = "uty"
    default: Any = NO_DEFAULT
    tags: frozenset[str] = frozenset()


def p_uty(*, default: Any = NO_DEFAULT, tags: Iterable[str] = ()) -> Domain:
    """Return the domain of a parameter that takes any value."""
    return Domain(kind="uty", default=default, tags=frozenset(tags))
