"""What happened while a stage ran: output, warnings and errors, as text."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Condition", "Level", "Stage", "fingerprint"]

Stage = Literal["setup", "train", "predict", "score", "job"]
Level = Literal["output", "warning", "error"]

_VARIABLE_PARTS = re.compile(r"0x[0-9a-fA-F]+|\d+(\.\d+)?([eE][+-]?\d+)?|'[^']*'|\"[^\"]*\"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One recorded event.

    Attributes
    ----------
    stage
        The part of the iteration it belongs to.
    level
        ``output`` (messages, logging below warning), ``warning`` or ``error``.
    message
        The text, clean of NUL and lone surrogates.
    kind
        The class of the warning or exception, e.g. ``ValueError``; ``timeout`` for limits, ``died`` for lost processes.
    traceback
        The formatted traceback of an error, else None.
    """

    stage: Stage
    level: Level
    message: str
    kind: str = ""
    traceback: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain data; `Condition(**data)` is its inverse."""
        return {
            "stage": self.stage,
            "level": self.level,
            "message": self.message,
            "kind": self.kind,
            "traceback": self.traceback,
        }


def fingerprint(kind: str, message: str) -> str:
    """Name an error by kind and message without numbers, addresses and quoted names, so that alike errors group.

    Examples
    --------
    >>> fingerprint("ValueError", "row 3 of 'a'") == fingerprint("ValueError", "row 45 of 'b'")
    True
    """
    text = _VARIABLE_PARTS.sub("#", f"{kind}: {message}")
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
