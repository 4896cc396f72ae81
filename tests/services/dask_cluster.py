"""A Dask cluster as one starts it by hand: scheduler and workers as commands, on the loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

QUIET = {"DASK_DISTRIBUTED__DASHBOARD__LINK": "", "DASK_LOGGING__DISTRIBUTED": "warning"}


class DaskCluster:
    """A scheduler; `worker` adds workers.

    Parameters
    ----------
    folder
        Takes logs and what Dask writes.
    tls
        Folder of `certificates`; None to talk plainly.
    port
        Of the scheduler; 0 for any.
    settings
        Of Dask, as variables of the environment: ``DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="2s"``.
    """

    def __init__(self, folder, tls=None, port=0, **settings):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        self._tls = [] if tls is None else [f"--tls-{name}={tls / name}.pem" for name in ("ca-file", "cert", "key")]
        self._file = self.folder / "scheduler.json"
        self._workers = 0
        self.processes = []
        protocol = ["--protocol", "tls" if tls else "tcp"]
        self._start("scheduler", "--port", str(port), "--no-dashboard", "--scheduler-file", str(self._file), *protocol)
        end = time.monotonic() + 120
        while not (self._file.exists() and self._file.read_text().endswith("}")):
            assert time.monotonic() < end, self.words("scheduler")
            time.sleep(0.05)
        self.address = json.loads(self._file.read_text())["address"]

    def _start(self, name, *words, hide=None):
        program = "scheduler" if name == "scheduler" else "worker"
        command = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", f"distributed.cli.dask_{program}"]
        hidden = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none "{hide}" && exec "$@"', "sh"] if hide else []
        # If the tests are killed, the cluster goes, too.
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*hidden, *command, *words, "--host", "127.0.0.1", *self._tls],
                env={**os.environ, **QUIET, **self._settings, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        self.processes.append(process)
        return process

    def worker(self, threads=2, *words, nanny=False, hide=None):
        """Start a Dask worker; return its process, which does the work itself unless a nanny watches it.

        It sees an empty folder in place of `hide`, which takes root.
        """
        self._workers += 1
        name = f"worker-{self._workers}"
        options = ["--nthreads", str(threads), "--no-dashboard", "--name", name, "--scheduler-file", str(self._file)]
        options += ["--local-directory", str(self.folder), "--nanny" if nanny else "--no-nanny"]
        return self._start(name, *options, *words, hide=hide)

    def ready(self, workers=1):
        """Wait until the scheduler knows so many workers: without any, a cluster is one whose workers may yet come."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=120)
        return self

    def words(self, name):
        """Return what a process of the cluster has printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def stop(self, patience_s=1.5):
        """End all: those that do not go at once are killed, and what they have started dies with them."""
        for process in reversed(self.processes):
            process.terminate()
        end = time.monotonic() + patience_s
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()


def certificates(folder):
    """Make an authority and a certificate signed by it: ca-file.pem, cert.pem and key.pem."""
    for words in (
        "req -x509 -newkey rsa:2048 -nodes -keyout ca-key.pem -out ca-file.pem -days 2 -subj /CN=authority",
        "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=dask",
        "x509 -req -in request.pem -CA ca-file.pem -CAkey ca-key.pem -CAcreateserial -out cert.pem -days 2",
    ):
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
    return folder
