"""Signals and the lifeline as wishes to stop."""

from __future__ import annotations

import os
import select
import signal

import pytest

from batchml.core.attempt import Order
from batchml.worker.signals import StopSignals


@pytest.fixture
def stop():
    stop = StopSignals()
    stop.install()
    yield stop
    stop.restore()


def ready(stop):
    return bool(select.select(list(stop.descriptors), [], [], 0)[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_one_signal_drains(stop, number):
    assert stop.order is Order.GO_ON
    signal.raise_signal(number)
    assert ready(stop)
    assert stop.order is Order.DRAIN
    assert not ready(stop)


def test_a_second_signal_stops(stop):
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    assert stop.order is Order.STOP


def test_the_end_of_the_lifeline_drains_and_is_no_second_signal():
    read, write = os.pipe()
    stop = StopSignals(read)
    stop.install()
    try:
        assert not ready(stop)
        os.close(write)
        assert ready(stop)
        assert stop.order is Order.DRAIN
        assert not ready(stop), "an ended pipe must not keep the worker awake"
        signal.raise_signal(signal.SIGHUP)
        assert stop.order is Order.DRAIN
    finally:
        stop.restore()
        os.close(read)


def test_what_comes_down_the_lifeline_means_nothing():
    read, write = os.pipe()
    stop = StopSignals(read)
    try:
        os.write(write, b"hello")
        assert stop.order is Order.GO_ON
    finally:
        stop.restore()
        os.close(read)
        os.close(write)


def test_signals_that_were_ignored_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = StopSignals()
    stop.install()
    try:
        signal.raise_signal(signal.SIGHUP)
        assert stop.order is Order.GO_ON
    finally:
        stop.restore()
        signal.signal(signal.SIGHUP, before)
