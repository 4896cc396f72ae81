"""What a SLURM cluster is called and where its limits are."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from batchml.errors import ConfigError, SchedulerError
from batchml.executors.slurm_commands import order, require

__all__ = ["Cluster", "cluster_of", "read_cluster"]

_NOWHERE = "could not establish a configuration source"
_BROKEN = "unable to process configuration file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster as its controller describes it.

    Attributes
    ----------
    name
        SLURM's ClusterName.
    most_elements
        How many elements one array may have: MaxArraySize is one more than the largest index.
    kill_wait_s
        Seconds between SIGTERM and SIGKILL.
    counts_shared
        Whether it kills for memory by a sum of resident sizes, in which pages that slots share count once for each.
    """

    name: str
    most_elements: int = 1000
    kill_wait_s: int = 30
    counts_shared: bool = False


def read_cluster(*, patient: bool = True) -> Cluster:
    """Ask the controller.

    Parameters
    ----------
    patient
        Try for a minute if it does not answer at once.

    Raises
    ------
    ConfigError
        There is no SLURM here.
    SchedulerError
        It does not answer.
    """
    require("scontrol")
    return cluster_of(_configured(patient=patient))


def _configured(*, patient: bool) -> str:
    """Return the cluster's configuration; where there is none SLURM would speak of DNS, or look for it for a minute."""
    file, host = os.environ.get("SLURM_CONF"), platform.node()
    remedy = "submit from a login node of the cluster, or set SLURM_CONF to its slurm.conf"
    if file and not Path(file).is_file():
        raise ConfigError(f"SLURM_CONF names {file}, which is no file on {host}: {remedy}")
    try:
        return order("scontrol", "show", "config", patient=patient)
    except SchedulerError as error:
        if _NOWHERE in str(error).lower():
            raise ConfigError(f"SLURM on {host} belongs to no cluster, as it has no slurm.conf: {remedy}") from error
        if _BROKEN in str(error).lower():
            what = f"SLURM on {host} cannot use its configuration{f' {file}' if file else ''}"
            raise ConfigError(f"{what}: {remedy} ({error})") from error
        raise


def cluster_of(text: str) -> Cluster:
    """Return what ``scontrol show config`` says.

    Raises
    ------
    SchedulerError
        It does not name the cluster, or that has no job arrays.
    """
    names = "ClusterName|MaxArraySize|KillWait|JobAcctGatherType|JobAcctGatherParams"
    found = dict(re.findall(rf"^({names})\s*=\s*(\S+)", text, re.MULTILINE))
    if "ClusterName" not in found:
        raise SchedulerError("scontrol show config does not name the cluster")
    most = int(found.get("MaxArraySize", 1001))
    if most < 2:
        raise SchedulerError(f"job arrays are switched off on cluster {found['ClusterName']} (MaxArraySize = {most})")
    kinds = {word.lower() for word in found.get("JobAcctGatherParams", "").split(",")}
    sums = found.get("JobAcctGatherType") == "jobacct_gather/linux" and "overmemorykill" in kinds
    return Cluster(
        name=found["ClusterName"],
        most_elements=most,
        kill_wait_s=int(found.get("KillWait", 30)),
        counts_shared=sums and kinds.isdisjoint({"usepss", "noshared"}),
    )
