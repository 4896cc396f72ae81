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
        self._entries: OrderedDict[int, tuple[Experiment, str, bytes]] = OrderedDict()
        self._serial = 0

    def of(self, experiment: Experiment) -> tuple[str, bytes]:
        """Return key and JSON of an experiment; one whose policy was changed gets another key."""
        entry = self._entries.get(experiment.id)
        if entry is None or (entry[0] is not experiment and entry[0] != experiment):
            self._serial += 1
            text = json.dumps(experiment.as_json(), separators=(",", ":"))
            entry = (experiment, str(self._serial), text.encode())
        self._entries[experiment.id] = entry
        self._entries.move_to_end(experiment.id)
        if len(self._entries) > _MOST:
            self._entries.popitem(last=False)
        return entry[1], entry[2]
