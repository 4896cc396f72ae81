"""The outside witness: a learner that leaves a line for each start and each end in a file that nothing else writes."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict

FILES = {
    "witness_learner.py": '''
"""A learner that says when it starts and when it ends."""
import hashlib
import os
import signal
import time
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

FOLDER = Path(__file__).parent


def say(*words):
    file = os.open(FOLDER / "witness.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (" ".join(str(word) for word in words) + "\\n").encode())
    os.close(file)


def rest(seconds):
    """Sleep, unless it is time to come to an end."""
    while seconds > 0 and not (FOLDER / "hurry").exists():
        time.sleep(min(seconds, 0.2))
        seconds -= 0.2


class Witness(ClassifierMixin, BaseEstimator):
    def __init__(self, name="a", seconds=0.0, random_state=None):
        self.name = name
        self.seconds = seconds
        self.random_state = random_state

    def fit(self, X, y):
        data = hashlib.sha256(np.ascontiguousarray(X).tobytes() + str(self.random_state).encode()).hexdigest()
        self.cell_ = f"{self.name}-{data[:16]}"
        # The clock of the machine since its start: wall clocks are skewed here.
        say("start", self.cell_, os.getpid(), time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        print("cell", self.cell_)
        rest(self.seconds)
        self.classes_ = np.unique(y)
        self.weights_ = np.random.RandomState(self.random_state).rand(len(self.classes_))
        return self

    def predict(self, X):
        scores = np.outer(np.asarray(X)[:, 0], self.weights_) % 1.0
        found = self.classes_[scores.argmax(axis=1)]
        say("end", self.cell_, os.getpid(), time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        return found


class Killer(Witness):
    def fit(self, X, y):
        pid = os.getpid()
        while pid > 1:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            if b"-m\\0batchml\\0worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        time.sleep(60)
''',
    "design.toml": """
[benchmark]
name = "chaos"
seed = 7
measures = ["classif.acc"]
modules = ["witness_learner"]
retry = {{ crashed = 10 }}
[[task]]
key = "iris"
[[task]]
key = "wine"
[[learner]]
id = "short"
class = "witness_learner.Witness"
params = {{ seconds = 0.02 }}
grid = {{ name = ["a", "b", "c", "d", "e"] }}
[[learner]]
id = "long"
class = "witness_learner.Witness"
params = {{ name = "long", seconds = 2.0 }}
[[resampling]]
key = "subsampling"
repeats = {repeats}
""",
}

CELLS = 2 * 6


class Witness:
    """What the file says."""

    def __init__(self, folder):
        self.starts = defaultdict(list)
        self.ends = Counter()
        with contextlib.suppress(FileNotFoundError):
            for line in (folder / "witness.txt").read_text().splitlines():
                kind, cell, pid, moment = line.split()
                if kind == "start":
                    self.starts[cell].append((int(moment) / 1e9, int(pid)))
                else:
                    self.ends[cell] += 1

    @property
    def repeated(self):
        """Starts beyond the first of each cell."""
        return sum(len(found) - 1 for found in self.starts.values())

    def last_pids(self, n=8):
        """The processes that said last that they start something."""
        return [pid for _, pid in sorted((item for found in self.starts.values() for item in found), reverse=True)[:n]]
