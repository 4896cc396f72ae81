"""Designs: grids, random points, Latin hypercubes and Sobol sequences."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from batchml.arguments import count, mapping
from batchml.errors import ConfigError
from batchml.params.design import Design, design_of, without_duplicates
from batchml.params.quantile import quantile
from batchml.params.sampler import SamplerUnif, check_bounded, read_points, read_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from batchml.params.domain import Domain
    from batchml.params.param_set import ParamSet

__all__ = ["generate_design_grid", "generate_design_lhs", "generate_design_random", "generate_design_sobol"]

# Latin hypercubes that are drawn, of which the one whose nearest points are farthest apart is taken.
_HYPERCUBES = 10
# The distances of more points take too long.
_MAX_MAXIMIN = 500
_MAX_GRID = 20_000_000


def generate_design_grid(
    param_set: ParamSet, resolution: int | None = None, param_resolutions: Mapping[str, int] | None = None
) -> Design:
    """Return all combinations of equally spaced values; the last column changes fastest.

    Parameters
    ----------
    param_set
        The space; all parameters bounded.
    resolution
        How many values a number has, both bounds included; categorical parameters always have all levels.
    param_resolutions
        The same for single parameters. Without `resolution` their columns come first, in the order given here.

    Raises
    ------
    ConfigError
        A number has no resolution, or a parameter cannot be enumerated.

    Examples
    --------
    >>> from batchml.params import p_fct, p_int, ps
    >>> space = ps(kernel=p_fct(["poly", "rbf"]), degree=p_int(2, 3, depends="kernel == 'poly'"))
    >>> generate_design_grid(space, 2)
    <Design: 3 points of 2 parameters>
    * kernel='poly', degree=2
    * kernel='poly', degree=3
    * kernel='rbf'
    """
    import numpy as np

    check_bounded(param_set)
    own = {} if param_resolutions is None else mapping(param_resolutions, "param_resolutions", "names to whole numbers")
    for name in own:
        param_set.require(name)
    order = list(param_set.ids) if resolution is not None else list(dict.fromkeys([*own, *param_set.ids]))
    axes = [_axis(name, param_set.domains[name], own.get(name, resolution)) for name in order]
    size = math.prod(len(axis) for axis in axes)
    if size > _MAX_GRID:
        raise ConfigError(
            f"the grid has {size:,} points, more than {_MAX_GRID:,}: lower the resolution, or draw points with "
            "generate_design_random"
        )
    grid = np.meshgrid(*(np.arange(len(axis)) for axis in axes), indexing="ij") if axes else []
    chosen = {name: axis[index.ravel()] for name, axis, index in zip(order, axes, grid, strict=True)}
    return without_duplicates(design_of(param_set, chosen))


def generate_design_random(param_set: ParamSet, n: int, *, seed: int | None = None) -> Design:
    """Return n points drawn uniformly and independently.

    Conditions hold: a parameter is missing from a point that does not allow it.

    Parameters
    ----------
    param_set
        The space; all parameters bounded.
    n
        How many points.
    seed
        The same gives the same points; None draws anew.

    Raises
    ------
    ConfigError
        A parameter without bounds, or `n` is no whole number.
    """
    return SamplerUnif(param_set).sample(n, seed=seed)


def generate_design_lhs(param_set: ParamSet, n: int, *, seed: int | None = None) -> Design:
    """Return a Latin hypercube of n points: of several drawn ones that with the largest smallest distance.

    Each number has a value in each of n parts of its range. Parameters and errors are those of
    `generate_design_random`; the sampler is `scipy.stats.qmc.LatinHypercube`.
    """
    from scipy.spatial.distance import pdist
    from scipy.stats import qmc

    n, seed = read_points(n), read_seed(seed)

    def draw(dimensions: int) -> NDArray[np.float64]:
        sampler = qmc.LatinHypercube(d=dimensions, rng=seed)
        cubes = [sampler.random(n) for _ in range(_HYPERCUBES if n <= _MAX_MAXIMIN else 1)]
        best: NDArray[np.float64] = max(cubes, key=lambda cube: pdist(cube).min() if 1 < n <= _MAX_MAXIMIN else 0.0)
        return best

    return _from_cube(param_set, n, draw)


def generate_design_sobol(param_set: ParamSet, n: int, *, seed: int | None = None) -> Design:
    """Return the first n points of a scrambled Sobol sequence; powers of two cover a space evenly.

    Parameters and errors are those of `generate_design_random`; the sampler is `scipy.stats.qmc.Sobol`.
    """
    from scipy.stats import qmc

    n, seed = read_points(n), read_seed(seed)

    def draw(dimensions: int) -> NDArray[np.float64]:
        with warnings.catch_warnings():
            # Only powers of two are balanced; the user has asked for n.
            warnings.simplefilter("ignore", UserWarning)
            points: NDArray[np.float64] = qmc.Sobol(d=dimensions, rng=seed).random(n)
        return points

    return _from_cube(param_set, n, draw)


def _from_cube(param_set: ParamSet, n: int, draw: Callable[[int], NDArray[np.float64]]) -> Design:
    import numpy as np

    check_bounded(param_set)
    ids = param_set.ids
    points = draw(len(ids)) if ids and n else np.empty((n, len(ids)))
    chosen = {name: quantile(param_set.domains[name], points[:, column]) for column, name in enumerate(ids)}
    return design_of(param_set, chosen)


def _axis(name: str, domain: Domain, resolution: int | None) -> NDArray[Any]:
    import numpy as np

    if domain.levels:
        return np.array(domain.levels, dtype=object)
    if resolution is None:
        raise ConfigError(f"{name} is a number: give resolution= or param_resolutions={{{name!r}: ...}}")
    resolution = count(resolution, f"the resolution of {name}", least=1, most=_MAX_GRID)
    values = quantile(domain, np.linspace(0.0, 1.0, resolution) if resolution > 1 else np.zeros(1))
    return np.unique(values)
