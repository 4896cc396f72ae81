"""Executors as the registry remembers them, used only if this user said so.

Who can write to a registry could put shell lines, an interpreter or the address of a cluster there, to be run by
whoever resumes. Numbers and names of partitions do no harm; the rest must have been said by this user on this machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any

from batchml.errors import TrustError
from batchml.executors.consent import Consent, remember
from batchml.executors.submission import executor_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.executors.base import Executor
    from batchml.registry.store import Store

__all__ = ["note_told", "require_told", "retold"]

_HARMLESS = frozenset({"account", "channel", "constraint", "notice", "overhead", "partition", "qos", "walltime"})


def note_told(store: Store, executor: Executor, needs: Mapping[str, Any]) -> None:
    """Remember what this user told an executor, and which further options of the scheduler jobs need."""
    marks = _marks(executor.name, executor.settings, needs)
    with contextlib.suppress(OSError):  # then `resume` asks
        if marks:
            remember(store.uuid, Consent(executors=tuple(marks)))


def retold(row: Any, wishes: Mapping[str, Any], consent: Consent) -> Executor:
    """Return the executor of a submission's row, with some settings replaced.

    Raises
    ------
    TrustError
        It was not this user who told it what it holds.
    """
    require_told(row.executor, row.settings, {}, consent)
    told = {name: wish for name, wish in wishes.items() if wish is not None and name in row.settings}
    return executor_of(row.executor, {**row.settings, **told})


def require_told(name: str, settings: Mapping[str, Any], needs: Mapping[str, Any], consent: Consent) -> None:
    """Refuse what nobody here said.

    Raises
    ------
    TrustError
        Naming it, and what to do.
    """
    for mark, what in _marks(name, settings, needs).items():
        if mark not in consent.executors:
            raise TrustError(
                f"the jobs were submitted with {what} of the executor {name}, which the registry says and you have not "
                f"said on this machine: say how they shall run, e.g. `batchml resume --executor {name}`, with -r for "
                "what they need"
            )


def _marks(name: str, settings: Mapping[str, Any], needs: Mapping[str, Any]) -> dict[str, str]:
    """Return what could run code, write files or open connections: words by digest."""
    plain = json.loads(json.dumps(dict(settings), default=str))
    risky = {key: value for key, value in plain.items() if key not in _HARMLESS and not _is_plain(value)}
    found = {}
    for what, told in (("settings", risky), ("options", dict(needs.get("extra") or {}))):
        if told:
            text = json.dumps([name, what, told], sort_keys=True, default=str)
            found[hashlib.sha256(text.encode()).hexdigest()] = f"the {what} {', '.join(sorted(told))}"
    return found


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float)) or value in ("", [], {})
