"""Names that users give to benchmarks and tags: any database stores them, and people can read and type them."""

from __future__ import annotations

from typing import Any

from batchml.arguments import shown
from batchml.errors import ConfigError

__all__ = ["checked_name"]

_LONGEST = 200


def checked_name(given: Any, what: str) -> str:
    """Return a name, without blanks around it.

    Parameters
    ----------
    what
        That is named so, with its article.

    Raises
    ------
    ConfigError
        It is no text, blank, too long, or holds what cannot be seen: line breaks, NUL, lone surrogates.
    """
    name = given.strip() if isinstance(given, str) else ""
    if not name or len(name) > _LONGEST or not name.isprintable():
        raise ConfigError(f"{what} is a text of 1 to {_LONGEST} characters in a line, not {shown(given)}")
    return name
