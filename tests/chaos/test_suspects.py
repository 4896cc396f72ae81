"""Deaths of real workers: who is charged, and what a worker that comes back may still deliver."""

from __future__ import annotations

import signal
import time

import pytest
from chaos_stage import LEASE_S, Stage, send, until

HEAD = """
[benchmark]
name = "%s"
seed = 7
measures = ["classif.acc"]
modules = ["witness_learner"]
[[task]]
key = "iris"
"""

BAD = """
[[learner]]
class = "witness_learner.Killer"
[[resampling]]
key = "holdout"
"""

GOOD = """
[[learner]]
class = "witness_learner.Witness"
grid = { name = ["a", "b", "c", "d"] }
params = { seconds = 0.001 }
[[resampling]]
key = "subsampling"
repeats = 250
"""

LONG = """
[[learner]]
class = "witness_learner.Witness"
params = { seconds = 2.0 }
[[resampling]]
key = "holdout"
"""


SKEWS = {"ahead": 90_000, "behind": -90_000}


@pytest.fixture
def stage(registry_url, tmp_path, monkeypatch):
    import batchml as bm

    stage = Stage(tmp_path / "stage", registry_url, 1)
    monkeypatch.setenv("BATCHML_STATE", stage.environment["BATCHML_STATE"])
    bm.Registry.create(registry_url, seed=1, artifacts=stage.environment["BATCHML_ARTIFACTS"]).close()
    yield stage
    stage.kill_all()


def add(stage, *designs):
    """Add designs and queue their jobs; return the submission."""
    from batchml.registry.store import Store
    from batchml.registry.submissions import submit

    for number, design in enumerate(designs):
        (stage.folder / "this.toml").write_text(HEAD % f"study{number}" + design)
        stage.finish("add", "this.toml")
    with Store.open(stage.url) as store:
        return submit(store)[0]


@pytest.mark.slow
def test_one_job_that_kills_its_supervisor_does_no_harm_to_a_thousand_others(stage):
    add(stage, GOOD, BAD)
    rounds = 0
    while stage.left():
        rounds += 1
        assert rounds < 8, stage.said()
        stage.start("resume").wait(120)
    assert stage.ask("select state, count(*), max(charged) from job group by state order by state") == [
        ("done", 1000, 0),
        ("error", 1, 2),
    ]
    killer = "select a.alone from attempt a join job j on j.id = a.job_id where j.state = 'error' order by a.id"
    assert [alone for (alone,) in stage.ask(killer)][-2:] == [1, 1], "two losses alone"
    assert stage.ask("select count(*) from attempt where outcome = 'lost'")[0][0] < 100
    witness = stage.witness()
    assert len(witness.starts) == 1000
    assert stage.remaining() == {}


def stopped(stage, submission):
    """A worker that has been stopped while its job ran, and was then taken for dead."""
    from batchml.registry.rescue import reconcile
    from batchml.registry.store import Store

    worker = stage.start_worker(submission, "stopped", slots=1)
    until(lambda: stage.witness().starts, 60, stage.said())
    send(worker.pid, signal.SIGSTOP)
    time.sleep(LEASE_S + 0.5)
    with Store.open(stage.url) as store:
        # Seen alive, it is not presumed dead however long it is silent.
        assert reconcile(store).silent == (1,)
        assert reconcile(store, assume_dead=[1]).requeued == 1
    return worker


def outcomes(stage):
    return [outcome for (outcome,) in stage.ask("select outcome from attempt order by id")]


@pytest.mark.slow
def test_a_stopped_worker_that_comes_back_delivers_late(stage):
    worker = stopped(stage, add(stage, LONG))
    send(worker.pid, signal.SIGCONT)
    assert worker.wait(30) == 0
    assert outcomes(stage) == ["done"]
    assert stage.witness().repeated == 0
    assert stage.remaining() == {}


@pytest.mark.slow
def test_a_late_result_ends_its_successor(stage):
    submission = add(stage, LONG.replace("2.0", "4.0"))
    worker = stopped(stage, submission)
    successor = stage.start_worker(submission, "successor", slots=1)
    until(lambda: stage.witness().repeated, 60, stage.said())
    send(worker.pid, signal.SIGCONT)
    assert (worker.wait(30), successor.wait(30)) == (0, 0)
    assert outcomes(stage) in (["done", "superseded"], ["lost", "done"])
    assert stage.ask("select state from job") == [("done",)]
    assert stage.remaining() == {}


@pytest.mark.slow
def test_after_a_reset_a_late_result_is_dropped_and_logged(stage):
    from batchml.registry.moves import reset
    from batchml.registry.store import Store

    worker = stopped(stage, add(stage, LONG))
    with Store.open(stage.url) as store:
        assert reset(store, [1]) == 1
    send(worker.pid, signal.SIGCONT)
    assert worker.wait(30) == 0
    assert outcomes(stage) == ["lost"]
    assert stage.ask("select state from job") == [("defined",)]
    assert stage.ask("select count(*) from result") == [(0,)]
    assert "dropped" in stage.said()
    assert stage.remaining() == {}


@pytest.mark.slow
def test_workers_whose_wall_clocks_are_a_day_wrong_are_neither_dead_nor_served_twice(stage):
    from batchml.registry.rescue import reconcile
    from batchml.registry.store import Store

    submission = add(stage, LONG, LONG.replace("2.0", "2.1"))
    workers = [stage.start_worker(submission, name, slots=1, skew=skew) for name, skew in SKEWS.items()]
    until(lambda: len(stage.witness().starts) == 2, 60, stage.said())
    with Store.open(stage.url) as store:
        found = reconcile(store)
    assert (found.alive, found.requeued) == ((1, 2), 0)
    stage.finish("resume", "--detach")
    assert [worker.wait(30) for worker in workers] == [0, 0]
    assert (outcomes(stage), stage.witness().repeated) == (["done", "done"], 0)
    days = {line[:10] for line in stage.said().splitlines() if " worker " in line and "INFO" in line}
    assert len(days) == 2, "their clocks were wrong indeed"
    assert stage.remaining() == {}


@pytest.mark.slow
def test_what_ran_when_the_machine_was_started_anew_is_lost_by_proof_and_runs_again(stage):
    submission = add(stage, LONG)
    worker = stage.start_worker(submission, "before", slots=1, boot="11111111-2222-3333-4444-555555555555")
    until(lambda: stage.witness().starts, 60, stage.said())
    send(worker.pid, signal.SIGKILL)
    worker.wait(10)
    stage.finish("resume")
    assert stage.ask("select state, reason from worker where id = 1")[0][0] == "lost"
    assert (outcomes(stage), stage.ask("select state, charged from job")) == (["lost", "done"], [("done", 0)])
    assert stage.witness().repeated == 1
    assert len({boot for (boot,) in stage.ask("select boot_id from worker")}) == 2
    assert stage.remaining() == {}


@pytest.mark.slow
def test_an_element_that_its_scheduler_starts_again_takes_over_what_it_had(stage):
    """On one database the first is dead, on the other one stopped: it learns later that it was replaced."""
    submission, stops = add(stage, LONG), not stage.url.startswith("sqlite")
    element = {"BATCHML_ELEMENT": "slurm", "SLURM_JOB_ID": "77", "SLURM_JOB_END_TIME": str(int(time.time()) + 3600)}
    first = stage.start_worker(submission, "first", slots=1, SLURM_RESTART_COUNT="0", **element)
    until(lambda: stage.witness().starts, 60, stage.said())
    send(first.pid, signal.SIGSTOP if stops else signal.SIGKILL)
    second = stage.start_worker(submission, "second", slots=1, SLURM_RESTART_COUNT="1", **element)
    assert second.wait(60) == 0, stage.said()
    send(first.pid, signal.SIGCONT)
    first.wait(30)
    assert outcomes(stage) == ["preempted", "done"]
    assert stage.ask("select state, charged from job") == [("done", 0)]
    names = stage.ask("select scheduler_id, incarnation, state from worker order by id")
    assert names == [("77@", 0, "stopped"), ("77@", 1, "stopped")]
    assert stage.ask("select reason from worker where id = 1") == [("requeued by its scheduler",)]
    assert stage.ask("select count(*) from result") == [(1,)]
    assert stage.witness().repeated == 1
    assert stage.remaining() == {}
