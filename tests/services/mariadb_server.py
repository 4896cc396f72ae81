"""A MariaDB server of one's own on the loopback, without a password; it ends with the process that started it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

from ports import claim_ports

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

# Nothing has to survive a power cut.
SWIFT = ("--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=32M")


class MariaUnavailableError(RuntimeError):
    """MariaDB cannot run here; says why."""


class MariaServer:
    """A server that answers.

    Parameters
    ----------
    folder
        Takes data, socket and log; must not be there, or be empty.
    """

    def __init__(self, folder):
        self._folder = Path(folder)
        programs = [shutil.which(name, path=PATH) for name in ("mariadbd", "mariadb-install-db", "setpriv")]
        if None in programs:
            raise MariaUnavailableError("no mariadbd and mariadb-install-db on the path")
        self._folder.mkdir(exist_ok=True)
        common = ["--no-defaults", f"--datadir={self._folder / 'data'}", *SWIFT]
        mortal = self._mortal(programs[2])
        made = subprocess.run(
            [*mortal, programs[1], *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            raise MariaUnavailableError((made.stderr + made.stdout).strip()[-300:])
        (self.port,) = claim_ports(1)
        own = [f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self._folder / 'socket'}"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*mortal, programs[0], *common, *own, "--skip-log-bin"], stdout=log, stderr=log
            )
        try:
            self._await()
        except BaseException:
            self.stop()
            raise

    def _mortal(self, setpriv):
        """Return what to start it with: it does not run as root, and ends with the tests even if they are killed."""
        if os.geteuid() != 0:
            return [setpriv, "--pdeathsig", "KILL"]
        names = {entry.pw_name for entry in pwd.getpwall()}
        entry = pwd.getpwnam(next((name for name in ("mysql", "nobody") if name in names), "nobody"))
        self._folder.chmod(0o755)
        os.chown(self._folder, entry.pw_uid, entry.pw_gid)
        user = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
        return [setpriv, *user, "--pdeathsig", "KILL"]

    def _await(self):
        end = time.monotonic() + 90
        while not self._greets():
            if self._process.poll() is not None or time.monotonic() > end:
                said = (self._folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
                raise MariaUnavailableError(said[-1] if said else "it does not answer")
            time.sleep(0.05)

    def _greets(self):
        """Whether it has said its name: a server greets whoever connects."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            return bool(connection.recv(1))
        return False

    def stop(self):
        """End it at once; nobody needs what it holds."""
        self._process.kill()
        self._process.wait()
