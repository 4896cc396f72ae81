"""The exchange: what endings make of jobs, on a real SQLite file."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.registry import tables
from batchml.registry.exchange import exchange, open_attempts
from batchml.registry.specs import put_specs
from batchml.registry.store import Store
from batchml.registry.submissions import submit
from batchml.registry.workers import register_worker


def fill(store, cells=2, iterations=3):
    """Enter a benchmark of synthetic specs; return the rows of its measures."""
    with store.write() as connection:
        rows = {
            kind: put_specs(connection, kind, {kind: {"a": 1}})[kind]
            for kind in ("task", "model", "policy", "resampling")
        }
        measures = put_specs(connection, "measure", {"acc": {"key": "acc"}, "ce": {"key": "ce"}})
        connection.execute(tables.benchmark.insert(), {"id": 1, "name": "b", "modules": ["mine"], "paths": []})
        for position, name in enumerate(measures):
            values = {"benchmark_id": 1, "measure_id": measures[name], "position": position, "name": name}
            connection.execute(tables.benchmark_measure.insert(), values)
        labels = {"task": "t", "resampling": "cv", "n_iterations": iterations, "resampling_id": rows["resampling"]}
        for cell in range(1, cells + 1):
            identity = {"digest": f"e{cell}", "cell_digest": f"c{cell}", "seed": 7, "n_jobs": iterations}
            specs = {"task_id": rows["task"], "model_id": rows["model"], "policy_id": rows["policy"]}
            connection.execute(
                tables.experiment.insert(), {"id": cell, "learner": f"l{cell}", **identity, **specs, **labels}
            )
            member = {"benchmark_id": 1, "experiment_id": cell, "position": cell, "learner": f"l{cell}", **labels}
            connection.execute(tables.benchmark_experiment.insert(), member)
            jobs = [{"experiment_id": cell, "iteration": i} for i in range(iterations)]
            connection.execute(tables.job.insert(), jobs)
    return tuple(measures.values())


@pytest.fixture
def store(tmp_path):
    with Store.create(f"sqlite:///{tmp_path / 'study.db'}", seed=1) as store:
        yield store


def done(assignment, value=0.5):
    scores = tuple((key, value) for key, _ in assignment.experiment.measures)
    result = JobResult(completeness="full", predictions={"test": b"arrow"}, scores=scores, n=10)
    return Outcome(
        attempt_id=assignment.attempt_id,
        job_id=assignment.job_id,
        ending=Ending.DONE,
        wall_s=0.1,
        log="hi",
        result=result,
    )


def states(store):
    with store.read() as connection:
        return dict(connection.execute(select(tables.job.c.id, tables.job.c.state)).all())


def test_work_goes_round(store):
    fill(store)
    submission, n = submit(store)
    assert n == 6
    worker = register_worker(store, submission, slots=6)
    outcomes, seen = [], []
    for _ in range(20):
        answer = exchange(store, worker, outcomes, [], 10)
        assert answer.lost == ()
        seen += [a.job_id for a in answer.assignments]
        outcomes = [done(a) for a in answer.assignments]
        if not outcomes and not answer.waiting:
            break
    assert sorted(seen) == [1, 2, 3, 4, 5, 6]
    assert set(states(store).values()) == {"done"}
    assert open_attempts(store, worker) == ()
