"""What users ask of jobs and do with them, from one place."""

from __future__ import annotations

from batchml.registry.counting import status, summary, tags, tally
from batchml.registry.finding import STATES, find
from batchml.registry.moves import cancel, remove, reset, retry, tag, untag
from batchml.registry.submissions import submit

__all__ = [
    "STATES",
    "cancel",
    "find",
    "remove",
    "reset",
    "retry",
    "status",
    "submit",
    "summary",
    "tag",
    "tags",
    "tally",
    "untag",
]
