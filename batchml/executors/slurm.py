"""Workers as elements of a SLURM job array."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.core.configuration import CONFIG, load_configuration
from batchml.core.resources import parse_duration, parse_memory
from batchml.errors import ConfigError, nearest
from batchml.executors.base import needs_of, work_of
from batchml.executors.process import import_path
from batchml.executors.slurm_cluster import Cluster, read_cluster
from batchml.executors.slurm_request import Request, directives, summary
from batchml.executors.slurm_script import Script, render
from batchml.executors.slurm_submit import Place, submit_array
from batchml.executors.spooled import check_spool
from batchml.worker.allocation import ELEMENT, KILL_WAIT
from batchml.worker.home import state_folder
from batchml.worker.told import ARTIFACTS, REGISTRY_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batchml.core.resources import Resources
    from batchml.executors.base import Launch
    from batchml.executors.slurm_handle import SlurmHandle

__all__ = ["Slurm"]

_OWN_RESOURCES = ("partition", "account", "qos", "constraint", "throttle")
_CHANNELS = ("database", "spool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slurm:
    """Start workers as one SLURM job array; each element is a worker that runs several iterations at once.

    What is None comes from ``[slurm]`` in ``batchml.toml``, else from the default of that key. cpus, memory and gpus of
    `Registry.submit`'s resources are for one iteration; all here is for one element.

    Parameters
    ----------
    workers
        Elements of the array.
    slots
        Iterations at once in each element; None for its processors by those of an iteration.
    cpus
        Processors of each element; None for slots times those of an iteration.
    walltime
        Of each element, with a unit: ``"90m"``, ``"2h"``, ``"1-00:00:00"``.
    partition, account, qos, constraint
        As `sbatch` takes them.
    throttle
        At most so many elements at once.
    lines
        Further ``#SBATCH`` lines, such as ``"--exclusive"``.
    overhead
        Memory of each element besides that of its slots, for the worker itself.
    notice
        So long before the end of the walltime an element takes no more work.
    requeue
        Whether SLURM may start elements again after preemption or the loss of a node.
    template, python, setup, env, workdir, tmpdir
        See the reference of ``[slurm]``.
    channel
        ``"database"`` or ``"spool"``: how elements reach the registry; None decides by its URL: a SQLite file takes
        one host only, so its elements are served by a spool.
    spool
        True, or the folder of the spool, which all nodes see: ``channel="spool"``. False: ``channel="database"``.
    """

    workers: int = 1
    slots: int | None = None
    cpus: int | None = None
    walltime: str | float | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    throttle: int | None = None
    lines: Sequence[str] | None = None
    overhead: str | float | None = None
    notice: str | float | None = None
    requeue: bool | None = None
    template: str | os.PathLike[str] | None = None
    python: str | None = None
    setup: Sequence[str] | None = None
    env: Mapping[str, str] | None = field(default=None, repr=False)
    workdir: str | os.PathLike[str] | None = None
    tmpdir: str | None = None
    channel: str | None = None
    spool: bool | str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be meant."""
        for name in ("workers", "slots", "cpus", "throttle"):
            value = getattr(self, name)
            if value is None and name != "workers":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"Slurm({name}=...) is a whole number from 1, not {value!r}")
        for name in ("lines", "setup"):
            if isinstance(getattr(self, name), str):
                raise ConfigError(f"Slurm({name}=...) is a list of lines: [{getattr(self, name)!r}]")
        for name in ("walltime", "notice"):
            if getattr(self, name) is not None:
                parse_duration(getattr(self, name))
        if self.overhead:
            parse_memory(self.overhead)
        check_spool("Slurm", self.spool)
        if self.channel is not None and self.channel not in _CHANNELS:
            raise ConfigError(f"Slurm(channel=...) is one of {', '.join(_CHANNELS)}{nearest(self.channel, _CHANNELS)}")

    @property
    def name(self) -> str:
        """The executor's name in the registry."""
        return "slurm"

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was said here; what comes from the configuration is read again by `resume`."""
        said = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: _plain(value) for name, value in said.items() if value is not None}

    def spool_for(self, url: str) -> str | None:
        """The folder that serves its elements, "" for one of batchml's choice, None where they open the registry."""
        configured = load_configuration().slurm(read_cluster().name)
        spool, channel = self.spool, self.channel
        if spool is None and channel is None:
            spool, channel = configured.get("spool"), configured.get("channel")
        if spool is False:
            return None
        if not spool and (channel or ("spool" if url.startswith("sqlite") else "database")) == "database":
            return None
        folder = spool if isinstance(spool, (str, os.PathLike)) else configured.get("spool")
        if folder and not isinstance(folder, bool):
            return os.fspath(folder)
        workdir = self.workdir or configured.get("workdir")
        return "" if workdir is None else str(Path(workdir).expanduser().absolute() / ".batchml" / "spool")

    def check(self, resources: Resources) -> None:
        """Refuse what could not be submitted, before anything is stored.

        Raises
        ------
        ConfigError
            There is no SLURM here, or the request makes no sense.
        SchedulerError
            SLURM does not answer.
        """
        cluster = read_cluster()
        self._request(resources, cluster)

    def summary(self, resources: Resources) -> str:
        """Return the sum that will be asked for: ``4 elements x 8 slots x 4 GB = 32 GB each, 2:00:00``."""
        return summary(self._request(resources, read_cluster()))

    def script(self, launch: Launch) -> str:
        """Return the job script of a launch."""
        from batchml.core.resources import Resources

        cluster = read_cluster()
        request = self._request(Resources.parse(launch.resources), cluster)
        return self._script(launch, request, cluster, Place.of(request.workdir, launch))

    def start(self, launch: Launch) -> list[SlurmHandle]:
        """Submit the array; returns as soon as SLURM has given it a number.

        Raises
        ------
        SchedulerError
            SLURM refuses; nothing was submitted.
        """
        return self._submit(launch, self.workers, ())

    def remark(self) -> str:
        """Return a sentence about what of this cluster will surprise, "" if nothing is known."""
        if not read_cluster().counts_shared:
            return ""
        return (
            "note: this SLURM kills by the sum of what all processes hold, in which pages that slots share count once "
            "for each: ask its administrator for JobAcctGatherParams=UsePss,OverMemoryKill, or give more overhead"
        )

    def start_check(self, launch: Launch) -> SlurmHandle:
        """Submit one element that looks whether a worker could work there, and claims nothing."""
        return self._submit(launch, 1, ("--check",))[0]

    def _submit(self, launch: Launch, workers: int, words: Sequence[str]) -> list[SlurmHandle]:
        from batchml.core.resources import Resources

        cluster = read_cluster()
        request = dataclasses.replace(self._request(Resources.parse(launch.resources), cluster), workers=workers)
        # Two checks at once must not run each other's script.
        place = Place.of(request.workdir, launch, f"check-{secrets.token_hex(4)}" if words else "")
        place.prepare(launch)
        text = self._script(launch, request, cluster, place, words)
        try:
            return submit_array(text, request, cluster, place)
        finally:
            if words:
                place.script.unlink(missing_ok=True)

    # -- what is asked for -------------------------------------------------------------------------------------------

    def _request(self, resources: Resources, cluster: Cluster) -> Request:
        configured = load_configuration().slurm(cluster.name)
        given = {**_defaults(configured), **self.settings}
        given |= {name: value for name, value in resources.extra.items() if name in _OWN_RESOURCES}
        extra = {name: value for name, value in resources.extra.items() if name not in _OWN_RESOURCES}
        walltime = resources.walltime_s
        if walltime is None and given.get("walltime") is not None:
            walltime = parse_duration(given["walltime"])
        if resources.partition is not None:
            given["partition"] = resources.partition
        return Request.of(given, resources, walltime, extra)

    def _script(
        self, launch: Launch, request: Request, cluster: Cluster, place: Place, words: Sequence[str] = ()
    ) -> str:
        command = [request.python, "-m", "batchml", "worker", *work_of(launch)]
        command += ["--slots", str(request.slots)] if request.slots else []
        command += [word for path in launch.paths for word in ("--path", str(Path(path).resolve()))]
        command += [word for name in launch.trust for word in ("--trust", name)]
        command += [word for need in needs_of(launch) for word in ("--need", need)]
        script = Script(
            submission=launch.submission,
            directives=directives(request, place.name, place.log),
            setup=request.setup,
            env={**dict(self._environment(launch, cluster, place)), **request.env},
            python=request.python,
            command=shlex.join([*command, *words]),
            slots=request.slots,
            tmpdir=request.tmpdir,
        )
        return render(script, request.template)

    def _environment(self, launch: Launch, cluster: Cluster, place: Place) -> Iterator[tuple[str, str]]:
        """Yield what a worker must know; the registry's URL may hold a password, so a file does."""
        yield ELEMENT, "slurm"
        if not launch.spool:
            yield REGISTRY_FILE, str(place.registry)
        yield KILL_WAIT, str(cluster.kill_wait_s)
        yield "BATCHML_STATE", str(state_folder())
        if launch.artifacts and not launch.spool:
            yield ARTIFACTS, str(launch.artifacts)
        path = import_path()
        if path:
            yield "PYTHONPATH", os.pathsep.join(path)
        files = load_configuration().files
        if files:
            yield CONFIG, str(files[-1])
        for name in ("BATCHML_BEAT", "BATCHML_LEASE"):
            if os.environ.get(name):
                yield name, os.environ[name]


def _defaults(configured: Mapping[str, Any]) -> dict[str, Any]:
    """Return configured values by the names of `Slurm`'s parameters."""
    plain = {key: value for key, value in configured.items() if "." not in key}
    environment = {key.removeprefix("env."): value for key, value in configured.items() if key.startswith("env.")}
    plain.setdefault("python", sys.executable)
    return {**plain, **({"env": environment} if environment else {})}


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (tuple, list)):
        return [str(one) for one in value]
    return dict(value) if hasattr(value, "items") else value
