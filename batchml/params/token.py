"""Tokens in place of values: this parameter is to be tuned, over that range."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchml.arguments import flag, shown
from batchml.errors import ConfigError
from batchml.params.domain import Domain
from batchml.params.kinds import is_plain_number, number, read_bounds
from batchml.params.shorthand import p_fct
from batchml.params.trafo import read_function

if TYPE_CHECKING:
    from batchml.params.param_set import ParamSet

__all__ = ["TuneToken", "to_tune"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TuneToken:
    """What `to_tune` returns; `ParamSet.search_space` makes a space of the tokens among the values.

    Attributes
    ----------
    lower, upper
        Bounds; None takes that of the parameter.
    logscale
        Whether the logarithm is searched.
    content
        The domain or the set of parameters to search instead.
    internal
        Whether the learner itself finds the value while it trains.
    aggr
        With `internal`: from the values that were found in all iterations to one.
    """

    lower: float | None = None
    upper: float | None = None
    logscale: bool = False
    content: Domain | ParamSet | None = None
    internal: bool = False
    aggr: Callable[[Any], Any] | None = None

    def __repr__(self) -> str:
        if self.content is not None:
            return f"to_tune({self._content_text()}{', internal=True' if self.internal else ''})"
        if self.lower is not None and self.upper is not None:
            shown = [number(self.lower), number(self.upper)]
        else:
            bounds = (("lower", self.lower), ("upper", self.upper))
            shown = [f"{name}={number(bound)}" for name, bound in bounds if bound is not None]
        shown += ["logscale=True"] if self.logscale else []
        shown += ["internal=True"] if self.internal else []
        return f"to_tune({', '.join(shown)})"

    def _content_text(self) -> str:
        if isinstance(self.content, Domain):
            return repr(self.content)
        return "" if self.content is None else f"ps({', '.join(self.content.ids)})"


def to_tune(
    *what: Any,
    lower: float | None = None,
    upper: float | None = None,
    logscale: bool = False,
    internal: bool = False,
    aggr: Callable[[Any], Any] | str | None = None,
) -> TuneToken:
    """Return a token that says over which values a parameter is tuned; set it in place of a value.

    ==================================================  =====================================================
    ``to_tune()``                                       the whole range of the parameter, which must be bounded
    ``to_tune(1, 10)``, ``to_tune(upper=64)``           a range; a bound that is not given is the parameter's
    ``to_tune(1e-4, 1, logscale=True)``                 a range on the logarithmic scale
    ``to_tune([1, 3, None])``                           some values
    ``to_tune({"none": None, "few": 3})``               some values by name
    ``to_tune(p_int(0, 7, trafo="2 ** x"))``            a domain of its own
    ``to_tune(ps(..., extra_trafo=function))``          several parameters that make one value
    ==================================================  =====================================================

    Parameters
    ----------
    internal
        The learner finds the value by itself while it trains, within these bounds (early stopping).
    aggr
        With `internal`: from the values of all iterations to one.

    Raises
    ------
    ConfigError
        A mixture of these forms.

    Examples
    --------
    >>> to_tune(1e-4, 1, logscale=True)
    to_tune(0.0001, 1, logscale=True)
    >>> to_tune(["polynomial", "radial"])
    to_tune(p_fct(['polynomial', 'radial']))
    """
    if aggr is not None and not internal:
        raise ConfigError("aggr goes with internal=True: it joins the values that learners find by themselves")
    logscale, internal = flag(logscale, "logscale"), flag(internal, "internal")
    found = read_function(aggr)
    if len(what) == 1:
        if logscale or lower is not None or upper is not None:
            raise ConfigError("to_tune takes bounds and logscale, or one domain, space or list of values, not both")
        return TuneToken(content=_content(what[0]), internal=internal, aggr=found)
    if what:
        if len(what) > 2 or lower is not None or upper is not None:
            raise ConfigError(f"to_tune takes two bounds, or one list of values: to_tune([{_listed(what)}])")
        lower, upper = what
    for bound in (lower, upper):
        if bound is not None and not is_plain_number(bound):
            raise ConfigError(
                f"a bound is a number, not {shown(bound)}; values go into a list: to_tune([{_listed(what)}])"
            )
        if bound is not None:
            read_bounds(bound, bound)  # one that is no number by far
    return TuneToken(lower=lower, upper=upper, logscale=logscale, internal=internal, aggr=found)


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(shown, values))


def _content(what: Any) -> Any:
    if isinstance(what, Domain) or hasattr(what, "search_space"):
        return what
    if isinstance(what, (list, tuple, Mapping)) or (hasattr(what, "tolist") and getattr(what, "ndim", 0) == 1):
        return p_fct(what.tolist() if hasattr(what, "tolist") else what)
    raise ConfigError(
        f"to_tune({shown(what)}) is no range: give two bounds, a list of values, a domain such as p_int(1, 3), or a "
        "space"
    )
