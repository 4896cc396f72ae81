"""What a registry tries again by itself: as a benchmark's policy says, and with more memory in another class."""

import pytest

import batchml as bm
from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.registry.backlog import adopt, orphaned, read_backlog
from batchml.registry.benchmarks import add, plan
from batchml.registry.exchange import exchange
from batchml.registry.jobs import find, retry, submit
from batchml.registry.store import Store
from batchml.registry.workers import end_worker, register_worker


@pytest.fixture
def store(registry_url):
    with Store.create(registry_url, seed=1) as store:
        yield store


def design(policy, folds=2, tasks="iris"):
    return bm.benchmark_grid(tasks, "classif.featureless", bm.rsmp("cv", folds=folds), retry=policy)


def staffed(store, policy, resources=None):
    """Submit the two jobs of a benchmark and enter a worker for them."""
    ids = add(store, design(policy), "b")
    submission, _ = submit(store, ids, resources)
    return ids, register_worker(store, submission, slots=2)


def play(store, worker, ending, **fields):
    """Claim what there is, one after another, and end it all in one way; return the jobs."""
    given = []
    while claimed := exchange(store, worker, [], [], 2).assignments:
        given += claimed
    ended = [
        Outcome(attempt_id=one.attempt_id, job_id=one.job_id, ending=ending, message="over", **fields) for one in given
    ]
    exchange(store, worker, ended, [], 0)
    return [one.job_id for one in given]


def leave(store, worker):
    with store.write() as connection:
        end_worker(connection, worker, "stopped", "left", Ending.RELEASED)


def states(store):
    return find(store)["state"].tolist()


def test_without_a_policy_nothing_of_the_method_is_tried_again(store):
    ids, worker = staffed(store, None)
    assert play(store, worker, Ending.TIMEOUT) == ids
    assert states(store) == ["error", "error"]


def test_failures_are_tried_again_as_often_as_the_policy_says(store):
    ids, worker = staffed(store, {"timeout": 2, "crashed": 1})
    for ending, state in [("timeout", "queued"), ("crashed", "queued"), ("timeout", "queued"), ("timeout", "error")]:
        assert play(store, worker, Ending(ending)) == ids
        assert states(store) == [state] * 2
    assert find(store)["attempts"].tolist() == [4, 4]
    assert retry(store, ids) == 2
    play(store, worker, Ending.TIMEOUT)
    assert states(store) == ["queued"] * 2  # the user has given them a clean slate
    play(store, worker, Ending.LEARNER_ERROR)
    assert states(store) == ["error"] * 2


def test_want_of_memory_moves_a_job_into_a_class_with_more_until_the_policy_ends(store):
    ids, worker = staffed(store, {"out_of_memory": 2, "memory": "x2"}, {"memory_mb": 100})
    play(store, worker, Ending.OUT_OF_MEMORY)
    assert states(store) == ["queued"] * 2
    assert play(store, worker, Ending.DONE) == []  # its workers have a hundred each, and no more
    leave(store, worker)
    assert "memory_mb=200" in read_backlog(store).stalled
    for memory, state in [(200, "queued"), (400, "error")]:
        (row,) = orphaned(store)
        assert row.body == {"memory_mb": memory}
        number, _ = submit(store, [], row.body)
        assert adopt(store, row.resource_id, number) == 2
        worker = register_worker(store, number, slots=2)
        assert play(store, worker, Ending.OUT_OF_MEMORY) == ids
        assert states(store) == [state] * 2
        leave(store, worker)


def test_without_a_limit_there_is_no_memory_that_could_grow(store):
    _, worker = staffed(store, {"out_of_memory": 2, "memory": "x2"})
    play(store, worker, Ending.OUT_OF_MEMORY)
    assert states(store) == ["error"] * 2


def test_a_job_of_two_benchmarks_gets_the_more_generous_policy(store):
    ids, worker = staffed(store, None)
    assert add(store, design({"timeout": 1}), "other") == []
    assert play(store, worker, Ending.TIMEOUT) == ids
    assert set(states(store)) == {"queued"}


def test_another_policy_is_told_and_holds_for_failures_from_then_on(store):
    ids, worker = staffed(store, None)
    again = design({"timeout": 1})
    told = plan(store, again, "b")
    assert told.retry_changed
    assert not told.nothing_new
    assert "retry policy" in str(told)
    add(store, again, "b")
    assert plan(store, again, "b").nothing_new
    assert play(store, worker, Ending.TIMEOUT) == ids
    assert states(store) == ["queued"] * 2


def test_a_job_done_without_any_prediction_can_be_retried(store):
    ids, worker = staffed(store, None)
    for word in ("none", "full"):
        (one,) = exchange(store, worker, [], [], 1).assignments
        found = JobResult(completeness=word, predictions={}, scores=(), n=5, n_missing=5)
        ended = Outcome(attempt_id=one.attempt_id, job_id=one.job_id, ending=Ending.DONE, result=found)
        exchange(store, worker, [ended], [], 0)
    assert states(store) == ["done", "done"]
    assert retry(store, ids) == 1
    assert states(store) == ["queued", "done"]
    assert find(store)["prediction"].tolist()[1] == "full"
    assert play(store, worker, Ending.LEARNER_ERROR) == ids[:1]
