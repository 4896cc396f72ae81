"""Traps that comparable systems fell into, and that no other module is about."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from collections import Counter

import pytest
from sqlalchemy import text

import batchml as bm
from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.errors import ArtifactError
from batchml.executors.base import Launch
from batchml.executors.local import Local
from batchml.registry.benchmarks import add, plan
from batchml.registry.exchange import exchange
from batchml.registry.moves import retry
from batchml.registry.processes import here
from batchml.registry.reasons import why
from batchml.registry.reduction import read_predictions
from batchml.registry.rescue import reconcile
from batchml.registry.store import Store
from batchml.registry.submissions import submit
from batchml.registry.workers import register_worker
from batchml.worker.rhythm import Rhythm
from batchml.worker.settings import Settings


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))


@pytest.fixture
def store(registry_url, tmp_path):
    with Store.create(registry_url, seed=1, artifacts=tmp_path / "artifacts") as store:
        yield store


def design(learner="classif.featureless", folds=2):
    return bm.benchmark_grid("iris", learner, bm.rsmp("cv", folds=folds))


def ask(store, query):
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def until(condition, what, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s: {what}"
        time.sleep(0.02)


def claimed(store):
    """Submit all jobs and return a worker with what it has claimed of them, one by one: two."""
    submission, _ = submit(store)
    worker = register_worker(store, submission, slots=2)
    return worker, [one for _ in range(2) for one in exchange(store, worker, [], [], 1).assignments]


def outcome(assignment, ending=Ending.DONE, predictions=b"arrow", **fields):
    result = JobResult(completeness="full", predictions={"test": predictions}, scores=(), n=5)
    fields |= {"result": result if ending is Ending.DONE else None}
    return Outcome(attempt_id=assignment.attempt_id, job_id=assignment.job_id, ending=ending, **fields)


# Death and beats ---------------------------------------------------------------------------------------------------


def test_a_worker_that_dies_before_it_has_said_anything_costs_nothing(store):
    """Once before it is entered, once before its first exchange: nobody waits for it, and nothing is charged."""
    (job, _) = add(store, design(), "b")
    submission, _ = submit(store)
    assert "no live worker takes jobs" in why(store, job)
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        worker = register_worker(store, submission, slots=1, process=here(process.pid))
        assert "it waits for its turn" in why(store, job)
        process.kill()
    found = reconcile(store)
    assert (set(found.dead), found.requeued, found.queued) == ({worker}, 0, 2)
    assert "no live worker takes jobs" in why(store, job)
    assert ask(store, "select attempts, suspect, charged from job") == [(0, 0, 0)] * 2


HOLDER = """
import ctypes
import os
from sklearn.dummy import DummyClassifier

class Holder(DummyClassifier):
    def __init__(self, fifo=None):
        super().__init__()
        self.fifo = fifo

    def fit(self, X, y):
        descriptor = os.open(self.fifo, os.O_RDONLY)  # returns when the test opens its end
        # Called with the interpreter's lock in hand: no other thread of this process runs until something is written.
        ctypes.PyDLL(None).read(descriptor, ctypes.create_string_buffer(1), 1)
        return super().fit(X, y)
"""


def test_a_learner_that_holds_the_interpreters_lock_keeps_no_worker_from_beating(tmp_path, monkeypatch):
    from batchml.core.trust import Trust

    (tmp_path / "gil_holder.py").write_text(HOLDER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BATCHML_BEAT", "0.1")
    monkeypatch.setenv("BATCHML_LEASE", "60")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    from gil_holder import Holder

    url = f"sqlite:///{tmp_path}/study.db"
    trust = Trust.default().with_modules(("gil_holder",))
    with Store.create(url, seed=1) as store:
        learner = bm.as_learner(Holder(fifo=str(fifo)), id="holder")
        add(store, bm.benchmark_grid("iris", learner, bm.rsmp("holdout")), "b", trust=trust)
        submission, _ = submit(store)
        launch = Launch(
            url=url,
            registry=store.uuid,
            submission=submission,
            artifacts=store.artifact_path,
            paths=(str(tmp_path),),
            trust=("gil_holder",),
        )
        (handle,) = Local(slots=1).start(launch)
        try:
            end = writer_of(fifo)
            beats = {ask(store, "select beat_s from worker")[0]}
            until(lambda: len(beats.union(ask(store, "select beat_s from worker"))) > 1, "a beat")
            beats.update(ask(store, "select beat_s from worker"))
            until(lambda: len(beats.union(ask(store, "select beat_s from worker"))) > 2, "another beat")
            assert ask(store, "select state from job") == [("running",)]
            os.write(end, b".")
            os.close(end)
            until(lambda: ask(store, "select state from job") == [("done",)], "the job ends")
            assert ask(store, "select outcome from attempt") == [("done",)]
        finally:
            handle.stop(now=True)
            handle.wait(30)


def writer_of(fifo):
    """Return the other end, as soon as somebody reads."""
    found = []

    def opened():
        with contextlib.suppress(OSError):
            found.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        return found

    until(opened, "the learner reads")
    return found[0]


def test_a_thousand_workers_do_not_all_come_back_to_a_restarted_database_at_once(monkeypatch):
    """All lost it at the same moment. After an outage of half a minute no tenth of a second has many of them."""
    monkeypatch.setattr("batchml.worker.rhythm.random", random.Random(1))
    moments = []
    for _ in range(1000):
        rhythm = Rhythm(Settings(), 0.0)
        while rhythm.retry_at < 30:
            rhythm.failed(OSError("gone"), rhythm.retry_at)
        moments.append(rhythm.retry_at)
    crowds = Counter(int(10 * moment) for moment in moments)
    assert max(crowds.values()) < 60


# Results -----------------------------------------------------------------------------------------------------------


def test_a_result_larger_than_any_packet_is_stored_whole_beside_small_ones(store):
    add(store, design(), "b")
    worker, held = claimed(store)
    large = random.Random(1).randbytes(20_000_000)
    exchange(store, worker, [outcome(held[0], predictions=large), outcome(held[1], predictions=b"small")], [], 0)
    stored = read_predictions(store, [one.job_id for one in held], ["test"])
    assert {job: bytes(data) for job, _, data in stored} == {held[0].job_id: large, held[1].job_id: b"small"}


def test_a_failure_is_never_reused_for_a_result(store):
    """Neither by the same design, nor under another name, nor together with a new cell."""
    add(store, design(), "b")
    worker, held = claimed(store)
    exchange(store, worker, [outcome(one, Ending.CRASHED, message="segfault") for one in held], [], 0)
    both = ["classif.featureless", "classif.tree"]
    for learners, name in ((both[:1], "b"), (both[:1], "again"), (both, "more")):
        said = plan(store, design(learners), name)
        assert (said.reused, said.failed) == (0, 2), name
        assert "failed" in str(said)
    assert retry(store, [one.job_id for one in held]) == 2
    assert ask(store, "select state, attempts from job where attempts > 0") == [("queued", 1)] * 2


def test_a_damaged_prediction_is_named_by_its_job(store, registry_url, tmp_path):
    add(store, design(), "b")
    worker, held = claimed(store)
    exchange(store, worker, [outcome(one, predictions=b"no prediction") for one in held], [], 0)
    with bm.Registry.open(registry_url) as registry:
        for ask_for in (lambda: registry.export(tmp_path / "out"), lambda: registry.rescore("classif.bacc")):
            with pytest.raises(ArtifactError, match=rf"job {held[0].job_id}\b.*reset it"):
                ask_for()
