"""What one array asks SLURM for: the sum over slots, the `#SBATCH` lines, and a sentence about it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchml.core.resources import parse_duration, parse_memory
from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from batchml.core.resources import Resources

__all__ = ["Request", "directives", "summary"]

_OVERHEAD = "512M"
_NOTICE_S = 120.0
_LEAST_NOTICE_S = 30.0
_OPTION = re.compile(r"[a-z][a-z0-9-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_OURS = frozenset({"array", "job-name", "open-mode", "output", "parsable", "signal", "wait", "wrap"})
"""Options without which its elements would not be found, told or read."""
_SHORT = {"J": "job-name", "W": "wait", "a": "array", "o": "output"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One array. Memory is in MB (2**20 bytes), times are in seconds.

    Attributes
    ----------
    workers, throttle
        Elements, and how many of them at once.
    slots
        Iterations at once in each element; None for what its processors allow.
    cpus, memory_mb, gpus
        Of each element; None for what the site gives.
    job_memory_mb
        Of each iteration.
    notice_s
        How long before the end of the walltime elements are told.
    options
        Options of `sbatch` with their values.
    lines
        Further lines, as they stand.
    poll_s
        Between two calls of `squeue`.
    """

    workers: int
    python: str
    slots: int | None = None
    cpus: int | None = None
    memory_mb: int | None = None
    job_memory_mb: int | None = None
    overhead_mb: int = 0
    gpus: int = 0
    walltime_s: float | None = None
    notice_s: float = _NOTICE_S
    throttle: int | None = None
    requeue: bool = True
    options: Mapping[str, str] = field(default_factory=dict)
    lines: Sequence[str] = ()
    template: str | None = None
    setup: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str | None = None
    tmpdir: str = ""
    channel: str | None = None
    poll_s: float = 10.0

    @classmethod
    def of(
        cls, given: Mapping[str, Any], resources: Resources, walltime_s: float | None, extra: Mapping[str, Any]
    ) -> Request:
        """Return the sum of what an element's slots need.

        Parameters
        ----------
        given
            `Slurm`'s parameters, after the configuration.
        resources
            Of one iteration.
        extra
            Options of `sbatch` that batchml knows nothing of.
        """
        if walltime_s == 0:
            raise ConfigError(
                "walltime must be more than 0: SLURM takes 0 for no limit; leave it out for the site's own"
            )
        lines = [_line(line) for line in given.get("lines", ())]
        cpus, slots = _processors(given, resources, lines)
        overhead = parse_memory(value) if (value := given.get("overhead", _OVERHEAD)) else 0
        job_memory = resources.memory_mb
        memory = None if job_memory is None or slots is None else slots * job_memory + overhead
        names = ("partition", "account", "qos", "constraint")
        options = {name: str(given[name]) for name in names if given.get(name) is not None}
        return cls(
            workers=given["workers"],
            python=given["python"],
            slots=slots,
            cpus=cpus,
            memory_mb=memory,
            job_memory_mb=job_memory,
            overhead_mb=overhead,
            gpus=resources.gpus * (slots or 1),
            walltime_s=walltime_s,
            notice_s=_notice(given.get("notice"), walltime_s),
            throttle=_throttle(given.get("throttle")),
            requeue=given.get("requeue", True),
            options={**options, **{_option(name): str(value) for name, value in extra.items()}},
            lines=lines,
            template=given.get("template"),
            setup=list(given.get("setup", ())),
            env=_variables(given.get("env", {})),
            workdir=given.get("workdir"),
            tmpdir=given.get("tmpdir", ""),
            channel=given.get("channel"),
            poll_s=parse_duration(given.get("poll", 10.0)),
        )


def _processors(given: Mapping[str, Any], resources: Resources, lines: Sequence[str]) -> tuple[int | None, int | None]:
    """Return processors and slots of an element; both None where a line leaves them to the node."""
    slots, cpus = given.get("slots"), given.get("cpus")
    if cpus is None and slots is not None:
        return slots * resources.cpus, slots
    if cpus is None:
        if any(re.match(r"--(exclusive|cpus-per-task|cpus-per-gpu)\b|-c\b", line) for line in lines):
            return None, None
        return resources.cpus, 1
    most = cpus // resources.cpus
    if most < 1 or (slots is not None and slots > most):
        raise ConfigError(
            f"{cpus} cpus of an element are too few for {slots or 1} slots of {resources.cpus}: "
            "cpus of Slurm(...) is for an element, cpus of the resources for one iteration"
        )
    return cpus, slots or most


def _notice(value: Any, walltime_s: float | None) -> float:
    """SLURM may give notice a minute early, so that of a short allocation must not take up all of it."""
    if value is not None:
        return parse_duration(value)
    if walltime_s is None:
        return _NOTICE_S
    return min(_NOTICE_S, max(_LEAST_NOTICE_S, walltime_s / 10))


def _throttle(value: Any) -> int | None:
    if value is None:
        return None
    if not str(value).isdecimal() or int(value) < 1:
        raise ConfigError(f"throttle must be a whole number of at least 1, not {value!r}")
    return int(value)


def _option(name: str) -> str:
    word = name.replace("_", "-")
    if not _OPTION.fullmatch(word):
        raise ConfigError(f"{name!r} is no option of sbatch")
    _refuse_ours(word)
    return word


def _refuse_ours(word: str) -> None:
    if word in _OURS:
        raise ConfigError(f"--{word} of sbatch is what batchml says itself: leave it out")


def _variables(given: Mapping[str, Any]) -> dict[str, str]:
    for name in given:
        if not _VARIABLE.fullmatch(name):
            raise ConfigError(f"{name!r} is no name of a variable: env is {{name: value}}")
    return {name: str(value) for name, value in given.items()}


def _line(line: str) -> str:
    text = line.strip().removeprefix("#SBATCH").strip()
    if not text.startswith("-") or _CONTROL.search(text):
        raise ConfigError(f"{line!r} is no line for #SBATCH: write one option a line, such as '--exclusive'")
    long, short = re.match(r"--([a-z-]+)", text), text[1:2]
    _refuse_ours(long[1] if long else _SHORT.get(short, short))
    return text


def directives(request: Request, name: str, log: Path) -> list[str]:
    """Return the ``#SBATCH`` lines; the elements are counted at submission."""
    found = [
        f"--job-name={name}",
        f"--output={_log(log)}",
        "--open-mode=append",
        "--nodes=1",
        "--ntasks=1",
        f"--signal=B:USR1@{math.ceil(request.notice_s)}",
        "--requeue" if request.requeue else "--no-requeue",
    ]
    if request.workdir:
        found.append(f"--chdir={_quoted(request.workdir)}")
    if request.cpus is not None:
        found.append(f"--cpus-per-task={request.cpus}")
    if request.memory_mb is not None:
        found.append(f"--mem={request.memory_mb}M")
    if request.gpus:
        found.append(f"--gres=gpu:{request.gpus}")
    if request.walltime_s is not None:
        found.append(f"--time={_clock(request.walltime_s)}")
    found += [f"--{option}={_quoted(value)}" if value else f"--{option}" for option, value in request.options.items()]
    return [*found, *request.lines]


def _quoted(value: object) -> str:
    text = str(value)
    if _CONTROL.search(text):
        raise ConfigError(f"{text!r} cannot stand in a #SBATCH line: leave out what does not print")
    if not re.search(r"[\s#'\"\\]", text):
        return text
    # Within double quotes, only they and the backslash mean something to sbatch.
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _log(log: Path) -> str:
    if "\\" in str(log):
        # There it stands for: replace nothing in this name.
        raise ConfigError(f"SLURM cannot write logs to {log.parent}, for the backslash: set workdir of [slurm]")
    return _quoted(log)


def _clock(seconds: float) -> str:
    minutes, second = divmod(math.ceil(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}-{hour:02}:{minute:02}:{second:02}" if days else f"{hour}:{minute:02}:{second:02}"


def summary(request: Request) -> str:
    """Return one line: what all elements will take."""
    words = "element" if request.workers == 1 else "elements"
    slots = "slot" if request.slots == 1 else "slots"
    first = f"{request.workers} {words} x {request.slots or 'all'} {slots}"
    if request.job_memory_mb is not None and request.slots is not None:
        first += f" x {_amount(request.job_memory_mb)} = {_amount(request.job_memory_mb * request.slots)} each"
    parts = [first, _clock(request.walltime_s) if request.walltime_s is not None else "the site's walltime"]
    if request.cpus is not None:
        parts.append(f"{request.cpus} {'CPU' if request.cpus == 1 else 'CPUs'} each")
    if request.gpus:
        parts.append(f"{request.gpus} {'GPU' if request.gpus == 1 else 'GPUs'} each")
    if request.throttle:
        parts.append(f"at most {request.throttle} at once")
    if request.memory_mb is not None and request.overhead_mb:
        parts.append(f"{_amount(request.overhead_mb)} more each for the worker itself")
    return ", ".join(parts)


def _amount(megabytes: int) -> str:
    return f"{round(megabytes / 1024, 2):g} GB" if megabytes >= 1024 else f"{megabytes} MB"
