"""The registry's side of a spool: bundles written into it, what its workers leave behind taken out of it."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Order
from batchml.data.artifacts import ArtifactFolder
from batchml.data.pickles import PICKLE, pickles_in
from batchml.registry import spool, spool_workers
from batchml.worker.spool_bundle import digest_of, pack_bundle
from batchml.worker.spool_folder import EVERYBODY, BundleName, SpoolFolder
from batchml.worker.spool_ingest import ingest_segments

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from batchml.registry.spool import Plan
    from batchml.registry.store import Store

__all__ = ["Spool", "Synced", "open_spool", "spools_of"]

_REGISTRY = "registry"
"""Who holds a bundle that was taken back, in place of a segment."""
_MISSING_S = 60.0
_SELDOM = 20
_TABLES = ("table", "table.sha256")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What taking in spools came to.

    Attributes
    ----------
    delivered
        Outcomes that were taken in.
    dealt
        Jobs that were dealt out anew.
    returned
        Jobs that their workers had not begun: they wait for others.
    """

    delivered: int = 0
    dealt: int = 0
    returned: int = 0

    def __add__(self, other: Synced) -> Synced:
        return Synced(
            delivered=self.delivered + other.delivered,
            dealt=self.dealt + other.dealt,
            returned=self.returned + other.returned,
        )


class Spool:
    """The folder that serves a resource class.

    Parameters
    ----------
    row
        Of the class: `id`, `body`, `spool`.
    """

    def __init__(self, store: Store, row: Any) -> None:
        self._store = store
        self.resource_id: int = row.id
        self._body: Mapping[str, Any] = row.body
        self.folder = SpoolFolder(row.spool)

    def prepare(self, *, workers: int, slots: int) -> int:
        """Make the folder and deal out what waits; return how many jobs."""
        url = self._store.artifact_path
        about = {
            "registry": self._store.uuid,
            "class": self.resource_id,
            "resources": dict(self._body),
            "artifacts": url if isinstance(url, str) else None,
            "workers": workers,
            "slots": slots,
        }
        self.folder.create(about)
        self.folder.order(EVERYBODY, Order.GO_ON)
        return self.deal()

    def deal(self) -> int:
        """Write queued jobs that nobody has into bundles; return how many."""
        about = self.folder.about()
        dealt = 0
        start = time.monotonic()
        for each in spool.plan(self._store, self.resource_id, workers=about["workers"], slots=about["slots"]):
            self._share(each)
            content = pack_bundle(each.bundle, self._store.uuid, each.assignments)
            longest = max((a.expected_s or 0.0 for a in each.assignments), default=0.0)
            name = BundleName(
                bundle=each.bundle,
                first=0,
                count=len(each.assignments),
                alone=each.assignments[0].alone,
                longest_s=round(longest),
                digest=digest_of(content),
            )
            self.folder.offer(name, content)
            dealt += len(each.assignments)
        now = time.monotonic()
        self._store.memo["deal", self.resource_id] = now + _SELDOM * (now - start)
        return dealt

    def _share(self, plan: Plan) -> None:
        """Have tables and pickles where the workers can read them: the registry's folder may be on another disk."""
        if isinstance(self._store.artifact_path, str):
            return
        source, target = ArtifactFolder(self._store.artifact_path), ArtifactFolder(self.folder.artifacts)
        experiments = {each.experiment.id: each.experiment for each in plan.assignments}.values()
        tables = {(kind, digest) for one in experiments for digest in _digests(one.task) for kind in _TABLES}
        pickles = {digest for one in experiments for digest in pickles_in(one.as_json())}
        signed = {(PICKLE, name) for digest in pickles for name in source.variants(PICKLE, digest)}
        for kind, name in tables | signed:
            if source.has(kind, name):
                target.put(kind, name, partial(_link, source.path(kind, name)))

    def ingest(self, segment: str | None = None) -> int:
        """Take in what workers have written; return how many outcomes."""
        return ingest_segments(self._store, self.resource_id, self.folder, segment)

    def tidy(self, *, thorough: bool) -> int:
        """Take back what nobody will run as it was written down; return how many jobs wait for others now.

        Parameters
        ----------
        thorough
            Also look into bundles that nobody has claimed: jobs may have been cancelled, reset or removed, or got
            another policy; and for bundles whose file was never written.
        """
        offered = self.folder.offered()
        claimed = self.folder.claimed()
        holders = spool_workers.segments(self._store, {segment for _, segment in claimed})
        returned = 0
        with self._store.read() as connection:
            left = spool.planned(connection, [name.bundle for name, _ in claimed])
            sizes = {name.bundle: name.count - name.first for name in offered}
            odd = spool.stale(connection, sizes) if thorough and sizes else set()
        for name, segment in claimed:
            holder = holders.get(segment)
            note = None if holder is None else f"worker {holder.id} ended before it began this"
            ended = segment == _REGISTRY or (holder is not None and holder.stopped_at is not None)
            if thorough and holder is None and not (self.folder.segments / segment).exists():
                note, ended = "its worker has left no word", True  # a machine lost its power
            if ended and name.bundle in left:
                returned += self._take_back(left[name.bundle], note)
            if ended or (name.bundle not in left and holder is not None):
                self.folder.drop(name, segment)
        returned += sum(self._pull(name) for name in offered if name.bundle in odd)
        if thorough:
            returned += self._find_lost({name.bundle for name in (*offered, *(name for name, _ in claimed))})
        return returned

    def withdraw(self) -> int:
        """Take back all bundles that nobody has claimed; return how many jobs wait for others now."""
        return sum(self._pull(name) for name in self.folder.offered())

    def _pull(self, name: BundleName) -> int:
        if not self.folder.claim(name, _REGISTRY):
            return 0  # a worker was faster
        with self._store.read() as connection:
            attempts = spool.planned(connection, [name.bundle]).get(name.bundle, [])
        # Whoever had it before may have begun some of it, and have written so since its segment was read last.
        note = None if name.first == 0 else "the rest of its bundle was taken back"
        returned = self._take_back(attempts, note)
        self.folder.drop(name, _REGISTRY)
        return returned

    def _find_lost(self, known: Collection[int]) -> int:
        """Take back bundles that were written into the registry by a process that died before it wrote the file."""
        with self._store.read() as connection:
            missing = spool.lost_bundles(connection, self.resource_id, known, _MISSING_S)
        # Between two listings a bundle may have been moved from one folder to the other.
        if missing:
            missing -= {name.bundle for name in self.folder.offered()}
            missing -= {name.bundle for name, _ in self.folder.claimed()}
            missing -= {name.bundle for name in self.folder.offered()}
        with self._store.read() as connection:
            attempts = spool.planned(connection, missing)
        return sum(self._take_back(ids, "its bundle is missing in the spool") for ids in attempts.values())

    def _take_back(self, attempts: list[int], note: str | None) -> int:
        if not attempts:
            return 0
        with self._store.write() as connection:
            return spool.take_back(connection, attempts, note=note)

    def tell(self) -> None:
        """Write down what its workers are asked to do."""
        bundles: defaultdict[str, list[int]] = defaultdict(list)
        for name, segment in self.folder.claimed():
            bundles[segment].append(name.bundle)
        names = self.folder.segment_names()
        for segment, row in spool_workers.segments(self._store, names).items():
            if row.stopped_at is None:
                with self._store.read() as connection:
                    cancel = spool_workers.recalled(connection, row.id, bundles[segment])
                self.folder.order(segment, Order(row.wanted), cancel)

    def tell_everybody(self, order: Order) -> None:
        """Tell also those whom the registry has not yet heard of."""
        self.folder.order(EVERYBODY, order)

    def refresh(self, *, thorough: bool = False) -> Synced:
        """Take in what came, deal out what waits again, tell workers what to do; what is done with is removed."""
        if not self.folder.exists():
            return Synced()
        found = Synced(delivered=self.ingest())
        try:
            found += Synced(returned=self.tidy(thorough=thorough))
            if not self.close():
                found += Synced(dealt=self.deal() if thorough or self._deal_is_due() else 0)
                self.tell()
        except OSError as error:
            # A full disk, which is no reason not to show what is known.
            self.warn(f"it cannot be written: {error.strerror or error}")
        return found

    def _deal_is_due(self) -> bool:
        """Looking for jobs to be dealt out takes seconds where a million are: at most a twentieth of the time."""
        due: float = self._store.memo.get(("deal", self.resource_id), 0.0)
        return time.monotonic() >= due

    def close(self) -> bool:
        """Remove what was done with; False if something is still to be expected."""
        with self._store.read() as connection:
            if spool.is_expected(connection, self.resource_id):
                return False
        with self._store.write() as connection:
            if not spool.close_spool(connection, self.resource_id):
                return False
            if self.folder.exists():
                self.folder.close()
        return True

    def warn(self, words: object) -> None:
        """Say what is wrong with the folder, once in this process."""
        message = f"the spool folder {self.folder.root}: {words}"
        if message not in self._store.memo:
            self._store.memo[message] = True
            _log.warning("%s", message)


def spools_of(store: Store) -> list[Spool]:
    """Return the spools of a registry that can be reached from here; of one that owes nothing no folder is needed."""
    found = [Spool(store, row) for row in spool.spools(store)]
    for each in found:
        if not each.folder.exists() and (store.readonly or not each.close()):
            each.warn("it cannot be seen from here")
    return [each for each in found if each.folder.exists()]


def open_spool(store: Store, submission_id: int, root: str) -> Spool:
    """Return the spool of a submission's resource class below a folder."""
    row = spool.open_spool(store, submission_id, lambda key: str(Path(root) / store.uuid / str(key)))
    return Spool(store, row)


def _digests(task: Any) -> Iterable[str]:
    """Return the tables that a task's spec names."""
    if isinstance(task, dict):
        if task.get("kind") == "artifact" and isinstance(task.get("digest"), str):
            yield task["digest"]
        for value in task.values():
            yield from _digests(value)
    elif isinstance(task, (list, tuple)):
        for value in task:
            yield from _digests(value)


def _link(source: Path, aside: Path) -> None:
    try:
        os.link(source, aside)
    except OSError:
        shutil.copyfile(source, aside)
