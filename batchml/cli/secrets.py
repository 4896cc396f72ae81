"""Passwords never reach a screen: URLs are masked, and known passwords are struck out of any text."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import unquote, urlsplit

__all__ = ["clean", "mask", "remember"]

# Up to the last @ of the word: a password that was not percent-encoded may hold an @ or a slash. With one slash it is a
# URL that was mistyped.
_IN_URL = re.compile(r"(?P<head>[A-Za-z][A-Za-z0-9+.\-]*(?::/{1,3}|//)[^\s:/@]*:)(?P<password>[^\s]+)(?P<tail>@)")
_IN_QUERY = re.compile(r"(?P<head>[?&;\s](?:password|passwd|pwd|token)=)(?P<password>[^&\s'\"]+)", re.IGNORECASE)
_known: set[str] = set()


def mask(url: str) -> str:
    """Return a URL with its password replaced by ``***``.

    Examples
    --------
    >>> mask("postgresql+psycopg://ann:s3cret@db/study")
    'postgresql+psycopg://ann:***@db/study'
    """
    return _IN_QUERY.sub(r"\g<head>***", _IN_URL.sub(r"\g<head>***\g<tail>", url))


def remember(url: str) -> None:
    """Strike the password of this URL out of everything that `clean` returns from now on."""
    for pattern in (_IN_URL, _IN_QUERY):
        for match in pattern.finditer(url):
            _know(match["password"])
    with contextlib.suppress(ValueError):
        _know(urlsplit(url).password or "")


def _know(password: str) -> None:
    for word in (password, unquote(password)):
        if len(word) > 2:
            # Also as it stands between quotes in messages: repr writes marks and controls otherwise.
            _known.update((word, repr(word)[1:-1]))


def clean(text: str) -> str:
    """Return `text` without passwords."""
    text = mask(text)
    for word in sorted(_known, key=len, reverse=True):
        text = text.replace(word, "***")
    return text
