"""Text that can be stored anywhere: no NUL, no lone surrogates, no more than was asked for."""

from __future__ import annotations

import re

__all__ = ["clean", "error_text", "head_and_tail", "safe_str"]

# A database refuses NUL (PostgreSQL) and what UTF-8 cannot encode (all of them).
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str, limit: int | None = None) -> str:
    """Return `text` with NUL and lone surrogates replaced by U+FFFD, its middle left out beyond `limit` characters."""
    if limit is not None:
        text = head_and_tail(text, limit)
    return _UNSTORABLE.sub("\ufffd", text)


def head_and_tail(text: str, limit: int) -> str:
    """Return at most about `limit` characters of `text`: two thirds from its start, one third from its end."""
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    return f"{text[:head]}\n[... {len(text) - limit} characters left out ...]\n{text[head - limit :]}"


def safe_str(value: object, limit: int | None = None) -> str:
    """Return clean text of anything, also of an object whose ``__str__`` raises."""
    try:
        text = str.__str__(str(value))
    except BaseException:  # noqa: BLE001 - user code; whatever it raises is no reason to lose the original error
        text = f"<{type(value).__name__} without a text: its __str__ raised>"
    return clean(text, limit)


def error_text(error: BaseException, limit: int | None = None) -> str:
    """Return the message of an exception, with its class where the message alone says nothing.

    Examples
    --------
    >>> error_text(KeyError("a")), error_text(SystemExit(0)), error_text(ValueError("too small"))
    ("KeyError: 'a'", 'SystemExit: 0', 'too small')
    """
    text, kind = safe_str(error, limit), type(error).__name__
    if not text.strip():
        return kind
    return f"{kind}: {text}" if isinstance(error, (KeyError, SystemExit, StopIteration)) else text
