"""The channel thread and the pipe on which it announces replies."""

from __future__ import annotations

import select
import threading
import time

from batchml.testing import FakePool, MemoryChannel, MemoryRegistry
from batchml.worker.courier import Request, ThreadCourier
from batchml.worker.loop import Loop


def ready(courier, seconds):
    return bool(select.select([courier.fileno()], [], [], seconds)[0])


def test_a_reply_is_announced_once():
    courier = ThreadCourier(MemoryChannel(MemoryRegistry(3)))
    assert courier.take() is None
    courier.post(Request(want=1))
    assert ready(courier, 5)
    assert len(courier.take().exchange.assignments) == 1
    assert courier.take() is None
    assert not ready(courier, 0)
    assert courier.close("idle", 5)


def test_a_reply_that_is_taken_before_it_was_announced_does_not_keep_anybody_awake():
    courier = ThreadCourier(MemoryChannel(MemoryRegistry(3)))
    courier.post(Request(want=1))
    until = time.monotonic() + 5
    while courier.take() is None:  # without waiting for the announcement
        assert time.monotonic() < until
    time.sleep(0.05)
    courier.take()
    assert not ready(courier, 0)
    assert courier.close("idle", 5)


def test_the_channel_is_closed_by_its_own_thread():
    channel = MemoryChannel(MemoryRegistry())
    seen = []
    channel.close = lambda reason: seen.append((reason, threading.current_thread().name))
    assert ThreadCourier(channel).close("drained", 5)
    assert seen == [("drained", "batchml-channel")]


def test_a_hanging_database_does_not_hold_up_the_end():
    gate = threading.Event()
    channel = MemoryChannel(MemoryRegistry(1))
    channel.exchange = lambda *_: gate.wait(20)
    courier = ThreadCourier(channel)
    courier.post(Request(want=1))
    start = time.monotonic()
    assert not courier.close("stopped", 0.1)
    assert time.monotonic() - start < 2
    gate.set()


class RealTimePool(FakePool):
    """Iterations that take real time, without processes."""

    def clock(self):
        return time.monotonic()

    @property
    def now(self):
        return time.monotonic()

    @now.setter
    def now(self, value):
        pass

    def fileno(self):
        return self.pipe


def test_a_worker_with_a_channel_thread_does_all_jobs(monkeypatch):
    import os

    pool = RealTimePool(slots=2, seconds=lambda _: 0.0)
    pool.pipe, write = os.pipe()
    os.write(write, b".")  # always worth a look
    registry = MemoryRegistry(300)
    report = Loop(pool, ThreadCourier(MemoryChannel(registry))).run()
    os.close(write)
    os.close(pool.pipe)
    assert report.finished == 300
    assert set(registry.states().values()) == {"done"}
