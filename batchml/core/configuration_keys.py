"""The keys of ``batchml.toml``: what each means and which values it takes.

The reference page is checked against this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ANY", "CLUSTER", "KEYS", "Key"]

ANY = "*"
"""The last word of a key whose table takes names of the user's choice."""
CLUSTER = "slurm.cluster"
"""Tables below it hold what differs on the cluster of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key.

    Attributes
    ----------
    kind
        ``text``, ``path`` (relative to the file that holds it), ``texts`` (a list), ``whole`` (a number from 1),
        ``flag``, ``flag or path``, ``duration``, ``memory``, ``value`` (text, number or flag), or alternatives:
        ``a|b``.
    text
        What it is for, a sentence.
    default
        What holds where nothing is said, as shown to people; "" for nothing.
    """

    kind: str
    text: str
    default: str = ""

    def check(self, value: Any, where: str) -> Any:
        """Return the value as it is used.

        Raises
        ------
        ConfigError
            It is of another kind; `where` names key and file.
        """
        if self.kind in _TESTS:
            test, words = _TESTS[self.kind]
            if not test(value):
                raise ConfigError(f"{where} must be {words}, not {value!r}")
            return value
        if self.kind in {"duration", "memory"}:
            return _measure(self.kind, value, where)
        choices = self.kind.split("|")
        if value not in choices:
            raise ConfigError(f"{where} must be one of {', '.join(choices)}, not {value!r}")
        return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


_FLAG_OR_PATH = "true, false or the path of a folder"
_TESTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "text": (lambda value: isinstance(value, str), "a text"),
    "path": (lambda value: isinstance(value, str) and value != "", "the path of a file or folder"),
    "flag or path": (lambda value: isinstance(value, bool) or (isinstance(value, str) and value != ""), _FLAG_OR_PATH),
    "texts": (lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value), "a list of texts"),
    "whole": (_is_whole, "a whole number of at least 1"),
    "flag": (lambda value: isinstance(value, bool), "true or false"),
    "value": (lambda value: isinstance(value, (str, int, float, bool)), "a text, a number, true or false"),
}


def _measure(kind: str, value: Any, where: str) -> Any:
    from batchml.core.resources import parse_duration, parse_memory

    try:
        if kind == "duration":
            parse_duration(value)
        elif value != 0:
            parse_memory(value)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return value


_SLURM = {
    "python": Key(kind="text", text="The Python of the elements.", default="that of the submitting session"),
    "setup": Key(kind="texts", text="Shell lines before Python starts: `module load`, `source .../activate`."),
    "env.*": Key(kind="text", text="Environment variables of the elements. The job script shows them: no passwords."),
    "workdir": Key(
        kind="path",
        text="Folder that all nodes see: the elements work there, and their scripts and logs are kept below it.",
        default="the working folder; scripts and logs in batchml's state folder",
    ),
    "tmpdir": Key(kind="text", text="`TMPDIR` of the elements; may hold variables such as `$SLURM_JOB_ID`."),
    "template": Key(kind="path", text="A jinja2 template of the job script.", default="the one of batchml"),
    "channel": Key(
        kind="database|spool",
        text="How elements reach the registry: over the network, or by files on a shared disk.",
        default="database for PostgreSQL, spool for SQLite",
    ),
    "spool": Key(
        kind="flag or path",
        text='Folder of the spool, seen by all nodes, or true: `channel = "spool"` in a folder of batchml\'s choice.',
        default="beside the registry on a network disk, else below `workdir`, else in batchml's state folder",
    ),
    "partition": Key(kind="text", text="`--partition`."),
    "account": Key(kind="text", text="`--account`."),
    "qos": Key(kind="text", text="`--qos`."),
    "constraint": Key(kind="text", text="`--constraint`."),
    "throttle": Key(kind="whole", text="At most so many elements at once: `--array=0-99%N`."),
    "lines": Key(kind="texts", text="Further `#SBATCH` lines, such as `--exclusive`."),
    "overhead": Key(kind="memory", text="Memory of each element besides that of its slots.", default="512M"),
    "notice": Key(
        kind="duration",
        text="So long before the end of the walltime an element takes no more work: `--signal=B:USR1@N`.",
        default="120s",
    ),
    "requeue": Key(kind="flag", text="Whether SLURM may start elements again after preemption.", default="true"),
    "poll": Key(kind="duration", text="Between two calls of `squeue`.", default="10s"),
    "missing": Key(
        kind="duration",
        text="A silent worker is taken for dead if two lists of SLURM so far apart do not know it.",
        default="60s",
    ),
}
_DASK = {
    "address": Key(kind="text", text="The scheduler: `tcp://head:8786`.", default="a cluster on this machine"),
    "tls_ca_file": Key(kind="path", text="Certificate of the authority, for `tls://`."),
    "tls_client_cert": Key(kind="path", text="Certificate of the client, for `tls://`."),
    "tls_client_key": Key(kind="path", text="Key of the client, for `tls://`."),
    "ahead": Key(
        kind="duration",
        text="So much work per thread waits within Dask, from which an adaptive cluster sees that it has to grow.",
        default="0s",
    ),
    "resources.*": Key(kind="value", text="What each iteration takes of what Dask's workers offer: `GPU = 1`."),
}
_RESOURCES = Key(kind="value", text="Defaults of `-r`: cpus, memory, gpus, timeout, walltime, partition, ...")

KEYS: dict[str, Key] = {
    "registry": Key(kind="text", text="URL of the registry.", default="sqlite:///batchml.db"),
    "artifacts": Key(kind="path", text="Folder for task data and models of new registries."),
    "trusted_modules": Key(kind="texts", text="Modules that designs and registries may name; all files add up."),
    "cpus": Key(kind="whole", text="Processors to count with.", default="those this process may use"),
    "executor.kind": Key(kind="local|slurm|dask", text="Where `submit` starts workers.", default="local"),
    "executor.slots": Key(kind="whole", text="Iterations at once in each worker.", default="the CPUs of the worker"),
    "executor.workers": Key(kind="whole", text="Supervising processes to start.", default="1"),
    "resources.*": _RESOURCES,
    "sources.*": Key(kind="text", text="URL of a database: designs and registries hold its name, never the URL."),
    "paths.data": Key(
        kind="path", text="Folder in which files of tasks are looked for that are not where the design says."
    ),
    "cache.keep": Key(
        kind="duration",
        text="What was not used for so long leaves the cache folder of a machine; 0 for never.",
        default="90d",
    ),
    "cache.limit": Key(
        kind="memory", text="The cache folder may take so much; beyond it goes what was not used for longest."
    ),
    **{f"slurm.{name}": key for name, key in _SLURM.items()},
    **{f"dask.{name}": key for name, key in _DASK.items()},
    "slurm.resources.*": Key(kind="value", text="As `resources`, for SLURM."),
}
"""Key to what it takes; ``name.*`` stands for all keys of the table ``name``."""
