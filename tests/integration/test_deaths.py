"""Who is dead, what a death is charged to, and what users change meanwhile; on both databases."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from types import MappingProxyType

import pytest
from sqlalchemy import text

import batchml as bm
from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.errors import RegistryError, UnknownKeyError
from batchml.registry import processes
from batchml.registry.benchmarks import add
from batchml.registry.exchange import exchange
from batchml.registry.moves import cancel, remove, reset, retry
from batchml.registry.processes import here, is_gone
from batchml.registry.rescue import reconcile
from batchml.registry.store import Store
from batchml.registry.submissions import submit
from batchml.registry.tables import worker as workers
from batchml.registry.workers import register_worker
from batchml.worker.home import undelivered_folder
from batchml.worker.ledger import LocalLedger, give_back_unstarted
from batchml.worker.undelivered import LocalKeep


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))


@pytest.fixture
def store(registry_url, tmp_path):
    with Store.create(registry_url, seed=1, artifacts=tmp_path / "artifacts") as store:
        yield store


def fill(store, jobs):
    add(store, bm.benchmark_grid("iris", "classif.featureless", bm.rsmp("subsampling", repeats=jobs)), "b")
    submission, n = submit(store)
    assert n == jobs
    return submission


def hold(store, worker, count):
    held = []
    while len(held) < count:
        new = exchange(store, worker, [], [], count - len(held)).assignments
        assert new
        held += new
    return held


def done(assignment):
    scores = tuple((key, 0.5) for key, _ in assignment.experiment.measures)
    result = JobResult(completeness="full", predictions={"test": b"arrow"}, scores=scores, n=10)
    return Outcome(
        attempt_id=assignment.attempt_id, job_id=assignment.job_id, ending=Ending.DONE, wall_s=0.01, result=result
    )


@pytest.fixture
def outdate(store, monkeypatch):
    """Make the last beats of all workers older; the server, whose start leases wait for, has run for long."""
    monkeypatch.setattr("batchml.registry.rescue.up_since", lambda _: 0.0)

    def outdate(seconds):
        with store.write() as connection:
            connection.execute(workers.update().values(beat_s=workers.c.beat_s - seconds))

    return outdate


def ask(store, query):
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


# What was started --------------------------------------------------------------------------------------------------


def test_only_what_a_dead_worker_had_started_is_suspect(store):
    worker = register_worker(store, fill(store, 20), slots=5)
    held = hold(store, worker, 5)
    ledger = LocalLedger(store.uuid, worker)
    ledger.start(held[0].attempt_id)
    ledger.start(held[1].attempt_id)
    exchange(store, worker, [done(held[0])], [], 0)
    ledger.settle([held[0].attempt_id])
    assert give_back_unstarted(store) == 0, "it lives: its ledger is locked"
    ledger.close(clean=False)
    assert give_back_unstarted(store, dry_run=True) == 3
    assert give_back_unstarted(store) == 3
    assert give_back_unstarted(store) == 0
    found = reconcile(store, assume_dead=[worker])
    assert found.requeued == 1
    rows = ask(store, "select id, suspect, attempts, charged from job where state = 'queued'")
    assert [row for row in rows if row[1]] == [(held[1].job_id, 1, 1, 0)]
    assert {row[1:] for row in rows if not row[1]} == {(0, 0, 0)}, "what never started was no try"
    assert sorted(ask(store, "select outcome, count(*) from attempt group by outcome")) == [
        ("done", 1),
        ("lost", 1),
        ("released", 3),
    ]


def test_cells_of_a_ledger_are_used_again_only_when_the_outcome_is_known(store):
    worker = register_worker(store, fill(store, 2), slots=1)
    ledger = LocalLedger(store.uuid, worker)
    for attempt in range(1, 1001):
        ledger.start(attempt)
        if attempt > 3:
            ledger.settle([attempt])
    (path,) = undelivered_folder(store.uuid).iterdir()
    assert path.stat().st_size < 1024, "it does not grow with the number of jobs"
    content = path.read_bytes()
    for attempt in (1, 2, 3):
        assert attempt.to_bytes(8, "little") in content
    ledger.close(clean=True)
    assert not path.exists()


@pytest.mark.parametrize("change", [{"boot_id": "another"}, {"pid_start": 1}, {"host": "elsewhere"}])
def test_a_ledger_of_somebody_else_is_not_believed(store, change, monkeypatch):
    """After a reboot the disk may lack what was written last; worker numbers begin anew in a restored registry."""
    from dataclasses import replace

    worker = register_worker(store, fill(store, 20), slots=5)
    hold(store, worker, 3)
    other = replace(here(), **change)
    with monkeypatch.context() as patch:
        patch.setattr("batchml.worker.ledger.here", lambda: other)
        LocalLedger(store.uuid, worker).close(clean=False)
    assert give_back_unstarted(store) == 0
    assert reconcile(store, assume_dead=[worker]).requeued == 3


def test_without_a_disk_everything_is_suspect(store, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "file"))
    worker = register_worker(store, fill(store, 20), slots=5)
    hold(store, worker, 3)
    ledger = LocalLedger(store.uuid, worker)
    ledger.start(1)
    ledger.close(clean=False)
    assert give_back_unstarted(store) == 0
    assert reconcile(store, assume_dead=[worker]).requeued == 3


# Who is dead -------------------------------------------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user's process")
def test_another_users_process_is_alive_while_it_lives():
    process = subprocess.Popen(["/bin/sleep", "60"], user="nobody", cwd="/")
    try:
        named = here(process.pid)
        assert is_gone(named) is False
    finally:
        process.kill()
        process.wait()
    assert is_gone(named) is True


def test_a_process_that_may_not_be_seen_is_not_proven_dead(monkeypatch):
    """Where /proc hides other users' processes, not to find one says nothing."""
    named = here(1)
    monkeypatch.setattr(processes, "_start_of", lambda _: None)

    def refuse(_pid, _signal):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert is_gone(named) is None


def test_no_wall_clock_of_a_worker_is_asked(store, monkeypatch):
    def broken(*_):
        raise AssertionError("somebody looked at this machine's clock")

    worker = register_worker(store, fill(store, 5), slots=5)
    monkeypatch.setattr(time, "time", broken)
    monkeypatch.setattr(time, "time_ns", broken)
    (held,) = exchange(store, worker, [], [], 1).assignments
    assert exchange(store, worker, [done(held)], [], 0).lost == ()
    assert reconcile(store).alive == (worker,)


def test_a_lease_is_as_long_as_its_worker_says(store, outdate):
    from batchml.registry.processes import Process

    submission = fill(store, 5)
    away = Process(host="elsewhere", boot_id="x", pid=1, pid_start=1, pid_ns="x")
    short = register_worker(store, submission, slots=1, process=away, lease_s=100)
    long = register_worker(store, submission, slots=1, process=away, lease_s=10_000)
    outdate(500)
    found = reconcile(store)
    assert (found.silent, found.alive) == ((short,), (long,))
    outdate(600)
    assert set(reconcile(store).dead) == {short}


def test_registering_again_after_a_lost_reply_enters_nobody_twice(store):
    submission = fill(store, 5)
    first = register_worker(store, submission, slots=1)
    assert register_worker(store, submission, slots=1, again=True) == first
    assert register_worker(store, submission, slots=1) != first


# Many at once ------------------------------------------------------------------------------------------------------


class Crew(threading.Thread):
    """A worker that claims and ends jobs, one in five badly, until it is told to stop."""

    def __init__(self, url, submission, seed, stop):
        super().__init__()
        self.url, self.submission, self.stop = url, submission, stop
        self.draw = random.Random(seed)
        self.trouble = None
        self.start()

    def run(self):
        try:
            with Store.open(self.url) as store:
                self.work(store, register_worker(store, self.submission, slots=4))
        except Exception as error:  # noqa: BLE001 - told by the main thread
            self.trouble = error

    def work(self, store, worker):
        outcomes = []
        while not self.stop.is_set():
            answer = exchange(store, worker, outcomes, [], 4)
            outcomes = [self.ended(assignment) for assignment in answer.assignments]

    def ended(self, assignment):
        if self.draw.random() < 0.8:
            return done(assignment)
        return Outcome(attempt_id=assignment.attempt_id, job_id=assignment.job_id, ending=Ending.CRASHED, message="x")


def meddle(store, draw):
    """Change ten jobs; return what was done, and with how many."""
    alive = [job for (job,) in ask(store, "select id from job order by id")]
    some = draw.sample(alive, 10)
    move = draw.choice([retry, reset, cancel, remove])
    if move is remove:
        with contextlib.suppress(RegistryError):  # some run
            return remove, remove(store, some[:1])
        return remove, 0
    count = cancel(store, some, running=draw.random() < 0.5) if move is cancel else move(store, some)
    if move is reset:
        submit(store)
    return move, count


def test_users_change_jobs_while_workers_run_them(store, registry_url):
    """Four workers and a user who retries, resets, cancels and removes: the rows agree whatever comes first."""
    submission = fill(store, 150)
    began = time.monotonic()
    stop = threading.Event()
    crew = [Crew(registry_url, submission, seed, stop) for seed in range(4)]
    draw = random.Random(5)
    touched = Counter(dict.fromkeys((retry, reset, cancel, remove), 0))
    try:
        while (passed := time.monotonic() - began) < 3 or (passed < 60 and not all(touched.values())):
            move, count = meddle(store, draw)
            touched[move] += count
    finally:
        stop.set()
    for worker in crew:
        worker.join()
    assert [worker.trouble for worker in crew] == [None] * 4
    assert all(touched.values()), "each move met something"
    wrong = """
        select j.id, j.state from job j left join result r on r.job_id = j.id
        where (j.state = 'done') <> (r.job_id is not null)
    """
    assert ask(store, wrong) == []
    astray = """
        select j.id, j.state from job j left join attempt a on a.job_id = j.id and a.ended_at is null
        where (j.state = 'running') <> (a.id is not null)
    """
    assert ask(store, astray) == []


DEFINER = """
import sys
import batchml as bm
url, name, seed = sys.argv[1:]
with bm.Registry.open(url) as registry:
    sys.stdin.readline()
    learner = bm.lrn("classif.debug", sleep_train=int(seed))
    registry.add(bm.benchmark_grid("iris", ["classif.featureless", learner], bm.rsmp("subsampling", repeats=300)), name)
    from batchml.registry.submissions import submit
    print(submit(registry._store)[1])
"""


def test_sessions_that_define_and_submit_at_once_lose_nothing(store, registry_url):
    """They share a cell, too: it is one, whoever came first."""
    words = [sys.executable, "-c", DEFINER, registry_url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    sessions = [subprocess.Popen([*words, f"study{n}", str(n)], **pipes) for n in range(2)]
    for session in sessions:
        session.stdin.write("\n")
        session.stdin.flush()
    queued = [int(session.communicate(timeout=120)[0]) for session in sessions]
    assert sum(queued) == 3 * 300
    assert ask(store, "select state, count(*) from job group by state") == [("queued", 900)]
    assert sorted(ask(store, "select count(*) from benchmark_experiment group by benchmark_id")) == [(2,)] * 2


# Resuming ----------------------------------------------------------------------------------------------------------


class Nobody:
    """An executor that starts no worker."""

    name = "local"
    settings = MappingProxyType({})

    def check(self, resources):
        """Whatever is asked for."""

    def start(self, launch):
        return []


@pytest.fixture
def dead():
    """A process of this machine that has ended."""
    process = subprocess.Popen(["/bin/sleep", "60"])
    named = here(process.pid)
    process.kill()
    process.wait()
    return named


def test_resume_says_what_it_finds_and_doing_it_again_does_no_more(store, registry_url, dead, monkeypatch):
    worker = register_worker(store, fill(store, 20), slots=5, process=dead)
    held = hold(store, worker, 5)
    with monkeypatch.context() as patch:
        patch.setattr("batchml.worker.ledger.here", lambda: dead)
        ledger = LocalLedger(store.uuid, worker)
    keep = LocalKeep(store.uuid, worker)
    for assignment in held[:2]:
        ledger.start(assignment.attempt_id)
    keep.write([done(held[0])])
    keep.leave()
    ledger.close(clean=False)
    with bm.Registry.open(registry_url) as registry:
        before = ask(store, "select state, count(*) from job group by state order by state")
        planned = registry.resume(dry_run=True)
        assert ask(store, "select state, count(*) from job group by state order by state") == before
        assert "1 results that were left on this machine's disk would be taken in" in str(planned)
        assert "3 claims that dead workers had not started would be given back" in str(planned)
        assert "1 of their jobs would be queued again" in str(planned)
        assert "workers would be started" in str(planned)
        first = registry.resume(executor=Nobody())
        assert (first.legacy.delivered, first.legacy.unstarted, first.found.requeued) == (1, 3, 1)
        assert f"worker {worker} is dead: process {dead.pid}" in str(first)
        assert "1 of their jobs queued again" in str(first)
        after = ask(store, "select id, state, suspect, attempts, generation from job order by id")
        again = registry.resume(executor=Nobody())
        assert (again.legacy.delivered, again.legacy.unstarted, again.found.requeued) == (0, 0, 0)
        assert again.found.dead == {}
        assert ask(store, "select id, state, suspect, attempts, generation from job order by id") == after
    assert [row[1:4] for row in after if row[0] == held[1].job_id] == [("queued", 1, 1)]


def test_a_worker_that_nobody_proves_dead_is_named_with_the_way_to_say_so(store, registry_url, outdate):
    from batchml.registry.processes import Process

    away = Process(host="elsewhere", boot_id="x", pid=1, pid_start=1, pid_ns="x")
    worker = register_worker(store, fill(store, 20), slots=5, process=away, lease_s=100)
    hold(store, worker, 2)
    outdate(500)
    with bm.Registry.open(registry_url) as registry:
        said = str(registry.resume(executor=Nobody()))
        assert f"--assume-dead {worker}" in said
        assert registry.resume(executor=Nobody(), assume_dead=[worker]).found.requeued == 2
        with pytest.raises(UnknownKeyError, match="no worker 99"):
            registry.resume(assume_dead=[99])
