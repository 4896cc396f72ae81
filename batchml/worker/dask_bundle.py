"""What a supervisor and a Dask worker say to each other: bundles of iterations, and replies. Bytes, never pickles."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Assignment, Experiment
from batchml.worker.frames import decode_outcome, encode_outcome, frame, read_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from batchml.core.attempt import Outcome

__all__ = ["Bundle", "Reply", "Setup", "tables_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a Dask worker must know to run iterations of a submission.

    Attributes
    ----------
    registry
        The registry's own id.
    artifacts
        The folder or URL with the data of tasks, as the supervisor sees it.
    trust
        Module prefixes that specs may name besides the default ones.
    paths
        Folders of the user's own modules.
    needs
        Of one iteration: cpus, memory_mb, gpus.
    memory_mb, timeout_s
        Limits of one iteration, None for none.
    versions
        What must be the same here and there: packages to versions.
    """

    registry: str
    artifacts: str
    trust: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    needs: Mapping[str, Any] = field(default_factory=dict)
    memory_mb: float | None = None
    timeout_s: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        """Return it as JSON: equal texts are equal setups."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Setup:
        """Return the setup that `as_text` wrote."""
        data = json.loads(text)
        return cls(**{**data, "trust": tuple(data["trust"]), "paths": tuple(data["paths"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Iterations that go to a Dask worker as one task of Dask's.

    Attributes
    ----------
    setup
        See `Setup.as_text`.
    topic
        Of the events by which the Dask worker tells the supervisor what begins.
    assignments
        What to run.
    """

    setup: str
    topic: str
    assignments: tuple[Assignment, ...]

    def encode(self) -> bytes:
        """Return it as bytes; experiments that several iterations share are written once."""
        experiments = {id(one.experiment): one.experiment for one in self.assignments}
        places = {key: place for place, key in enumerate(experiments)}
        rows = [
            [one.attempt_id, one.job_id, one.iteration, places[id(one.experiment)], one.alone, one.expected_s]
            for one in self.assignments
        ]
        data = {"setup": self.setup, "topic": self.topic, "rows": rows}
        return json.dumps({**data, "experiments": [one.as_json() for one in experiments.values()]}).encode()

    @classmethod
    def decode(cls, content: bytes) -> Bundle:
        """Return the bundle that `encode` wrote."""
        data = json.loads(content)
        experiments = [Experiment.from_json(one) for one in data["experiments"]]
        rows = tuple(
            Assignment(
                attempt_id=attempt,
                job_id=job,
                iteration=iteration,
                experiment=experiments[place],
                alone=alone,
                expected_s=expected,
            )
            for attempt, job, iteration, place, alone, expected in data["rows"]
        )
        return cls(setup=data["setup"], topic=data["topic"], assignments=rows)


def tables_of(experiments: Iterable[Experiment]) -> list[str]:
    """Return the digests of the tables among the artifacts that experiments read."""
    found = [one.task.get("data") or {} for one in experiments]
    return sorted({data["digest"] for data in found if data.get("kind") == "artifact"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What became of a bundle: outcomes, or why nothing of it was begun.

    Attributes
    ----------
    worker, host
        The Dask worker's address, and the machine it is on.
    busy
        It keeps itself for a suspect, or had one already.
    unfit
        Why nothing can run there.
    missing
        Digests of tables that it has to be sent first.
    """

    worker: str
    host: str = ""
    busy: bool = False
    outcomes: Sequence[Outcome] = ()
    unfit: str = ""
    missing: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Return it as bytes."""
        where = {"worker": self.worker, "host": self.host, "busy": self.busy}
        head = {**where, "unfit": self.unfit, "missing": list(self.missing)}
        parts = [frame(json.dumps(head).encode())]
        parts += [frame(encode_outcome(outcome), outcome.attempt_id) for outcome in self.outcomes]
        return b"".join(parts)

    @classmethod
    def decode(cls, content: bytes) -> Reply:
        """Return the reply that `encode` wrote.

        Raises
        ------
        ValueError, KeyError, TypeError
            These bytes are something else.
        """
        if not isinstance(content, bytes | bytearray):
            raise TypeError(f"a Dask worker returned {type(content).__name__}, not bytes")
        frames = list(read_frames(io.BytesIO(content)))
        if not frames or sum(one.size for one in frames) != len(content):
            raise ValueError("a Dask worker returned damaged bytes")
        head = json.loads(frames[0].payload)
        return cls(
            worker=head["worker"],
            host=head["host"],
            busy=head["busy"],
            unfit=head["unfit"],
            missing=tuple(head["missing"]),
            outcomes=[decode_outcome(one.payload) for one in frames[1:]],
        )
