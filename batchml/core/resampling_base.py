"""Resamplings: how a task's rows are split into training and test sets, again and again."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, Self

from batchml.arguments import count, shown
from batchml.core.bound import Bound
from batchml.core.catalog import resolve, resolve_name
from batchml.core.digest import digest
from batchml.core.fields import Fields
from batchml.core.pickled import naming
from batchml.core.seed import derive, root_of
from batchml.core.show import Shown
from batchml.errors import ConfigError, DataError, SpecError, UnknownKeyError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from batchml.core.split import Units
    from batchml.core.task_types import Task
    from batchml.core.trust import Trust

    _Ids = NDArray[np.int64]

__all__ = ["Resampling"]

_FORMAT = 1


class Resampling(Fields, Shown):
    """How rows are split into training and test sets.

    `instantiate` binds it to the rows of a task; then `train_set` and `test_set` give row ids. Splits are drawn when
    they are asked for, one repetition at a time, from seeds that come from identity: root seed, rows, strata and groups
    of the task, the resampling's family and the repetition. So splits do not depend on the order of asking, and more
    repeats add splits to those that there were.

    Attributes
    ----------
    key
        What the catalogue calls it.
    id
        A label; not part of the identity.
    params
        The parameters.
    """

    noun: ClassVar[str] = "resampling"
    #: The parameters and their defaults.
    defaults: ClassVar[Mapping[str, Any]] = {}
    #: The parameter that only says how often; it is not part of the family.
    repeating: ClassVar[str | None] = None
    #: Whether strata and groups of the task are heeded.
    heeds_strata: ClassVar[bool] = True

    def __init__(self, key: str, *, id: str | None = None, **params: Any) -> None:
        self.key = key
        self.id = key if id is None else id
        for name in params:
            if name not in self.defaults:
                hint = nearest(name, self.defaults)
                known = ", ".join(self.defaults) or "none"
                raise UnknownKeyError(f"resampling {key!r} has no parameter {name!r}{hint}; it has {known}")
        self._params = {**self.defaults, **params}
        _check_stratify(self._params.get("stratify"))
        self._check_params()
        self._bound: Bound | None = None

    # what subclasses say

    def _check_params(self) -> None:
        """Refuse parameters that make no sense."""

    def _iterations_on(self, task: Task) -> int:
        """Return the number of iterations on a task."""
        raise NotImplementedError

    def check_units(self, units: Units, task: Task) -> None:
        """Refuse rows, groups or strata that cannot be split so."""

    def _repetition_of(self, i: int, bound: Bound) -> tuple[int, int]:  # noqa: ARG002
        """Return the repetition that iteration `i` belongs to and its number there."""
        return i, 0

    def _draw(self, bound: Bound, seed: int, repetition: int) -> Any:
        """Draw a repetition; whatever `_sets` needs."""
        raise NotImplementedError

    def _sets(self, drawn: Any, part: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of the training and the test rows of one part of a repetition."""
        raise NotImplementedError

    # parameters and identity

    @property
    def params(self) -> dict[str, Any]:
        """The parameters, defaults included."""
        return dict(self._params)

    def spec(self) -> dict[str, Any]:
        """Return the resampling as plain data; see `from_spec`."""
        return {"format": _FORMAT, "key": self.key, "params": self._spec_params()}

    def _spec_params(self) -> dict[str, Any]:
        return {name: value for name, value in self._params.items() if value is not None}

    def family_spec(self) -> dict[str, Any]:
        """Return the spec without the number of repeats: what splits depend on."""
        spec = self.spec()
        spec["params"] = {name: value for name, value in spec["params"].items() if name != self.repeating}
        return spec

    @property
    def family_digest(self) -> str:
        """The digest of `family_spec`."""
        with naming():
            return digest(self.family_spec())

    @property
    def digest(self) -> str:
        """The digest of `spec`."""
        with naming():
            return digest(self.spec())

    @property
    def hash(self) -> str:
        """The same as `digest`."""
        return self.digest

    @staticmethod
    def from_spec(spec: Mapping[str, Any], trust: Trust | None = None) -> Resampling:
        """Return the resampling that `spec` wrote down.

        Raises
        ------
        SpecError
            A format or key of a newer version.
        TrustError
            A splitter of a module that nobody trusted.
        """
        if spec.get("format") != _FORMAT:
            raise SpecError(f"a resampling in format {spec.get('format')!r} needs a newer version of batchml")
        if spec["key"] == "splitter":
            made: Resampling = resolve_name("resamplings.splitter:Splitter").from_params(spec["params"], trust)
        else:
            made = resolve("resampling", spec["key"])(key=spec["key"], **spec["params"])
        return made

    def clone(self) -> Self:
        """Return a copy that is bound to no task."""
        twin = copy.copy(self)
        twin._params = dict(self._params)  # noqa: SLF001
        twin._bound = None  # noqa: SLF001
        return twin

    # binding

    def instantiate(self, task: Task | str, seed: int | None = None) -> Self:
        """Bind to the rows of a task; returns a bound copy that later calls leave alone.

        Parameters
        ----------
        task
            The task, or its key.
        seed
            The root seed of the study; None: drawn.

        Raises
        ------
        DataError
            The task has too few rows or groups, or both strata and groups.
        """
        from batchml.core.intake import as_task

        task = as_task(task)
        root = root_of(seed)
        self._bound = Bound(task, self, root)
        twin = copy.copy(self)
        twin._bound = copy.copy(self._bound)  # noqa: SLF001
        return twin

    def n_iterations(self, task: Task | str) -> int:
        """Return the number of iterations on a task or on that of a key."""
        from batchml.core.intake import as_task

        return self._iterations_on(as_task(task))

    def check(self, task: Task | str) -> None:
        """Refuse a task that cannot be split so; draws nothing.

        Raises
        ------
        DataError
            The task has too few rows or groups, or both strata and groups, or lacks a column to stratify by.
        """
        from batchml.core.intake import as_task

        Bound(as_task(task), self, 0)

    @property
    def is_instantiated(self) -> bool:
        """Whether it is bound to a task."""
        return self._bound is not None

    @property
    def task_row_digest(self) -> str | None:
        """The `row_digest` of the task that it is bound to."""
        return None if self._bound is None else self._bound.row_digest

    def check_bound(self, task: Task | str) -> None:
        """Refuse a task with other rows than those that this is bound to.

        Raises
        ------
        DataError
            Names resampling and task.
        """
        from batchml.core.intake import as_task

        task = as_task(task)
        if self._instance().row_digest != task.row_digest:
            raise DataError(
                f"resampling {self.id!r} was instantiated on another task than {task.id!r}: "
                "their rows, strata or groups differ; instantiate it on this one"
            )

    @property
    def seed(self) -> int | None:
        """The root seed of the instance."""
        return None if self._bound is None else self._bound.root

    @property
    def iters(self) -> int:
        """The number of iterations.

        Raises
        ------
        ConfigError
            It depends on a task and there is none yet.
        """
        return self._fixed_iters() if self._bound is None else self._bound.iters

    def _fixed_iters(self) -> int:
        raise ConfigError(
            f"the number of iterations of resampling {self.id!r} depends on the task: "
            "instantiate it, or ask n_iterations(task)"
        )

    def train_set(self, i: int) -> NDArray[np.int64]:
        """Return the row ids to train on in iteration `i` (from 0)."""
        bound = self._instance()
        return bound.rows.at(self._train(*self._drawn(bound, i)))

    def test_set(self, i: int) -> NDArray[np.int64]:
        """Return the row ids to test on in iteration `i` (from 0)."""
        bound = self._instance()
        return bound.rows.at(self._test(*self._drawn(bound, i)))

    def _instance(self) -> Bound:
        if self._bound is None:
            raise ConfigError(f"resampling {self.id!r} has not been instantiated yet: call instantiate(task)")
        return self._bound

    def _train(self, drawn: Any, part: int) -> NDArray[np.int64]:
        """Return the training positions; a subclass may know how without the test positions."""
        return self._sets(drawn, part)[0]

    def _test(self, drawn: Any, part: int) -> NDArray[np.int64]:
        """Return the test positions, likewise."""
        return self._sets(drawn, part)[1]

    def _drawn(self, bound: Bound, i: int) -> tuple[Any, int]:
        """Return what was drawn for an iteration, and which part of it that is."""
        try:
            number = count(i, "an iteration", most=bound.iters - 1)
        except ConfigError:
            what = f"resampling {self.id!r} has the iterations 0 to {bound.iters - 1}, not {shown(i)}"
            raise DataError(what) from None
        repetition, part = self._repetition_of(number, bound)
        if bound.drawn is None or bound.drawn[0] != repetition:
            seed = derive(bound.root, "split", bound.row_digest, bound.family, repetition)
            bound.drawn = (repetition, self._draw(bound, seed, repetition))
        return bound.drawn[1], part

    def __repr__(self) -> str:
        lines = [f"<{type(self).__name__}:{self.id}>"]
        try:
            lines.append(f"* Iterations: {self.iters}")
        except ConfigError:
            lines.append("* Iterations: depends on the task")
        lines.append(f"* Instantiated: {self.is_instantiated}")
        shown = {name: value for name, value in self._params.items() if value is not None}
        lines.append("* Parameters: " + (", ".join(f"{name}={_short(value)}" for name, value in shown.items()) or "-"))
        return "\n".join(lines)


def _check_stratify(value: Any) -> None:
    listed = isinstance(value, (list, tuple)) and bool(value) and all(isinstance(name, str) for name in value)
    if not (value is None or listed or isinstance(value, (bool, str))):
        raise ConfigError(f"stratify is True, False, a column or a list of columns, not {shown(value)}")


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else repr(value).replace("\n", " ")
    return text if len(text) <= 60 else f"{text[:57]}..."
