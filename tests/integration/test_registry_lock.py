"""The writers' lock: nobody starves, nobody hangs, the dead let go."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from batchml.errors import BusyError
from batchml.registry.lock import FairLock

WRITER = """
import sys, time
from pathlib import Path
from batchml.registry.lock import FairLock
lock = FairLock(Path(sys.argv[1]))
end = time.monotonic() + float(sys.argv[2])
turns, worst = 0, 0.0
sys.stdin.readline()
while time.monotonic() < end:
    asked = time.monotonic()
    with lock.held():
        worst = max(worst, time.monotonic() - asked)
        time.sleep(0.003)
    turns += 1
print(turns, worst)
"""


def test_four_writers_get_fair_shares(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "a.db"), "4"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(4)]
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate(timeout=60)[0].split() for child in children]
    turns = sorted(int(words[0]) for words in said)
    assert turns[0] * 4 > turns[-1], turns  # SQLite's own handler: 1 of 17 000
    assert max(float(words[1]) for words in said) < 1.0, said


def test_the_lock_excludes_threads_of_one_process(tmp_path):
    lock, inside, most = FairLock(tmp_path / "a.db"), [], []

    def work():
        for _ in range(20):
            with lock.held():
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    lock.close()


def test_a_waiter_gives_up_and_names_what_it_waited_for(tmp_path):
    first, second = FairLock(tmp_path / "a.db"), FairLock(tmp_path / "a.db", timeout=0.1)
    with first.held():
        with pytest.raises(BusyError, match=r"a\.db"), second.held():
            pass
        with pytest.raises(BusyError), second.held():  # and has left nothing locked behind
            pass
    with second.held():
        pass
    first.close()
    second.close()


def test_a_killed_holder_lets_go(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from batchml.registry.lock import FairLock\n"
        "with FairLock(Path(sys.argv[1])).held(): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.db")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "held\n"
    lock = FairLock(tmp_path / "a.db", timeout=10)
    os.kill(child.pid, 9)
    began = time.monotonic()
    with lock.held():
        assert time.monotonic() - began < 5
    child.communicate()
    lock.close()


def test_a_lock_that_is_dropped_leaves_no_open_files(tmp_path):
    gc.collect()
    before = len([*Path("/proc/self/fd").iterdir()])
    for number in range(3):
        with FairLock(tmp_path / f"{number}.db").held():
            pass
    gc.collect()
    assert len([*Path("/proc/self/fd").iterdir()]) <= before
