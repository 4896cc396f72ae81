"""Giving freed memory back to the system: what large tables leave behind is kept by allocators for the next ones."""

from __future__ import annotations

from batchml.execution.sandbox.proc import trim_memory

__all__ = ["give_back"]


def give_back() -> None:
    """Return what Arrow and the C library hold for later; takes some milliseconds."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    trim_memory()
