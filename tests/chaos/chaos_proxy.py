"""A TCP proxy on the loopback that can be cut: what a bad network does to a client of PostgreSQL."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class Proxy:
    """Forward connections to a port of this machine.

    `mode` is ``open``, ``cut`` (nothing is reachable, connections die), ``stall`` (bytes wait, nobody is told) or
    ``swallow`` (the next COMMIT of something written reaches the server, its reply does not reach the client, and the
    connection dies).
    """

    def __init__(self, target):
        self.target = target
        self.mode = "open"
        self.swallowed = 0
        self._links = set()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def set(self, mode):
        self.mode = mode
        if mode == "cut":
            self.drop()

    def drop(self):
        """End all connections."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.close()

    def close(self):
        self.mode = "cut"
        # A blocked accept does not notice that its socket is closed.
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.drop()
        self._thread.join(5)

    def _accept(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self.mode == "cut":
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            link = _Link(self, client, server)
            with self._lock:
                self._links = {old for old in self._links if not old.ended} | {link}
            link.start()


class _Link:
    def __init__(self, proxy, client, server):
        self.proxy = proxy
        self.ended = False
        self._sockets = (client, server)
        self._writes = self._swallowing = False

    def start(self):
        client, server = self._sockets
        for source, drain, up in ((client, server, True), (server, client, False)):
            threading.Thread(target=self._pump, args=(source, drain, up), daemon=True).start()

    def _pump(self, source, drain, up):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.proxy.mode == "stall" and not self.ended:
                    time.sleep(0.02)
                self._writes |= up and b"UPDATE" in data
                commits = self._writes and up and data.startswith(b"Q") and b"COMMIT" in data
                if commits and self.proxy.mode == "swallow":
                    self.proxy.mode = "open"
                    self._swallowing = True
                if not up and self._swallowing:
                    # This is the reply: the server has committed.
                    self.proxy.swallowed += 1
                    break
                drain.sendall(data)
        self.close()

    def close(self):
        self.ended = True
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
