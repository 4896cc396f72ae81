"""Fakes and contract suites for those who write channels and pools; public, and used by batchml's own tests."""

from __future__ import annotations

from batchml.testing.contract import ChannelContract, ChannelHarness, MemoryHarness
from batchml.testing.memory import MemoryChannel, MemoryRegistry, make_experiment, make_outcome
from batchml.testing.pool import FakePool, PromptCourier
from batchml.testing.pool_contract import PoolContract

__all__ = [
    "ChannelContract",
    "ChannelHarness",
    "FakePool",
    "MemoryChannel",
    "MemoryHarness",
    "MemoryRegistry",
    "PoolContract",
    "PromptCourier",
    "make_experiment",
    "make_outcome",
]
