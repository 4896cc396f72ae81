"""Parameters that belong together, and the values set for them."""

from __future__ import annotations

import copy
import importlib
from typing import TYPE_CHECKING, Any, Self

from batchml.arguments import shown, texts
from batchml.errors import ConfigError
from batchml.params.param_base import ParamSetBase
from batchml.params.trafo import remade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from batchml.params.domain import Domain

__all__ = ["ParamSet", "ps", "require_set"]


class ParamSet(ParamSetBase):
    """Named domains and a checked mapping of values; it is shared, not copied (see `clone`).

    Parameters
    ----------
    domains
        Parameter id to its domain.
    values
        Set at once, checked; what a domain sets from the start (`init`) is there before.
    owner
        What the parameters belong to, for messages.
    extra_trafo
        From all values after their own transformations to the values that are used: ``extra_trafo(values)``; a
        callable or, for spaces that are stored, its import path.

    Raises
    ------
    ConfigError
        A condition on an unknown parameter or value, or conditions in a circle; a value that is refused.
    """

    __slots__ = ()

    # Search ----------------------------------------------------------------------------------------------------------

    def search_space(self) -> ParamSet:
        """Return the space of the values that are to be tuned (`to_tune`), in the order of the parameters.

        A parameter that depends on another one that is tuned, too, inherits that condition; for learners also a known
        one without which it has no effect. Transformations are not inherited.

        Raises
        ------
        ConfigError
            Two tokens that are sets have a parameter of the same name.

        Examples
        --------
        >>> from batchml.params import p_fct, p_int, ps, to_tune
        >>> svm = ps(kernel=p_fct(["linear", "poly"]), degree=p_int(1, depends="kernel == 'poly'"))
        >>> svm.values = {"kernel": to_tune(), "degree": to_tune(1, 3)}
        >>> svm.search_space()
        <ParamSet: 2 parameters, search space>
        * kernel: p_fct(['linear', 'poly'])
        * degree: p_int(1, 3, depends="kernel == 'poly'")
        """
        from batchml.params.search_space import search_space

        return search_space(self)

    def trafo(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that are used at a point of the search space."""
        made = {name: self._transformed(name, value) for name, value in self._named(values).items()}
        return remade(made, self.extra_trafo)

    def _transformed(self, name: str, value: Any) -> Any:
        self.require(name)
        trafo = self._domains[name].trafo
        return value if trafo is None else trafo(value)

    # Other sets ------------------------------------------------------------------------------------------------------

    def subset(self, ids: str | Iterable[str]) -> ParamSet:
        """Return a set of some of the parameters, in their order here, with their values.

        Raises
        ------
        ConfigError
            A parameter depends on one that is left out.
        """
        wanted = texts(ids, "ids")
        for name in wanted:
            self.require(name)
        kept = {name: domain for name, domain in self._domains.items() if name in wanted}
        made = ParamSet(kept, owner=self.owner, extra_trafo=self.extra_trafo)
        made.fill({name: value for name, value in self._values.items() if name in kept})
        return made

    def replicate(self, times: int) -> ParamSet:
        """Return a set with each parameter as often: ``x_rep_1``, ``x_rep_2``, tagged ``x_rep``."""
        from batchml.params.combine import replicate

        return replicate(self, times)

    def clone(self) -> Self:
        """Return a set of the same domains and a deep copy of the values."""
        other = copy.copy(self)
        other._values = other._new_values()  # noqa: SLF001  # of this class
        other.fill(copy.deepcopy(dict(self._values)))
        return other

    # Shown and stored ------------------------------------------------------------------------------------------------

    def table(self) -> pd.DataFrame:
        """Return a row for each parameter: id, kind, bounds, levels, default, tags, condition, value."""
        from batchml.params.show import as_table

        return as_table(self)

    def to_json(self) -> str:
        """Return the space and its values as canonical JSON: equal sets have equal texts.

        Raises
        ------
        SpecError
            A parameter has a plain callable; it names the parameter, and what to write instead.
        """
        text: str = _stored().space_to_json(self)
        return text

    @classmethod
    def from_json(cls, text: str, *, trust: Any = None) -> ParamSet:
        """Return the set that `to_json` wrote.

        Parameters
        ----------
        trust
            Whose functions the text may name, a `batchml.Trust`; by default `Trust.default()`.

        Raises
        ------
        SpecError
            The text is no space, or one of a newer format.
        TrustError
            It names a function that is not trusted.
        """
        made: ParamSet = _stored().space_from_json(text, trust=trust)
        return made

    def __repr__(self) -> str:
        from batchml.params.show import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from batchml.params.show import as_html

        return as_html(self)


def ps(
    *, extra_trafo: Callable[[dict[str, Any]], Mapping[str, Any]] | str | None = None, **domains: Domain
) -> ParamSet:
    """Return a parameter set.

    Examples
    --------
    >>> from batchml.params import p_dbl, p_fct
    >>> ps(cost=p_dbl(0.1, 10), kernel=p_fct(["polynomial", "radial"]))
    <ParamSet: 2 parameters>
    * cost: p_dbl(0.1, 10)
    * kernel: p_fct(['polynomial', 'radial'])
    """
    return ParamSet(domains, extra_trafo=extra_trafo)


def require_set(value: Any, name: str) -> ParamSet:
    """Return a parameter set, or refuse what is none.

    Raises
    ------
    ConfigError
    """
    if not isinstance(value, ParamSet):
        raise ConfigError(f"{name} is a parameter set, ps(x=p_dbl(0, 1)), not {shown(value)}")
    return value


def _stored() -> Any:
    # By name: what plain data look like belongs to a higher layer.
    return importlib.import_module("batchml.core.space_spec")
