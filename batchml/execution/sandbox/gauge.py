"""How far a job is, in a page that its keeper can still read when the process that ran it is gone."""

from __future__ import annotations

import math
import mmap
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchml.execution.call import StageName
    from batchml.execution.sandbox.proc import Ended

__all__ = ["MEASURES", "Gauge"]

MEASURES = ("cpu_s", "peak_mb", "fit_s", "predict_s")
"""What `Gauge.read` may tell of a job."""

_PAGE = struct.Struct("<6d")  # CPU at the start, most memory of children then, fit_s, predict_s, stage, its start
_STAGES: dict[StageName, int] = {"train": 2, "predict": 3}  # where on the page their seconds are


class Gauge:
    """Start of the job, seconds of its stages so far and the present stage; shared by a child and its keeper."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, _PAGE.size)
        self._values = [0.0] * 6

    # -- in the child --------------------------------------------------------------------------------------------

    def begin(self, cpu_s: float, children_mb: float) -> None:
        """Begin a job: nothing of it has been used yet."""
        self._values = [cpu_s, children_mb, 0.0, 0.0, 0.0, 0.0]
        _PAGE.pack_into(self._page, 0, *self._values)

    def stage(self, name: StageName | None) -> None:
        """Take note that a stage begins, or with None that it is over."""
        now, values = time.monotonic(), self._values
        _settle(values, now)
        values[4:] = (0.0, 0.0) if name is None else (_STAGES[name], now)
        _PAGE.pack_into(self._page, 0, *values)

    # -- in its keeper -------------------------------------------------------------------------------------------

    def read(self, pid: int, ended: Iterable[Ended]) -> dict[str, float]:
        """Return what the job of the dead child `pid` took until now, with all that ended along with it.

        Memory is left out where the kernel's figure may be that of an earlier job's subprocess.
        """
        values = list(_PAGE.unpack_from(self._page))
        _settle(values, time.monotonic())
        cpu_s, peak_mb = -values[0], 0.0
        for one in ended:
            cpu_s += one.cpu_s
            if one.pid != pid or one.peak_mb > values[1]:
                peak_mb = max(peak_mb, one.peak_mb)
        found = {"cpu_s": cpu_s, "peak_mb": peak_mb, "fit_s": values[2], "predict_s": values[3]}
        return {name: value for name, value in found.items() if math.isfinite(value) and value > 0.0}

    def close(self) -> None:
        """Free the page."""
        self._page.close()


def _settle(values: list[float], now: float) -> None:
    """Count the present stage's seconds."""
    where = int(values[4]) if values[4] in (2.0, 3.0) else 0
    if where:
        values[where] += now - values[5]
