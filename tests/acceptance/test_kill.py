"""kill -9 of anything at any moment: nothing is lost, nothing is run again after its result was committed.

The witness stands outside: a learner beside the design that appends what it does to a file of its own.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter, defaultdict
from pathlib import Path

import pytest

SEED = 20
KILLS = 20
VICTIMS = ("supervisor", "template", "slot", "cli", "committing worker")
REPEATS = 80  # x 2 tasks x 6 learners = 960 jobs
MARK = "BATCHML_KILL_TEST"

WITNESS = '''
"""A learner that leaves a line for each start and each end in a file that nothing else writes."""
import hashlib
import os
import time
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

FILE = Path(__file__).with_name("witness.txt")


def say(*words):
    file = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (" ".join(str(word) for word in words) + "\\n").encode())
    os.close(file)


class Witness(ClassifierMixin, BaseEstimator):
    def __init__(self, name="a", random_state=None):
        self.name = name
        self.random_state = random_state

    def fit(self, X, y):
        data = hashlib.sha256(np.ascontiguousarray(X).tobytes() + str(self.random_state).encode()).hexdigest()
        self.cell_ = f"{self.name}-{data[:16]}"
        say("start", self.cell_, os.getpid(), repr(time.time()))
        print("cell", self.cell_)
        time.sleep(float(os.environ.get("WITNESS_SLEEP", "0")))
        self.classes_ = np.unique(y)
        self.weights_ = np.random.RandomState(self.random_state).rand(len(self.classes_))
        return self

    def predict(self, X):
        scores = np.outer(np.asarray(X)[:, 0], self.weights_) % 1.0
        found = self.classes_[scores.argmax(axis=1)]
        say("end", self.cell_, os.getpid(), repr(time.time()))
        return found
'''

DESIGN = f"""
[benchmark]
name = "kill"
seed = 7
measures = ["classif.acc"]
modules = ["witness_learner"]
[[task]]
key = "iris"
[[task]]
key = "wine"
[[learner]]
class = "witness_learner.Witness"
grid = {{ name = ["a", "b", "c", "d", "e", "f"] }}
[[resampling]]
key = "subsampling"
repeats = {REPEATS}
"""

# A worker that dies after a transaction was committed and before it has read the answer.
COMMITTING_WORKER = """
import os, random, signal, sys
from batchml.registry import exchange as module
from batchml.worker.main import run_worker

url, submission, folder, after = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
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
run_worker(url, submission=submission, slots=2, paths=[folder], trust=["witness_learner"])
"""


class Stage:
    """One folder with a design, its registry and its witness, and the processes that belong to it."""

    def __init__(self, folder, sleep_s):
        folder.mkdir()
        self.folder = folder
        self.file = folder / "kill.db"
        self.url = f"sqlite:///{self.file}"
        self.mark = uuid.uuid4().hex
        self.environment = {
            **os.environ,
            MARK: self.mark,
            "WITNESS_SLEEP": str(sleep_s),
            "BATCHML_STATE": str(folder / "state"),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        (folder / "design.toml").write_text(DESIGN)
        (folder / "witness_learner.py").write_text(WITNESS)
        (folder / "committing_worker.py").write_text(COMMITTING_WORKER)

    def start(self, *words):
        return self._python("-m", "batchml", "--registry", self.url, *words)

    def start_committing_worker(self, after):
        ((submission,),) = self.ask("select max(id) from submission")
        return self._python("committing_worker.py", self.url, submission, self.folder, after)

    def finish(self, *words):
        process = self.start(*words)
        assert process.wait(150) == 0, (self.folder / "out.txt").read_text()[-2000:]

    def _python(self, *words):
        with (self.folder / "out.txt").open("ab") as out:
            return subprocess.Popen(
                [sys.executable, *map(str, words)],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def ask(self, query):
        with contextlib.closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=20)) as connection:
            return connection.execute(query).fetchall()

    def open_attempts(self):
        return self.ask("select count(*) from attempt where ended_at is null")[0][0]

    def witnessed(self):
        """Starts and ends by cell, in order."""
        starts, ends = defaultdict(list), Counter()
        with contextlib.suppress(FileNotFoundError):
            for line in (self.folder / "witness.txt").read_text().splitlines():
                kind, cell, pid, moment = line.split()
                if kind == "start":
                    starts[cell].append((float(moment), int(pid)))
                else:
                    ends[cell] += 1
        return starts, ends

    def lines(self):
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "witness.txt").read_bytes().count(b"\n")
        return 0

    def processes(self):
        """Pid to command line of everything that was started here, by a mark in its environment."""
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                mine = entry.name.isdigit() and f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes()
                if mine and state_of(entry.name) != "Z":
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def supervisor(self):
        return min((pid for pid, words in self.processes().items() if "-m batchml worker" in words), default=None)

    def template(self):
        """The oldest of those that run the template's code: the others were forked from it."""
        family = [pid for pid, words in self.processes().items() if "sandbox.template" in words]
        return min(family, key=started, default=None)

    def slot(self):
        """The process that said last that it starts an iteration."""
        starts, _ = self.witnessed()
        alive = self.processes()
        last = sorted((item for found in starts.values() for item in found), reverse=True)[:4]
        return next((pid for _, pid in last if pid in alive), None)


def stat(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def state_of(pid):
    return stat(pid)[0]


def started(pid):
    try:
        return int(stat(pid)[19])
    except OSError:
        return 2**63


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"in {seconds} s: {what}"
        time.sleep(0.01)
    return value


def left(stage):
    return stage.ask("select count(*) from job where state in ('queued', 'running')")[0][0]


class Killer:
    """Kill this and that while jobs run, and go on each time."""

    def __init__(self, stage):
        self.stage = stage
        self.draw = random.Random(SEED)
        self.open_at_kills = []
        self.log = []
        self.cli = None

    def run(self):
        victims = [victim for _ in range(KILLS // len(VICTIMS)) for victim in VICTIMS]
        self.draw.shuffle(victims)
        self.cli = self.stage.start("run", "design.toml", "--slots", "2")
        for victim in victims:
            self.kill(victim)
        self.end_cli()

    def kill(self, victim):
        if victim == "committing worker":
            self.kill_while_committing()
        else:
            self.kill_running(victim)
        self.log.append((victim, self.open_at_kills[-1]))
        if victim in {"supervisor", "committing worker"}:
            self.nobody_is_left()

    def kill_while_committing(self):
        if self.cli is not None:
            self.while_jobs_run(self.cli)
            self.end_cli()
        worker = self.stage.start_committing_worker(after=self.draw.randint(1, 4))
        assert worker.wait(60) == -signal.SIGKILL, (self.stage.folder / "out.txt").read_text()[-2000:]
        self.open_at_kills.append(self.stage.open_attempts())

    def kill_running(self, victim):
        if self.cli is None or self.cli.poll() is not None:
            self.cli = self.stage.start("resume")
        self.while_jobs_run(self.cli)
        time.sleep(self.draw.uniform(0, 0.3))
        pid = self.cli.pid if victim == "cli" else getattr(self.stage, victim)()
        assert pid is not None, (victim, self.log)
        self.open_at_kills.append(self.stage.open_attempts())
        os.kill(pid, signal.SIGKILL)
        if victim == "supervisor":
            assert self.cli.wait(30) == 1, "the command notices that its worker is gone"
        if victim in {"supervisor", "cli"}:
            self.end_cli()

    def while_jobs_run(self, process):
        """Wait until this leg has run a few iterations."""
        before = self.stage.lines()
        enough = before + self.draw.randint(4, 30)
        until(lambda: self.stage.lines() >= enough or process.poll() is not None, 40, "no iteration was run")

    def end_cli(self):
        """End the command; its worker sees that, drains and leaves."""
        if self.cli is not None:
            if self.cli.poll() is None:
                self.cli.terminate()
            self.cli.wait(30)
            self.cli = None
        until(lambda: self.stage.supervisor() is None, 30, "the worker did not follow its command")

    def nobody_is_left(self):
        """After the death of a supervisor its family is gone within a second; two, on a busy machine."""
        end = time.monotonic() + 2.0
        while family := [pid for pid, words in self.stage.processes().items() if not is_command(words)]:
            assert time.monotonic() < end, f"{[name_of(pid) for pid in family]} outlived their supervisor, {self.log}"
            time.sleep(0.02)


def is_command(words):
    return " run " in words or " resume" in words


def name_of(pid):
    with contextlib.suppress(OSError):
        return f"{pid} {Path(f'/proc/{pid}/comm').read_text().strip()} {stat(pid)[:2]}"
    return f"{pid} gone"


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_is_done_twice_whatever_is_killed(tmp_path):
    calm = Stage(tmp_path / "calm", 0)
    stage = Stage(tmp_path / "killed", 0.03)
    killer = Killer(stage)
    try:
        calm.finish("run", "design.toml", "--slots", "2")
        killer.run()
        assert sum(count > 0 for count in killer.open_at_kills) >= 15, killer.log
        assert left(stage) > 0, "the kills must have come while there was work"
        stage.environment["WITNESS_SLEEP"] = "0.001"
        # A slot that was killed from outside looks like a learner that crashes: the user says to try again.
        crashed = stage.ask("select count(*) from job where state = 'error'")[0][0]
        if crashed:
            stage.finish("retry", "--state", "error")
        stage.finish("resume")
        check(stage, calm, killer)
    finally:
        survivors = remaining(stage, calm)
        for pid in survivors:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert survivors == {}, "no process is left alive"


def remaining(*stages, patience_s=5.0):
    """What still runs when a worker has had the time to take its leave: the last command may end before it does."""
    deadline = time.monotonic() + patience_s
    while (found := {pid: line for stage in stages for pid, line in stage.processes().items()}) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.1)
    return found


def check(stage, calm, killer):
    n = 2 * 6 * REPEATS
    assert stage.ask("select state, count(*) from job group by state") == [("done", n)]
    predictions = """
        select e.cell_digest, j.iteration, p.predict_set, p.data
        from prediction p join job j on j.id = p.job_id join experiment e on e.id = j.experiment_id order by 1, 2, 3
    """
    assert stage.ask(predictions) == calm.ask(predictions), "predictions equal an undisturbed run, byte for byte"
    done = stage.ask("""
        select l.body, a.ended_at, a.job_id from attempt a join log l on l.attempt_id = a.id where a.outcome = 'done'
    """)
    assert len(done) == n
    starts, ends = stage.witnessed()
    cells = {}
    for body, ended_at, _ in done:
        (cell,) = {line.split()[1] for line in body.splitlines() if line.startswith("cell ")}
        cells[cell] = ended_at
    assert len(cells) == n
    assert set(starts) == set(cells), "each cell was started"
    assert all(ends[cell] for cell in cells), "and finished"
    for cell, ended_at in cells.items():
        committed = seconds(ended_at)
        # The database writes milliseconds.
        late = [moment for moment, _ in starts[cell] if moment > committed + 0.002]
        assert not late, f"{cell} was run again {late[0] - committed:.3f} s after its result was committed"
    again = sum(len(found) - 1 for found in starts.values())
    assert again <= sum(killer.open_at_kills), "what runs again was open at a kill"


def seconds(moment):
    import datetime as dt

    return dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC).timestamp()
