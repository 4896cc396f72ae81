"""What is known of one parameter."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from batchml.arguments import shown
from batchml.params.kinds import PROBLEMS, number, plain, same, whole
from batchml.params.trafo import Exp, Lookup, WholeExp

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchml.params.condition import Condition

__all__ = ["NO_DEFAULT", "Domain"]


class _NoDefault:
    def __repr__(self) -> str:
        return "<NoDefault>"

    def __reduce__(self) -> str:
        return "NO_DEFAULT"


NO_DEFAULT: Final = _NoDefault()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Domain:
    """Which values a parameter may take; made by `p_int`, `p_dbl`, `p_fct`, `p_lgl` and `p_uty`.

    Attributes
    ----------
    kind
        ``int``, ``dbl``, ``fct``, ``lgl`` or ``uty`` (any value).
    lower, upper
        Bounds of numbers, both included; in the logarithm with `logscale`.
    levels
        Names of the values of a categorical parameter; True, False of a logical one.
    default
        What the method does without a value; `NO_DEFAULT` if a value must be given.
    special_vals
        Values that are taken whatever their type.
    tags
        Words to find parameters by, e.g. ``threads``; ``required`` means that a value must be set.
    trafo
        From a value of the search space to the value that is used.
    depends
        Conditions under which the parameter may be set; all must hold.
    suits
        Conditions without which the parameter has no effect: they shape search spaces and refuse no value.
    init
        The value that is set from the start.
    custom_check
        Returns True or None, or what is wrong with a value.
    rule
        Says what is wrong with a value, None if nothing is, in place of all other checks: kind and bounds then only
        tell what may be searched.
    aggr
        For a parameter that the learner tunes by itself (`to_tune(internal=True)`): from the values of all iterations
        to one.
    """

    kind: str = "uty"
    lower: float = -math.inf
    upper: float = math.inf
    levels: tuple[Any, ...] = ()
    default: Any = NO_DEFAULT
    special_vals: tuple[Any, ...] = ()
    tags: frozenset[str] = frozenset()
    trafo: Callable[[Any], Any] | None = None
    depends: tuple[Condition, ...] = ()
    suits: tuple[Condition, ...] = ()
    init: Any = NO_DEFAULT
    custom_check: Callable[[Any], Any] | None = None
    rule: Callable[[Any], str | None] | None = None
    logscale: bool = False
    aggr: Callable[[Any], Any] | None = None

    @property
    def is_number(self) -> bool:
        """Whether values are numbers."""
        return self.kind in {"int", "dbl"}

    @property
    def is_categ(self) -> bool:
        """Whether values are levels."""
        return self.kind in {"fct", "lgl"}

    @property
    def is_bounded(self) -> bool:
        """Whether the domain can be sampled: categorical, or a number with two finite bounds."""
        return bool(self.levels) or (self.is_number and math.isfinite(self.lower) and math.isfinite(self.upper))

    @property
    def nlevels(self) -> float:
        """How many values there are."""
        if self.levels:
            return len(self.levels)
        if self.kind == "int":
            return self.upper - self.lower + 1
        return 1 if self.kind == "dbl" and self.lower == self.upper else math.inf

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with a value, None if nothing is."""
        return self.read(value)[1]

    def clean(self, value: Any) -> Any:
        """Return an accepted value in its own type: 1.0 becomes 1 for an integer."""
        return self.read(value)[0]

    def read(self, value: Any) -> tuple[Any, str | None]:
        """Return a value in its own type, and what is wrong with it."""
        if self.rule is not None:
            return self._read_by_rule(value)
        if self.special_vals and any(same(value, special) for special in self.special_vals):
            return value, None
        wrong = PROBLEMS[self.kind](self, value)
        if wrong is None and self.custom_check is not None:
            said = self._said(value)
            if said is False:
                wrong = f"{shown(value)} does not pass its check"
            elif said is not None and not same(said, True):
                wrong = str(said)
        if wrong is None and self.kind in _PLAIN:
            value = whole(plain(value)) if self.kind == "int" else plain(value)
        return value, wrong

    def _said(self, value: Any) -> Any:
        assert self.custom_check is not None
        try:
            return self.custom_check(value)
        except Exception as error:  # noqa: BLE001  # of the user's function, which says no more than this
            return f"its check cannot tell of {shown(value)}: {error!r}"

    def _read_by_rule(self, value: Any) -> tuple[Any, str | None]:
        assert self.rule is not None
        wrong = self.rule(value)
        if wrong is None or self.kind != "int" or not isinstance(value, float) or not value.is_integer():
            return value, wrong
        return (int(value), None) if self.rule(int(value)) is None else (value, wrong)

    def __repr__(self) -> str:
        return f"p_{self._shown_kind}({', '.join([*self._range(), *self._extras()])})"

    @property
    def _shown_kind(self) -> str:
        return "int" if isinstance(self.trafo, WholeExp) else self.kind

    def _range(self) -> list[str]:
        """Return the bounds or levels as they were given."""
        if isinstance(self.trafo, (Exp, WholeExp)):
            return [number(self.trafo.lower), number(self.trafo.upper), "logscale=True"]
        if self.is_number:
            if math.isinf(self.lower):
                return [] if math.isinf(self.upper) else [f"upper={number(self.upper)}"]
            return [number(self.lower), *([] if math.isinf(self.upper) else [number(self.upper)])]
        if self.kind == "fct":
            return [repr(dict(self.trafo.named) if isinstance(self.trafo, Lookup) else list(self.levels))]
        return []

    def _extras(self) -> list[str]:
        """Return what else differs from a plain domain."""
        shown = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in _NOT_SHOWN and not same(value, field.default):
                shown.append(f"{field.name}={_shown(field.name, value)}")
        then = self.trafo.then if isinstance(self.trafo, Lookup) else self.trafo
        if then is not None and not isinstance(then, (Exp, WholeExp)):
            shown.append(f"trafo={_shown('trafo', then)}")
        return shown


_PLAIN: Final = frozenset({"int", "dbl", "lgl"})
_NOT_SHOWN: Final = frozenset({"kind", "lower", "upper", "levels", "trafo", "logscale", "suits", "rule"})


def _shown(name: str, value: Any) -> str:
    if name == "depends":
        return repr(" and ".join(map(str, value)))
    if name == "tags":
        return repr(sorted(value))
    if name == "special_vals":
        return repr(list(value))
    for attribute in ("text", "path", "__name__"):
        if callable(value) and hasattr(value, attribute):
            return repr(getattr(value, attribute)) if attribute != "__name__" else value.__name__
    return repr(value)
