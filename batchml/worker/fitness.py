"""Whether this machine can do the work: everything that jobs import is imported once, in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from batchml.errors import ArtifactError, BatchmlError, RegistryError
from batchml.worker.allocation import own_allocation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from batchml.registry.store import Store

__all__ = [
    "Trial",
    "UnfitError",
    "check_artifacts",
    "check_fitness",
    "check_registry",
    "leave_word",
    "require_fitness",
]

_PATIENCE_S = 600.0
_PROGRAM = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
for name in json.loads(sys.argv[2]):
    try:
        importlib.import_module(name)
    except BaseException as error:
        print(f"cannot import {name}: {type(error).__name__}: {error}")
        sys.exit(1)
"""


class UnfitError(RegistryError):
    """A machine that cannot do the work, and the cause."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"infrastructure: {socket.gethostname()}: {cause}")


class Trial:
    """Imports that are being tried; started at once, since the slots import the same meanwhile.

    Parameters
    ----------
    modules
        The user's own modules.
    paths
        Their folders.
    """

    def __init__(self, modules: Iterable[str] = (), paths: Iterable[str] = ()) -> None:
        from batchml.execution.sandbox.family import IMPORTS

        path = [*dict.fromkeys([*sys.path, *paths])]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(  # noqa: S603 - no shell
            [sys.executable, "-c", _PROGRAM, json.dumps(path), json.dumps([*IMPORTS, *modules])],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )

    def require(self) -> None:
        """Wait for the end.

        Raises
        ------
        UnfitError
            Something cannot be imported here.
        """
        try:
            said, _ = self._process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.close()
            raise UnfitError(f"imports took more than {_PATIENCE_S:g} s") from None
        if self._process.returncode:
            lines = [line for line in said.splitlines() if line.strip()]
            raise UnfitError(lines[-1] if lines else f"the trial of imports ended with {self._process.returncode}")

    def close(self) -> None:
        """End it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def check_artifacts(store: Store) -> None:
    """Refuse to work where the data of tasks cannot be read: that would only burn the tries of jobs.

    Raises
    ------
    ArtifactError
        Naming the folder.
    """
    try:
        store.artifacts.check()
    except ArtifactError as problem:
        raise ArtifactError(
            f"the artifacts of {store.place} are in {store.artifact_path}, which cannot be read on this machine; "
            "nothing was claimed: mount it here, or create the registry with artifacts=<a folder or URL for all>"
        ) from problem


def require_fitness(trial: Trial, look: Callable[[], object], leave_word: Callable[[UnfitError], object]) -> None:
    """See that this node of a cluster can do the work; else leave word where whoever looks for workers finds it.

    Parameters
    ----------
    look
        Fails where the work, or what it needs, cannot be reached.

    Raises
    ------
    UnfitError
        Naming the node and the cause; nothing was claimed.
    """
    try:
        _see(trial, look)
    except UnfitError as unfit:
        leave_word(unfit)
        raise


def check_fitness(modules: Iterable[str], paths: Iterable[str], look: Callable[[], object], what: str) -> str:
    """Look whether a worker could work here, claim nothing, and say so in a sentence.

    Parameters
    ----------
    look
        As in `require_fitness`.
    what
        What was looked at, for people.

    Raises
    ------
    UnfitError
        It could not.
    """
    trial = Trial(modules, paths)
    try:
        _see(trial, look)
    finally:
        trial.close()
    return f"{socket.gethostname()} is fit: Python {sys.version.split()[0]}, imports{what}"


def _see(trial: Trial, look: Callable[[], object]) -> None:
    try:
        look()
        trial.require()
    except UnfitError:
        raise
    except BatchmlError as error:
        raise UnfitError(str(error)) from None


def check_registry(url: str) -> None:
    """Refuse to work where the registry, or the data of its tasks, cannot be read."""
    from batchml.registry.store import Store

    store = Store.open(url)
    try:
        check_artifacts(store)
    finally:
        store.close()


def leave_word(store: Store, submission: int, error: BatchmlError) -> None:
    """Enter a worker that has stopped at once, and why: whoever looks for workers finds that."""
    from batchml.registry.workers import register_worker, stop_worker

    allocation = own_allocation()
    worker_id = register_worker(
        store, submission, slots=1, scheduler_id=allocation.element, incarnation=allocation.restarts
    )
    stop_worker(store, worker_id, str(error))
