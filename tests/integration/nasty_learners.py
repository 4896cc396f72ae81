"""Estimators that do to their process what users' code does, for the tests of the sandbox. Not a test module."""

import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class UnspeakableError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Nasty(ClassifierMixin, BaseEstimator):
    """A featureless classifier that does `deed` while it is trained, or predicts by `how`."""

    def __init__(self, deed="nothing", how="majority", where="fit"):
        self.deed = deed
        self.how = how
        self.where = where

    def fit(self, X, y):
        self.classes_, counts = np.unique(y, return_counts=True)
        self.majority_ = self.classes_[np.argmax(counts)]
        if self.where == "fit":
            globals()[self.deed](self)
        return self

    def predict(self, X):
        if self.where == "predict":
            globals()[self.deed](self)
        response = np.full(len(X), self.majority_, dtype=object)
        if self.how == "short":
            return response[:-1]
        if self.how == "unknown":
            return np.full(len(X), "unheard of", dtype=object)
        if self.how == "none":
            return None
        if self.how == "floats":
            return np.arange(len(X)) / 7
        return response


def nothing(self):
    pass


def shorten_data(self):
    """Cut the data file short as soon as it is mapped again."""
    from batchml.data import ipc

    real = ipc._mapped

    def mapped(paths, names):
        table = real(paths, names)
        os.truncate(paths[0], 1024)
        return table

    ipc._mapped = mapped


def name_process(self):
    print("process", os.getpid())


def allocate(self):
    block = bytearray(300 << 20)
    del block


def crash(self):
    ctypes.string_at(0)


def leave(self):
    os._exit(3)


def leave_well(self):
    os._exit(0)


def kill_self(self):
    os.kill(os.getpid(), signal.SIGKILL)


def abort(self):
    os.abort()


def kill_parent(self):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def stop_parent(self):
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(60)


def stop_parent_and_swallow(self):
    os.kill(os.getppid(), signal.SIGSTOP)
    swallow(self)


def kill_group(self):
    os.killpg(os.getpgid(0), signal.SIGKILL)


def sleep(self):
    time.sleep(600)


def swallow(self):
    while True:
        try:
            time.sleep(600)
        except BaseException:  # noqa: BLE001
            continue


def loop_in_a_pattern(self):
    re.match(r"(a+)+$", "a" * 40 + "b")


def loop_in_c(self):
    sum(range(10**13))  # neither signals nor other threads get a turn


def raise_value_error(self):
    raise ValueError("bad \ud800 text \0 here")


def raise_unspeakable(self):
    raise UnspeakableError


def interrupt(self):
    raise KeyboardInterrupt


def exit_python(self):
    sys.exit(4)


def run_out_of_memory(self):
    np.ones(1 << 50)


def recurse(self):
    recurse(self)


def eat(self):
    blocks = []
    while True:
        blocks.append(np.ones(4 << 20))
        time.sleep(0.005)


def fork(self):
    os.fork()


def fork_and_raise(self):
    if os.fork() == 0:
        raise ValueError("from the copy")


def daemon(self):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve("/bin/sleep", ["sleep", "987654"], {})
        os._exit(0)
    os.wait()


def daemon_and_crash(self):
    daemon(self)
    crash(self)


def daemon_and_kill_parent(self):
    if os.fork() == 0:
        os.execv("/bin/sleep", ["sleep", "987654"])
    kill_parent(self)


def stubborn_child(self):
    subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; while :; do sleep 987654; done"])
    time.sleep(600)


def close_descriptors(self):
    os.closerange(0, 100_000)


def print_a_gigabyte(self):
    block = b"x" * (1 << 20)
    os.write(1, b"the beginning\n")
    for _ in range(1024):
        os.write(1, block)
    os.write(2, b"\nthe end\n")


def print_rubbish(self):
    os.write(1, b"a\0b\xed\xa0\x80c\xff\n")
    print("\ud800")


def print_in_c(self):
    ctypes.CDLL(None).printf(b"from the C library\n")


def write_frames(self):
    for fd in range(3, 64):
        try:
            os.write(fd, b"\x02\0\0\0{}")
        except OSError:
            continue


def change_folder_and_environment(self):
    os.chdir("/")
    os.environ["BATCHML_TEST_LEFT"] = "yes"
    os.environ.pop("HOME", None)
    warnings.simplefilter("error")


def look_around(self):
    assert "BATCHML_TEST_LEFT" not in os.environ
    assert os.environ["HOME"]
    warnings.warn("nothing", stacklevel=1)


def raise_on_overflow(self):
    np.seterr(all="raise")


def handle_signals(self):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def disable_logging(self):
    logging.disable(logging.CRITICAL)


def leak_thread(self):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def leak_descriptor(self):
    os.open(os.devnull, os.O_RDONLY)


def set_timer(self):
    signal.setitimer(signal.ITIMER_REAL, 600)


def hold_a_lock(self):
    self.lock_ = threading.Lock()


def daemon_and_sleep(self):
    daemon(self)
    time.sleep(600)


def fill_the_pipe_and_die(self):
    block = b"y" * (1 << 20)
    for _ in range(8):
        os.write(2, block)
    crash(self)


def eat_some(self):
    blocks = [np.ones(64 << 17) for _ in range(8)]  # 512 MB
    del blocks


def devour(self):
    blocks = []
    while True:
        blocks.append(np.ones(8 << 20))  # 64 MB, written to


def eat_in_children(self):
    for _ in range(3):
        if os.fork() == 0:
            eat_some(self)
            eat_some(self)
            block = np.ones(50 << 17)  # 400 MB: none of them takes too much by itself
            time.sleep(600)
            del block
    time.sleep(600)


def eat_and_crash(self):
    self.block = np.ones(38 << 20)  # 304 MB
    crash(self)


def eat_and_hang(self):
    self.block = np.ones(38 << 20)
    loop_in_c(self)


def say_when(self):
    os.write(1, f"at {time.monotonic()!r}\n".encode())


def say_when_and_crash(self):
    say_when(self)
    crash(self)
