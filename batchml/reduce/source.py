"""Predictions in a registry, read when they are asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from batchml.core.seed import derive
from batchml.errors import ArtifactError, ConfigError, RegistryError
from batchml.experiment.design import Cell
from batchml.experiment.environments import mixture
from batchml.experiment.source import CONDITION_COLUMNS
from batchml.registry import recorded, reduction
from batchml.registry.environments import count_environments, read_environments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from batchml.core.prediction import Prediction
    from batchml.core.task import Task
    from batchml.core.trust import Trust
    from batchml.registry.reduction import Member
    from batchml.registry.store import Store

__all__ = ["RegistrySource", "stored_prediction"]


def stored_prediction(job: int, data: bytes) -> Prediction:
    """Return the prediction that a job has left.

    Raises
    ------
    ArtifactError
        Its bytes are none; the job is named.
    """
    from batchml.core.prediction import Prediction

    try:
        return Prediction.from_arrow(data)
    except ArtifactError as problem:
        raise ArtifactError(f"job {job}: {problem}; reset it") from None


class RegistrySource:
    """The members of benchmarks as a source; cells go by their position among the members.

    Parameters
    ----------
    members
        As `reduction.read_members` returns them.
    jobs
        With ``job_id``, ``cell``, ``iteration``.
    open_models
        Whether stored models may be opened: pickles, of which only this user's own are.
    """

    def __init__(
        self,
        store: Store,
        members: Sequence[Member],
        jobs: pd.DataFrame,
        benchmarks: Sequence[int],
        trust: Trust | None,
        *,
        open_models: bool = False,
    ) -> None:
        self._open_models = open_models
        self._store = store
        self._members = members
        self._benchmarks = benchmarks
        self._trust = trust
        self._jobs = jobs[["job_id", "cell", "iteration"]]
        self._ids: dict[tuple[int, int], int] | None = None
        self._cells: dict[int, Cell] = {}
        self._built: dict[tuple[Any, ...], Any] = {}
        self._environments: list[dict[str, Any]] | None = None
        # Asked for now, since a result may be printed when the registry is closed; mostly there is only one.
        self.mixed = mixture(self.environments()) if count_environments(store) > 1 else None

    def cell(self, cell: int) -> Cell:
        """Return the objects of a cell, built from their specs on first use."""
        from batchml.core.learner import Learner

        if cell not in self._cells:
            member = self._members[cell]
            rows = (member.task_id, member.model_id, member.policy_id, member.resampling_id)
            specs = reduction.read_specs(self._store, rows)
            task_spec, model, policy, resampling = (specs[row] for row in rows)
            task = self._task(member.task_id, task_spec, member.task)
            self._cells[cell] = Cell(
                task=task,
                learner=Learner.from_specs(model, policy, id=member.learner, trust=self._trust),
                resampling=self._resampling(member, resampling, task),
                params=json.loads(member.params),
            )
        return self._cells[cell]

    def _task(self, row: int, spec: Mapping[str, Any], name: str) -> Task:
        from batchml.core.task import Task
        from batchml.data.reopen import open_data

        if (row, name) not in self._built:
            artifacts = self._store.artifacts
            self._built[row, name] = Task.from_spec(spec, lambda data: open_data(data, artifacts), id=name)
        task: Task = self._built[row, name]
        return task

    def _resampling(self, member: Member, spec: Mapping[str, Any], task: Task) -> Any:
        from batchml.core.resampling import Resampling

        key = member.resampling_id, member.task_id, member.seed, member.resampling
        if key not in self._built:
            made = Resampling.from_spec(spec, trust=self._trust)
            made.id = member.resampling
            self._built[key] = made.instantiate(task, seed=member.seed)
        return self._built[key]

    def predictions(
        self, wanted: Sequence[tuple[int, int]], predict_sets: Sequence[str]
    ) -> Iterator[Mapping[str, Prediction]]:
        """Yield the predictions of (cell, iteration) pairs.

        Raises
        ------
        RegistryError
            A result was dropped since its benchmark was reduced: it would be missing without a word.
        """
        places = self._job_ids()
        jobs = [places[pair] for pair in wanted]
        found: dict[int, dict[str, Prediction]] = {job: {} for job in jobs}
        for job, name, data in reduction.read_predictions(self._store, jobs, predict_sets):
            found[job][name] = stored_prediction(job, data)
        bare = [job for job in jobs if not found[job]]
        if bare and (gone := reduction.without_result(self._store, bare)):
            some = f"job {gone[0]}" if len(gone) == 1 else f"job {gone[0]} and {len(gone) - 1} more"
            raise RegistryError(f"the result of {some} was reset or removed since this was reduced: reduce again")
        for job in jobs:
            yield {name: found[job][name] for name in predict_sets if name in found[job]}

    def _job_ids(self) -> dict[tuple[int, int], int]:
        if self._ids is None:
            cells, iterations, jobs = (self._jobs[name].tolist() for name in ("cell", "iteration", "job_id"))
            self._ids = dict(zip(zip(cells, iterations, strict=True), jobs, strict=True))
        return self._ids

    def conditions(self, wanted: Sequence[tuple[int, int]] | None = None) -> pd.DataFrame:
        """Return recorded conditions: of all jobs, or of some."""
        import pandas as pd

        places = self._job_ids() if wanted is not None else {}
        jobs = None if wanted is None else [places[pair] for pair in wanted]
        rows = recorded.read_conditions(self._store, self._benchmarks, jobs)
        found = pd.DataFrame(rows, columns=["job_id", "stage", "level", "message"])
        placed = found.merge(self._jobs, on="job_id", how="inner")
        return placed[list(CONDITION_COLUMNS)]

    def model(self, cell: int, iteration: int) -> Any:
        """Return the trained learner of an iteration; None if its model was not stored, or is not to be opened."""
        from batchml.core.learner_state import Trained, with_state
        from batchml.data.models import open_model

        if not self._open_models:
            return None
        job_id = self._job_ids()[cell, iteration]
        row = reduction.read_model(self._store, job_id)
        if row is None or row.model is None:
            return None
        model = open_model(self._store.artifacts, self._store.uuid, job_id, row.model, row.model_mark)
        objects = self.cell(cell)
        timings = {"train": row.fit_s or 0.0, "predict": row.predict_s or 0.0}
        seed = derive(row.seed, "job", row.cell_digest, iteration)
        trained = Trained(ok=True, model=model, elapsed=timings["train"])
        return with_state(objects.learner, objects.task, trained, seed=seed, timings=timings)

    def environments(self) -> Sequence[dict[str, Any]]:
        """Return the environments of the workers that brought the results."""
        if self._environments is None:
            self._environments = read_environments(self._store, self._benchmarks)
        return self._environments

    def __getstate__(self) -> Any:
        """Refuse: a pickle would take the registry's address, and maybe its password, with it.

        Raises
        ------
        ConfigError
            Names the remedy.
        """
        raise ConfigError(
            "a result that is read from a registry is not pickled: write it with export(folder), or reduce again"
        )

    def __deepcopy__(self, memo: Any) -> RegistrySource:
        """Return itself: it only reads."""
        return self

    def without(self, *, models: bool, backends: bool) -> RegistrySource:  # noqa: ARG002
        """Return itself: models and data stay in the registry and its artifacts."""
        return self
