"""The domains of parameters in short: ``p_dbl(0, 1)``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

from batchml.arguments import flag, listed, shown, texts
from batchml.errors import ConfigError
from batchml.params.condition import Condition, read_depends
from batchml.params.domain import NO_DEFAULT, Domain
from batchml.params.kinds import read_bounds, whole
from batchml.params.trafo import Exp, Lookup, WholeExp, read_function

__all__ = ["p_dbl", "p_fct", "p_int", "p_lgl", "p_uty"]

Depends = str | Condition | Sequence[str | Condition] | None
Function = Callable[[Any], Any] | str | None


def p_int(
    lower: float = -math.inf,
    upper: float = math.inf,
    *,
    logscale: bool = False,
    trafo: Function = None,
    default: Any = NO_DEFAULT,
    special_vals: Iterable[Any] = (),
    tags: Iterable[str] = (),
    depends: Depends = None,
    init: Any = NO_DEFAULT,
    custom_check: Function = None,
) -> Domain:
    """Return the domain of whole numbers between two bounds, both included.

    With `logscale` the search space is the continuous interval [log(max(lower, 0.5)), log(upper + 1)], from which
    values are cut off to whole numbers, so that each has its share also at the upper end.

    Parameters
    ----------
    lower, upper
        Whole numbers, or infinities.
    trafo
        From a value of the search space to the one that is used: a callable, or, for what is stored, an expression
        such as ``"2 ** x"`` or an import path.
    depends
        ``"kernel == 'polynomial' and degree in [2, 3]"``, or conditions.
    custom_check
        Returns True or None, or what is wrong: a callable, an expression (``"x % 2 == 0"``) or an import path.
    default, special_vals, tags, init
        See `Domain`.

    Raises
    ------
    ConfigError
        The bounds enclose nothing, a default lies outside, or a transformation meets special values.

    Examples
    --------
    >>> p_int(1, 10, default=3, depends="kernel == 'polynomial'")
    p_int(1, 10, default=3, depends="kernel == 'polynomial'")
    """
    lower, upper = read_bounds(lower, upper)
    logscale = flag(logscale, "logscale")
    for bound in (lower, upper):
        if math.isfinite(bound) and not isinstance(whole(bound), Integral):
            raise ConfigError(f"the bounds of p_int are whole numbers, not {bound!r}: take p_dbl")
    _check_logscale(lower, trafo=trafo, logscale=logscale, positive=False)
    if logscale:
        scale = WholeExp(lower=whole(lower), upper=whole(upper))
        span = {"lower": math.log(max(lower, 0.5)), "upper": math.log(upper + 1), "logscale": True}
        return _made("dbl", scale, default, special_vals, tags, depends, init, custom_check, **span)
    span = {"lower": whole(lower), "upper": whole(upper)}
    return _made("int", trafo, default, special_vals, tags, depends, init, custom_check, **span)


def p_dbl(
    lower: float = -math.inf,
    upper: float = math.inf,
    *,
    logscale: bool = False,
    trafo: Function = None,
    default: Any = NO_DEFAULT,
    special_vals: Iterable[Any] = (),
    tags: Iterable[str] = (),
    depends: Depends = None,
    init: Any = NO_DEFAULT,
    custom_check: Function = None,
) -> Domain:
    """Return the domain of numbers between two bounds; with `logscale` the search space is their logarithm.

    Parameters as in `p_int`.

    Examples
    --------
    >>> p_dbl(-3, 3, trafo="10 ** x")
    p_dbl(-3, 3, trafo='10 ** x')
    """
    lower, upper = read_bounds(lower, upper)
    logscale = flag(logscale, "logscale")
    _check_logscale(lower, trafo=trafo, logscale=logscale, positive=True)
    if logscale:
        span = {"lower": math.log(lower), "upper": math.log(upper), "logscale": True}
        scale = Exp(lower=lower, upper=upper)
        return _made("dbl", scale, default, special_vals, tags, depends, init, custom_check, **span)
    return _made("dbl", trafo, default, special_vals, tags, depends, init, custom_check, lower=lower, upper=upper)


def p_fct(
    levels: Iterable[Any] | Mapping[str, Any],
    *,
    trafo: Function = None,
    default: Any = NO_DEFAULT,
    special_vals: Iterable[Any] = (),
    tags: Iterable[str] = (),
    depends: Depends = None,
    init: Any = NO_DEFAULT,
    custom_check: Function = None,
) -> Domain:
    """Return the domain of named values: texts, or a mapping of names to values, or values named by their text.

    The search space and conditions speak of names; a value that is not its own name is put in its place by `trafo`.
    Further parameters as in `p_int`.

    Examples
    --------
    >>> p_fct([0.1, 3, 10]).levels
    ('0.1', '3', '10')
    """
    if isinstance(levels, str):
        raise ConfigError(f"p_fct takes a list of levels: p_fct([{shown(levels)}, ...])")
    if isinstance(levels, Mapping):
        pairs = list(levels.items())
    else:
        pairs = [(str(level), level) for level in listed(levels, "the first argument of p_fct", "levels")]
    named = dict(pairs)
    if not named:
        raise ConfigError("p_fct needs at least one level")
    if any(not isinstance(name, str) for name in named):
        raise ConfigError(f"the names of levels must be text: {list(named)!r}")
    if len(named) < len(pairs):
        raise ConfigError(f"two levels have the same name among {[name for name, _ in pairs]}: name them in a mapping")
    own_names = all(isinstance(value, str) and value == name for name, value in named.items())
    then = read_function(trafo)
    chosen = then if own_names else Lookup(named=named, then=then)
    return _made("fct", chosen, default, special_vals, tags, depends, init, custom_check, levels=tuple(named))


def p_lgl(
    *,
    trafo: Function = None,
    default: Any = NO_DEFAULT,
    special_vals: Iterable[Any] = (),
    tags: Iterable[str] = (),
    depends: Depends = None,
    init: Any = NO_DEFAULT,
    custom_check: Function = None,
) -> Domain:
    """Return the domain of True and False; parameters as in `p_int`."""
    return _made("lgl", trafo, default, special_vals, tags, depends, init, custom_check, levels=(True, False))


def p_uty(
    *,
    trafo: Function = None,
    default: Any = NO_DEFAULT,
    special_vals: Iterable[Any] = (),
    tags: Iterable[str] = (),
    depends: Depends = None,
    init: Any = NO_DEFAULT,
    custom_check: Function = None,
) -> Domain:
    """Return the domain of a parameter that takes any value; parameters as in `p_int`."""
    return _made("uty", trafo, default, special_vals, tags, depends, init, custom_check)


def _made(
    kind: str,
    trafo: Function,
    default: Any,
    special_vals: Iterable[Any],
    tags: Iterable[str],
    depends: Depends,
    init: Any,
    custom_check: Function,
    **more: Any,
) -> Domain:
    special = tuple(listed(special_vals, "special_vals", "values"))
    if trafo is not None and (special or init is not NO_DEFAULT):
        raise ConfigError(
            "a domain with a trafo (logscale and levels that are no text are one) takes neither special_vals nor init: "
            "they would be transformed, too"
        )
    domain = Domain(
        kind=kind,
        trafo=read_function(trafo),
        default=default,
        special_vals=special,
        tags=frozenset(texts(tags, "tags")),
        depends=read_depends(depends),
        init=init,
        custom_check=read_function(custom_check),
        **more,
    )
    for name, value in (("default", default), ("init", init)):
        wrong = None if value is NO_DEFAULT or trafo is not None else domain.problem(value)
        if wrong is not None:
            raise ConfigError(f"the {name} of p_{kind} lies outside of its domain: {wrong}")
    return domain


def _check_logscale(lower: float, *, trafo: Any, logscale: bool, positive: bool) -> None:
    if not logscale:
        return
    if trafo is not None:
        raise ConfigError("logscale is a trafo: give one of both")
    if lower < 0 or (positive and lower == 0):
        raise ConfigError(f"logscale needs a lower bound {'above' if positive else 'of at least'} 0, not {lower}")
