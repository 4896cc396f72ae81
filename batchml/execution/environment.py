"""What results depend on besides their specs: code, packages, libraries, processor.

Collected in a process of its own (``python -m batchml.execution.environment PARENT FOLDER...``): it loads numerical
libraries, reads folders and asks git, none of which shall delay a worker.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import json
import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.data.snapshots import about_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["collect", "cpu", "cpu_level", "project", "scheduler_ids"]

_FORMAT = 1
_GIT_S = 10.0
# The x86-64 psABI levels, by the names of /proc/cpuinfo.
_LEVELS = (
    ("v2", "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"),
    ("v3", "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave"),
    ("v4", "avx512bw avx512cd avx512dq avx512f avx512vl"),
)
_SLURM = {
    "cluster": "SLURM_CLUSTER_NAME",
    "job": "SLURM_JOB_ID",
    "array_job": "SLURM_ARRAY_JOB_ID",
    "array_task": "SLURM_ARRAY_TASK_ID",
    "restarts": "SLURM_RESTART_COUNT",
    "partition": "SLURM_JOB_PARTITION",
    "node": "SLURMD_NODENAME",
}


def collect(folders: Iterable[str]) -> dict[str, Any]:
    """Return this machine's environment as plain data; what cannot be found out is None.

    Parameters
    ----------
    folders
        Of the user's own code.
    """
    return {
        "format": _FORMAT,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": f"{platform.system()}-{platform.machine()}, {'-'.join(platform.libc_ver())}",
        "cpu": cpu(),
        "blas": _blas(),
        "packages": _packages(),
        "project": [found for folder in folders if (found := about_snapshot(folder) or project(folder)) is not None],
    }


def cpu(cpuinfo: str | None = None) -> dict[str, Any]:
    """Return the processor: model, feature level (``x86-64-v3``) and a digest of all its features.

    Parameters
    ----------
    cpuinfo
        Stands for the content of ``/proc/cpuinfo``.
    """
    if cpuinfo is None:
        cpuinfo = ""
        with contextlib.suppress(OSError):
            cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    fields: dict[str, str] = {}
    for line in cpuinfo.partition("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    flags = sorted((fields.get("flags") or fields.get("features") or "").split())
    return {
        "model": fields.get("model name") or fields.get("cpu part"),
        "level": cpu_level(flags) if fields.get("flags") else platform.machine(),
        "features": hashlib.sha256(" ".join(flags).encode()).hexdigest()[:16],
    }


def cpu_level(flags: Iterable[str]) -> str:
    """Return the x86-64 level that compilers and libraries build for.

    Examples
    --------
    >>> cpu_level(["sse2", "avx2"])
    'x86-64-v1'
    """
    has = set(flags)
    level = "v1"
    for name, needed in _LEVELS:
        if not has.issuperset(needed.split()):
            break
        level = name
    return f"x86-64-{level}"


def project(folder: str) -> dict[str, Any] | None:
    """Return commit and dirtiness of the git work tree that a folder is in; None if it is in none, or there is no git.

    Dirty is what differs from the commit in that folder, files that git does not know included.
    """
    # Nothing of the repository's own configuration shall run.
    command = ["git", "-c", "core.fsmonitor=false", "-C", folder, "status", "--porcelain=v2", "--branch", "--", "."]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            command, env=environment, capture_output=True, timeout=_GIT_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    commit = next((line.removeprefix("# branch.oid ") for line in lines if line.startswith("# branch.oid ")), None)
    if done.returncode != 0 or commit is None:
        return None
    dirty = any(not line.startswith("#") for line in lines)
    return {"folder": folder, "commit": None if commit == "(initial)" else commit, "dirty": dirty}


def scheduler_ids(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what the scheduler calls this allocation; nothing outside of one."""
    environment = os.environ if environment is None else environment
    found = {name: environment[variable] for name, variable in _SLURM.items() if environment.get(variable)}
    return {"kind": "slurm", **found} if "job" in found else {}


def _packages() -> dict[str, str]:
    """Return name and version of all distributions, by the names of their folders: reading them takes much longer."""
    found: dict[str, str] = {}
    for entry in dict.fromkeys(sys.path):
        for folder in Path(entry or ".").glob("*-info"):
            if folder.suffix in {".dist-info", ".egg-info"}:
                name, _, version = folder.stem.partition("-")
                found.setdefault(name.lower().replace("_", "-"), version.partition("-")[0])
    return dict(sorted(found.items()))


def _blas() -> list[dict[str, Any]]:
    """Return the libraries that compute, as the numerical packages load them.

    Those of wheels lie beside the packages and are loaded alone: the packages themselves take a second.
    """
    with contextlib.suppress(Exception):
        from threadpoolctl import threadpool_info

        libraries = [path for path in Path(sysconfig.get_path("platlib")).glob("*.libs/*") if _computes(path.name)]
        for path in libraries:
            ctypes.CDLL(str(path))
        if not any("blas" in path.name or "mkl" in path.name for path in libraries):
            importlib.import_module("scipy.linalg")
        names = ("user_api", "internal_api", "version", "architecture", "threading_layer")
        found = [{name: one[name] for name in names if one.get(name)} for one in threadpool_info()]
        return sorted((one for i, one in enumerate(found) if one not in found[:i]), key=str)
    return []


def _computes(name: str) -> bool:
    return any(word in name for word in ("openblas", "blis", "mkl_rt", "libgomp", "libomp", "libiomp"))


def _main(parent: int, folders: Iterable[str]) -> None:
    from batchml.execution.sandbox.proc import die_with_parent

    die_with_parent(parent)
    with contextlib.suppress(OSError):
        os.nice(19)  # jobs come first
    sys.stdout.write(json.dumps(collect(folders)))


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
