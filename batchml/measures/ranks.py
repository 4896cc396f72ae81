"""Rank correlations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchml.core.prediction_regr import PredictionRegr

    _Floats = NDArray[np.float64]
    _Ints = NDArray[np.int64]

__all__ = ["ktau", "srho"]

#: Up to this many rows all pairs are compared at once, 8 n**2 bytes each time; above, discordant pairs are counted
#: digit by digit.
_PAIRWISE = 300


def ktau(p: PredictionRegr, weights: _Floats | None) -> float:  # noqa: ARG001
    """Return Kendall's tau-b: concordant less discordant pairs, by those without ties; NaN if one is constant.

    Kendall (1945), The treatment of ties in ranking problems; counted in n log n steps after Knight (1966).
    """
    if len(p) < 2 or not np.ptp(p.truth) or not np.ptp(p.response):
        return math.nan
    if len(p) <= _PAIRWISE:
        true = np.sign(p.truth[:, None] - p.truth)
        said = np.sign(p.response[:, None] - p.response)
        return float(np.vdot(true, said)) / math.sqrt(np.vdot(true, true) * np.vdot(said, said))
    true_rank, said_rank = _dense(p.truth), _dense(p.response)
    n = len(p)
    pairs = n * (n - 1) // 2
    true_ties, said_ties = _tied(true_rank), _tied(said_rank)
    joint = _tied(true_rank * n + said_rank)
    # Equal truths are in order of the response, so that they are no inversions.
    discordant = _inversions(said_rank[np.lexsort((said_rank, true_rank))])
    above = pairs - true_ties - said_ties + joint - 2 * discordant
    return above / (math.sqrt(pairs - true_ties) * math.sqrt(pairs - said_ties))


def _dense(values: _Floats) -> _Ints:
    """Return ranks from 0 without gaps."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _tied(ranks: _Ints) -> int:
    """Return the number of pairs of equal ranks."""
    counts = np.unique(ranks, return_counts=True)[1].astype(np.int64)
    return int((counts * (counts - 1) // 2).sum())


def _inversions(ranks: _Ints) -> int:
    """Return the number of pairs that are out of order.

    Two ranks differ first at one binary digit; they are out of order if the one with 1 there comes before. So for each
    digit, from the highest, the rows with equal higher digits stand together, in their order, and ones before zeros
    are counted.
    """
    found = 0
    block = np.zeros(len(ranks), dtype=np.int64)  # where the rows with equal higher digits begin
    for digit in range(int(ranks.max()).bit_length() - 1, -1, -1):
        one = (ranks >> digit) & 1
        before = np.concatenate([[0], np.cumsum(one)])
        ones_before = before[:-1] - before[block]
        found += int(ones_before[one == 0].sum())
        # Zeros go to the front of their block, ones behind them.
        ends = np.flatnonzero(np.concatenate([block[1:] != block[:-1], [True]])) + 1
        end = ends[np.searchsorted(ends, block, side="right")]
        middle = end - (before[end] - before[block])
        row = np.arange(len(ranks))
        place = np.where(one == 1, middle + ones_before, row - ones_before)
        new_block = np.where(one == 1, middle, block)
        moved = np.empty_like(ranks)
        moved[place] = ranks
        ranks = moved
        block = np.empty_like(new_block)
        block[place] = new_block
    return found


def srho(p: PredictionRegr, weights: _Floats | None) -> float:  # noqa: ARG001
    """Return Spearman's rho: the correlation of ranks, ties getting their mean; NaN if one is constant.

    Spearman (1904), The proof and measurement of association between two things.
    """
    if len(p) < 2 or not np.ptp(p.truth) or not np.ptp(p.response):
        return math.nan
    true, said = _ranks(p.truth), _ranks(p.response)
    return float(true @ said) / math.sqrt(float(true @ true) * float(said @ said))


def _ranks(values: _Floats) -> _Floats:
    """Return ranks less their mean."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(starts, append=len(values))
    found = np.empty(len(values))
    found[order] = np.repeat(starts + sizes / 2, sizes) - len(values) / 2
    return found
