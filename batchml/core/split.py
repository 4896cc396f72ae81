"""How rows are split: pure functions of sizes and seeds.

What is drawn are *units*: rows, or groups of rows that stay together; within strata if there are any. All random
numbers come from `batchml.core.seed`, whose streams do not change with numpy's version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batchml.core.seed import derive, first_of_permutation, permutation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Units", "assign_folds", "choose_share", "draw_counts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What is drawn.

    Attributes
    ----------
    n_rows
        The number of rows.
    stratum
        The stratum of each row, codes from 0; None: one stratum.
    group
        The group of each row, codes from 0; None: each row is its own unit.
    """

    n_rows: int
    stratum: NDArray[np.int64] | None = None
    group: NDArray[np.int64] | None = None

    @property
    def n(self) -> int:
        """The number of units."""
        if self.group is None:
            return self.n_rows
        return int(self.group.max()) + 1 if self.n_rows else 0

    def strata(self) -> list[NDArray[np.int64]]:
        """Return the positions of the units of each stratum."""
        if self.stratum is None:
            return [np.arange(self.n)]
        order = np.argsort(self.stratum, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.stratum))[:-1])

    def per_row(self, per_unit: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return what was drawn for each row's unit."""
        return per_unit if self.group is None else per_unit[self.group]


def assign_folds(units: Units, folds: int, seed: int) -> NDArray[np.int32]:
    """Return the fold of each row.

    In each stratum the folds have equally many units; what is left over goes to the first folds, one each.
    """
    drawn = np.empty(units.n, dtype=np.int32)
    for number, members in enumerate(units.strata()):
        order = permutation(_seed_of(units, seed, number), len(members))
        drawn[members[order]] = np.arange(len(members), dtype=np.int32) % folds
    return units.per_row(drawn)


def choose_share(units: Units, ratio: float, seed: int) -> NDArray[np.bool_]:
    """Return whether the unit of each row is chosen: of each stratum round(n * ratio), half to even."""
    if units.stratum is None:
        n = units.n
        drawn = first_of_permutation(_seed_of(units, seed, 0), n, round(n * ratio))
    else:
        drawn = np.zeros(units.n, dtype=bool)
        for number, members in enumerate(units.strata()):
            chosen = first_of_permutation(_seed_of(units, seed, number), len(members), round(len(members) * ratio))
            drawn[members[chosen]] = True
    return drawn if units.group is None else drawn[units.group]


def draw_counts(units: Units, ratio: float, seed: int) -> NDArray[np.int32]:
    """Return how often each row's unit is drawn when round(n * ratio) are drawn with replacement, by stratum."""
    drawn = np.zeros(units.n, dtype=np.int32)
    for number, members in enumerate(units.strata()):
        n = len(members)
        # The raw stream, as in `permutation`: a bias of n / 2**64 is none.
        raw = np.random.PCG64(np.random.SeedSequence(_seed_of(units, seed, number))).random_raw(round(n * ratio))
        drawn[members] = np.bincount((raw % np.uint64(max(n, 1))).astype(np.int64), minlength=n)
    return units.per_row(drawn)


def _seed_of(units: Units, seed: int, stratum: int) -> int:
    return seed if units.stratum is None else derive(seed, "stratum", stratum)
