"""The exchange: what endings make of jobs, on a real SQLite file."""

from __future__ import annotations

import math
import random
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from batchml.core.attempt import Ending, JobResult, Order, Outcome
from batchml.errors import PoisonedError, RegistryError, UnknownKeyError
from batchml.registry import tables
from batchml.registry.exchange import exchange, open_attempts
from batchml.registry.moves import cancel, remove, reset, retry
from batchml.registry.specs import put_specs
from batchml.registry.store import Store
from batchml.registry.submissions import submit
from batchml.registry.workers import end_worker, register_worker, stop_worker, stop_workers


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
def store(registry_url):
    with Store.create(registry_url, seed=1) as store:
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


def failed(assignment, ending, **fields):
    return Outcome(attempt_id=assignment.attempt_id, job_id=assignment.job_id, ending=ending, **fields)


def row(store, job_id):
    with store.read() as connection:
        return connection.execute(select(tables.job).where(tables.job.c.id == job_id)).one()


def attempts_of(store, job_id):
    with store.read() as connection:
        found = select(tables.attempt.c.outcome).where(tables.attempt.c.job_id == job_id).order_by(tables.attempt.c.id)
        return list(connection.execute(found).scalars())


def staffed(store, *, cells=1, iterations=1, slots=8):
    """Return a worker for submitted synthetic jobs."""
    fill(store, cells, iterations)
    submission, _ = submit(store)
    return register_worker(store, submission, slots=slots)


def take(store, worker, want=1):
    return list(exchange(store, worker, [], [], want).assignments)


@pytest.mark.parametrize(
    ("ending", "state", "charged"),
    [
        (Ending.LEARNER_ERROR, "error", 1),
        (Ending.CONFIG_ERROR, "error", 0),
        (Ending.TIMEOUT, "error", 1),
        (Ending.OUT_OF_MEMORY, "error", 1),
        (Ending.CRASHED, "error", 1),
        (Ending.INFRASTRUCTURE, "queued", 0),
        (Ending.PREEMPTED, "queued", 0),
        (Ending.CANCELLED, "cancelled", 0),
    ],
)
def test_an_ending_moves_its_job_as_the_table_of_outcomes_says(store, ending, state, charged):
    worker = staffed(store)
    [assignment] = take(store, worker)
    answer = exchange(store, worker, [failed(assignment, ending, message="why", error_type="E")], [], 0)
    assert answer.lost == ()
    found = row(store, assignment.job_id)
    assert (found.state, found.charged) == (state, charged)
    assert attempts_of(store, assignment.job_id) == [ending.value]


def test_a_released_claim_was_no_try(store):
    worker = staffed(store)
    [assignment] = take(store, worker)
    answer = exchange(store, worker, [], [assignment.attempt_id], 0)
    assert answer.waiting == 1
    found = row(store, assignment.job_id)
    assert (found.state, found.attempts) == ("queued", 0)
    assert attempts_of(store, assignment.job_id) == ["released"]


def test_hiccups_of_the_system_are_retried_three_times_with_growing_delays(store):
    worker = staffed(store)
    delays = []
    for _ in range(4):
        [assignment] = take(store, worker)
        answer = exchange(store, worker, [failed(assignment, Ending.INFRASTRUCTURE)], [], 1)
        assert answer.assignments == ()
        delays.append(answer.next_s)
        with store.write() as connection:
            connection.execute(tables.job.update().values(not_before=None))
    assert delays[0] == pytest.approx(2, abs=1)
    assert delays[0] < delays[1] < delays[2]
    assert row(store, 1).state == "error"


def test_a_back_off_that_a_clock_set_back_made_endless_is_ignored(store):
    worker = staffed(store)
    with store.write() as connection:
        connection.execute(tables.job.update().values(not_before=4e9))
    assert len(take(store, worker)) == 1


def lose(store, worker):
    with store.write() as connection:
        end_worker(connection, worker, "lost", "killed", Ending.LOST)


def test_a_suspect_is_claimed_alone_and_its_second_loss_alone_is_an_error(store):
    worker = staffed(store, iterations=3)
    first = take(store, worker, 3)
    assert len(first) == 1  # near the end of a queue a worker takes only its part
    lose(store, worker)
    assert row(store, first[0].job_id).suspect == 1
    assert row(store, first[0].job_id).charged == 0
    submission = 1
    second = register_worker(store, submission, slots=1)
    seen = []
    outcomes = []
    for _ in range(6):
        answer = exchange(store, second, outcomes, [], 1)
        seen += answer.assignments
        if answer.assignments and answer.assignments[0].alone:
            break
        outcomes = [done(a) for a in answer.assignments]
    assert [a.alone for a in seen] == [False, False, True]
    assert take(store, second, 5) == []  # nothing beside a suspect
    lose(store, second)
    found = row(store, first[0].job_id)
    assert (found.state, found.charged, found.lost_alone) == ("queued", 1, 1)
    third = register_worker(store, submission, slots=1)
    [again] = take(store, third)
    assert again.alone
    lose(store, third)
    found = row(store, first[0].job_id)
    assert (found.state, found.charged, found.lost_alone) == ("error", 2, 2)


def test_a_suspect_is_not_given_to_a_worker_that_runs_something(store):
    worker = staffed(store, iterations=2)
    [held] = take(store, worker)
    with store.write() as connection:
        connection.execute(tables.job.update().where(tables.job.c.state == "queued").values(suspect=1))
    answer = exchange(store, worker, [], [], 5)
    assert answer.assignments == ()
    assert answer.waiting == 1
    [suspect] = exchange(store, worker, [done(held)], [], 5).assignments
    assert suspect.alone


def test_a_worker_that_keeps_suspects_apart_gets_them_beside_others_when_nothing_else_waits(store):
    worker = staffed(store, iterations=8)
    [held] = take(store, worker)
    with store.write() as connection:
        connection.execute(tables.job.update().where(tables.job.c.state == "queued").values(suspect=1))
    suspects = [one for _ in range(5) for one in exchange(store, worker, [], [], 5, solos=1).assignments]
    assert [one.alone for one in suspects] == [True, True]  # one to run, and one to be the next
    lost = Outcome(attempt_id=suspects[0].attempt_id, job_id=suspects[0].job_id, ending=Ending.LOST)
    exchange(store, worker, [lost, done(held)], [], 0, solos=1)
    found = row(store, suspects[0].job_id)
    assert (found.state, found.charged, found.lost_alone) == ("queued", 1, 1)


def test_suspects_that_were_together_in_a_dead_worker_are_not_charged(store):
    worker = staffed(store, iterations=8)
    with store.write() as connection:
        connection.execute(tables.job.update().values(suspect=1, lost_alone=1))
    suspects = [one for _ in range(3) for one in exchange(store, worker, [], [], 5, solos=2).assignments]
    assert len(suspects) > 1
    lose(store, worker)
    found = [row(store, one.job_id) for one in suspects]
    assert {(one.state, one.charged, one.lost_alone) for one in found} == {("queued", 0, 1)}


def test_an_attempt_knows_on_which_host_of_a_cluster_it_ran(store):
    worker = staffed(store, iterations=3)
    with store.write() as connection:
        connection.execute(tables.worker.update().values(host="head"))
    first, second, third = (take(store, worker)[0] for _ in range(3))
    there = [replace(done(first), host="n1", place="tcp://n1:1"), replace(done(second), host="n1", place="tcp://n1:1")]
    exchange(store, worker, [*there, done(third)], [], 0)
    with store.read() as connection:
        assert connection.execute(select(tables.place.c.name, tables.place.c.host)).all() == [("tcp://n1:1", "n1")]
        hosts = connection.exec_driver_sql("SELECT host FROM jobs ORDER BY job_id").scalars().all()
    assert sorted(hosts) == ["head", "n1", "n1"]


def test_a_suspect_that_succeeds_is_cleared(store):
    worker = staffed(store)
    with store.write() as connection:
        connection.execute(tables.job.update().values(suspect=1, lost_alone=1))
    [assignment] = take(store, worker)
    exchange(store, worker, [done(assignment)], [], 0)
    found = row(store, 1)
    assert (found.state, found.suspect, found.lost_alone) == ("done", 0, 0)


def test_a_result_of_many_megabytes_arrives_whole_beside_small_ones(store):
    worker = staffed(store, cells=3)
    first, large, last = (take(store, worker)[0] for _ in range(3))
    blob = random.Random(1).randbytes(24 << 20)
    outcome = done(large)
    outcome = replace(outcome, result=replace(outcome.result, predictions={"test": blob}))
    assert exchange(store, worker, [done(first), outcome, done(last)], [], 0).lost == ()
    with store.read() as connection:
        kept = select(tables.prediction.c.data).where(tables.prediction.c.job_id == large.job_id)
        assert connection.execute(kept).scalar_one() == blob
    assert set(states(store).values()) == {"done"}


def test_an_outcome_delivered_twice_is_stored_once_and_not_lost(store):
    worker = staffed(store)
    [assignment] = take(store, worker)
    assert exchange(store, worker, [done(assignment)], [], 0).lost == ()
    assert exchange(store, worker, [done(assignment), done(assignment)], [], 0).lost == ()
    assert attempts_of(store, 1) == ["done"]


def test_another_workers_attempt_is_refused(store):
    worker = staffed(store)
    [assignment] = take(store, worker)
    other = register_worker(store, 1, slots=1)
    assert exchange(store, other, [done(assignment)], [], 0).lost == (assignment.attempt_id,)
    assert row(store, 1).state == "running"


def test_an_unknown_attempt_is_refused(store):
    worker = staffed(store)
    outcome = Outcome(attempt_id=99, job_id=1, ending=Ending.PREEMPTED)
    assert exchange(store, worker, [outcome], [], 0).lost == (99,)


def test_a_late_result_without_successor_is_taken(store):
    worker = staffed(store)
    [assignment] = take(store, worker)
    lose(store, worker)
    assert exchange(store, worker, [done(assignment)], [], 0).lost == ()
    assert row(store, 1).state == "done"
    assert attempts_of(store, 1) == ["done"]


def test_a_late_result_supersedes_its_successor_who_is_told(store):
    worker = staffed(store)
    [assignment] = take(store, worker)
    lose(store, worker)
    other = register_worker(store, 1, slots=1)
    [successor] = take(store, other)
    assert exchange(store, worker, [done(assignment)], [], 0).lost == ()
    assert attempts_of(store, 1) == ["done", "superseded"]
    answer = exchange(store, other, [], [], 0)
    assert answer.cancel == (successor.attempt_id,)
    assert exchange(store, other, [failed(successor, Ending.SUPERSEDED)], [], 0).lost == ()
    assert exchange(store, other, [], [], 0).cancel == ()
    assert row(store, 1).state == "done"


def test_a_late_result_after_the_successors_is_dropped(store):
    worker = staffed(store)
    [assignment] = take(store, worker)
    lose(store, worker)
    other = register_worker(store, 1, slots=1)
    [successor] = take(store, other)
    exchange(store, other, [done(successor, 0.25)], [], 0)
    assert exchange(store, worker, [done(assignment, 0.75)], [], 0).lost == (assignment.attempt_id,)
    with store.read() as connection:
        assert set(connection.execute(select(tables.score.c.value)).scalars()) == {0.25}


@pytest.mark.parametrize("move", [reset, cancel])
def test_a_late_result_of_an_older_generation_is_dropped(store, move):
    worker = staffed(store)
    [assignment] = take(store, worker)
    lose(store, worker)
    assert move(store, [1]) == 1
    state = row(store, 1).state
    assert exchange(store, worker, [done(assignment)], [], 0).lost == (assignment.attempt_id,)
    assert row(store, 1).state == state


def test_a_late_failure_is_dropped_so_that_the_job_runs_again(store):
    worker = staffed(store)
    [assignment] = take(store, worker)
    lose(store, worker)
    assert exchange(store, worker, [failed(assignment, Ending.LEARNER_ERROR)], [], 0).lost == (assignment.attempt_id,)
    assert row(store, 1).state == "queued"


def test_cancelling_a_running_job_ends_its_attempt_and_tells_the_worker(store):
    worker = staffed(store, iterations=2)
    [assignment] = take(store, worker)
    assert cancel(store, [1, 2]) == 1  # the running one is left alone
    assert cancel(store, [1, 2], running=True) == 1
    answer = exchange(store, worker, [], [], 5)
    assert answer.cancel == (assignment.attempt_id,)
    assert answer.assignments == ()
    assert exchange(store, worker, [done(assignment)], [], 0).lost == (assignment.attempt_id,)
    assert states(store) == {1: "cancelled", 2: "cancelled"}


def test_a_reset_of_a_running_job_makes_it_defined_and_its_worker_drops_it(store):
    worker = staffed(store)
    [assignment] = take(store, worker)
    assert reset(store, [1]) == 1
    assert exchange(store, worker, [], [], 1).cancel == (assignment.attempt_id,)
    assert row(store, 1).state == "defined"


@pytest.mark.parametrize(
    "poison",
    [
        {"message": "\ud800"},
        {"fit_s": "\x00 no number", "message": "x" * 3000, "traceback": object()},
        {"signal": 2**70},
    ],
)
def test_an_outcome_the_database_refuses_takes_nothing_with_it(store, poison):
    worker = staffed(store, iterations=8)
    good, bad = take(store, worker, 8)[:1], take(store, worker, 8)[:1]
    batch = [done(good[0]), failed(bad[0], Ending.LEARNER_ERROR, **poison)]
    with pytest.raises(PoisonedError):
        exchange(store, worker, batch, [], 5)
    assert row(store, good[0].job_id).state == "running"
    assert exchange(store, worker, [done(good[0])], [], 0).lost == ()
    cure = failed(bad[0], Ending.INFRASTRUCTURE, message="refused")
    assert exchange(store, worker, [cure], [], 0).lost == ()


def test_a_done_without_a_result_is_poison(store):
    worker = staffed(store)
    [assignment] = take(store, worker)
    with pytest.raises(PoisonedError, match="no result"):
        exchange(store, worker, [failed(assignment, Ending.DONE)], [], 0)


def test_scores_that_are_no_numbers_keep_their_kind(store):
    worker = staffed(store)
    [assignment] = take(store, worker)
    (first, _), (second, _) = assignment.experiment.measures
    result = JobResult(completeness="none", predictions={}, scores=((first, math.nan), (second, -math.inf)), n=3)
    outcome = Outcome(attempt_id=assignment.attempt_id, job_id=1, ending=Ending.DONE, result=result)
    exchange(store, worker, [outcome], [], 0)
    with store.read() as connection:
        kinds = connection.exec_driver_sql("SELECT measure, kind, value FROM scores ORDER BY measure").all()
    assert [tuple(kind) for kind in kinds] == [("acc", "nan", None), ("ce", "inf", None)]


def test_workers_claim_only_their_resource_class(store):
    fill(store, 1, 4)
    small, _ = submit(store, [1, 2], {"memory_mb": 100})
    large, _ = submit(store, [3, 4], {"memory_mb": 8000})
    worker = register_worker(store, large, slots=4)
    seen = []
    for _ in range(5):
        seen += [a.job_id for a in take(store, worker, 4)]
    assert sorted(seen) == [3, 4]
    assert small != large


def test_an_experiment_never_measured_gives_one_job_a_slot(store):
    worker = staffed(store, iterations=50, slots=2)
    first = take(store, worker, 10)
    assert len(first) == 2
    answer = exchange(store, worker, [done(a) for a in first], [], 10)
    assert len(answer.assignments) == 10
    assert answer.assignments[0].expected_s == pytest.approx(0.1)


def test_near_the_end_of_the_queue_a_worker_takes_its_part(store):
    fill(store, 12, 1)
    submission, _ = submit(store)
    workers = [register_worker(store, submission, slots=1) for _ in range(3)]
    assert len(take(store, workers[0], 10)) == 2  # ceil(12 / (2 x 3))


def test_an_assignment_says_all_that_a_process_needs(store):
    worker = staffed(store)
    [assignment] = take(store, worker)
    experiment = assignment.experiment
    assert (experiment.digest, experiment.seed, experiment.modules) == ("c1", 7, ("mine",))
    assert [spec["key"] for _, spec in experiment.measures] == ["acc", "ce"]
    assert open_attempts(store, worker) == (assignment,)


def test_orders_reach_workers_and_stop_their_claims(store):
    worker = staffed(store)
    assert stop_workers(store) == [worker]
    answer = exchange(store, worker, [], [], 1)
    assert (answer.order, answer.assignments) == (Order.DRAIN, ())
    stop_workers(store, [worker], now=True)
    assert exchange(store, worker, [], [], 1).order is Order.STOP
    with pytest.raises(UnknownKeyError, match="no worker 77"):
        stop_workers(store, [77])


def test_a_worker_that_stopped_cannot_go_on(store):
    worker = staffed(store)
    [assignment] = take(store, worker)
    stop_worker(store, worker, "drained")
    assert row(store, assignment.job_id).state == "queued"
    with pytest.raises(RegistryError, match="stopped"):
        exchange(store, worker, [], [], 1)


def test_a_requeued_incarnation_closes_its_predecessors_attempts_as_preempted(store):
    fill(store, 1, 1)
    submission, _ = submit(store)
    first = register_worker(store, submission, slots=1, scheduler_id="4711_1")
    [assignment] = take(store, first)
    register_worker(store, submission, slots=1, scheduler_id="4711_1", incarnation=1)
    found = row(store, assignment.job_id)
    assert (found.state, found.suspect, attempts_of(store, 1)) == ("queued", 0, ["preempted"])


def test_a_fitted_model_lies_beside_the_registry(store):
    worker = staffed(store)
    [assignment] = take(store, worker)
    outcome = done(assignment)
    outcome = replace(outcome, result=replace(outcome.result, model=b"opaque"))
    exchange(store, worker, [outcome], [], 0)
    with store.read() as connection:
        name = connection.execute(select(tables.result.c.model)).scalar_one()
    assert store.artifacts.path("model", name).read_bytes() == b"opaque"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 2), st.sampled_from([*Ending, "lose", "reset", "retry"])), max_size=25))
def test_whatever_happens_the_rows_agree(tmp_path_factory, steps):
    """A job runs if and only if one attempt is open, and is done if and only if it has a result."""
    with Store.create(f"sqlite:///{tmp_path_factory.mktemp('law') / 'study.db'}", seed=1) as store:
        fill(store, 1, 3)
        submission, _ = submit(store)
        workers = [register_worker(store, submission, slots=3) for _ in range(3)]
        held = {worker: [] for worker in workers}
        for who, event in steps:
            worker = workers[who]
            if event == "lose":
                lose(store, worker)
            elif event in {"reset", "retry"}:
                {"reset": reset, "retry": retry}[event](store, [who + 1])
                submit(store)
            else:
                back = held[worker][:1]
                outcome = [done(a) if event is Ending.DONE else failed(a, event) for a in back]
                held[worker] = held[worker][1:] + list(exchange(store, worker, outcome, [], 1).assignments)
            with store.read() as connection:
                state = dict(connection.exec_driver_sql("SELECT id, state FROM job").all())
                opened = connection.exec_driver_sql("SELECT job_id FROM attempt WHERE ended_at IS NULL").scalars().all()
                results = connection.exec_driver_sql("SELECT job_id FROM result").scalars().all()
            assert sorted(opened) == [key for key, word in state.items() if word == "running"]
            assert sorted(results) == [key for key, word in state.items() if word == "done"]


CLAIMER = """
import sys
sys.path.insert(0, sys.argv[1])
import test_registry_exchange as shared
from batchml.registry.store import Store
from batchml.registry.workers import register_worker
with Store.open(sys.argv[2]) as store:
    worker, back, seen = register_worker(store, 1, slots=3), [], 0
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        answer = shared.exchange(store, worker, back, [], 3)
        assert answer.lost == ()
        back = [shared.done(a) for a in answer.assignments]
        seen += len(back)
        if not back and not answer.waiting:
            break
print(seen)
"""


def test_several_processes_run_each_job_once(store):
    fill(store, 10, 20)
    submit(store)
    command = [sys.executable, "-c", CLAIMER, str(Path(__file__).parent), store.url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(3)]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 3
    for child in children:  # all at once: on a busy machine one could be through before another has begun
        child.stdin.write("\n")
        child.stdin.flush()
    counts = [int(child.communicate(timeout=120)[0]) for child in children]
    assert sum(counts) == 200
    assert min(counts) > 0
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM attempt").scalar() == 200
        assert connection.exec_driver_sql("SELECT DISTINCT state, attempts FROM job").all() == [("done", 1)]


@pytest.mark.parametrize("registry_url", ["sqlite"], indirect=True)  # the other one plans by the size of the tables
def test_moves_look_jobs_up_by_id_and_never_read_a_whole_state(store):
    """With a million jobs the difference is hours: the index of states would be read for each slice of ids."""
    worker = staffed(store, iterations=30)
    plans = []

    def explain(connection, cursor, statement, parameters, _context, executemany):
        if statement.startswith(("UPDATE job", "UPDATE attempt", "DELETE")):
            values = parameters[0] if executemany else parameters
            asked = sqlite3.connect(store.place.path)
            plans.extend((statement, row[3]) for row in asked.execute(f"EXPLAIN QUERY PLAN {statement}", values))
            asked.close()

    event.listen(store.engine, "before_cursor_execute", explain)
    exchange(store, worker, [done(a) for a in take(store, worker, 5)], [], 5)
    for move in (cancel, retry, reset, remove):
        move(store, [11, 12])
    assert plans
    for statement, step in plans:
        assert "ix_job_state" not in step, statement
        assert not step.startswith("SCAN") or "json_each" in step, statement
