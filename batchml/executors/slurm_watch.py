"""What SLURM knows about the workers of a registry: who is dead and by what, what still waits, whom to stop."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

from batchml.core.aside import written_aside
from batchml.core.attempt import Ending
from batchml.core.configuration import load_configuration
from batchml.core.resources import parse_duration
from batchml.errors import BatchmlError, ConfigError
from batchml.executors.slurm_cluster import read_cluster
from batchml.executors.slurm_handle import cancel_waiting, signal_running
from batchml.executors.slurm_listing import Element, Listing, array_of
from batchml.executors.slurm_submit import folder_of, name_of
from batchml.registry.allocations import allocated, elements, settings_of
from batchml.registry.rescue import Verdict, Word
from batchml.worker.home import state_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from batchml.registry.store import Store

__all__ = ["SlurmWatch", "word_of"]

_NODE = frozenset({"NODE_FAIL", "BOOT_FAIL"})
_TAKEN = frozenset({"CANCELLED", "DEADLINE", "PREEMPTED", "REVOKED", "TIMEOUT"})
_MEMORY = re.compile(r"^slurmstepd.*(exceeded (job |step )?memory limit|oom[-_ ]kill)", re.MULTILINE | re.IGNORECASE)
_TAIL = 16384  # bytes of a log in which SLURM's own last words are
_NEWEST = 10  # submissions asked about though nothing waits for them any more


def word_of(name: str, element: Element, incarnation: int, log: str = "") -> Word:
    """Say what SLURM's view of an element means for the worker that was its `incarnation`.

    A node that failed is no proof: what runs there may live on, cut off, until its lease has expired. The same holds
    for an element that was requeued.

    Parameters
    ----------
    log
        The end of what the element wrote. Without cgroups SLURM kills what takes too much memory with signal 9, and
        its state is that of anything killed so: only there does SLURM say why.
    """
    if element.restarts > incarnation:
        return Word(verdict=Verdict.MISSING, reason=f"SLURM has requeued {name}", ending=Ending.PREEMPTED)
    if element.state in _NODE:
        words = f"SLURM reports {element.state} for {name}"
        return Word(verdict=Verdict.MISSING, reason=words, ending=Ending.INFRASTRUCTURE)
    if not element.ended:
        return Word(verdict=Verdict.ALIVE)
    reason = f"SLURM reports {element.state} for {name}"
    if element.state in _TAKEN:
        return Word(verdict=Verdict.DEAD, reason=reason, ending=Ending.PREEMPTED)
    if element.state == "OUT_OF_MEMORY" or (element.state == "FAILED" and _MEMORY.search(log)):
        return Word(verdict=Verdict.DEAD, reason=f"{reason} (memory)", ending=Ending.OUT_OF_MEMORY)
    killed = f", killed by signal {element.signal}" if element.signal else ""
    return Word(verdict=Verdict.DEAD, reason=f"{reason}{killed}")


class SlurmWatch:
    """SLURM as a registry's witness.

    Where there is no SLURM, or another cluster than the one that the workers are on, nothing is known.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cluster: str | None = None
        self._listing = Listing()
        self._missing_s = 60.0
        self._file = state_folder() / "slurm" / store.uuid / "missing.json"

    # -- who is dead -------------------------------------------------------------------------------------------------

    def evidence(self, row: Any) -> Word | None:
        """Return what SLURM says about a worker's row; None if it cannot be asked about it."""
        name = self._own(row.scheduler_id)
        if not name or not self._look():
            return None
        element = self._listing.state(name, self._job(row.submission_id))
        if element is not None:
            self._seen(name)
            log = self._end_of_log(name, row.submission_id) if element.state == "FAILED" else ""
            return word_of(name, element, row.incarnation, log)
        if self._missing_for(name) < self._missing_s:
            return Word(verdict=Verdict.ALIVE)
        return Word(verdict=Verdict.MISSING, reason=f"SLURM knows no job {name}")

    def _end_of_log(self, name: str, submission: int) -> str:
        """Return the last that an element wrote; nothing if that cannot be read here."""
        with contextlib.suppress(OSError), (self._folder(submission) / f"{name}.log").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            return file.read().decode(errors="replace")
        return ""

    def _folder(self, submission: int) -> Path:
        configured = load_configuration().slurm(self._cluster or "")
        workdir = settings_of(self._store, submission).get("workdir") or configured.get("workdir")
        return folder_of(workdir, self._store.uuid)

    @property
    def recheck_s(self) -> float | None:
        """Seconds until workers that SLURM did not know can be declared dead; None if there are none."""
        noted = self._noted()
        left = [self._missing_s - (time.time() - since) for since in noted.values()]
        return max(left) if left and max(left) > 0 else None

    # -- what waits --------------------------------------------------------------------------------------------------

    def served(self) -> set[int]:
        """Return the resource classes for which elements wait or run, as far as is known."""
        found = set()
        for row in allocated(self._store):
            if row.waiting and self._may_come(row):
                found.add(int(row.resource_id))
        return found

    def _may_come(self, row: Any) -> bool:
        arrays = self._arrays(row.scheduler_id)
        if not arrays or not self._look():
            return not row.greeted  # nobody to ask: what never came may still come
        return any(not each.ended for each in self._listing.elements(arrays, self._job(row.id)).values())

    def arrays(self) -> list[dict[str, Any]]:
        """Return a line for each submission whose elements SLURM knows: how many are in which state, and why."""
        found = []
        for row in allocated(self._store):
            arrays = self._arrays(row.scheduler_id)
            if not arrays or not self._look():
                continue
            known = self._listing.elements(arrays, self._job(row.id))
            states = Counter(sorted(each.state for each in known.values()))
            if states and (row.waiting or any(not each.ended for each in known.values())):
                words = ", ".join(f"{n} {state}" for state, n in states.items())
                reason = self._why(known, row.id)
                found.append({"submission": row.id, "array": row.scheduler_id, "states": words, "reason": reason})
        return found

    def _why(self, known: Mapping[str, Element], submission: int) -> str:
        """Return why elements wait, else what one that has failed wrote last."""
        reasons = {
            each.reason for each in known.values() if each.state == "PENDING" and each.reason not in {"", "None"}
        }
        if reasons:
            return ", ".join(sorted(reasons))
        failed = next((name for name, each in known.items() if each.state == "FAILED"), None)
        if failed is None:
            return ""
        log = self._end_of_log(failed, submission)
        complaints = [line.strip() for line in log.splitlines() if line.strip() and " INFO " not in line]
        if complaints:
            return complaints[-1]
        if log:
            return word_of(failed, known[failed], known[failed].restarts).reason
        return f"{known[failed].reason}, and no log is in {self._folder(submission)}: do nodes see that folder?"

    def states(self, workers: Iterable[tuple[str | None, int]]) -> list[str]:
        """Return SLURM's word for each worker's state, "" where it has none; `workers` are names and submissions."""
        told = self._look()
        found = [
            self._listing.state(self._own(name), self._job(submission)) if told and name else None
            for name, submission in workers
        ]
        return ["" if each is None else each.state for each in found]

    # -- stopping ----------------------------------------------------------------------------------------------------

    def stop(self, workers: Collection[int] | None, *, now: bool = False) -> None:
        """Take waiting elements out of the queue (if all workers are meant), and wake those that run."""
        rows = [row for row in elements(self._store) if workers is None or row.id in workers]
        live = {name: self._job(row.submission_id) for row in rows if (name := self._own(row.scheduler_id))}
        arrays = {} if workers is not None else self._waiting_arrays(lambda _: True)
        with self._warned("stopped"):
            cancel_waiting(arrays)
            if live and self._look(now=True):
                states = {name: self._listing.state(name, job) for name, job in live.items()}
                running = {name for name, each in states.items() if each and each.state == "RUNNING"}
                signal_running({name: job for name, job in live.items() if name in running}, now=now)

    def drop_idle(self) -> None:
        """Take elements out of the queue for which nothing waits any more."""
        with self._warned("taken out of the queue"):
            cancel_waiting(self._waiting_arrays(lambda row: not row.waiting))

    def _waiting_arrays(self, wanted: Any) -> dict[str, str]:
        """Return arrays with elements that wait, and what they are called."""
        rows = [row for row in allocated(self._store) if wanted(row)]
        arrays = {array: self._job(row.id) for row in reversed(rows) for array in self._arrays(row.scheduler_id)}
        if not arrays or not self._look():
            return {}
        waiting = {(array_of(key), each.job) for key, each in self._listing.known.items() if each.state == "PENDING"}
        return {array: job for array, job in sorted(arrays.items()) if (array, job) in waiting}

    @contextlib.contextmanager
    def _warned(self, what: str) -> Any:
        try:
            yield
        except BatchmlError as error:
            warnings.warn(f"elements that wait in SLURM could not be {what}: {error}", UserWarning, stacklevel=4)

    # -- asking ------------------------------------------------------------------------------------------------------

    def _look(self, *, now: bool = False) -> bool:
        """Have a list of everything that this registry has on the cluster of this machine."""
        newest = allocated(self._store)
        some = [row for place, row in enumerate(newest) if row.waiting or place < _NEWEST]
        # Where SLURM has nothing of this registry it is not asked for its name either.
        arrays = {array for row in (*some, *elements(self._store)) for array in self._arrays(row.scheduler_id)}
        return bool(arrays) and self._listing.look(arrays, now=now)

    def _is_there(self) -> bool:
        if self._cluster is None:
            try:
                self._cluster = read_cluster(patient=False).name
            except ConfigError:
                self._cluster = ""
            except BatchmlError:
                return False  # it does not answer now
            chosen = load_configuration().slurm(self._cluster)
            self._listing = Listing(parse_duration(chosen.get("poll", 10.0)))
            self._missing_s = parse_duration(chosen.get("missing", 60.0))
        return bool(self._cluster)

    def _own(self, scheduler_id: str | None) -> str:
        """Return an element's name on the cluster of this machine, "" for one of another cluster."""
        name, _, cluster = (scheduler_id or "").partition("@")
        return name if name and self._is_there() and cluster == self._cluster else ""

    def _job(self, submission: int) -> str:
        return name_of(self._store.uuid, submission)

    def _arrays(self, scheduler_id: str) -> set[str]:
        return {array_of(name) for word in scheduler_id.split() if (name := self._own(word))}

    # -- who is missing ----------------------------------------------------------------------------------------------

    def _missing_for(self, name: str) -> float:
        """Return how long ago SLURM first did not know an element; kept on disk, for the next command."""
        noted = self._noted()
        if name not in noted:
            noted[name] = time.time()
            self._note(noted)
        return time.time() - noted[name]

    def _seen(self, name: str) -> None:
        noted = self._noted()
        if noted.pop(name, None) is not None:
            self._note(noted)

    def _noted(self) -> dict[str, float]:
        try:
            return {str(name): float(since) for name, since in json.loads(self._file.read_text()).items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _note(self, noted: Mapping[str, float]) -> None:
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with written_aside(self._file) as aside:
                aside.write_text(json.dumps(noted))
