"""The template as its supervisor or session sees it: started, asked for keepers, restarted, ended."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from batchml.errors import ConfigError
from batchml.execution.sandbox import cgroup, proc
from batchml.execution.sandbox.keeper import LEAVE
from batchml.execution.sandbox.protocol import Link, pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["IMPORTS", "RUNNER", "Family", "Setup"]

RUNNER = "batchml.execution.sandbox.job:JobRunner"
"""What a slot does with assignments."""

IMPORTS = (
    "sklearn.ensemble",
    "sklearn.tree",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "sklearn.impute",
    "pandas",
    "pyarrow.ipc",
    "pyarrow.pandas_compat",
    "threadpoolctl",
    "narwhals._pandas_like.dataframe",  # what scikit-learn looks at frames with
    "batchml.core.learner_spec",
    "batchml.core.measure",
    "batchml.core.prediction_arrow",
    "batchml.core.resampling",
    "batchml.core.spec_special",
    "batchml.core.task",
    "batchml.data.tables",
    "batchml.execution.iteration",
    "batchml.execution.sandbox.slot",
    "batchml.execution.sandbox.partner",
    "batchml.execution.sandbox.job",
    "batchml.learners.featureless",
    "batchml.learners.preprocessing",
    "batchml.learners.sklearn",
    "batchml.measures.classif",
    "batchml.measures.regr",
    "batchml.resamplings.folds",
)
"""What nearly every job needs; anything rarer is imported by the slot that needs it."""

# Libraries read these when they are loaded. One thread per iteration, and none in the template, which forks.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "PYTHONHASHSEED": "0",
}

_NAME = "batchml-"  # of all processes of ours, see `proc.name_process`

_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv.pop());"
    "from batchml.execution.sandbox.template import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a template is told once.

    Attributes
    ----------
    role
        ``worker``: it forks keepers of slots; ``session``: it is the keeper of one partner.
    artifacts
        The folder with the data of tasks.
    trust
        Prefixes of modules that specs may name.
    paths
        Folders with the user's own modules, appended to ``sys.path``.
    imports
        Modules to load before forking.
    runner
        Import path of what runs an assignment in a slot.
    """

    role: Literal["worker", "session"]
    artifacts: str = ""
    trust: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    imports: tuple[str, ...] = IMPORTS
    runner: str = RUNNER


class Family:
    """A template process and the tag by which everything that descends from it is known."""

    def __init__(self, setup: Setup | None) -> None:
        if not hasattr(os, "pidfd_open") or not hasattr(os, "fork") or not sys.platform.startswith("linux"):
            raise ConfigError("slots and encapsulated processes need Linux 5.3 or newer; use encapsulate='capture'")
        self.tag = secrets.token_hex(8)
        self._groups = cgroup.home()
        if self._groups is not None:
            cgroup.tidy(self._groups)
        self._setup = setup
        self._process: subprocess.Popen[bytes] | None = None
        self.link, self.pidfd = self._start()

    @property
    def pid(self) -> int:
        """The template's process id."""
        assert self._process is not None
        return self._process.pid

    def _start(self) -> tuple[Link, int]:
        mine, its = pair()
        setup = self._setup
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter with fixed code
                [sys.executable, "-c", _START, str(its.fileno()), str(os.getpid()), _path_argument()],
                env={**os.environ, **_ENVIRONMENT, proc.TAG: self.tag},
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            its.close()
        with contextlib.suppress(OSError):  # a template that has just died is noticed by its pidfd
            mine.send({"t": "warm", "imports": IMPORTS} if setup is None else self._told(setup))
        return mine, os.pidfd_open(self._process.pid)

    def tell(self, setup: Setup) -> None:
        """Give a template that was started without knowing for whom its setup."""
        self._setup = setup
        with contextlib.suppress(OSError):  # a template that has just died is noticed by its pidfd
            self.link.send(self._told(setup))

    def _told(self, setup: Setup) -> dict[str, object]:
        fields = ("role", "artifacts", "trust", "paths", "imports", "runner")
        group = None if self._groups is None else str(self._groups)
        return {"t": "setup", "tag": self.tag, "group": group, **{name: getattr(setup, name) for name in fields}}

    def limit_memory(self) -> None:
        """Have the kernel hold the limits of slots, if this user has control groups."""
        if self._groups is not None:
            cgroup.enable_memory(self._groups, self.tag)

    def restart(self) -> None:
        """Start another template in place of a dead one."""
        self._forget()
        self.link, self.pidfd = self._start()

    def birth(self) -> Link:
        """Ask for a keeper, which will be a child of this process; return the link to it. Does not wait."""
        mine, its = pair()
        try:
            with contextlib.suppress(OSError):  # a template that has just died is noticed by its pidfd
                self.link.send({"t": "keeper"}, fds=[its.fileno()])
        finally:
            its.close()
        return mine

    def end_orphans(self, known: Sequence[int], patience: float = 1.0) -> None:
        """Kill children of this process that belong to the family but are not in `known`: their keeper is dead."""
        deadline = time.monotonic() + patience
        while (orphans := self._orphans(known)) and time.monotonic() < deadline:
            for pid in orphans:
                proc.send([*proc.descendants(pid), pid], signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _orphans(self, known: Sequence[int]) -> list[int]:
        members = set(proc.tagged(self.tag))
        strangers = [pid for pid in proc.child_pids() if pid not in known and pid != self.pid]
        return [pid for pid in strangers if pid in members or proc.dead_name(pid).startswith(_NAME)]

    def close(self, known: Iterable[int] = (), patience: float = 10.0) -> None:
        """End the template and everything that carries its tag; `known` are the keepers, which are leaving already."""
        self.link.close()  # tells a template to sweep and leave
        begin = time.monotonic()
        met = set(known)
        while True:
            left = [pid for pid in proc.tagged(self.tag) if pid != self.pid]
            if time.monotonic() - begin > LEAVE:
                for pid in left:
                    proc.send([*proc.descendants(pid), pid], signal.SIGKILL)
            met.update(left)
            for pid in met:  # those that were ours or have become ours
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            children = proc.child_pids()
            met.update(pid for pid in children if pid != self.pid and proc.dead_name(pid).startswith(_NAME))
            if not (left or met.intersection(children)) or time.monotonic() - begin > patience:
                break
            time.sleep(0.002)
        self._forget()
        if self._groups is not None:
            cgroup.sweep(self._groups, self.tag)

    def abandon(self) -> None:
        """Close the descriptors that came with a fork; the family belongs to another process."""
        self.link.close()
        os.close(self.pidfd)
        assert self._process is not None
        self._process.returncode = 0  # not ours to wait for

    def _forget(self) -> None:
        self.link.close()
        with contextlib.suppress(OSError):
            os.close(self.pidfd)
        assert self._process is not None
        self._process.kill()
        self._process.wait()


def _path_argument() -> str:
    """Return this process's module search path, with the place of batchml itself first, as JSON."""
    import json

    root = str(Path(__file__).resolve().parents[3])
    return json.dumps(list(dict.fromkeys([*(str(Path(p).resolve()) for p in sys.path), root])))
