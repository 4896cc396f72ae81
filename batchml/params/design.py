"""Points of a search space: grids, random points, Latin hypercubes and Sobol sequences."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError, UnknownKeyError, nearest
from batchml.params.dependencies import parents_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from batchml.params.domain import Domain
    from batchml.params.param_set import ParamSet

__all__ = [
    "Design",
    "generate_design_grid",
    "generate_design_lhs",
    "generate_design_random",
    "generate_design_sobol",
    "quantile",
]

# Latin hypercubes that are drawn, of which the one whose nearest points are farthest apart is taken.
_HYPERCUBES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Points of a search space.

    Attributes
    ----------
    param_set
        The space.
    columns
        Parameter id to the values of all points, before transformation; None where its condition does not hold.
    """

    param_set: ParamSet
    columns: Mapping[str, list[Any]]

    @property
    def data(self) -> pd.DataFrame:
        """A row for each point, before transformation; missing where a condition does not hold."""
        import pandas as pd

        kinds = {"int": "Int64", "dbl": "float64", "lgl": "boolean", "fct": "object"}
        domains = self.param_set.domains
        return pd.DataFrame({n: pd.Series(v, dtype=kinds[domains[n].kind]) for n, v in self.columns.items()})

    def transpose(self, *, trafo: bool = True, filter_na: bool = True) -> list[dict[str, Any]]:
        """Return a dict for each point, transformed to the values that are used, without those that do not apply."""
        points = (dict(zip(self.columns, row, strict=True)) for row in zip(*self.columns.values(), strict=True))
        kept = [{k: v for k, v in point.items() if v is not None} if filter_na or trafo else point for point in points]
        return [self.param_set.trafo(point) for point in kept] if trafo else kept

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))


def quantile(domain: Domain, u: NDArray[np.float64]) -> NDArray[Any]:
    """Return the values of a domain at points of the unit interval; monotone, and True comes before False."""
    import numpy as np

    if domain.levels:
        index = np.minimum((u * len(domain.levels)).astype(int), len(domain.levels) - 1)
        named: NDArray[Any] = np.array(domain.levels, dtype=object)[index]
        return named
    if domain.kind == "int":
        return np.minimum(np.floor(domain.lower + u * (domain.upper + 1 - domain.lower)), domain.upper).astype(np.int64)
    values: NDArray[Any] = np.clip(domain.lower + u * (domain.upper - domain.lower), domain.lower, domain.upper)
    return values


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
    """
    import numpy as np

    own = dict(param_resolutions or {})
    for name in own:
        if name not in param_set:
            raise UnknownKeyError(f"{param_set.owner} has no parameter {name!r}{nearest(name, param_set.ids)}")
    _check_bounded(param_set)
    order = list(param_set.ids) if resolution is not None else list(dict.fromkeys([*own, *param_set.ids]))
    axes = [_axis(name, param_set.domains[name], own.get(name, resolution)) for name in order]
    grid = np.meshgrid(*(np.arange(len(axis)) for axis in axes), indexing="ij") if axes else []
    chosen = {name: axis[index.ravel()] for name, axis, index in zip(order, axes, grid, strict=True)}
    return _without_duplicates(_design(param_set, chosen))


def generate_design_random(param_set: ParamSet, n: int, *, seed: int | None = None) -> Design:
    """Return n points drawn uniformly and independently."""
    import numpy as np

    generator = np.random.default_rng(seed)
    return _from_cube(param_set, n, lambda dimensions: generator.random((n, dimensions)))


def generate_design_lhs(param_set: ParamSet, n: int, *, seed: int | None = None) -> Design:
    """Return a Latin hypercube of n points: of several drawn ones that with the largest smallest distance."""
    from scipy.spatial.distance import pdist
    from scipy.stats import qmc

    def draw(dimensions: int) -> NDArray[np.float64]:
        sampler = qmc.LatinHypercube(d=dimensions, rng=seed)
        cubes = [sampler.random(n) for _ in range(_HYPERCUBES if n <= 500 else 1)]
        best: NDArray[np.float64] = max(cubes, key=lambda cube: pdist(cube).min() if n > 1 else 0.0)
        return best

    return _from_cube(param_set, n, draw)


def generate_design_sobol(param_set: ParamSet, n: int, *, seed: int | None = None) -> Design:
    """Return the first n points of a scrambled Sobol sequence."""
    from scipy.stats import qmc

    def draw(dimensions: int) -> NDArray[np.float64]:
        with warnings.catch_warnings():
            # Only powers of two are balanced; the user has asked for n.
            warnings.simplefilter("ignore", UserWarning)
            points: NDArray[np.float64] = qmc.Sobol(d=dimensions, rng=seed).random(n)
        return points

    return _from_cube(param_set, n, draw)


def _from_cube(param_set: ParamSet, n: int, draw: Callable[[int], NDArray[np.float64]]) -> Design:
    if n < 0:
        raise ConfigError(f"{n} points cannot be drawn")
    _check_bounded(param_set)
    ids = param_set.ids
    points = draw(len(ids)) if ids and n else None
    chosen: dict[str, Any] = {
        name: [] if points is None else quantile(param_set.domains[name], points[:, column])
        for column, name in enumerate(ids)
    }
    return _design(param_set, chosen)


def _axis(name: str, domain: Domain, resolution: int | None) -> NDArray[Any]:
    import numpy as np

    if domain.levels:
        return np.array(domain.levels, dtype=object)
    if resolution is None:
        raise ConfigError(f"{name} is a number: give resolution= or param_resolutions={{{name!r}: ...}}")
    if resolution < 1:
        raise ConfigError(f"the resolution of {name} must be at least 1, not {resolution}")
    values = quantile(domain, np.linspace(0.0, 1.0, resolution) if resolution > 1 else np.zeros(1))
    return np.unique(values) if domain.kind == "int" else values


def _design(param_set: ParamSet, chosen: Mapping[str, Any]) -> Design:
    """Take out the values whose conditions do not hold, parents before children."""
    import numpy as np

    held = {name: np.asarray(values, dtype=object) for name, values in chosen.items()}
    plain = {name: np.asarray(values) for name, values in chosen.items()}
    alive: dict[str, NDArray[np.bool_]] = {}
    for name in parents_first(param_set.domains):
        present = np.ones(len(held[name]), dtype=bool)
        for condition in param_set.domains[name].depends:
            fits = np.zeros(len(present), dtype=bool)
            for value in condition.rhs:
                fits |= plain[condition.on] == value
            present &= alive[condition.on] & fits
        alive[name] = present
        if not present.all():
            held[name][~present] = None
    return Design(param_set=param_set, columns={name: held[name].tolist() for name in chosen})


def _without_duplicates(design: Design) -> Design:
    if all(not domain.depends for domain in design.param_set.domains.values()):
        return design
    rows = dict.fromkeys(_rows(design))
    columns = zip(*rows, strict=True) if rows else ([] for _ in design.columns)
    return Design(
        param_set=design.param_set,
        columns={name: list(column) for name, column in zip(design.columns, columns, strict=True)},
    )


def _rows(design: Design) -> Iterator[tuple[Any, ...]]:
    return zip(*design.columns.values(), strict=True)


def _check_bounded(param_set: ParamSet) -> None:
    for name, domain in param_set.domains.items():
        if not domain.is_bounded:
            what = "takes any value" if domain.kind == "uty" else "has no two bounds"
            raise ConfigError(f"{name} {what}, so it has no points to choose: give it bounds or levels")
