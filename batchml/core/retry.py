"""Which failures of the method are tried again by themselves, and with how much more memory: a benchmark's policy."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from batchml.errors import ConfigError, nearest

__all__ = ["Retry"]

_MOST = 10
"""More tries than this are a loop, not a policy."""

_FACTOR = re.compile(r"x\s*(\d+(?:\.\d+)?)")
_COUNTS = ("timeout", "out_of_memory", "crashed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often jobs of a benchmark are queued again by themselves after their own failure.

    An error that a learner raised is never tried again: it would be raised again.

    Attributes
    ----------
    timeout, crashed
        Further tries after a time limit, and after a process that died.
    out_of_memory
        Further tries after a lack of memory, each with `memory` times the limit of the one before.
    memory
        The factor; more than 1 if there are such tries.
    """

    timeout: int = 0
    out_of_memory: int = 0
    crashed: int = 0
    memory: float = 1.0

    @classmethod
    def parse(cls, given: Retry | Mapping[str, Any] | None) -> Retry:
        """Return the policy that users write as ``{"timeout": 1, "out_of_memory": 2, "memory": "x2"}``.

        Raises
        ------
        ConfigError
            A name or a value makes no sense, or memory would not grow.
        """
        if given is None:
            return cls()
        if isinstance(given, Retry):
            return given
        if not isinstance(given, Mapping):
            raise ConfigError(f"retry is a table such as {{ timeout = 1 }}, not {given!r:.80}")
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                hint = nearest(str(name), names)
                raise ConfigError(f"retry knows no outcome '{name}'{hint}; it takes {', '.join(names)}")
        counts = {name: _count(name, given[name]) for name in _COUNTS if name in given}
        policy = cls(**counts, memory=_factor(given.get("memory", 1.0)))
        if policy.out_of_memory and policy.memory <= 1.0:
            raise ConfigError(
                'retry.out_of_memory needs memory = "x2" (or another factor) beside it: with the same memory '
                "a job fails in the same way"
            )
        return policy

    def as_json(self) -> dict[str, Any]:
        """Return plain data, only what differs from the defaults; `parse` is its inverse."""
        default = Retry()
        found = {
            f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != getattr(default, f.name)
        }
        return found | ({"memory": f"x{self.memory:g}"} if "memory" in found else {})

    def allows(self, outcome: str, failed: int) -> bool:
        """Whether a job that has ended in `outcome` for the `failed`-th time is tried again."""
        return outcome in _COUNTS and failed <= int(getattr(self, outcome))

    def __or__(self, other: Retry) -> Retry:
        """Return the more generous of both in each respect: for a job that belongs to several benchmarks."""
        return Retry(**{f.name: max(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise ConfigError(f"retry.{name} is a whole number of further tries from 0 to {_MOST}, not {value!r}")
    return value


def _factor(value: Any) -> float:
    text = _FACTOR.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    number = float(text[1]) if text else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 1.0 <= number <= 100.0:
        raise ConfigError(f'retry.memory is a factor such as "x2" (from x1 to x100), not {value!r}')
    return float(number) if math.isfinite(number) else 1.0
