"""What this user has trusted for which registry, above all own modules: kept with the user, never in the registry.

Whoever can write to a registry could name any module and any folder there. So workers get theirs from the designs that
the user added on this machine, as remembered here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from batchml.core.aside import written_aside
from batchml.worker.home import state_folder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Consent", "recall", "remember"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What this user said.

    Attributes
    ----------
    modules, paths
        Modules that may be named, and the folders they are in.
    snapshots
        That were taken of these.
    executors
        Digests of what executors were told.
    """

    modules: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    executors: tuple[str, ...] = ()

    def __or__(self, other: Consent) -> Consent:
        """Return both."""
        return Consent(
            modules=tuple(dict.fromkeys([*self.modules, *other.modules])),
            paths=tuple(dict.fromkeys([*self.paths, *other.paths])),
            snapshots=tuple(dict.fromkeys([*self.snapshots, *other.snapshots])),
            executors=tuple(dict.fromkeys([*self.executors, *other.executors])),
        )


def recall(registry: str) -> Consent:
    """Return what was remembered for the registry of that id; nothing if that cannot be read."""
    try:
        data = json.loads(_file(registry).read_text(encoding="utf-8"))
        return Consent(
            modules=tuple(map(str, data["modules"])),
            paths=tuple(map(str, data["paths"])),
            snapshots=tuple(map(str, data.get("snapshots", ()))),
            executors=tuple(map(str, data.get("executors", ()))),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Consent()


def remember(registry: str, consent: Consent) -> None:
    """Add to what is remembered for a registry."""
    known = recall(registry)
    if known | consent == known:
        return
    file = _file(registry)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    together = known | consent
    with written_aside(file) as aside:
        aside.write_text(json.dumps(asdict(together)), encoding="utf-8")


def _file(registry: str) -> Path:
    return state_folder() / "trusted" / f"{registry}.json"
