"""Hosts on one machine: network namespaces on one bridge, whose links can be cut. Needs root and iproute2."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess

NUMBERS = itertools.count()


def possible():
    return os.geteuid() == 0 and shutil.which("ip") is not None


class Network:
    """A bridge with this machine on it, at `address`, and one more host."""

    def __init__(self):
        run = f"{os.getpid() % 100_000}x{next(NUMBERS)}"
        # Names of interfaces have at most 15 letters; nothing else uses this net on a machine for tests.
        self.bridge, self.host, self.link = f"bmb{run}", f"bmh{run}", f"bmv{run}"
        net = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        self.address, self._peer = f"{net}.254", f"{net}.1"

    def __enter__(self):
        try:
            ip("link", "add", self.bridge, "type", "bridge", "forward_delay", "0", "stp_state", "0")
            ip("addr", "add", f"{self.address}/24", "dev", self.bridge)
            ip("link", "set", self.bridge, "up")
            ip("netns", "add", self.host)
            ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.host)
            ip("link", "set", self.link, "master", self.bridge, "up")
            for name in ("lo", "eth0"):
                ip("-n", self.host, "link", "set", name, "up")
            ip("-n", self.host, "addr", "add", f"{self._peer}/24", "dev", "eth0")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception):
        for words in (("netns", "del", self.host), ("link", "del", self.link), ("link", "del", self.bridge)):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip(*words)

    @property
    def prefix(self):
        """What starts a program on the other host."""
        return ("ip", "netns", "exec", self.host)

    def cut(self, how):
        """``down``: the other host sees its carrier go; ``silent``: packets vanish and no side is told."""
        ip("link", "set", self.link, *(("down",) if how == "down" else ("nomaster",)))

    def restore(self, how):
        ip("link", "set", self.link, *(("up",) if how == "down" else ("master", self.bridge)))


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)
