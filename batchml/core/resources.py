"""What a job or an allocation may use: processors, memory, time; and how many processors there are."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.arguments import shown
from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Resources", "available_cores", "parse_duration", "parse_memory", "set_threads"]

_UNITS_S = {
    "ms": 0.001,
    "s": 1.0,
    "sec": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
}
_UNITS_MB = {
    "b": 2.0**-20,
    "k": 2.0**-10,
    "m": 1.0,
    "g": 2.0**10,
    "t": 2.0**20,
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d{1,2})(?::(\d{1,2}))?")
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)
_ALIASES = {"memory": "memory_mb", "walltime": "walltime_s", "timeout": "timeout_s"}
_LEAST_MB = 32
"""Less than any iteration has ever taken; who writes it means gigabytes."""


def parse_duration(value: float | str) -> float:
    """Return a duration in seconds.

    Parameters
    ----------
    value
        A number (seconds), ``"90s"``, ``"60m"``, ``"2h"``, ``"1h30m"``, or SLURM's ``"2:00:00"`` and ``"1-00:00:00"``.

    Raises
    ------
    ConfigError
        It is none of these, or negative.

    Examples
    --------
    >>> parse_duration("90s"), parse_duration("1h30m"), parse_duration("1-00:00:00")
    (90.0, 5400.0, 86400.0)
    """
    seconds = _seconds(value)
    if seconds is None or math.isnan(seconds) or seconds < 0:
        msg = f"{shown(value)} is no duration; write seconds, or a text such as '90s', '60m', '2h', '1-00:00:00'"
        raise ConfigError(msg)
    return seconds


def _seconds(value: float | str) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return None
    text = str(value).strip().lower()
    clock = _CLOCK.fullmatch(text)
    if clock:
        return _clock_seconds(*clock.groups())
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _DURATION_PART.findall(text)
    if not parts or _DURATION_PART.sub("", text).strip() or any(unit not in _UNITS_S for _, unit in parts):
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def _clock_seconds(days: str | None, first: str, second: str, third: str | None) -> float:
    # SLURM reads "a:b" as minutes:seconds, but as hours:minutes after a number of days.
    if third is None and days is None:
        return int(first) * 60.0 + int(second)
    return int(days or 0) * 86400.0 + int(first) * 3600.0 + int(second) * 60.0 + int(third or 0)


def parse_memory(value: float | str) -> int:
    """Return an amount of memory in MB (2**20 bytes), rounded up.

    Parameters
    ----------
    value
        A number (MB) or a text such as ``"500M"``, ``"4G"``, ``"1.5GB"``, ``"2GiB"``: all units are powers of 1024.

    Raises
    ------
    ConfigError
        It is none of these, or not positive.

    Examples
    --------
    >>> parse_memory("4G"), parse_memory(512)
    (4096, 512)
    """
    match = None if isinstance(value, bool) else _MEMORY.fullmatch(str(value).strip())
    if match is not None:
        megabytes = float(match[1]) * _UNITS_MB[match[2].lower() or "m"]
        if 0 < megabytes < math.inf:
            return math.ceil(megabytes)
    msg = f"{value!r} is no amount of memory; write MB, or a text such as '500M', '4G'"
    raise ConfigError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one iteration (cpus, memory, gpus, timeout) and one allocation (wall time, partition, ...) may use.

    Attributes
    ----------
    cpus
        Threads per iteration.
    memory_mb
        Limit per iteration in MB, None for no limit.
    gpus
        Devices per iteration.
    timeout_s
        Limit of one iteration in seconds of wall time, all its stages together, None for no limit.
    walltime_s
        Limit of the allocation in seconds, None for the site's default.
    partition
        Of the scheduler, None for its default.
    snapshot
        Digest of the copy of the user's own modules that is run; only its own workers claim such jobs.
    spool
        Folder on a shared disk through which workers without a database get such jobs; no others claim them.
    extra
        Whatever else the scheduler's template understands.
    """

    cpus: int = 1
    memory_mb: int | None = None
    gpus: int = 0
    timeout_s: float | None = None
    walltime_s: float | None = None
    partition: str | None = None
    snapshot: str | None = None
    spool: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, values: Mapping[str, Any] | None) -> Resources:
        """Return resources from what users write: ``{"cpus": 2, "memory": "4G", "walltime": "2h"}``.

        Raises
        ------
        ConfigError
            A value makes no sense. Unknown names are kept in `extra`, for the scheduler's template.
        """
        given = {_ALIASES.get(name, name): value for name, value in (values or {}).items()}
        _refuse_crumbs((values or {}).get("memory"))
        known = {f.name for f in fields(cls)} - {"extra"}
        extra = dict(given.pop("extra", {}))
        extra |= {name: given.pop(name) for name in list(given) if name not in known}
        checks: dict[str, Callable[[Any], Any]]
        checks = {
            "memory_mb": parse_memory,
            "walltime_s": parse_duration,
            "timeout_s": parse_duration,
            "partition": str,
            "snapshot": str,
            "spool": str,
        }
        parsed: dict[str, Any] = {}
        for name, value in given.items():
            check = checks.get(name) or _count(name)
            parsed[name] = None if value is None else check(value)
        return cls(**parsed, extra=extra)

    def as_json(self) -> dict[str, Any]:
        """Return plain data, only what differs from the defaults; `Resources.parse` is its inverse."""
        default = Resources()
        return {
            f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != getattr(default, f.name)
        }


def _refuse_crumbs(memory: Any) -> None:
    if memory is not None and parse_memory(memory) < _LEAST_MB:
        msg = f"memory = {memory!r} is less than Python itself takes: a bare number is MB, '4G' are gigabytes"
        raise ConfigError(msg)


def _count(name: str) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        least = 0 if name == "gpus" else 1
        text = str(value).strip()
        if isinstance(value, bool) or not text.isdecimal() or int(text) < least:
            msg = f"{name} must be a whole number of at least {least}, not {value!r}"
            raise ConfigError(msg)
        return int(text)

    return check


def available_cores() -> int:
    """Return how many processors this process may use, at least 1.

    ``$BATCHML_CPUS`` decides if it is set, then ``cpus`` of ``batchml.toml``; else the least of the affinity mask, the
    cgroup's quota (rounded up) and ``$SLURM_CPUS_PER_TASK``, or else ``$SLURM_CPUS_ON_NODE``.

    Raises
    ------
    ConfigError
        ``$BATCHML_CPUS`` is no positive whole number.
    """
    wish = os.environ.get("BATCHML_CPUS", "").strip()
    if wish:
        if not wish.isdecimal() or int(wish) < 1:
            msg = f"$BATCHML_CPUS is {wish!r}; it must be a whole number of at least 1"
            raise ConfigError(msg)
        return int(wish)
    from batchml.core.configuration import load_configuration

    configured = load_configuration().cpus
    if configured is not None:
        return configured
    found = [_affinity()]
    task = (os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE", "")).strip()
    if task.isdecimal() and int(task) > 0:
        found.append(int(task))
    quota = _cgroup_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    if quota is not None:
        found.append(max(1, math.ceil(quota)))
    return min(found)


def set_threads(learner: Any, n: Any = None) -> Any:
    """Let a learner, or each of several, use `n` threads (None: `available_cores`); return it, or them.

    A learner is changed and returned; a key or an estimator becomes one.

    Results may then differ in their last digits from those with one thread, and between machines.

    Raises
    ------
    ConfigError
        `n` is no positive whole number.
    """
    from batchml.core.learner import as_learner

    threads = available_cores() if n is None else n
    if isinstance(learner, (list, tuple)):
        return [set_threads(one, threads) for one in learner]
    learner = as_learner(learner)
    learner.threads = threads
    for name, domain in learner.param_set.domains.items():
        # n_jobs follows from the learner's threads; a value here would say it twice.
        if "threads" in domain.tags and name.rpartition("__")[2] != "n_jobs":
            learner.param_set.values[name] = threads
    return learner


def _affinity() -> int:
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except (AttributeError, OSError):
        return os.cpu_count() or 1


def _cgroup_quota(membership: Path, root: Path) -> float | None:
    """Return the processors that the control groups of this process allow, None for no limit."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    quotas = [_unified_quota(root, line[3:]) for line in lines if line.startswith("0::")]
    quotas += [_legacy_quota(root, line) for line in lines if not line.startswith("0::")]
    limits = [quota for quota in quotas if quota is not None]
    return min(limits, default=None)


def _unified_quota(root: Path, path: str) -> float | None:
    # A limit may sit on any ancestor; within a container the own group is mounted as the root.
    parts = [part for part in path.split("/") if part]
    limits = []
    for depth in range(len(parts) + 1):
        words = _words(root.joinpath(*parts[:depth]) / "cpu.max")
        if len(words) == 2 and words[0].isdecimal() and int(words[1]) > 0:
            limits.append(int(words[0]) / int(words[1]))
    return min(limits, default=None)


def _legacy_quota(root: Path, line: str) -> float | None:
    _, controllers, path = [*line.split(":", 2), "", ""][:3]
    if "cpu" not in controllers.split(","):
        return None
    for folder in (root / controllers / path.lstrip("/"), root / "cpu" / path.lstrip("/"), root / "cpu"):
        quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
        if quota and period:
            return int(quota[0]) / int(period[0]) if int(quota[0]) > 0 else None
    return None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
