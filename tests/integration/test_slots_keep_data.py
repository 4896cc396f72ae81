"""A worker works through one table after the other, a job goes to a slot that has its table open, none is left out."""

from __future__ import annotations

import itertools
import re
import time
from collections import defaultdict
from pathlib import Path

import pytest
from made_experiment import made_experiment

import batchml as bm
from batchml.core.attempt import Assignment, Ending, JobResult, Outcome
from batchml.core.trust import Trust
from batchml.data.artifacts import ArtifactFolder
from batchml.registry.benchmarks import add
from batchml.registry.exchange import exchange
from batchml.registry.jobs import submit
from batchml.registry.store import Store
from batchml.registry.workers import register_worker
from batchml.worker.slots import SandboxPool

HERE = Path(__file__).parent


@pytest.fixture
def experiments(tmp_path, monkeypatch):
    """Return two experiments of one learner, which prints its process, on two tables."""
    monkeypatch.syspath_prepend(HERE)
    import nasty_learners

    learner = bm.as_learner(nasty_learners.Nasty(deed="name_process"), preprocess="none")
    tables = enumerate(("iris", "penguins"))
    return [made_experiment(ArtifactFolder(tmp_path), learner, number, key, (), seed=1) for number, key in tables]


@pytest.fixture
def pool(tmp_path):
    pool = SandboxPool(2, tmp_path, Trust.default().with_modules(("nasty_learners",)), [HERE])
    yield pool
    pool.close()


def run(pool, assignments):
    for one in assignments:
        pool.submit(one)
    outcomes, end = [], time.monotonic() + 60
    while len(outcomes) < len(assignments):
        assert time.monotonic() < end
        outcomes += pool.wait(1.0)
    assert {outcome.ending for outcome in outcomes} == {Ending.DONE}, outcomes
    return {outcome.attempt_id: int(re.search(r"process (\d+)", outcome.log)[1]) for outcome in outcomes}


def test_each_of_two_slots_stays_with_its_table(pool, experiments):
    one, other = experiments
    numbers = iter(range(1, 1000))

    def assign(experiment):
        number = next(numbers)
        return Assignment(attempt_id=number, job_id=number, iteration=number % 3, experiment=experiment)

    processes = defaultdict(set)
    for pair in [(one, other), (other, one), (one, other), (other, one)]:
        batch = [assign(experiment) for experiment in pair]
        for attempt, process in run(pool, batch).items():
            processes[next(each for each in batch if each.attempt_id == attempt).experiment.id].add(process)
    assert len(processes[one.id]) == 1
    assert len(processes[other.id]) == 1
    assert processes[one.id] != processes[other.id]
    # One table only: the other slot takes it, too, rather than to have a job wait.
    batch = [assign(one) for _ in range(2)]
    pool._seating._recent.clear()  # nobody knows how long they take, so none is sent ahead
    assert len(set(run(pool, batch).values())) == 2


def test_claims_of_one_rank_go_through_one_table_after_the_other(registry_url):
    with Store.create(registry_url, seed=1) as store:
        learners = ["classif.featureless", "classif.tree"]
        add(store, bm.benchmark_grid(["iris", "penguins"], learners, bm.rsmp("cv", folds=5)), "b")
        submission, _ = submit(store)
        worker = register_worker(store, submission, slots=2)
        back, tables = [], []
        while claimed := exchange(store, worker, back, [], 2).assignments:
            tables += [(one.iteration > 0, one.experiment.task["data"]["digest"]) for one in claimed]
            back = [done(one) for one in claimed]
        assert len(tables) == 20
        # First all first iterations, which tell how long the others will take, then those.
        assert len(list(itertools.groupby(tables))) == 4


def done(assignment):
    result = JobResult(completeness="full", predictions={"test": b"x"}, scores=(), n=5)
    return Outcome(
        attempt_id=assignment.attempt_id, job_id=assignment.job_id, ending=Ending.DONE, result=result, wall_s=0.1
    )
