"""A worker on this machine as a process: started, signalled, waited for."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.worker.told import ARTIFACTS, LIFELINE, REGISTRY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LocalHandle", "import_path", "spawn"]


def spawn(words: Sequence[str], told: Mapping[str, str], log: Path, *, lifeline: bool) -> LocalHandle:
    """Start ``batchml worker WORDS`` in a session of its own, so that the terminal's Ctrl-C is not the worker's.

    Parameters
    ----------
    told
        Further entries of its environment: nothing secret is an argument, which everybody could read.
    log
        Takes what it has to say.
    lifeline
        Whether it shall drain when this process ends, however it ends.
    """
    environment = {name: value for name, value in os.environ.items() if name not in {REGISTRY, ARTIFACTS, LIFELINE}}
    environment.update(told)
    environment["PYTHONPATH"] = os.pathsep.join(import_path())
    words = ["-m", "batchml", "worker", *words]
    if not lifeline:
        null = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        return LocalHandle(_exec(words, environment, null, log), log, None)
    read, write = os.pipe()
    environment[LIFELINE] = "1"
    try:
        pid = _exec(words, environment, (os.POSIX_SPAWN_DUP2, read, 0), log)
    finally:
        os.close(read)
    return LocalHandle(pid, log, write)


def _exec(words: Sequence[str], environment: Mapping[str, str], stdin: tuple[Any, ...], log: Path) -> int:
    actions = [
        stdin,
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(
        sys.executable,
        [sys.executable, *words],
        environment,
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=[signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGPIPE],
    )


def import_path() -> list[str]:
    """The place of batchml itself first, if it is not installed, then what the user has set."""
    import batchml

    here = Path(batchml.__file__).resolve().parents[1]
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return given if here.name in {"site-packages", "dist-packages"} else list(dict.fromkeys([str(here), *given]))


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

    @property
    def allocation(self) -> str:
        """No scheduler knows it."""
        return ""

    @property
    def outlives(self) -> bool:
        """Whether it has no lifeline."""
        return self._lifeline is None

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

    def tell(self, launch: Mapping[str, Any]) -> bool:
        """Give a worker that waits on its lifeline something to do; False if it is gone."""
        if self._lifeline is None or not self.alive():
            return False
        try:
            # Writing to a pipe whose reader is gone would be a SIGPIPE, which Python ignores: an error comes instead.
            os.write(self._lifeline, json.dumps(launch).encode() + b"\n")
        except OSError:
            return False
        return True

    def let_go(self) -> None:
        """Cut its lifeline: it drains, or leaves if it has nothing to do."""
        self._cut()

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
