"""The public face of a registry: a thin facade over store, executors and reducer."""

from __future__ import annotations

from batchml.executors.submission import Submission
from batchml.study.registry import Registry
from batchml.study.resumption import Resumption
from batchml.study.running import StalledWarning

__all__ = ["Registry", "Resumption", "StalledWarning", "Submission"]
