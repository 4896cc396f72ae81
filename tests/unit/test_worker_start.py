"""How a worker begins: its rhythm from the environment, and a database that is away."""

from __future__ import annotations

import pytest

from batchml.core.attempt import Order
from batchml.errors import ConfigError, NotARegistryError, UnreachableError
from batchml.worker.insist import insist
from batchml.worker.settings import Settings
from batchml.worker.signals import Never

QUICK = Settings(beat_s=0.01, lease_s=0.05, retry_s=0.001, retry_max_s=0.002)


def test_the_environment_sets_beat_and_lease(monkeypatch):
    assert Settings.from_environment() == Settings()
    monkeypatch.setenv("BATCHML_BEAT", "1")
    monkeypatch.setenv("BATCHML_LEASE", "4.5")
    assert Settings.from_environment() == Settings(beat_s=1, lease_s=4.5)


@pytest.mark.parametrize(
    ("beat", "lease", "words"),
    [
        ("soon", "60", "BATCHML_BEAT=soon"),
        ("30", "60", "three beats"),
        ("0", "60", "positive"),
        ("nan", "60", "positive"),
    ],
)
def test_a_rhythm_that_cannot_be_is_refused(monkeypatch, beat, lease, words):
    monkeypatch.setenv("BATCHML_BEAT", beat)
    monkeypatch.setenv("BATCHML_LEASE", lease)
    with pytest.raises(ConfigError, match=words):
        Settings.from_environment()


class Registry:
    """A registry that is away for so many calls."""

    def __init__(self, away, error=UnreachableError):
        self.away, self.error, self.calls = away, error, 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.away:
            raise self.error("away")
        return "here"


def test_a_worker_waits_for_its_registry():
    registry = Registry(away=3)
    assert insist(registry, QUICK, Never()) == "here"
    assert registry.calls == 4


def test_it_does_not_wait_for_ever():
    with pytest.raises(UnreachableError):
        insist(Registry(away=10**9), QUICK, Never())


def test_what_waiting_does_not_mend_is_told_at_once():
    registry = Registry(away=1, error=NotARegistryError)
    with pytest.raises(NotARegistryError):
        insist(registry, QUICK, Never())
    assert registry.calls == 1


def test_somebody_who_says_stop_is_heard_meanwhile():
    class Stopping:
        order = Order.DRAIN
        descriptors = ()

    registry = Registry(away=10**9)
    with pytest.raises(UnreachableError):
        insist(registry, Settings(), Stopping())
    assert registry.calls == 1
