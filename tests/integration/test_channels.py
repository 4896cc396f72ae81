"""Every channel keeps the contract that the loop relies on."""

from __future__ import annotations

from batchml.testing import ChannelContract, MemoryHarness


class TestMemoryChannel(ChannelContract):
    def make(self, jobs):
        return MemoryHarness(jobs)
