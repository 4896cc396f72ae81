"""A bundle of assignments as the content of a file: plain data, each spec once, with a digest against damage."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Assignment, Experiment
from batchml.errors import SpoolError
from batchml.worker.frames import frame, read_frames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["digest_of", "pack_bundle", "unpack_bundle"]

_FORMAT = 1
_SPECS = ("task", "learner", "policy", "resampling")


def digest_of(content: bytes) -> str:
    """Return what stands in the name of a bundle's file."""
    return hashlib.sha256(content).hexdigest()[:16]


def pack_bundle(bundle: int, registry: str, assignments: Sequence[Assignment]) -> bytes:
    """Return the content of a bundle's file."""
    specs = _Specs()
    experiments: dict[int, dict[str, Any]] = {}
    jobs = []
    for each in assignments:
        if each.experiment.id not in experiments:
            experiments[each.experiment.id] = specs.lift(each.experiment)
        expected = None if each.expected_s is None else round(each.expected_s, 6)
        jobs.append([each.attempt_id, each.job_id, each.iteration, each.experiment.id, int(each.alone), expected])
    data = {
        "format": _FORMAT,
        "bundle": bundle,
        "registry": registry,
        "specs": specs.bodies,
        "experiments": list(experiments.values()),
        "jobs": jobs,
    }
    return frame(json.dumps(data, separators=(",", ":")).encode(), bundle)


def unpack_bundle(content: bytes, bundle: int, registry: str, digest: str) -> list[Assignment]:
    """Return the assignments of a bundle.

    Raises
    ------
    SpoolError
        It is not what was written.
    """
    frames = list(read_frames(io.BytesIO(content)))
    if digest_of(content) != digest or len(frames) != 1 or frames[0].size != len(content):
        raise SpoolError(f"bundle {bundle} is damaged or was altered: its content does not match its name")
    try:
        data = json.loads(frames[0].payload)
        if (data["format"], data["bundle"], data["registry"]) != (_FORMAT, bundle, registry):
            raise SpoolError(f"bundle {bundle} is not of this registry, or of another version of batchml")
        specs = data["specs"]
        experiments = {each["id"]: _experiment(each, specs) for each in data["experiments"]}
        return [
            Assignment(
                attempt_id=int(attempt_id),
                job_id=int(job_id),
                iteration=int(iteration),
                experiment=experiments[experiment_id],
                alone=bool(alone),
                expected_s=expected,
            )
            for attempt_id, job_id, iteration, experiment_id, alone, expected in data["jobs"]
        ]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise SpoolError(f"bundle {bundle} cannot be read: {type(error).__name__}: {error}") from None


class _Specs:
    """Specs that experiments share, by their place in a list."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self._places: dict[str, int] = {}

    def lift(self, experiment: Experiment) -> dict[str, Any]:
        """Return an experiment with places instead of specs."""
        data = experiment.as_json()
        for name in _SPECS:
            data[name] = self._place(data[name])
        data["measures"] = [[key, self._place(spec)] for key, spec in data["measures"]]
        return data

    def _place(self, spec: Any) -> int:
        text = json.dumps(spec, separators=(",", ":"))
        if text not in self._places:
            self._places[text] = len(self.bodies)
            self.bodies.append(spec)
        return self._places[text]


def _experiment(data: Mapping[str, Any], specs: Sequence[Any]) -> Experiment:
    fields = {name: specs[data[name]] for name in _SPECS}
    measures = [[key, specs[place]] for key, place in data["measures"]]
    return Experiment.from_json({**data, **fields, "measures": measures})
