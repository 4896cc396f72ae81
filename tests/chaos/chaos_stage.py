"""One folder with a design, its registry, its witness, and the processes that belong to them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from chaos_witness import FILES, Witness

MARK = "BATCHML_CHAOS"
WORKER_MARK = "BATCHML_CHAOS_WORKER"
BEAT_S, LEASE_S = 1.0, 3.0

# A worker that dies after a transaction was committed and before it has read the answer.
COMMITTING_WORKER = """
import os, signal, sys
from batchml.registry import exchange as module
from batchml.worker.main import run_worker

submission, folder, after = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
original = module.exchange
seen = 0

def exchange(store, worker_id, outcomes, *rest, **options):
    global seen
    answer = original(store, worker_id, outcomes, *rest, **options)
    seen += bool(outcomes) and bool(answer.assignments)
    if seen >= after:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

module.exchange = exchange
run_worker(os.environ["BATCHML_REGISTRY"], submission=submission, slots=2, paths=[folder], trust=["witness_learner"])
"""

# A wall clock that is wrong, for Python and for SQLite in that process (not `datetime`: pandas is built against that
# one), or a machine that has been up for long and was started under another name.
SKEW = """
import os, sqlite3, time

SKEW_S = int(os.environ.get("BATCHML_CHAOS_SKEW", 0))
UP_S = 1e6 if "BATCHML_CHAOS_BOOT" in os.environ else 0.0  # the machine had been up for long before
true_time, true_time_ns, true_clock, true_connect = time.time, time.time_ns, time.clock_gettime, sqlite3.connect
ASK = "SELECT {}({})"


def clock_gettime(clock):
    return true_clock(clock) + SKEW_S * (clock == time.CLOCK_REALTIME) + UP_S * (clock == time.CLOCK_BOOTTIME)


def wrong(name):
    truth = true_connect(":memory:", check_same_thread=False)

    def answer(*words):
        shifted = list(words)
        if "now" in shifted:
            shifted.insert(shifted.index("now") + 1, f"{SKEW_S:+d} seconds")
        return truth.execute(ASK.format(name, ", ".join("?" * len(shifted))), shifted).fetchone()[0]

    return answer


def connect(*words, **options):
    connection = true_connect(*words, **options)
    for name in ("strftime", "julianday"):
        connection.create_function(name, -1, wrong(name))
    return connection


time.time = lambda: true_time() + SKEW_S
time.time_ns = lambda: true_time_ns() + SKEW_S * 10**9
time.clock_gettime = clock_gettime
sqlite3.connect = sqlite3.dbapi2.connect = connect
if UP_S:
    from batchml.registry import processes

    processes.boot_id = lambda: os.environ["BATCHML_CHAOS_BOOT"]
"""


class Stage:
    def __init__(self, folder, url, repeats):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.url = url
        self.mark = uuid.uuid4().hex
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("BATCHML_")},
            MARK: self.mark,
            "BATCHML_REGISTRY": url,
            "BATCHML_STATE": str(folder / "state"),
            "BATCHML_ARTIFACTS": str(folder / "artifacts"),
            "BATCHML_BEAT": str(BEAT_S),
            "BATCHML_LEASE": str(LEASE_S),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        for name, text in FILES.items():
            (folder / name).write_text(text.format(repeats=repeats) if name == "design.toml" else text)
        (folder / "committing_worker.py").write_text(COMMITTING_WORKER)
        (folder / "skew").mkdir(exist_ok=True)
        (folder / "skew" / "sitecustomize.py").write_text(SKEW)

    # Processes --------------------------------------------------------------------------------------------------------

    def start(self, *words, prefix=(), **environment):
        """Start ``batchml WORDS``."""
        return self.python("-m", "batchml", *words, prefix=prefix, **environment)

    def python(self, *words, prefix=(), **environment):
        with (self.folder / "out.txt").open("ab") as out:
            return subprocess.Popen(
                [*prefix, sys.executable, *map(str, words)],
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def finish(self, *words, patience_s=150, statuses=(0,)):
        """Run ``batchml WORDS`` to its end."""
        process = self.start(*words)
        assert process.wait(patience_s) in statuses, f"{words}: {self.said()}"

    def said(self):
        return (self.folder / "out.txt").read_text()[-3000:]

    def start_worker(self, submission, name, *, url=None, slots=2, skew=0, boot="", after=None, prefix=(), **more):
        """Start a worker as an executor does; `after` so many exchanges it dies between a commit and its reply.

        `skew`: by how much its wall clock is wrong; `boot`: the name of the start of the machine that it believes in.
        """
        environment = {WORKER_MARK: name, "BATCHML_REGISTRY": url or self.url, **more}
        if skew or boot:
            paths = os.pathsep.join([str(self.folder / "skew"), *sys.path])
            environment |= {"PYTHONPATH": paths, "BATCHML_CHAOS_SKEW": str(skew)}
        if boot:
            environment["BATCHML_CHAOS_BOOT"] = boot
        if after is not None:
            return self.python("committing_worker.py", submission, self.folder, after, **environment)
        own = ("--path", self.folder, "--trust", "witness_learner")
        return self.start("worker", "--submission", submission, "--slots", slots, *own, prefix=prefix, **environment)

    def processes(self, mark=None):
        """Pid to command line of everything that was started here, by a mark in its environment."""
        wanted = f"{MARK}={self.mark}" if mark is None else f"{WORKER_MARK}={mark}"
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if not entry.name.isdigit():
                    continue
                environment = (entry / "environ").read_bytes().split(b"\0")
                mine = f"{MARK}={self.mark}".encode() in environment and wanted.encode() in environment
                if mine and state_of(entry.name) != "Z":
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def remaining(self, patience_s=8.0):
        """What still runs when everybody has had the time to leave: the last command may end before its worker."""
        deadline = time.monotonic() + patience_s
        while (found := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def kill_all(self):
        for pid in self.processes():
            send(pid, signal.SIGKILL)

    # The registry -----------------------------------------------------------------------------------------------------

    def ask(self, query, **values):
        """Ask the registry itself, past any proxy."""
        from sqlalchemy import text

        from batchml.registry.store import Store

        with Store.open(self.url, readonly=True) as store, store.read() as connection:
            return [tuple(row) for row in connection.execute(text(query), values)]

    def open_attempts(self):
        return self.ask("select count(*) from attempt where ended_at is null")[0][0]

    def left(self):
        return self.ask("select count(*) from job where state in ('queued', 'running')")[0][0]

    def predictions(self):
        return self.ask(
            "select e.cell_digest, j.iteration, p.predict_set, p.data from prediction p join job j on j.id = p.job_id "
            "join experiment e on e.id = j.experiment_id order by 1, 2, 3"
        )

    def witness(self):
        return Witness(self.folder)


def send(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"in {seconds} s: {what}"
        time.sleep(0.02)
    return value
