"""Points of a search space."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchml.arguments import listed, mapping
from batchml.errors import ConfigError
from batchml.params.dependencies import parents_first
from batchml.params.param_set import require_set
from batchml.params.show import html_rows
from batchml.params.trafo import remade

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from batchml.params.param_set import ParamSet

__all__ = ["Design", "design_of", "without_duplicates"]

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
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

    @classmethod
    def from_points(cls, param_set: ParamSet, points: Iterable[Mapping[str, Any]] | pd.DataFrame) -> Design:
        """Return a design of points of one's own, before transformation, in their order.

        Parameters
        ----------
        points
            A mapping for each point, or a table with a row for each; what is missing, None or NaN has no value. Values
            whose conditions do not hold are left out.

        Raises
        ------
        ConfigError
            A value that the space does not have, or none where there must be one; it names the point.
        """
        require_set(param_set, "the space of a design")
        rows = points.to_dict(orient="records") if hasattr(points, "to_dict") else listed(points, "points", "mappings")
        read = [_read_point(param_set, row, at) for at, row in enumerate(rows)]
        return cls(param_set=param_set, columns={name: [row.get(name) for row in read] for name in param_set.ids})

    @property
    def data(self) -> pd.DataFrame:
        """A row for each point, before transformation; missing where a condition does not hold."""
        import pandas as pd

        kinds = {"int": "Int64", "dbl": "float64", "lgl": "boolean", "fct": "object", "uty": "object"}
        domains = self.param_set.domains
        return pd.DataFrame({n: pd.Series(v, dtype=kinds[domains[n].kind]) for n, v in self.columns.items()})

    def transpose(self, *, trafo: bool = True, filter_na: bool = True) -> list[dict[str, Any]]:
        """Return a dict for each point, transformed to the values that are used, without those that do not apply.

        Parameters
        ----------
        trafo
            False returns the points of the search space.
        filter_na
            False keeps what does not apply as None (with `trafo` it is always left out).
        """
        if not trafo:
            points = (dict(zip(self.columns, row, strict=True)) for row in _rows(self))
            return [_present(point) for point in points] if filter_na else list(points)
        names = tuple(self.columns)
        made = [self._transformed(name) for name in names]
        # What is missing is told from the value before: a transformation may well return None.
        rows = zip(_rows(self), zip(*made, strict=True), strict=True)
        used = [
            {name: value for name, raw, value in zip(names, before, after, strict=True) if raw is not None}
            for before, after in rows
        ]
        extra = self.param_set.extra_trafo
        return used if extra is None else [remade(point, extra) for point in used]

    def _transformed(self, name: str) -> list[Any]:
        column, trafo = self.columns[name], self.param_set.domains[name].trafo
        return column if trafo is None else [None if value is None else trafo(value) for value in column]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the points as `transpose` gives them."""
        return iter(self.transpose())

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def __repr__(self) -> str:
        title = f"<Design: {len(self)} points of {len(self.columns)} parameters>"
        lines = [", ".join(f"{k}={v!r}" for k, v in row.items()) for row in self._head()]
        more = [f"... and {len(self) - _SHOWN} more"] if len(self) > _SHOWN else []
        return "\n".join([title, *(f"* {line}" for line in lines), *more])

    def _repr_html_(self) -> str:
        head = list(itertools.islice(_rows(self), 50))
        rows = [["" if value is None else value for value in row] for row in head]
        return f"<p>{len(self)} points</p>{html_rows(self.columns, rows)}"

    def _head(self) -> list[dict[str, Any]]:
        rows = itertools.islice(_rows(self), _SHOWN)
        return [_present(dict(zip(self.columns, row, strict=True))) for row in rows]


def design_of(param_set: ParamSet, chosen: Mapping[str, NDArray[Any]]) -> Design:
    """Return the design of drawn values without those whose conditions do not hold, found parents before children."""
    import numpy as np

    alive: dict[str, NDArray[np.bool_]] = {}
    columns: dict[str, list[Any]] = {}
    for name in parents_first(param_set.domains):
        present = np.ones(len(chosen[name]), dtype=bool)
        for condition in param_set.domains[name].depends:
            fits = np.zeros(len(present), dtype=bool)
            for value in condition.rhs:
                fits |= chosen[condition.on] == value
            present &= alive[condition.on] & fits
        alive[name] = present
        if present.all():
            columns[name] = chosen[name].tolist()
        else:
            held = chosen[name].astype(object)
            held[~present] = None
            columns[name] = held.tolist()
    return Design(param_set=param_set, columns={name: columns[name] for name in chosen})


def without_duplicates(design: Design) -> Design:
    """Return the design with the first of equal points only."""
    rows = list(dict.fromkeys(_rows(design)))
    if len(rows) == len(design):
        return design
    columns = {name: [row[at] for row in rows] for at, name in enumerate(design.columns)}
    return Design(param_set=design.param_set, columns=columns)


def _rows(design: Design) -> Iterator[tuple[Any, ...]]:
    return zip(*design.columns.values(), strict=True)


def _present(point: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in point.items() if value is not None}


def _missing(value: Any) -> bool:
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and value != value)  # noqa: PLR0124  # nan


def _read_point(param_set: ParamSet, row: Mapping[str, Any], at: int) -> dict[str, Any]:
    named = mapping(row, f"point {at}", "names to values")
    given = {name: value for name, value in named.items() if not _missing(value)}
    kept: dict[str, Any] = {}
    for name in parents_first(param_set.domains):
        conditions = param_set.domains[name].depends
        if not all(one.on in kept and one.holds(kept[one.on]) for one in conditions):
            given.pop(name, None)
        elif name in given:
            kept[name] = given[name]
        else:
            raise ConfigError(f"point {at} has no value for {name}")
    wrong = param_set.check(given)
    if wrong is not None:
        raise ConfigError(f"point {at}: {wrong}")
    return param_set.accept(given, changed=list(given))
