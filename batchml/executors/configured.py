"""Executors and resources as the configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchml.core.configuration import load_configuration
from batchml.executors.submission import executor_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.executors.base import Executor

__all__ = ["configured_executor", "configured_resources"]


def configured_executor(kind: str | None = None, **wishes: Any) -> Executor:
    """Return the executor that ``[executor]`` describes.

    Parameters
    ----------
    kind
        ``local``, ``slurm``, ... instead of the configured one.
    **wishes
        Its parameters; None for what is configured.
    """
    given = load_configuration().executor
    configured = given.pop("kind", "local")
    chosen = kind or str(configured)
    if chosen == "slurm":
        wishes.pop("detach", None)  # such workers outlive whoever started them in any case
    if chosen == "dask":
        given = _dask(given)
    return executor_of(chosen, {**given, **{name: value for name, value in wishes.items() if value is not None}})


def _dask(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of `Dask` that are configured; a cluster that is there has the workers it has."""
    from batchml.worker.dask_link import SECURITY

    some = load_configuration().table("dask")
    security = {name: some[name] for name in SECURITY if name in some}
    resources = {name.removeprefix("resources."): value for name, value in some.items() if "." in name}
    found = {"cluster": some.get("address"), "ahead": some.get("ahead"), "security": security, "resources": resources}
    own = {} if some.get("address") else dict(given)
    return {**own, **{name: value for name, value in found.items() if value}}


def configured_resources(executor: Executor) -> Mapping[str, Any]:
    """Return ``[resources]``, with what is said for SLURM or the cluster where that is the executor."""
    configuration = load_configuration()
    found = configuration.resources
    if executor.name == "slurm":
        from batchml.executors.slurm_cluster import read_cluster

        some = configuration.slurm(read_cluster().name)
        prefix = "resources."
        found |= {key.removeprefix(prefix): value for key, value in some.items() if key.startswith(prefix)}
    elif executor.name in {"local", "dask"}:
        # What only a scheduler could give is no slip of the pen there: it is meant for another executor.
        known = ("cpus", "memory", "gpus", "timeout", "walltime", "partition")
        found = {name: value for name, value in found.items() if name in known}
    return found
