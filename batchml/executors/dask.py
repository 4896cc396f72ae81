"""Iterations on a Dask cluster: a supervisor on this machine feeds it."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

from batchml.core.resources import available_cores, parse_duration
from batchml.errors import ConfigError, nearest
from batchml.executors.base import needs_of
from batchml.executors.process import LocalHandle, spawn
from batchml.worker.dask_link import DASK, SECURITY, Link, require_dask
from batchml.worker.home import worker_log
from batchml.worker.told import ARTIFACTS, REGISTRY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.core.resources import Resources
    from batchml.executors.base import Launch

__all__ = ["Dask"]

_CONNECT_S = 5.0
_ADAPTIVE_S = 10.0
"""Work per thread that waits within an adaptive cluster: Dask starts workers for more than five seconds of it."""


class Dask:
    """Run iterations on a Dask cluster.

    A supervising process on this machine claims jobs and sends them to the cluster as tasks; each Dask worker runs
    them in child processes, so that a learner that crashes costs one job. The supervisor ends when nothing waits any
    more, or when the cluster is gone.

    Parameters
    ----------
    cluster
        A `distributed.Client`, a cluster (of dask-jobqueue, say), or the address of a scheduler; None for a cluster on
        this machine, which the supervisor starts and ends.
    workers, slots
        Of a cluster on this machine: Dask workers, and threads of each. By default one, with the CPUs there are.
    security
        Certificates for ``tls://``: a `distributed.Security`, or ``tls_ca_file``, ``tls_client_cert`` and
        ``tls_client_key``; None for those of the client or cluster.
    resources
        What each iteration takes of what Dask's workers offer: ``{"GPU": 1}``.
    ahead
        So much work for each thread waits within Dask. Adaptive clusters grow by what they see waiting; None is ten
        seconds for a cluster that is known to be adaptive, else next to nothing.
    detach
        The supervisor outlives this session. Otherwise it finishes what runs and leaves when the session ends.
    **options
        Further options of `distributed.LocalCluster`.

    Raises
    ------
    ConfigError
        No such cluster can be reached by another process, or an option makes no sense.
    """

    def __init__(
        self,
        cluster: Any = None,
        *,
        workers: int | None = None,
        slots: int | None = None,
        security: Any = None,
        resources: Mapping[str, float] | None = None,
        ahead: str | float | None = None,
        detach: bool = False,
        **options: Any,
    ) -> None:
        self.address = _address(cluster)
        self.workers = _whole("workers", workers)
        self.slots = _whole("slots", slots)
        self.resources = _amounts(resources or {})
        self.ahead = ahead
        self.detach = detach
        self.options = _plain(options)
        self._security, self._in_memory = _certificates(security or _security_of(cluster))
        self._ahead_s = _ADAPTIVE_S if ahead is None and _is_adaptive(cluster) else parse_duration(ahead or 0)
        unused = {**self.options, "workers": workers, "slots": slots}
        unused = {name: value for name, value in unused.items() if value is not None}
        if self.address and unused:
            raise ConfigError(
                f"the cluster at {self.address} is as it is: {', '.join(unused)} are for one that batchml starts"
            )

    @property
    def name(self) -> str:
        """The executor's name in the registry."""
        return "dask"

    @property
    def settings(self) -> Mapping[str, Any]:
        """What `resume` needs to do the same again; certificates only if they are files."""
        said = {
            "cluster": self.address or None,
            "workers": self.workers,
            "slots": self.slots,
            "security": None if self._in_memory else self._security or None,
            "resources": self.resources or None,
            "ahead": self._ahead_s or None,
            "detach": self.detach or None,
        }
        return {**{name: value for name, value in said.items() if value is not None}, **self.options}

    def check(self, resources: Resources) -> None:
        """Refuse what could not work, before anything is stored.

        Raises
        ------
        ConfigError
            Dask is not installed, nobody answers at the address, or a resource is no number.
        """
        require_dask()
        _amounts(resources.extra)
        if self.address:
            _knock(self.address)

    def start(self, launch: Launch) -> list[LocalHandle]:
        """Start the supervisor; returns at once."""
        words = ["--submission", str(launch.submission)]
        words += [word for path in launch.paths for word in ("--path", str(path))]
        words += [word for name in launch.trust for word in ("--trust", name)]
        words += [word for need in needs_of(launch) for word in ("--need", need)]
        told = {REGISTRY: launch.url, ARTIFACTS: str(launch.artifacts), DASK: self._link(launch).as_text()}
        log = worker_log(launch.registry, launch.submission)
        return [spawn(words, told, log, lifeline=not self.detach)]

    def _link(self, launch: Launch) -> Link:
        from batchml.core.resources import Resources

        needs = Resources.parse(launch.resources)
        taken = {"GPU": float(needs.gpus)} if needs.gpus else {}
        options = {} if self.address else self._cluster_options(max(launch.threads, needs.cpus))
        taken |= _amounts(needs.extra) | self.resources
        if options and taken:
            options.setdefault("resources", taken)
        return Link(
            address=self.address,
            options=options,
            security=self._security,
            resources=taken,
            ahead_s=self._ahead_s,
        )

    def _cluster_options(self, each: int) -> dict[str, Any]:
        workers = self.workers or 1
        threads = self.slots or max(1, available_cores() // (workers * each))
        return {"n_workers": workers, "threads_per_worker": threads, **self.options}

    def __repr__(self) -> str:
        words = [repr(value) if name == "cluster" else f"{name}={value!r}" for name, value in self.settings.items()]
        return f"Dask({', '.join(words)})"


def _address(cluster: Any) -> str:
    """Return the address of a client, of a cluster, or what was given."""
    found = cluster
    if cluster is not None and not isinstance(cluster, str):
        found = getattr(getattr(cluster, "scheduler", None), "address", None) or getattr(
            cluster, "scheduler_address", None
        )
        if not isinstance(found, str) or not found:
            raise ConfigError(
                f"Dask({type(cluster).__name__}) is no client, cluster or address of a scheduler that can be reached"
            )
    address = (found or "").strip()
    if address.startswith("inproc://"):
        raise ConfigError(
            "this Dask cluster is reached from within its own process only: start it with processes=True, or let "
            "batchml start one: bm.Dask(workers=1, slots=2)"
        )
    if address and "://" not in address:
        address = f"tcp://{address}"
    return address


def _security_of(cluster: Any) -> Any:
    return None if cluster is None or isinstance(cluster, str) else getattr(cluster, "security", None)


def _certificates(security: Any) -> tuple[dict[str, str], bool]:
    """Return what a client needs of them, and whether that is in memory, not in files: such a key is stored nowhere."""
    if security is None:
        return {}, False
    if hasattr(security, "items"):
        unknown = [name for name in security if name not in SECURITY]
        if unknown:
            raise ConfigError(f"security has no '{unknown[0]}'{nearest(unknown[0], SECURITY)}: {', '.join(SECURITY)}")
        found = {name: str(value) for name, value in security.items() if value}
    else:
        found = {name: str(value) for name in SECURITY if (value := getattr(security, name, None))}
    return found, any("\n" in value for value in found.values())


def _is_adaptive(cluster: Any) -> bool:
    return any(getattr(one, "_adaptive", None) is not None for one in (cluster, getattr(cluster, "cluster", None)))


def _whole(name: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigError(f"Dask({name}=...) is a whole number from 1, not {value!r}")
    return value


def _amounts(resources: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name, value in resources.items():
        try:
            found[name] = float(value)
        except (TypeError, ValueError):
            raise ConfigError(f"Dask's workers offer amounts of '{name}': {value!r} is no number") from None
        if not found[name] > 0:
            raise ConfigError(f"an iteration takes a positive amount of '{name}', not {value!r}")
    return found


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in options.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise ConfigError(
                f"the option {name}={value!r} cannot be given to another process: start the cluster and give that"
            ) from None
    return dict(options)


def _knock(address: str) -> None:
    """See whether anybody listens at an address."""
    place = address.partition("://")[2].rstrip("/")
    host, _, port = place.rpartition(":")
    if address.partition("://")[0] not in {"tcp", "tls"}:
        return
    if not port.isdecimal():
        raise ConfigError(f"the address of a Dask scheduler names its port: {address}:8786")
    try:
        with contextlib.closing(socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S)):
            pass
    except OSError as error:
        raise ConfigError(
            f"no Dask scheduler answers at {address} ({error.strerror or error}): start it, or name another"
        ) from error
