"""From points of the unit interval to values of a domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from batchml.params.domain import Domain

__all__ = ["quantile"]


def quantile(domain: Domain, u: NDArray[np.float64]) -> NDArray[Any]:
    """Return the values of a domain at points of the unit interval; monotone, and True comes before False."""
    import numpy as np

    if domain.levels:
        index = np.minimum((u * len(domain.levels)).astype(int), len(domain.levels) - 1)
        named: NDArray[Any] = np.array(domain.levels, dtype=object)[index]
        return named
    if domain.kind == "int":
        lower, upper = int(domain.lower), int(domain.upper)
        steps = np.minimum(np.floor(u * (float(upper - lower) + 1.0)), float(upper - lower))
        if abs(lower) < 2**62 and upper < 2**62:
            # Beyond 2**53 the float of the width may be rounded up.
            return np.minimum(steps.astype(np.int64) + lower, upper)
        return np.array([min(lower + int(step), upper) for step in steps.tolist()], dtype=object)
    width = float(domain.upper) - float(domain.lower)
    # Where the width is beyond all floats, the bounds have different signs, and each part is monotone for itself.
    values = domain.lower + u * width if np.isfinite(width) else domain.lower * (1.0 - u) + u * domain.upper
    inside: NDArray[Any] = np.clip(values, domain.lower, domain.upper)
    return inside
