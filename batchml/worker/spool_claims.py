"""The bundles that a worker without a database has claimed, and which of their jobs it begins next."""

from __future__ import annotations

import logging
import math
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchml.errors import SpoolError
from batchml.worker.spool_bundle import unpack_bundle
from batchml.worker.spool_segment import predecessors, touched

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from batchml.core.attempt import Assignment
    from batchml.worker.spool_folder import BundleName, SpoolFolder
    from batchml.worker.spool_segment import SpoolWorker

__all__ = ["Claims"]

_MANY = 10_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bundle:
    """A bundle in hand; `rest` are those of its assignments that were not given to the loop, with their places."""

    name: BundleName
    rest: deque[tuple[int, Assignment]]


class Claims:
    """Claim bundles, the most urgent first, and hand out what is in them.

    Parameters
    ----------
    segment
        The name of the segment of whoever claims.
    registry
        The registry's own id: bundles of another are refused.
    has_time_for
        Whether a job of so many seconds is to be begun here.
    listed_s
        Seconds for which the list of bundles that nobody has claimed is taken for true: to list a folder asks a server.
    clock
        Monotonic seconds.

    Attributes
    ----------
    refused
        Bundles that are not what they should be, and why, since this list was emptied last.
    """

    def __init__(
        self,
        folder: SpoolFolder,
        segment: str,
        registry: str,
        *,
        has_time_for: Callable[[float | None], bool],
        listed_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._segment = segment
        self._registry = registry
        self._has_time_for = has_time_for
        self._listed_s = listed_s
        self._clock = clock
        self._list: list[BundleName] = []
        self._list_at = -math.inf
        self._bundles: deque[_Bundle] = deque()
        self.refused: list[tuple[int, str]] = []

    def choose(self, want: int, held: Sequence[Assignment]) -> list[Assignment]:
        """Return what to give next, beside what is held. A suspect comes alone, to a worker that holds nothing else."""
        if want <= 0 or any(each.alone for each in held):
            return []
        given: list[Assignment] = []
        while True:
            given = self._next(want)
            if given and given[0].alone:
                return [] if held else given[:1]
            if len(given) >= want or not self._claim(suspects=not held and not given):
                return given

    def take(self, ids: Collection[int]) -> dict[int, Assignment]:
        """Take what `choose` has returned out of the bundles."""
        taken: dict[int, Assignment] = {}
        for each in self._bundles:
            while each.rest and each.rest[0][1].attempt_id in ids:
                _, assignment = each.rest.popleft()
                taken[assignment.attempt_id] = assignment
        self._bundles = deque(each for each in self._bundles if each.rest)
        return taken

    def drop(self, ids: Collection[int]) -> list[int]:
        """Begin none of these attempts; return those that were in hand."""
        dropped: list[int] = []
        for place, each in enumerate(self._bundles):
            mine = [assignment.attempt_id for _, assignment in each.rest if assignment.attempt_id in ids]
            if mine:
                rest = deque(pair for pair in each.rest if pair[1].attempt_id not in ids)
                self._bundles[place] = replace(each, rest=rest)
                dropped += mine
        return dropped

    def waiting(self) -> int:
        """How many jobs this worker may still get."""
        if mine := len(self._next(_MANY)):
            return mine
        found = self._offer()
        if not found:
            self._list_at = -math.inf
            found = self._offer()
        return found

    def inherit(self, worker: SpoolWorker) -> None:
        """Go on with the bundles of earlier incarnations, without what those have begun: that is the registry's."""
        old = set(predecessors(self._folder.segment_names(), worker))
        if not old:
            return
        known: set[int] = set()
        for name in old:
            known |= touched(self._folder.segments / name)
        for bundle, holder in self._folder.claimed():
            if holder in old and self._folder.inherit(bundle, holder, self._segment):
                self._open(bundle, known)

    def give_back(self) -> None:
        """Offer what was not begun to the others."""
        for each in self._bundles:
            if each.rest:
                self._folder.give_back(each.name, self._segment, replace(each.name, first=each.rest[0][0]))

    def _next(self, want: int) -> list[Assignment]:
        """Return the next assignments of the bundles in hand, each bundle's from its start, in the order of `take`."""
        given: list[Assignment] = []
        for each in self._bundles:
            for _, assignment in each.rest:
                if len(given) >= want or not self._has_time_for(assignment.expected_s) or (given and assignment.alone):
                    break
                given.append(assignment)
        return given

    def _offered(self) -> list[BundleName]:
        now = self._clock()
        if not self._list or now >= self._list_at:
            self._list = self._folder.offered()
            self._list_at = now + self._listed_s
        return self._list

    def _offer(self) -> int:
        return sum(name.count - name.first for name in self._offered() if self._has_time_for(name.longest_s))

    def _claim(self, *, suspects: bool) -> bool:
        """Claim the most urgent bundle that there is time for; False if there is none."""
        listed = self._offered()
        for name in list(listed):
            if (suspects or not name.alone) and self._has_time_for(name.longest_s):
                listed.remove(name)
                if self._folder.claim(name, self._segment):
                    self._open(name, ())
                    return True
        return False

    def _open(self, name: BundleName, known: Collection[int]) -> None:
        """Read a bundle that was claimed; one that is not what it should be is reported, and none of it is run."""
        try:
            content = self._folder.content(name, self._segment)
        except OSError:
            self._folder.give_back(name, self._segment, name)
            raise
        try:
            assignments = unpack_bundle(content, name.bundle, self._registry, name.digest)
        except SpoolError as error:
            _log.error("%s: refused", error)
            self.refused.append((name.bundle, str(error)))
            return
        rest = deque(
            (i, each) for i, each in enumerate(assignments) if i >= name.first and each.attempt_id not in known
        )
        self._bundles.append(_Bundle(name=name, rest=rest))
