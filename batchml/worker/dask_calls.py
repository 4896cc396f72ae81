"""What Dask calls within its workers."""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

from batchml.worker.dask_bundle import Bundle

if TYPE_CHECKING:
    from batchml.worker.dask_host import Host

__all__ = ["environment", "examine", "run_bundle", "store_piece", "versions"]

_hosts: dict[tuple[str, str], Host] = {}
_blind: set[tuple[str, str]] = set()
_lock = threading.Lock()


def versions() -> dict[str, str]:
    """Return what must have the same version in the supervisor and in Dask's workers: of Python, the minor one."""
    return {"python": ".".join(platform.python_version_tuple()[:2]), "batchml": importlib.metadata.version("batchml")}


def run_bundle(content: bytes) -> bytes:
    """Run a bundle's iterations and return a `Reply`: a task of Dask's."""
    from distributed import get_worker

    worker = get_worker()
    bundle = Bundle.decode(content)
    host = _host(worker, bundle.setup)
    if not host.tables.are_copies and host.tables.missing(bundle):
        # There is a folder of that name, but it is another one.
        _blind.add((worker.id, bundle.setup))
        host = _host(worker, bundle.setup)
    return host.run(bundle, worker.get_current_task()).encode()


async def examine(setup: str, dask_worker: Any) -> dict[str, Any]:
    """Start what iterations need and return whether they can run here, and with which interpreter of which host."""
    host = _host(dask_worker, setup)
    unfit = await asyncio.get_running_loop().run_in_executor(None, host.verdict)
    return {"host": socket.gethostname(), "home": f"{sys.executable} {sys.prefix}", "unfit": unfit}


async def environment(folders: list[str]) -> dict[str, Any] | None:
    """Return what results depend on here, see `batchml.execution.environment`."""
    from batchml.worker.probe import Probe

    probe = Probe(folders)
    probe.look()
    return await asyncio.get_running_loop().run_in_executor(None, probe.look, 60.0)


def store_piece(
    setup: str, name: tuple[str, str, str], begin: int, content: bytes, total: int, dask_worker: Any
) -> None:
    """Write a piece of a file of the artifacts to this Dask worker's own disk; the last one gives it its name.

    `name` is kind and digest, and who sends it.
    """
    _host(dask_worker, setup).tables.store(*name, begin, content, total)


def _host(worker: Any, setup: str) -> Host:
    """Return the sandbox of a Dask worker for a setup; several workers may live in one process."""
    from batchml.worker.dask_host import Host

    with _lock:
        name = worker.id, setup
        blind = name in _blind
        host = _hosts.get(name)
        if host is None or host.touch() or (blind and not host.tables.are_copies):
            host = _hosts[name] = Host(worker, setup, blind=blind)
        return host
