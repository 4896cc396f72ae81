"""Distributions over search spaces."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeVar

from batchml.arguments import count, flag, fraction, function, listed, shown
from batchml.errors import ConfigError
from batchml.params.combine import ps_union
from batchml.params.design import Design, design_of
from batchml.params.param_set import ParamSet, require_set
from batchml.params.quantile import quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from batchml.params.domain import Domain

__all__ = [
    "Sampler",
    "Sampler1DCateg",
    "Sampler1DNormal",
    "Sampler1DRfun",
    "Sampler1DUnif",
    "SamplerHierarchical",
    "SamplerJointIndep",
    "SamplerUnif",
    "check_bounded",
    "read_points",
    "read_seed",
]

# Rounds of drawing again what fell outside of the bounds.
_ROUNDS: Final = 1000
_MOST_POINTS: Final = 100_000_000


def read_points(n: Any) -> int:
    """Return a number of points, or refuse what is none."""
    return count(n, "the number of points", most=_MOST_POINTS)


def read_seed(seed: Any) -> int | None:
    """Return a seed, or refuse what is none; None draws one."""
    return None if seed is None else count(seed, "a seed")


_S = TypeVar("_S", bound="Sampler")


class Sampler:
    """Draws points of a space.

    Attributes
    ----------
    param_set
        The space.
    """

    def __init__(self, param_set: ParamSet) -> None:
        self.param_set = param_set

    def sample(self, n: int, *, seed: int | None = None) -> Design:
        """Return n points; what does not apply to a point, by the conditions of the space, is missing there."""
        import numpy as np

        return design_of(self.param_set, self._draw(read_points(n), np.random.default_rng(read_seed(seed))))

    def _draw(self, n: int, generator: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Return n values of each parameter."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(self.param_set.ids)}>"


class SamplerUnif(Sampler):
    """Draws all parameters of a bounded space uniformly and independently."""

    def __init__(self, param_set: ParamSet) -> None:
        check_bounded(param_set)
        super().__init__(param_set)

    def _draw(self, n: int, generator: np.random.Generator) -> dict[str, NDArray[Any]]:
        return {name: quantile(domain, generator.random(n)) for name, domain in self.param_set.domains.items()}


class _Sampler1D(Sampler):
    """Draws one parameter: the only one of a set."""

    def __init__(self, param_set: ParamSet) -> None:
        if len(require_set(param_set, f"what {type(self).__name__} draws")) != 1:
            raise ConfigError(f"{type(self).__name__} takes a set of one parameter, ps(x=...), not {shown(param_set)}")
        super().__init__(param_set)
        self.id = param_set.ids[0]

    @property
    def domain(self) -> Domain:
        """The parameter's domain."""
        return self.param_set.domains[self.id]

    def _draw(self, n: int, generator: np.random.Generator) -> dict[str, NDArray[Any]]:
        return {self.id: self._values(n, generator)}

    def _values(self, n: int, generator: np.random.Generator) -> NDArray[Any]:
        raise NotImplementedError

    def _require_number(self) -> None:
        if not self.domain.is_number:
            raise ConfigError(f"{type(self).__name__} draws numbers, {self.id} is {self.domain!r}")


class Sampler1DUnif(_Sampler1D):
    """Draws one bounded parameter uniformly.

    Examples
    --------
    >>> from batchml.params import p_int, ps
    >>> len(Sampler1DUnif(ps(x=p_int(1, 6))).sample(10, seed=1))
    10
    """

    def __init__(self, param_set: ParamSet) -> None:
        check_bounded(param_set)
        super().__init__(param_set)

    def _values(self, n: int, generator: np.random.Generator) -> NDArray[Any]:
        return quantile(self.domain, generator.random(n))


class Sampler1DCateg(_Sampler1D):
    """Draws the levels of a categorical or logical parameter.

    Parameters
    ----------
    prob
        The probability of each level, by its name or in the order of the levels; None: all alike.
    """

    def __init__(self, param_set: ParamSet, prob: Sequence[float] | dict[Any, float] | None = None) -> None:
        super().__init__(param_set)
        levels = self.domain.levels
        if not levels:
            raise ConfigError(f"Sampler1DCateg draws levels, {self.id} is {self.domain!r}")
        if isinstance(prob, dict):
            unknown = [name for name in prob if name not in levels]
            if unknown:
                raise ConfigError(f"prob names {unknown[0]!r}, which is no level of {self.id}")
            prob = [prob.get(level, 0.0) for level in levels]
        self.prob = None if prob is None else [fraction(one, "a share") for one in listed(prob, "prob", "shares")]
        if self.prob is not None and (
            len(self.prob) != len(levels) or min(self.prob) < 0 or abs(sum(self.prob) - 1) > 1e-8
        ):
            raise ConfigError(f"prob gives each of the {len(levels)} levels of {self.id} a share; they sum to 1")

    def _values(self, n: int, generator: np.random.Generator) -> NDArray[Any]:
        import numpy as np

        shares = None if self.prob is None else np.array(self.prob) / sum(self.prob)
        drawn: NDArray[Any] = np.array(self.domain.levels, dtype=object)[
            generator.choice(len(self.domain.levels), size=n, p=shares)
        ]
        return drawn


class Sampler1DRfun(_Sampler1D):
    """Draws a number by a function of one's own.

    Parameters
    ----------
    rfun
        ``rfun(n, generator)`` returns n numbers; `generator` is a `numpy.random.Generator`.
    trunc
        Whether to draw again what falls outside of the bounds; else such a value is an error.
    """

    def __init__(
        self,
        param_set: ParamSet,
        rfun: Callable[[int, np.random.Generator], Any],
        *,
        trunc: bool = True,
    ) -> None:
        super().__init__(param_set)
        self._require_number()
        self.rfun = function(rfun, "rfun", "n", "a generator")
        self.trunc = flag(trunc, "trunc")

    def _values(self, n: int, generator: np.random.Generator) -> NDArray[Any]:
        import numpy as np

        domain, whole = self.domain, self.domain.kind == "int"
        kept: NDArray[Any] = np.empty(0)
        for _ in range(_ROUNDS):
            if len(kept) >= n:
                return kept[:n].astype(np.int64) if whole else kept[:n]
            drawn = np.asarray(self.rfun(n, generator), dtype=np.float64)
            if drawn.shape != (n,):
                raise ConfigError(f"the function for {self.id} returned the shape {drawn.shape}, not {n} numbers")
            drawn = np.rint(drawn) if whole else drawn
            inside = (drawn >= domain.lower) & (drawn <= domain.upper)
            if not self.trunc and not inside.all():
                raise ConfigError(f"the function for {self.id} drew {drawn[~inside][0]!s}, outside of {domain!r}")
            kept = np.concatenate([kept, drawn[inside]])
        raise ConfigError(f"the function for {self.id} hardly ever draws a value of {domain!r}")


class Sampler1DNormal(Sampler1DRfun):
    """Draws a number from a normal distribution that is cut off at the bounds.

    Parameters
    ----------
    mean, sd
        By default the middle of the bounds, and a quarter of their distance.
    """

    def __init__(self, param_set: ParamSet, mean: float | None = None, sd: float | None = None) -> None:
        super().__init__(param_set, self._normal)
        domain = self.domain
        if (mean is None or sd is None) and not domain.is_bounded:
            raise ConfigError(f"{self.id} has no bounds: give mean and sd")
        self.mean = (domain.lower + domain.upper) / 2 if mean is None else fraction(mean, "mean")
        self.sd = (domain.upper - domain.lower) / 4 if sd is None else fraction(sd, "sd")
        if not (math.isfinite(self.mean) and 0 <= self.sd < math.inf):
            raise ConfigError(f"mean and sd are finite and sd is not negative; they are {self.mean} and {self.sd}")

    def _normal(self, n: int, generator: np.random.Generator) -> NDArray[np.float64]:
        return generator.normal(self.mean, self.sd, n)


class SamplerJointIndep(Sampler):
    """Draws several parameters independently, each by its own sampler; together they are a new space."""

    def __init__(self, samplers: Sequence[Sampler]) -> None:
        self.samplers = [_require_sampler(one, Sampler) for one in listed(samplers, "samplers", "samplers")]
        for sampler in self.samplers:
            if any(domain.depends for domain in sampler.param_set.domains.values()):
                raise ConfigError("SamplerJointIndep takes no dependent parameters: take SamplerHierarchical")
        super().__init__(ps_union([sampler.param_set for sampler in self.samplers]))

    def _draw(self, n: int, generator: np.random.Generator) -> dict[str, NDArray[Any]]:
        return {name: values for one in self.samplers for name, values in one._draw(n, generator).items()}  # noqa: SLF001


class SamplerHierarchical(Sampler):
    """Draws each parameter of a space by its own sampler, where its conditions hold.

    Parameters
    ----------
    param_set
        The space, with its conditions.
    samplers
        One for each parameter.
    """

    def __init__(self, param_set: ParamSet, samplers: Sequence[_Sampler1D]) -> None:
        super().__init__(require_set(param_set, "the space"))
        given = [_require_sampler(one, _Sampler1D) for one in listed(samplers, "samplers", "samplers")]
        self.samplers = {sampler.id: sampler for sampler in given}
        if set(self.samplers) != set(param_set.ids) or len(self.samplers) != len(given):
            has = ", ".join(sampler.id for sampler in given)
            raise ConfigError(f"one sampler for each of {', '.join(param_set.ids)} is needed; there are {has}")

    def _draw(self, n: int, generator: np.random.Generator) -> dict[str, NDArray[Any]]:
        return {name: self.samplers[name]._draw(n, generator)[name] for name in self.param_set.ids}  # noqa: SLF001


def _require_sampler(value: Any, wanted: type[_S]) -> _S:
    if not isinstance(value, wanted):
        raise ConfigError(f"a sampler such as Sampler1DUnif(ps(x=p_dbl(0, 1))) is needed, not {shown(value)}")
    return value


def check_bounded(param_set: ParamSet) -> None:
    """Refuse a space that cannot be enumerated or drawn.

    Raises
    ------
    ConfigError
    """
    for name, domain in require_set(param_set, "a space").domains.items():
        if not domain.is_bounded:
            raise ConfigError(f"{name} ({domain!r}) can be neither enumerated nor drawn: give it bounds or levels")
