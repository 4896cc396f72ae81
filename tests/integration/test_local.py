"""Workers as processes of this machine: started, stopped by every signal, orphaned; nothing of them stays."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

import batchml as bm
from batchml.errors import ConfigError
from batchml.executors.base import Launch
from batchml.executors.local import Local
from batchml.executors.warm import warm_worker
from batchml.registry.benchmarks import add
from batchml.registry.store import Store
from batchml.registry.submissions import submit

MARK = "BATCHML_TEST_MARK"
TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


class Study:
    """A registry with jobs that sleep, and a mark by which everything started for it is known."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.file = folder / "study.db"
        self.url = f"sqlite:///{self.file}"
        self.mark = uuid.uuid4().hex
        monkeypatch.setenv(MARK, self.mark)
        monkeypatch.setenv("BATCHML_STATE", str(folder / "state"))
        self.store = Store.create(self.url, seed=1)
        self.handles = []

    def fill(self, jobs, seconds):
        learner = bm.lrn("classif.debug", sleep_train=seconds)
        add(self.store, bm.benchmark_grid("iris", learner, bm.rsmp("subsampling", repeats=jobs)), "b")
        self.submission, n = submit(self.store)
        assert n == jobs
        return self

    def start(self, **settings):
        handles = Local(**settings).start(self.launch)
        self.handles.extend(handles)
        return handles

    @property
    def launch(self):
        return Launch(
            url=self.url,
            registry=self.store.uuid,
            submission=self.submission,
            artifacts=self.store.artifact_path,
        )

    def ask(self, query):
        with contextlib.closing(sqlite3.connect(self.file, timeout=20)) as connection:
            return connection.execute(query).fetchall()

    def states(self):
        return dict(self.ask("select state, count(*) from job group by state"))

    def outcomes(self):
        return Counter(outcome for (outcome,) in self.ask("select outcome from attempt"))

    def processes(self):
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    environment = (entry / "environ").read_bytes().split(b"\0")
                    if f"{MARK}={self.mark}".encode() in environment:
                        found[int(entry.name)] = (environment, (entry / "cmdline").read_bytes())
        return found

    def until_running(self, n=1):
        until(lambda: self.states().get("running", 0) >= n and self.processes(), "jobs run")
        # Claimed is not started: the slots first have to import scikit-learn.
        until(lambda: len(self.processes()) >= 3, "slots")
        time.sleep(0.3)

    def nothing_left(self, seconds=3.0):
        until(lambda: not self.processes(), f"no process left, but {self.processes()}", seconds)
        return True

    def worker(self, *, slots=2):
        return [
            "-m",
            "batchml",
            "--registry",
            self.url,
            "worker",
            "--submission",
            str(self.submission),
            "--slots",
            str(slots),
        ]


def until(condition, what, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s: {what}"
        time.sleep(0.02)


@pytest.fixture
def study(tmp_path, monkeypatch):
    study = Study(tmp_path, monkeypatch)
    yield study
    study.store.close()
    for pid in study.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for handle in study.handles:
        handle.wait(10)


@pytest.mark.parametrize("numbers", [{"slots": 0}, {"workers": 0}, {"slots": 1.5}, {"workers": None}, {"slots": True}])
def test_local_refuses_numbers_that_start_nothing(numbers):
    with pytest.raises(ConfigError, match="whole number"):
        Local(**numbers)


def test_a_worker_does_all_jobs_and_leaves_nothing_behind(study):
    study.fill(12, 0.0)
    (handle,) = study.start(slots=2)
    assert handle.wait(60)
    assert handle.status == 0, handle.tail(20)
    assert study.states() == {"done": 12}
    assert study.nothing_left()
    assert study.ask("select state, reason from worker") == [("stopped", "idle")]
    assert not handle.alive()
    handle.stop()  # stopping what has ended is no error


def test_two_workers_share_the_jobs(study):
    study.fill(40, 0.05)
    handles = study.start(slots=1, workers=2)
    assert all(handle.wait(60) for handle in handles)
    assert study.states() == {"done": 40}
    shares = study.ask("select count(*) from attempt where outcome = 'done' group by worker_id")
    assert len(shares) == 2
    assert study.ask("select count(*) from attempt where outcome <> 'released'") == [(40,)]


def test_the_registry_s_url_is_in_no_argument_and_not_where_user_code_could_see_it(study):
    study.fill(4, 1.0)
    study.start(slots=1)
    study.until_running()
    url = study.url.encode()
    for environment, arguments in study.processes().values():
        assert url not in arguments
        if b"sandbox" in arguments:
            assert not any(url in entry for entry in environment)
    assert any(b"sandbox" in arguments for _, arguments in study.processes().values())


def test_a_stopped_worker_finishes_what_runs_and_gives_the_rest_back(study):
    study.fill(30, 0.5)
    (handle,) = study.start(slots=2)
    study.until_running(2)
    handle.stop()
    assert handle.wait(10)
    assert handle.status == 0
    assert set(study.outcomes()) <= {"done", "released"}
    assert study.outcomes()["done"] >= 2
    assert set(study.states()) == {"done", "queued"}
    assert study.nothing_left()


def test_a_worker_that_must_stop_now_reports_what_it_ended(study):
    study.fill(4, 60.0)
    (handle,) = study.start(slots=2)
    study.until_running(2)
    start = time.monotonic()
    handle.stop(now=True)
    assert handle.wait(10)
    assert time.monotonic() - start < 5
    assert study.outcomes() == {"preempted": 2}
    assert study.states() == {"queued": 4}
    assert study.nothing_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT])
def test_every_stopping_signal_drains(study, number):
    study.fill(20, 0.4)
    (handle,) = study.start(slots=1, detach=True)
    study.until_running()
    os.kill(handle.pid, number)
    assert handle.wait(10)
    assert handle.status == 0
    assert set(study.outcomes()) <= {"done", "released"}
    assert "Traceback" not in handle.tail(100)
    assert study.nothing_left()


SESSION = """
import os, sys, time
from batchml.executors.base import Launch
from batchml.executors.local import Local
url, registry, submission, artifacts, detach = sys.argv[1:]
(handle,) = Local(slots=1, detach=bool(int(detach))).start(
    Launch(url=url, registry=registry, submission=int(submission), artifacts=artifacts)
)
print(handle.pid, flush=True)
time.sleep(100)
"""


def session(study, *, detach):
    """A process that starts a worker and then only lives."""
    launch = study.launch
    words = [launch.url, launch.registry, str(launch.submission), str(launch.artifacts), str(int(detach))]
    process = subprocess.Popen([sys.executable, "-c", SESSION, *words], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    process.stdout.close()
    return process, pid


def test_a_worker_drains_when_the_session_that_started_it_is_killed(study):
    study.fill(30, 0.4)
    process, _ = session(study, detach=False)
    study.until_running()
    process.kill()
    process.wait()
    assert study.nothing_left(8)
    assert set(study.outcomes()) <= {"done", "released"}
    assert study.states()["queued"] > 0


def test_a_detached_worker_outlives_its_session(study):
    study.fill(12, 0.2)
    process, _ = session(study, detach=True)
    study.until_running()
    process.kill()
    process.wait()
    until(lambda: study.states() == {"done": 12}, f"all done, but {study.states()}")
    assert study.nothing_left()


class Terminal:
    """A command as the foreground of a terminal of its own."""

    def __init__(self, words):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", TERMINAL, *words], stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)

    def type(self, keys):
        os.write(self.master, keys)

    def close(self):
        os.close(self.master)
        self.master = None

    def read(self):
        """Everything that was printed, after the end."""
        text = b""
        with contextlib.suppress(OSError):  # EIO is how a terminal without users ends
            while part := os.read(self.master, 4096):
                text += part
        self.close()
        return text.decode(errors="replace")


def test_ctrl_c_in_a_terminal_drains_a_worker(study):
    study.fill(30, 0.5)
    terminal = Terminal(study.worker())
    study.until_running(2)
    terminal.type(b"\x03")
    assert terminal.process.wait(10) == 0
    assert set(study.outcomes()) <= {"done", "released"}
    assert "Traceback" not in terminal.read()
    assert study.nothing_left()


def test_a_second_ctrl_c_ends_a_worker_at_once(study):
    study.fill(4, 60.0)
    terminal = Terminal(study.worker())
    study.until_running(2)
    terminal.type(b"\x03")
    time.sleep(0.3)
    assert terminal.process.poll() is None
    terminal.type(b"\x03")
    assert terminal.process.wait(8) == 0
    assert study.outcomes() == {"preempted": 2}
    assert "Traceback" not in terminal.read()
    assert study.nothing_left()


def test_a_closing_terminal_drains_a_worker(study):
    study.fill(30, 0.5)
    terminal = Terminal(study.worker())
    study.until_running(2)
    terminal.close()
    assert terminal.process.wait(10) == 0
    assert set(study.outcomes()) <= {"done", "released"}
    assert study.nothing_left()


def test_a_worker_that_cannot_read_the_data_claims_nothing(study):
    study.fill(3, 0.0)
    (study.folder / "study.db.artifacts").rename(study.folder / "elsewhere")
    (handle,) = study.start(slots=1)
    assert handle.wait(30)
    assert handle.status == 2
    assert "cannot be read" in handle.tail()
    assert "Traceback" not in handle.tail(100)
    assert study.states() == {"queued": 3}
    assert study.ask("select count(*) from worker") == [(0,)]
    assert study.nothing_left()


def test_a_worker_of_no_submission_says_so(study):
    study.fill(1, 0.0)
    study.submission = 99
    (handle,) = study.start(slots=1)
    assert handle.wait(30)
    assert handle.status == 2
    assert "no submission 99" in handle.tail()
    assert study.nothing_left()


def test_killing_the_supervisor_leaves_nobody_alive_a_second_later(study):
    study.fill(4, 60.0)
    (handle,) = study.start(slots=2)
    study.until_running(2)
    os.kill(handle.pid, signal.SIGKILL)
    assert handle.wait(5)
    assert study.nothing_left(1.5)


def test_a_worker_survives_a_registry_that_is_locked_for_a_while(study):
    study.fill(20, 0.1)
    (handle,) = study.start(slots=2)
    study.until_running(1)
    with contextlib.closing(sqlite3.connect(study.file, isolation_level=None, timeout=10)) as other:
        other.execute("begin immediate")
        time.sleep(2.0)
        other.execute("rollback")
    assert handle.wait(30)
    assert study.states() == {"done": 20}
    assert study.outcomes()["done"] == 20


def test_a_worker_that_was_warmed_up_serves_the_next_submission(study):
    study.fill(6, 0.0)
    with warm_worker():
        until(lambda: len(study.processes()) >= 2, "it warms up before it knows what for")
        (warm,) = [pid for pid, (_, arguments) in study.processes().items() if b"worker" in arguments]
        (handle,) = study.start(slots=2)
    assert handle.pid == warm
    assert handle.wait(60)
    assert handle.status == 0, handle.tail(20)
    assert study.states() == {"done": 6}
    assert study.nothing_left()


def test_a_worker_that_nobody_needs_leaves_without_a_word(study):
    with warm_worker():
        until(lambda: len(study.processes()) >= 2, "it warms up")
    assert study.nothing_left()
    assert study.ask("select count(*) from worker") == [(0,)]


def test_a_detached_worker_is_never_one_that_was_warmed_up(study):
    study.fill(2, 0.0)
    with warm_worker():
        (handle,) = study.start(slots=1, detach=True)
    assert handle.wait(60)
    assert study.states() == {"done": 2}
    assert study.nothing_left()


def test_each_slot_sees_the_devices_that_are_its_own(tmp_path, monkeypatch):
    """A learner beside the design says which devices it sees, in its slot and in the partner of that."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7,9,11")
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    (tmp_path / "device_learner.py").write_text(
        "import os, time\nfrom sklearn.dummy import DummyClassifier\n\n\n"
        "class Seeing(DummyClassifier):\n    def fit(self, X, y):\n        time.sleep(0.5)\n"
        "        print('devices', os.environ['CUDA_VISIBLE_DEVICES'])\n        return super().fit(X, y)\n"
    )
    (tmp_path / "design.toml").write_text(
        '[benchmark]\nname = "g"\nseed = 1\nmodules = ["device_learner"]\n[[task]]\nkey = "iris"\n'
        '[[learner]]\nclass = "device_learner.Seeing"\nencapsulate = "process"\n'
        '[[resampling]]\nkey = "subsampling"\nrepeats = 8\n'
    )
    from batchml.experiment.design_file import load_design

    with bm.Registry.create(f"sqlite:///{tmp_path / 'study.db'}") as registry:
        registry.add(load_design(tmp_path / "design.toml"))
        submission = registry.submit(executor=Local(slots=4), resources={"gpus": 2})
        assert submission.wait(60)
        assert registry.tally()["done"] == 8
        assert list(registry.workers(live=False)["slots"]) == [2]  # five devices serve two slots of two
        seen = {word for job in registry.jobs()["job_id"] for word in registry.log(job).split() if "," in word}
    assert seen == {"3,5", "7,9"}
