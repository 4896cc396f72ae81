"""Child processes in which user code runs: template, keepers, slots and partners."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchml.execution.call import Partner

__all__ = ["session_partner"]


def session_partner() -> Partner:
    """Return the partner of this process; see `batchml.execution.sandbox.session`."""
    from batchml.execution.sandbox.session import session_partner as partner

    return partner()
