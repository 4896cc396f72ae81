"""Experiments as slots are told them."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchml.core.attempt import Experiment

__all__ = ["Written"]

_MOST = 4096


class Written:
    """Experiments by a short key, written down once."""

    def __init__(self) -> None:
        self._entries: OrderedDict[int, tuple[Experiment, str, bytes, str]] = OrderedDict()
        self._serial = 0

    def of(self, experiment: Experiment) -> tuple[str, bytes, str]:
        """Return key and JSON of an experiment, and the digest of its data; a changed policy changes the key."""
        entry = self._entries.get(experiment.id)
        if entry is None or (entry[0] is not experiment and entry[0] != experiment):
            self._serial += 1
            text = json.dumps(experiment.as_json(), separators=(",", ":"))
            data = str(experiment.task.get("data", {}).get("digest", ""))
            entry = (experiment, str(self._serial), text.encode(), data)
        self._entries[experiment.id] = entry
        self._entries.move_to_end(experiment.id)
        if len(self._entries) > _MOST:
            self._entries.popitem(last=False)
        return entry[1], entry[2], entry[3]
