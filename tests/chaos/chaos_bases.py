"""The databases under attack: how each can be made to fail, and healed."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from pathlib import Path

from chaos_proxy import Proxy
from postgres_folder import postgres_folder


class Sqlite:
    """A file. Its outage is a writer that does not let go."""

    name = "sqlite"

    def __init__(self, folder):
        self.url = f"sqlite:///{folder / 'chaos.db'}"
        self._file = folder / "chaos.db"

    def start(self):
        """There is nothing to start."""

    def route(self):
        """Return a URL for one worker, and what can be cut on the way: nothing."""
        return self.url, None

    def outages(self):
        return {"a writer that does not let go": self.hang}

    @contextlib.contextmanager
    def hang(self):
        with contextlib.closing(sqlite3.connect(self._file, timeout=60, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def heal(self):
        """There is nothing to heal."""

    def stop(self):
        """There is nothing to stop."""


class Postgresql:
    """A server of its own; each worker reaches it by a proxy of its own."""

    name = "postgresql"

    def __init__(self, _folder):
        self._held = contextlib.ExitStack()
        self.folder = self._held.enter_context(postgres_folder())
        self.server = None
        self.proxies = []

    @property
    def url(self):
        return self.server.url

    def start(self):
        from batchml.registry.server import serve

        # Durable: without, PostgreSQL itself loses what it has committed just before a crash.
        self.server = serve(self.folder, durable=True)

    def route(self):
        proxy = Proxy(self.server.port)
        self.proxies.append(proxy)
        return self.url.replace(f":{self.server.port}/", f":{proxy.port}/"), proxy

    def outages(self):
        return {
            "immediate shutdown of the server": self.crash,
            "kill -9 of the server": self.kill,
            "kill -9 of a backend": self.kill_backend,
        }

    @contextlib.contextmanager
    def crash(self):
        from batchml.registry.server import stop

        stop(self.folder, "immediate")
        yield
        self.start()

    @contextlib.contextmanager
    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        yield
        self.start()

    @contextlib.contextmanager
    def kill_backend(self):
        """The server then ends all other sessions and recovers by itself."""
        clients = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                mine = words.startswith(b"postgres: batchml batchml") and parent(entry) == self.pid
                clients += [int(entry.name)] if mine else []
        if clients:
            with contextlib.suppress(ProcessLookupError):
                os.kill(max(clients), signal.SIGKILL)
        yield

    @property
    def pid(self):
        return int((self.folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])

    def heal(self):
        for proxy in self.proxies:
            proxy.set("open")
        deadline = time.monotonic() + 30
        while True:
            try:
                self.start()
            except Exception:  # it is just recovering from a crash
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def stop(self):
        for proxy in self.proxies:
            proxy.close()
        self._held.close()


def parent(entry):
    return int((entry / "stat").read_text().rpartition(")")[2].split()[1])


BASES = {"sqlite": Sqlite, "postgresql": Postgresql}
