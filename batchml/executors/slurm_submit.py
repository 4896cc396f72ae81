"""From a job script to the number of a job array: limits, temporary errors, and the files that elements read."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from batchml.core.aside import written_aside
from batchml.errors import SchedulerError
from batchml.executors.slurm_commands import TRIES_S, Answer, ask, is_temporary, pause
from batchml.executors.slurm_handle import SlurmHandle
from batchml.executors.slurm_listing import Listing
from batchml.worker.home import state_folder

if TYPE_CHECKING:
    import os
    from collections.abc import Collection

    from batchml.executors.base import Launch
    from batchml.executors.slurm_cluster import Cluster
    from batchml.executors.slurm_request import Request

__all__ = ["Place", "folder_of", "name_of", "submit_array"]

_JOB = re.compile(r"(\d+)(?:;\S+)?")
_TOO_MANY = ("submit limit", "maxsubmitjob", "max_submit", "invalid job array specification", "maxjobcount")
_SHORT = {"A": "account", "C": "constraint", "G": "gpus", "p": "partition", "q": "qos", "t": "time"}
_VARIABLES = {
    "time": ("timelimit",),
    "mem": ("mem-per-node", "mem-per-cpu", "mem-per-gpu"),
    "requeue": ("requeue", "no-requeue"),
    "no-requeue": ("requeue", "no-requeue"),
}
"""Of options that `sbatch` does not call as their variables."""
_log = logging.getLogger("batchml.executors")


def folder_of(workdir: str | os.PathLike[str] | None, registry: str) -> Path:
    """Return where scripts and logs are: below the working folder of the elements, else in the state folder."""
    root = state_folder() if workdir is None else Path(workdir).expanduser().absolute() / ".batchml"
    return root / "slurm" / registry


def name_of(registry: str, submission: object) -> str:
    """Return the name of a submission's arrays in SLURM: unlike their numbers, it will never be somebody else's."""
    return f"batchml-{registry[:8]}-{submission}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the script, the logs and the registry's address of one submission are: on a disk that all nodes see.

    Attributes
    ----------
    folder
        For all submissions of a registry.
    name
        The array's name in SLURM, which no other submission has.
    submission
        Its number.
    mark
        Tells checks apart, which are of no submission.
    """

    folder: Path
    name: str
    submission: int
    mark: str = ""

    @classmethod
    def of(cls, workdir: str | None, launch: Launch, mark: str = "") -> Place:
        """Return the place of a launch."""
        return cls(
            folder=folder_of(workdir, launch.registry),
            name=name_of(launch.registry, mark or launch.submission),
            submission=launch.submission,
            mark=mark,
        )

    @property
    def log(self) -> Path:
        """The name of logs, in which SLURM replaces array and element."""
        return Path(str(self.folder).replace("%", "%%")) / "%A_%a.log"

    @property
    def registry(self) -> Path:
        """The file with the registry's URL, for its owner only."""
        return self.folder / f"registry-{self.submission}"

    @property
    def script(self) -> Path:
        """The job script, kept for people."""
        return self.folder / f"submission-{self.mark or self.submission}.sh"

    def prepare(self, launch: Launch) -> None:
        """Make the folder and write the registry's URL."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if launch.spool:
                return  # its elements are told nothing of the registry
            with written_aside(self.registry) as aside:
                aside.touch(0o600, exist_ok=False)
                aside.write_text(_anchored(launch.url), encoding="utf-8")
        except OSError as error:
            raise SchedulerError(
                f"{self.folder} cannot be written ({error.strerror}): "
                "set workdir of [slurm] to a folder that all nodes see"
            ) from error


def _anchored(url: str) -> str:
    """Elements need not work in the folder of this session."""
    relative = re.fullmatch(r"(sqlite(?:\+\w+)?:///)(?![/:])(.+)", url)
    return url if relative is None else f"{relative[1]}{Path.cwd() / relative[2]}"


def submit_array(text: str, request: Request, cluster: Cluster, place: Place) -> list[SlurmHandle]:
    """Submit the elements in as few arrays as the cluster's limits allow, and return their handles.

    Where the site allows fewer jobs than were asked for, there are fewer: what waits is worked off by those.

    Raises
    ------
    SchedulerError
        SLURM takes none.
    """
    place.script.write_text(text, encoding="utf-8")
    sbatch = partial(_sbatch, place, throttle=request.throttle, unseen=_overruling(text))
    listing = Listing(request.poll_s)
    handles: list[SlurmHandle] = []
    left, size = request.workers, cluster.most_elements
    while left:
        count = min(left, size)
        job, answer = sbatch(count, known={handle.array for handle in handles})
        if job is None:
            if count > 1 and _is_too_many(answer):
                size = count // 2
                continue
            if not handles:
                raise SchedulerError(f"SLURM took no job: {answer.words}{_remedy(answer)}")
            _log.warning("SLURM took %d of %d elements: %s", len(handles), request.workers, answer.words)
            break
        handles += [
            SlurmHandle(job, index, place.name, cluster.name, place.folder / f"{job}_{index}.log", listing)
            for index in range(count)
        ]
        left -= count
    return handles


def _sbatch(
    place: Place, count: int, *, throttle: int | None, unseen: Collection[str], known: Collection[str]
) -> tuple[str | None, Answer]:
    """Return the array's number, None if it was refused, and SLURM's words.

    Parameters
    ----------
    unseen
        Variables of the environment that `sbatch` must not see.
    known
        Arrays of the same name that are there already.
    """
    array = f"--array=0-{count - 1}" + (f"%{throttle}" if throttle else "")
    for wait in (*TRIES_S, None):
        # The name here, where no line of the script outdoes it: by it the elements are found, and told from others.
        answer = ask("sbatch", "--parsable", array, f"--job-name={place.name}", str(place.script), without=unseen)
        # A site's plug-in may print more lines than the number.
        found = [match[1] for line in answer.out.splitlines() if (match := _JOB.fullmatch(line.strip()))]
        if answer.status == 0 and found:
            return found[-1], answer
        if answer.status == 0:
            said = answer.out.strip() or answer.words
            raise SchedulerError(f"sbatch said no job id but {said!r}: look at `squeue --name {place.name}`")
        if wait is None or not is_temporary(answer):
            return None, answer
        pause(wait, answer)
        # A call that timed out may have been heard: another array would do the same work again.
        there = _already(place.name, known)
        if there is not None:
            return there, answer
    raise AssertionError("the last try has no wait")


def _overruling(script: str) -> set[str]:
    """Return the variables that `sbatch` would heed instead of what a script says: SBATCH_TIMELIMIT before --time."""
    said = {_SHORT.get(word, word) for word in re.findall(r"^#SBATCH\s+--?([a-zA-Z-]+)", script, re.MULTILINE)}
    names = {name for word in said for name in _VARIABLES.get(word, (word,))}
    return {f"SBATCH_{name.upper().replace('-', '_')}" for name in names}


def _already(name: str, known: Collection[str]) -> str | None:
    answer = ask("squeue", "--noheader", "--me", f"--name={name}", "--format=%F")
    new = [word for word in answer.out.split() if word.isdecimal() and word not in known]
    return new[0] if answer.status == 0 and new else None


def _remedy(answer: Answer) -> str:
    if "submitjob" not in answer.err.lower():
        return ""
    return "; this account has as many jobs as it may: submit again when some have ended, or for another account"


def _is_too_many(answer: Answer) -> bool:
    return any(sign in answer.err.lower() for sign in _TOO_MANY)
