"""Workers on this machine, as processes of their own."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError
from batchml.worker.home import worker_log
from batchml.worker.main import ARTIFACTS, LIFELINE, REGISTRY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.executors.base import Launch

__all__ = ["Local", "LocalHandle"]


@dataclass(frozen=True, slots=True)
class Local:
    """Start workers on this machine.

    Parameters
    ----------
    slots
        Iterations at once in each worker; None for the CPUs that this process may use, shared among the workers.
    workers
        Supervising processes. One is nearly always right: each has its own slots.
    detach
        Workers outlive this session. Otherwise they finish what runs and leave when it ends, however it ends.
    """

    slots: int | None = None
    workers: int = 1
    detach: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that start nothing."""
        for name in ("slots", "workers"):
            value = getattr(self, name)
            if value is None and name == "slots":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"Local({name}=...) is a whole number from 1, not {value!r}")

    @property
    def name(self) -> str:
        """The executor's name in the registry."""
        return "local"

    @property
    def settings(self) -> Mapping[str, Any]:
        """What `resume` needs to do the same again."""
        return {"slots": self.slots, "workers": self.workers, "detach": self.detach}

    def start(self, launch: Launch) -> list[LocalHandle]:
        """Start the workers; returns at once."""
        slots = self.slots or max(1, len(os.sched_getaffinity(0)) // self.workers)
        return [self._start(launch, slots) for _ in range(self.workers)]

    def _start(self, launch: Launch, slots: int) -> LocalHandle:
        words = ["-m", "batchml", "worker", "--submission", str(launch.submission), "--slots", str(slots)]
        words += [word for path in launch.paths for word in ("--path", str(path))]
        words += [word for name in launch.trust for word in ("--trust", name)]
        environment = {**os.environ, REGISTRY: launch.url, ARTIFACTS: str(launch.artifacts)}
        environment["PYTHONPATH"] = os.pathsep.join(_import_path())
        environment.pop(LIFELINE, None)
        log = worker_log(launch.registry, launch.submission)
        if self.detach:
            pid = _spawn(words, environment, os.devnull, log)
            return LocalHandle(pid, log, None)
        read, write = os.pipe()
        environment[LIFELINE] = "1"
        try:
            pid = _spawn(words, environment, read, log)
        finally:
            os.close(read)
        return LocalHandle(pid, log, write)


def _import_path() -> list[str]:
    """The place of batchml itself first, if it is not installed, then what the user has set."""
    import batchml

    here = str(Path(batchml.__file__).resolve().parents[1])
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    installed = any(Path(path or ".").name in {"site-packages", "dist-packages"} for path in (here,))
    return list(dict.fromkeys(given if installed else [here, *given]))


def _spawn(words: list[str], environment: dict[str, str], stdin: int | str, log: Path) -> int:
    """Start an interpreter in a session of its own, so that the terminal's Ctrl-C is not the worker's."""
    actions: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    if isinstance(stdin, int):
        actions.append((os.POSIX_SPAWN_DUP2, stdin, 0))
    else:
        actions.append((os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0))
    return os.posix_spawn(
        sys.executable,
        [sys.executable, *words],
        environment,
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=[signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGPIPE],
    )


class LocalHandle:
    """A worker on this machine.

    Parameters
    ----------
    pid
        A child of this process.
    lifeline
        The write end of the pipe whose end tells the worker to drain; None for a detached worker.
    """

    def __init__(self, pid: int, log: Path, lifeline: int | None) -> None:
        self.pid = pid
        self.log = log
        self.status: int | None = None
        self._lifeline = lifeline
        self._pidfd = os.pidfd_open(pid)

    @property
    def name(self) -> str:
        """The process id."""
        return str(self.pid)

    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self.wait(0)

    def stop(self, *, now: bool = False) -> None:
        """Ask it to drain; `now`: to end at once."""
        if not self.alive():
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
            if now:
                # Another number: two of the same might reach it as one.
                signal.pidfd_send_signal(self._pidfd, signal.SIGUSR1)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end; False if it has not come in `timeout` seconds."""
        if self.status is not None:
            return True
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(None if timeout is None else max(0, timeout) * 1000):
            return False
        try:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except ChildProcessError:  # somebody else in this process has waited for all children
            self.status = 0
        os.close(self._pidfd)
        self._cut()
        return True

    def tail(self, lines: int = 5) -> str:
        """Return the end of what the worker itself had to say."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _cut(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def __repr__(self) -> str:
        return f"LocalHandle(pid={self.pid}, {'ended' if self.status is not None else 'running'})"
