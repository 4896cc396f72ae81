"""Which job is claimed next, and how long all of them will take."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import batchml as bm
from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.errors import ConfigError
from batchml.registry.benchmarks import add
from batchml.registry.estimates import estimate, schedule
from batchml.registry.exchange import exchange
from batchml.registry.jobs import cancel, find, submit
from batchml.registry.ranking import rank
from batchml.registry.store import Store
from batchml.registry.workers import register_worker

LEARNERS = ["classif.featureless", "classif.tree", "classif.knn"]


@pytest.fixture
def store(registry_url):
    with Store.create(registry_url, seed=1) as store:
        yield store


def grid(learners=LEARNERS, tasks=("iris",), folds=4):
    return bm.benchmark_grid(list(tasks), list(learners), bm.rsmp("cv", folds=folds))


def done(assignment, wall_s):
    result = JobResult(completeness="full", predictions={"test": b"x"}, scores=(), n=5)
    base = {"attempt_id": assignment.attempt_id, "job_id": assignment.job_id, "ending": Ending.DONE}
    return Outcome(result=result, fit_s=wall_s, predict_s=0.0, wall_s=wall_s, **base)


def run(store, submission, seconds, limit=10**6):
    """Run jobs one after another, each as long as `seconds` says of its experiment; return them in their order."""
    worker = register_worker(store, submission, slots=1)
    order, back = [], []
    while len(order) < limit:
        assignments = exchange(store, worker, back, [], 1).assignments
        if not assignments:
            return order
        [one] = assignments
        order.append((one.experiment.id, one.iteration))
        back = [done(one, seconds[one.experiment.id])]
    exchange(store, worker, back, [], 0)
    return order


def test_the_longest_are_claimed_first_once_the_first_iteration_of_each_cell_has_told(store):
    add(store, grid(), "b")
    submission, _ = submit(store)
    order = run(store, submission, {1: 0.01, 2: 5.0, 3: 700.0})
    assert order[:3] == [(1, 0), (2, 0), (3, 0)]
    assert order[3:] == [(3, 1), (3, 2), (3, 3), (2, 1), (2, 2), (2, 3), (1, 1), (1, 2), (1, 3)]


def test_what_the_registry_knows_orders_a_new_submission(store):
    ids = add(store, grid(), "b")
    submission, _ = submit(store, [ids[0], ids[4], ids[8]])
    run(store, submission, {1: 0.01, 2: 5.0, 3: 700.0})
    submission, _ = submit(store)
    assert [key for key, _ in run(store, submission, {1: 0.01, 2: 5.0, 3: 700.0})] == [3] * 3 + [2] * 3 + [1] * 3


def test_an_iteration_that_still_runs_is_as_long_as_it_has_run(store):
    add(store, grid(), "b")
    submission, _ = submit(store)
    first, second = (register_worker(store, submission, slots=1) for _ in range(2))
    run_one = exchange(store, first, [], [], 1).assignments
    held = store.memo["held"]
    held.update({key: (experiment, since - 100) for key, (experiment, since) in held.items()})
    exchange(store, first, [], [], 0)
    others = [exchange(store, second, [], [], 1).assignments[0].experiment.id for _ in range(3)]
    assert (run_one[0].experiment.id, others) == (1, [2, 3, 1])


def test_the_users_priority_comes_before_everything(store):
    ids = add(store, grid(), "b")
    submission, _ = submit(store, ids[:4], priority=-3)
    submit(store, ids[4:8])
    submit(store, ids[8:], priority=7)
    order = run(store, submission, {1: 5000.0, 2: 5.0, 3: 0.1})
    assert [key for key, _ in order] == [3] * 4 + [2] * 4 + [1] * 4


@pytest.mark.parametrize("wrong", [501, -501, 1.5, "high", True, None])
def test_a_priority_is_a_whole_number(store, wrong):
    with pytest.raises(ConfigError, match="from -500 to 500"):
        submit(store, priority=wrong)


@given(seconds=st.floats(min_value=0, max_value=1e12), factor=st.floats(min_value=2.0, max_value=4.0))
@settings(max_examples=50)
def test_a_rank_grows_with_each_doubling(seconds, factor):
    assert 0 <= rank(seconds) <= rank(seconds * factor) <= 40


@given(
    groups=st.lists(st.tuples(st.floats(min_value=0.0, max_value=100.0), st.integers(0, 30)), max_size=6),
    slots=st.integers(1, 8),
)
@settings(max_examples=100)
def test_the_schedule_is_that_of_dealing_one_by_one(groups, slots):
    loads, last = schedule(groups, slots)
    plain = [0.0] * slots
    for seconds in sorted((seconds for seconds, count in groups for _ in range(count)), reverse=True):
        plain.sort()
        plain[0] += seconds
    assert sorted(loads) == pytest.approx(sorted(plain))
    assert last in {0.0, *(seconds for seconds, _ in groups)}


def test_an_estimate_names_the_slots_that_idle_in_the_last_round(store):
    add(store, grid(["classif.tree"], folds=8), "b")
    assert estimate(store).remaining_s is None
    submission, _ = submit(store)
    run(store, submission, {1: 60.0}, limit=2)
    found = estimate(store, 4)
    assert (found.jobs_left, found.work_s, found.remaining_s) == (6, 360.0, 120.0)
    assert (found.idle_slots, found.idle_s, found.longest_s) == (2, 120.0, 60.0)
    whole = estimate(store, 3)
    assert (whole.remaining_s, whole.idle_slots) == (120.0, 0)
    assert estimate(store, 100).remaining_s == 60.0


def test_one_long_iteration_bounds_the_end(store):
    add(store, grid(["classif.featureless", "classif.tree"], folds=2), "b")
    submission, _ = submit(store)
    run(store, submission, {1: 1.0, 2: 100.0}, limit=2)
    found = estimate(store, 2)
    assert (found.remaining_s, found.idle_slots, found.idle_s) == (100.0, 1, 99.0)


def test_a_learner_on_a_new_task_is_scaled_by_rows(store):
    add(store, grid(["classif.tree"], ["iris"]), "b")
    submission, _ = submit(store)
    run(store, submission, {1: 15.0})
    add(store, grid(["classif.tree", "classif.knn"], ["iris", "breast_cancer"], folds=1 + 1), "b")
    found = estimate(store, 1)
    # tree on iris, under another resampling: 15 s; on 569 rows instead of 150: 56.9 s; knn: as the task, or all
    assert found.jobs_left == 8
    assert found.work_s == pytest.approx(2 * (15.0 + 15.0 * 569 / 150 + 15.0 + 15.0))


def test_an_estimate_counts_what_current_benchmarks_ask_for(store):
    add(store, bm.benchmark_grid("iris", "classif.tree", bm.rsmp("repeated_cv", folds=2, repeats=3)), "b")
    assert estimate(store).jobs_left == 6
    add(store, bm.benchmark_grid("iris", "classif.tree", bm.rsmp("repeated_cv", folds=2, repeats=1)), "b")
    assert estimate(store).jobs_left == 2
    assert estimate(store, submitted=True).jobs_left == 0
    assert len(find(store)) == 2


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2"])
def test_slots_are_counted_from_one(store, wrong):
    with pytest.raises(ConfigError, match="from 1"):
        estimate(store, wrong)


def test_a_worker_takes_its_part_of_what_is_left_although_there_was_plenty_a_moment_ago(store):
    ids = add(store, grid(folds=10), "b")
    submission, _ = submit(store)
    worker = register_worker(store, submission, slots=1)
    for want in (1, 3, 3):  # what has been done once tells how long the rest takes
        held = exchange(store, worker, [], [], want).assignments
        exchange(store, worker, [done(one, 0.01) for one in held], [], 0)
    [(left, _)] = [value for key, value in store.memo.items() if key[0] == "plenty"]
    assert left > 0, "the queue was counted to its end"
    queued = find(store, state="queued")["job_id"].tolist()
    cancel(store, [job for job in ids if job in queued[:-3]])
    assert len(exchange(store, worker, [], [], 3).assignments) == 2
