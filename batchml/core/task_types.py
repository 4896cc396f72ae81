"""The kinds of tasks: classification and regression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from batchml.arguments import shown
from batchml.core import columns
from batchml.core.digest import digest
from batchml.core.labels import is_missing
from batchml.core.mutate import TaskMutations
from batchml.core.rows import decode_rows, encode_rows
from batchml.core.show import listing
from batchml.errors import DataError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from batchml.core.backend import DataBackend, Label

__all__ = ["Task", "TaskClassif", "TaskRegr"]

_FORMAT = 1


class Task(TaskMutations):
    """A table with a target: a view of a data backend.

    Made by `as_task_classif`, `as_task_regr` and `tsk`. Rows are named by id. `filter`, `select` and their like change
    the task itself and return it; `clone` keeps the original. The data are never changed.

    Attributes
    ----------
    id
        A label; not part of the identity.
    backend
        The data.
    """

    _types: ClassVar[dict[str, type[Task]]] = {}

    def __init_subclass__(cls) -> None:
        if cls.task_type:
            Task._types[cls.task_type] = cls

    @property
    def positive(self) -> Label | None:
        """The positive class of a binary classification task, else None."""
        return None

    @property
    def digest(self) -> str:
        """The identity: data, target, positive class, roles and rows; not the id, nor where the data lie."""
        return self._cached("digest", lambda: digest(self._spec({"kind": "artifact", "digest": self.backend.digest})))

    @property
    def hash(self) -> str:
        """The same as `digest`."""
        return self.digest

    def spec(self) -> dict[str, Any]:
        """Return the task as plain data; the table is named by its digest, or by where it lies."""
        return self._spec(self.backend.source() or {"kind": "artifact", "digest": self.backend.digest})

    def _spec(self, data: dict[str, Any]) -> dict[str, Any]:
        spec: dict[str, Any] = {
            "format": _FORMAT,
            "type": self.task_type,
            "data": data,
            "target": self.target,
            "roles": {role: list(names) for role, names in self._roles.items() if names and role != "target"},
        }
        if self.positive is not None:
            spec["positive"] = self.positive
        if self._use is not None:
            spec["rows"] = encode_rows(self._use)
        return spec

    @staticmethod
    def from_spec(
        spec: Mapping[str, Any],
        open_data: Callable[[Mapping[str, Any]], DataBackend],
        id: str = "task",
    ) -> Task:
        """Return the task that `spec` wrote down.

        Parameters
        ----------
        spec
            From `Task.spec`.
        open_data
            Gets ``spec["data"]`` and returns the backend.
        id
            The label.
        """
        if spec.get("format") != _FORMAT or spec.get("type") not in Task._types:
            kind = f"{spec.get('type')!r} in format {spec.get('format')!r}"
            raise SpecError(f"this version of batchml cannot read a task of type {kind}: upgrade it")
        rows = spec.get("rows")
        return Task._types[spec["type"]](
            id,
            open_data(spec["data"]),
            spec["target"],
            roles=spec["roles"] if "feature" in spec["roles"] else {**spec["roles"], "feature": []},
            rows=None if rows is None else decode_rows(rows),
            positive=spec.get("positive"),
        )

    def truth(self, rows: Any = None) -> NDArray[Any]:
        """Return the target's original values at row ids (None: all in use)."""
        raise NotImplementedError


class TaskClassif(Task):
    """A task whose target is a class; see `Task`."""

    task_type: ClassVar[Literal["classif"]] = "classif"
    fields: ClassVar[tuple[str, ...]] = ("id", "positive")

    @property
    def classes(self) -> tuple[Label, ...]:
        """All classes in their order: the column's own levels, else sorted."""
        info = self.schema[self.target]
        if info.levels is not None:
            return info.levels
        return self._cached("classes", self._whole_classes)

    def _whole_classes(self) -> tuple[Label, ...]:
        """Classes come from the whole table, so that a view has no other ones."""
        return tuple(sorted(self.backend.distinct(None, [self.target])[self.target]))

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def positive(self) -> Label | None:
        """The positive class of two: the one chosen, else True or 1, else the first; None for more classes."""
        classes = self.classes
        if len(classes) != 2:
            return None
        if self._positive is not None:
            return self._positive
        signed = all(isinstance(one, (bool, int, float)) for one in classes)
        return classes[1] if signed and classes in ((0, 1), (-1, 1)) else classes[0]

    @positive.setter
    def positive(self, label: Label) -> None:
        self._positive = self.known_class(label)
        self._cache = {key: value for key, value in self._cache.items() if key != "digest"}

    def known_class(self, label: Any) -> Label:
        """Return the class that is meant.

        Raises
        ------
        DataError
            The task has no such class, or has not two.
        """
        if len(self.classes) != 2:
            unused = [label for label, number in self.class_counts.items() if not number]
            hint = f"; no row has {listing(map(repr, unused))}: .cat.remove_unused_categories()" if unused else ""
            raise DataError(
                f"{self._where}: target {self.target!r} has {len(self.classes)} classes, "
                f"but only one of two can be positive{hint}"
            )
        if label.__hash__ is not None and not is_missing(label):
            for one in self.classes:
                if one == label and isinstance(one, str) == isinstance(label, str):
                    return one
        raise DataError(
            f"{self._where}: target {self.target!r} has no class {shown(label)}; "
            f"it has {listing(map(repr, self.classes))}"
        )

    def truth(self, rows: Any = None) -> NDArray[Any]:
        """Return the labels at row ids (None: all in use), as they were given."""
        return columns.labels_of(self.truth_codes(rows), self.classes)

    def truth_codes(self, rows: Any = None) -> NDArray[np.int64]:
        """Return the labels at row ids as positions in `classes`."""
        if rows is None or not self.backend.lazy:
            codes = self._cached("truth", lambda: self._class_codes(*self._codes(self.target)))
            return codes[self.positions(rows)]
        info = self.schema[self.target]
        return self._values(self.target, rows, lambda part: self._class_codes(*columns.codes_of(part, info)))

    def _class_codes(self, codes: NDArray[np.int64], labels: tuple[Label, ...]) -> NDArray[np.int64]:
        if labels != self.classes:  # a view that lacks a class
            place = {label: i for i, label in enumerate(self.classes)}
            codes = np.array([*(place[label] for label in labels), -1], dtype=np.int64)[codes]
        return codes

    @property
    def class_counts(self) -> dict[Label, int]:
        """How many rows in use each class has."""
        counts = np.bincount(self.truth_codes(), minlength=len(self.classes))
        return {label: int(count) for label, count in zip(self.classes, counts, strict=True)}

    @property
    def properties(self) -> tuple[str, ...]:
        """Twoclass or multiclass, then strata, groups, weights, offset, ordered."""
        return ("twoclass" if len(self.classes) == 2 else "multiclass", *super().properties)

    def _facts(self) -> list[str]:
        n = max(self.n_rows, 1)
        shares = listing(f"{label} ({count / n:.1%})" for label, count in self.class_counts.items())
        facts = [f"* Target: {self.target}", f"* Classes ({self.n_classes}): {shares}"]
        if self.positive is not None:
            facts.append(f"* Positive class: {self.positive}")
        return [*facts, f"* Properties: {listing(self.properties)}"]


class TaskRegr(Task):
    """A task whose target is a number; see `Task`."""

    task_type: ClassVar[Literal["regr"]] = "regr"

    def truth(self, rows: Any = None) -> NDArray[np.float64]:
        """Return the target's values at row ids (None: all in use)."""
        info = self.schema[self.target]
        if rows is None or not self.backend.lazy:
            values = self._cached("truth", lambda: columns.floats_of(self._column(self.target), info))
            return values[self.positions(rows)]
        return self._values(self.target, rows, lambda part: columns.floats_of(part, info))
