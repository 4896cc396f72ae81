"""A registry on a file, with jobs for a Dask cluster that leave a line for each start and each end."""

from __future__ import annotations

import contextlib
import importlib
import sqlite3
import time
from collections import Counter
from dataclasses import replace

import batchml as bm

_MODULE = "witness_of_dask"
WITNESS = '''
"""A learner that says where it starts and where it ends, and may kill the Dask worker that it runs in."""
import os
import signal
import time
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


def dask_worker():
    """Return the process id of the Dask worker: the first parent that is neither slot nor keeper nor template."""
    pid = os.getppid()
    while b"batchml.execution" in Path(f"/proc/{pid}/cmdline").read_bytes():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


class Witness(ClassifierMixin, BaseEstimator):
    def __init__(self, seconds=0.0, kill=False):
        self.seconds = seconds
        self.kill = kill

    def fit(self, X, y):
        self.say("start")
        end = time.monotonic() + self.seconds
        while time.monotonic() < end and not Path(__file__).with_name("hurry").exists():
            time.sleep(0.05)
        if self.kill:
            os.kill(dask_worker(), signal.SIGKILL)
            time.sleep(60)
        self.classes_ = np.unique(y)
        self.say("end")
        return self

    def say(self, word):
        line = f"{word} {'killer' if self.kill else 'other'} {os.getpid()} {dask_worker()} {time.monotonic()}\\n"
        file = os.open(Path(__file__).with_name("witness.txt"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())
        os.close(file)

    def predict(self, X):
        return np.full(len(X), self.classes_[0])
'''


class Study:
    """A registry on a file.

    Parameters
    ----------
    folder
        Takes it, and `witness_of_dask.py`, a module with a learner that says when it runs.
    """

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "study.db"
        self.registry = bm.Registry.create(f"sqlite:///{self.file}", seed=1)
        self.submissions = []
        (folder / f"{_MODULE}.py").write_text(WITNESS)

    def fill(self, jobs, seconds=0.0, name="b", **params):
        """Add jobs that sleep."""
        learner = bm.lrn("classif.debug", sleep_train=seconds, **params)
        self.registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("subsampling", repeats=jobs)), name)
        return self

    def fill_watched(self, jobs, seconds=0.0, *, name="b", kill=False):
        """Add jobs that leave a line when they start and when they end; the folder has to be on the path."""
        importlib.invalidate_caches()
        learner = bm.as_learner(importlib.import_module(_MODULE).Witness(seconds=seconds, kill=kill), preprocess="none")
        design = bm.benchmark_grid("iris", learner, bm.rsmp("subsampling", repeats=jobs))
        self.registry.add(replace(design, modules=(_MODULE,), paths=(str(self.folder),)), name)
        return self

    def runs(self):
        """Return (who, Dask worker, start, end) of what the witness has seen; the end is None if it saw none."""
        starts, runs = {}, []
        file = self.folder / "witness.txt"
        for line in file.read_text().splitlines() if file.exists() else ():
            word, who, pid, place, moment = line.split()
            if word == "start":
                starts[pid] = len(runs)
                runs.append([who, int(place), float(moment), None])
            else:
                runs[starts[pid]][3] = float(moment)
        return runs

    def submit(self, executor, **resources):
        """Start workers."""
        self.submissions.append(self.registry.submit(executor=executor, resources=resources))
        return self.submissions[-1]

    def ask(self, query):
        """Return rows of the tables themselves."""
        with contextlib.closing(sqlite3.connect(self.file, timeout=20)) as connection:
            return connection.execute(query).fetchall()

    def outcomes(self):
        """Return how often attempts ended how."""
        return Counter(outcome for (outcome,) in self.ask("select outcome from attempt where outcome is not null"))

    def blamed(self):
        """Return how many jobs were charged or are suspect."""
        return self.ask("select count(*) from job where suspect = 1 or charged > 0")[0][0]

    def done(self):
        """Return how many jobs are done."""
        return self.registry.tally()["done"]

    def words(self):
        """Return what is known when a test fails: what the supervisors have said, and how attempts ended."""
        said = [handle.tail(50) for one in self.submissions for handle in one.handles]
        return "\n".join([*said, str(self.ask("select outcome, count(*), max(message) from attempt group by outcome"))])

    def hurry(self):
        """Let what is watched end."""
        (self.folder / "hurry").touch()

    def places(self):
        """Return how many watched jobs run in which Dask workers."""
        return Counter(place for _, place, _, end in self.runs() if end is None)

    def close(self):
        """Stop what runs."""
        for submission in self.submissions:
            submission.stop(now=True, timeout=20)
        self.registry.close()


def until(condition, what, seconds=120.0):
    """Wait until a condition holds; `what` says what is known if it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s: {what() if callable(what) else what}"
        time.sleep(0.05)
