"""Folders for PostgreSQL servers, which end with the tests however those end.

A server has no parent that it could die with: `pg_ctl` lets go of it. So one process watches the tests, and stops what
still runs when they are gone: after Ctrl-C and kill -9, too.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import shutil
import signal
import sys
import tempfile
from pathlib import Path


@contextlib.contextmanager
def postgres_folder():
    """A folder for a server, which is stopped at the end.

    Not below pytest's folder: nobody but root may enter it there, and PostgreSQL does not run as root.
    """
    _watcher()
    folder = Path(tempfile.mkdtemp(prefix=_prefix(os.getpid())))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        _end(folder)


def _prefix(pid):
    return f"batchml-postgres-{pid}-"


@functools.cache
def _watcher():
    # Signals of the terminal are for the tests, and nobody must wait for the end of what it says. It outlives whoever
    # could wait for it, so it is no `Popen`, which would complain.
    quiet = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in range(3)]
    words = [sys.executable, __file__, str(os.getpid())]
    return os.posix_spawn(sys.executable, words, os.environ, setsid=True, file_actions=quiet)


def _end(folder):
    """Nobody needs what it holds: a signal is faster than `pg_ctl`, and the watcher has imported nothing."""
    for file in (*folder.glob("data/postmaster.pid"), *folder.glob("*/data/postmaster.pid")):
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(file.read_text().split()[0])
            server = os.pidfd_open(pid)
            # The file of a server that was killed outlives it, and its number may be somebody else's.
            if str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                signal.pidfd_send_signal(server, signal.SIGQUIT)
                _wait_for(server, 30)
            os.close(server)
    shutil.rmtree(folder, ignore_errors=True)


def _wait_for(process, seconds=None):
    gone = select.poll()
    gone.register(process, select.POLLIN)
    gone.poll(None if seconds is None else 1000 * seconds)


def _watch(pid):
    with contextlib.suppress(ProcessLookupError):
        tests = os.pidfd_open(pid)
        # They may have gone before, and their number been given away.
        if os.getppid() == pid:
            _wait_for(tests)
    for folder in Path(tempfile.gettempdir()).glob(f"{_prefix(pid)}*"):
        _end(folder)


if __name__ == "__main__":
    _watch(int(sys.argv[1]))
