"""Workers without a database: the channel through a folder keeps the contract of channels while somebody syncs, and
whatever dies in between, nothing is lost or counted twice.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import warm_command
from made_outcome import outcome
from sqlalchemy import func, select, update

import batchml as bm
from batchml.core.attempt import Ending
from batchml.errors import ConfigError, SpoolError
from batchml.reduce.sync import last_words, sync
from batchml.registry.benchmarks import add
from batchml.registry.processes import here
from batchml.registry.rescue import reconcile
from batchml.registry.spool_workers import segments
from batchml.registry.store import Store
from batchml.registry.submissions import submit
from batchml.registry.tables import attempt, metadata, result, worker
from batchml.testing import ChannelContract
from batchml.testing.contract import claim
from batchml.worker.channel import BrokenChannelError
from batchml.worker.spool import SpoolChannel
from batchml.worker.spool_folder import BundleName
from batchml.worker.spool_plan import open_spool
from batchml.worker.spool_segment import SpoolWorker


class Attended(SpoolChannel):
    """A channel beside which somebody syncs all the time."""

    def __init__(self, harness, *args, **keys):
        self._harness = harness
        super().__init__(*args, **keys)

    def exchange(self, outcomes, released, want):
        self._harness.sync()
        answer = super().exchange(outcomes, released, want)
        self._harness.sync()
        return replace(answer, waiting=self._claims.waiting())


class SpoolHarness:
    """A registry with the iterations of one experiment, and a folder."""

    def __init__(self, url, root, jobs):
        self.store = Store.create(url, seed=1)
        design = bm.benchmark_grid("iris", "classif.featureless", bm.rsmp("subsampling", repeats=jobs))
        add(self.store, design, "b")
        submission, n = submit(self.store, resources={"spool": str(root)})
        assert n == jobs
        self.spool = open_spool(self.store, submission, str(root))
        self.spool.prepare(workers=2, slots=2)
        self.workers = 0

    def sync(self):
        self.spool.ingest()
        self.spool.tidy(thorough=True)
        self.spool.deal()
        self.spool.tell()

    def worker(self, *, pid_ns="another", **about):
        self.workers += 1
        process = replace(here(), pid=10_000_000 + self.workers, pid_ns=pid_ns)
        return SpoolWorker(process=process, slots=2, **about)

    def connect(self):
        return Attended(self, self.spool.folder, self.store.uuid, self.worker(), orders_s=0.0)

    def alone(self, **about):
        """A channel beside which nobody syncs."""
        return SpoolChannel(self.spool.folder, self.store.uuid, self.worker(**about), orders_s=0.0)

    def row(self, channel):
        return segments(self.store, [channel.name])[channel.name]

    def outcomes(self):
        with self.store.read() as connection:
            rows = connection.execute(select(attempt.c.outcome, func.count()).group_by(attempt.c.outcome))
            return dict(rows.all())

    def results(self):
        with self.store.read() as connection:
            return connection.execute(select(func.count()).select_from(result)).scalar()

    outcome = staticmethod(outcome)

    def states(self):
        self.sync()
        return self.seen()

    def seen(self):
        from batchml.registry.jobs import find

        frame = find(self.store)
        return dict(zip(frame["job_id"].tolist(), frame["state"].tolist(), strict=True))

    def cancel(self, job_id):
        from batchml.registry.moves import cancel

        cancel(self.store, [job_id], running=True)

    def lose(self, channel):
        self.sync()
        reconcile(self.store, assume_dead=[self.row(channel).id], before=last_words(self.store))


class TestSpoolChannel(ChannelContract):
    @pytest.fixture(autouse=True)
    def _registry(self, registry_url, tmp_path):
        self.url, self.root = registry_url, tmp_path / "spool"
        self.harness = None
        yield
        if self.harness is not None:
            self.harness.store.close()

    def make(self, jobs):
        self.harness = SpoolHarness(self.url, self.root, jobs)
        return self.harness


@pytest.fixture
def bench(registry_url, tmp_path):
    """Twelve jobs in three bundles of four."""
    harness = SpoolHarness(registry_url, tmp_path / "spool", 12)
    yield harness
    harness.store.close()


def some(harness, value):
    return [state for state in harness.seen().values() if state == value]


# -- segments --------------------------------------------------------------------------------------------------------


def test_what_was_torn_off_is_run_again_when_its_worker_is_dead(bench):
    channel = bench.alone()
    one, two = claim(channel, 2)
    channel.exchange([bench.outcome(one)], (), 0)
    channel.exchange([bench.outcome(two)], (), 0)
    path = bench.spool.folder.segments / channel.name
    path.write_bytes(path.read_bytes()[:-5])
    bench.lose(channel)
    assert bench.results() == 1
    assert bench.states()[two.job_id] == "queued"
    (again,) = bench.connect().exchange((), (), 4).assignments[:1]
    assert again.attempt_id not in {one.attempt_id, two.attempt_id}


def test_a_file_full_of_zeros_holds_no_frame(bench):
    channel = bench.alone()
    (held,) = claim(channel, 1)
    path = bench.spool.folder.segments / channel.name
    size = path.stat().st_size
    channel.exchange([bench.outcome(held)], (), 0)
    whole = path.read_bytes()
    path.write_bytes(whole[:size] + bytes(len(whole) - size))  # as a network file system may show it for a moment
    bench.spool.ingest()
    assert bench.results() == 0
    path.write_bytes(whole)
    bench.spool.ingest()
    assert bench.results() == 1


def test_several_who_sync_at_once_count_each_outcome_once(bench, registry_url):
    channel = bench.alone()
    channel.exchange([bench.outcome(each) for each in claim(channel, 12)], (), 0)
    taken = []

    def work():
        with Store.open(registry_url) as store:
            taken.append(sync(store).delivered)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(taken) == bench.results() == 12
    assert bench.outcomes() == {"done": 12}


def test_an_outcome_that_no_database_takes_does_not_block_the_others(bench):
    channel = bench.alone()
    bad, *rest = claim(channel, 4)
    poison = bench.outcome(bad)
    poison = replace(poison, result=replace(poison.result, scores=((10**9, 0.5),)))
    channel.exchange([poison, *map(bench.outcome, rest)], (), 0)
    bench.spool.ingest()
    assert bench.results() == 3
    assert bench.outcomes()["infrastructure"] == 1


def test_a_result_that_comes_after_its_worker_was_declared_dead_still_counts(bench):
    channel = bench.alone()
    held = claim(channel, 4)
    bench.spool.ingest()
    bench.lose(channel)
    assert bench.outcomes()["lost"] == 4
    bench.sync()
    channel.exchange([bench.outcome(held[0])], (), 0)
    assert bench.states()[held[0].job_id] == "done"
    assert bench.row(channel).state == "running", "whoever writes lives"


def test_a_result_of_an_attempt_that_nobody_saw_begin_counts(bench):
    channel = bench.alone()
    (held,) = claim(channel, 1)
    path = bench.spool.folder.segments / channel.name
    whole = path.read_bytes()
    hello = len(whole) - len(whole.split(b'"begin"')[-1]) - len(b'{"say":"begin"') - 16
    path.write_bytes(whole[:hello])
    bench.lose(channel)
    bench.sync()
    assert bench.outcomes() == {None: 12, "released": 4}
    path.write_bytes(whole)
    channel.exchange([bench.outcome(held)], (), 0)
    assert bench.states()[held.job_id] == "done"


# -- bundles ---------------------------------------------------------------------------------------------------------


def test_of_two_that_race_for_a_bundle_one_gets_it(bench):
    names = bench.spool.folder.offered()
    assert len(names) == 3
    won = []
    start = threading.Barrier(4)

    def race(segment):
        start.wait()
        won.extend(name.bundle for name in names if bench.spool.folder.claim(name, segment))

    threads = [threading.Thread(target=race, args=(f"w.0.{i}",)) for i in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(won) == sorted(name.bundle for name in names)


def test_what_a_dead_worker_had_not_begun_is_no_suspect(bench):
    channel = bench.alone()
    begun = claim(channel, 2)
    bench.lose(channel)
    bench.sync()
    assert bench.outcomes() == {None: 12, "lost": 2, "released": 2}
    names = bench.spool.folder.offered()
    assert [name.count for name in names if name.alone] == [1, 1], "suspects have a bundle each"
    other = bench.connect()
    plain = claim(other, 10)
    assert not any(each.alone for each in plain)
    assert not {each.job_id for each in plain} & {each.job_id for each in begun}
    assert other.exchange((), (), 2).assignments == ()
    (suspect,) = other.exchange([bench.outcome(each) for each in plain], (), 2).assignments
    assert suspect.alone


def test_a_worker_that_leaves_offers_what_it_had_not_begun_to_the_others_at_once(bench):
    channel, other = bench.alone(), bench.alone()
    begun = claim(channel, 3)
    channel.exchange([bench.outcome(each) for each in begun], (), 0)
    channel.close("drained")
    rest = claim(other, 9)
    assert not {each.attempt_id for each in rest} & {each.attempt_id for each in begun}
    other.exchange([bench.outcome(each) for each in rest], (), 0)
    other.close("idle")
    bench.spool.ingest()
    assert set(bench.seen().values()) == {"done"}
    assert bench.outcomes() == {"done": 12}


def test_results_of_a_bundle_that_is_pulled_back_before_they_were_seen_still_count(bench):
    channel = bench.alone()
    begun = claim(channel, 2)
    channel.exchange([bench.outcome(each) for each in begun], (), 0)
    channel.close("drained")  # offers the other two again; nobody has read its segment yet
    bench.spool.tidy(thorough=True)
    bench.spool.withdraw()
    bench.spool.deal()
    bench.spool.ingest()
    assert [bench.seen()[each.job_id] for each in begun] == ["done", "done"]
    assert bench.results() == 2


def test_a_new_incarnation_goes_on_with_the_bundles_of_the_old_one(bench):
    first = bench.alone(scheduler_id="12_0@c", incarnation=0)
    begun = claim(first, 2)
    first.exchange([bench.outcome(begun[0])], (), 0)
    second = bench.alone(scheduler_id="12_0@c", incarnation=1)
    rest = claim(second, 10)
    assert {each.attempt_id for each in rest}.isdisjoint(each.attempt_id for each in begun)
    second.exchange([bench.outcome(each) for each in rest], (), 0)
    states = bench.states()
    assert states[begun[0].job_id] == "done"
    assert states[begun[1].job_id] == "queued"
    assert bench.outcomes() == {None: 1, "done": 11, "preempted": 1}
    assert second.exchange((), (), 1).assignments[0].job_id == begun[1].job_id


def test_a_bundle_that_was_altered_is_refused_in_clear_words(bench, caplog):
    folder = bench.spool.folder
    (path,) = [each for each in (folder.root / "open").iterdir() if BundleName.parse(each.name).bundle == 1]
    path.write_bytes(path.read_bytes().replace(b"classif.featureless", b"classif.featuremore"))
    channel = bench.connect()
    held = claim(channel, 8)
    assert "bundle 1 is damaged or was altered" in caplog.text
    channel.exchange([bench.outcome(each) for each in held], (), 0)
    assert bench.outcomes() == {"done": 8, "infrastructure": 4}
    assert some(bench, "queued") == ["queued"] * 4


def test_a_folder_that_others_could_have_written_is_refused(bench):
    bench.spool.folder.root.chmod(0o770)
    with pytest.raises(SpoolError, match="written by others"):
        bench.spool.folder.about()


def test_a_bundle_whose_file_was_never_written_is_dealt_out_again(bench, monkeypatch):
    monkeypatch.setattr("batchml.worker.spool_plan._MISSING_S", -10.0)
    for path in (bench.spool.folder.root / "open").iterdir():
        path.unlink()
    assert bench.spool.tidy(thorough=True) == 12
    assert bench.spool.deal() == 12
    assert len(claim(bench.alone(), 12)) == 12


def test_jobs_that_are_cancelled_before_anybody_claims_them_leave_their_bundle(bench):
    from batchml.registry.moves import cancel, remove

    first, second, third, *_ = sorted(bench.seen())
    cancel(bench.store, [first])
    remove(bench.store, [second])
    bench.sync()
    jobs = [each.job_id for each in claim(bench.connect(), 10)]
    assert len(jobs) == 10
    assert first not in jobs
    assert second not in jobs
    assert third in jobs


def test_a_job_cancelled_in_a_claimed_bundle_is_never_begun(bench):
    from batchml.registry.moves import cancel

    channel = bench.connect()
    (held,) = claim(channel, 1)
    job = sorted(bench.seen())[1]
    cancel(bench.store, [job])
    bench.spool.tell()
    assert job not in {each.job_id for each in claim(channel, 10)}
    bench.sync()
    with bench.store.read() as connection:
        assert connection.execute(select(func.sum(attempt.c.recalled))).scalar() == 0
    assert held.job_id != job


def test_bundles_of_measured_work_take_five_minutes_and_the_longest_come_first():
    from batchml.registry.bundles import Waiting, pack

    jobs = [Waiting(job_id=i, experiment_id=i % 3, iteration=0, suspect=False, priority=0) for i in range(3000)]
    bundles = list(pack(jobs, {0: 1.0, 1: 10.0, 2: 0.1}, workers=2, slots=4))
    work = [sum({0: 1.0, 1: 10.0, 2: 0.1}[job.experiment_id] for job in bundle) for bundle in bundles]
    assert all(250 < seconds <= 300.1 for seconds in work[:-1])
    assert {job.experiment_id for job in bundles[0]} == {1}
    assert sum(map(len, bundles)) == 3000


def test_bundles_of_many_unmeasured_jobs_are_few():
    from batchml.registry.bundles import Waiting, pack

    jobs = [Waiting(job_id=i, experiment_id=0, iteration=i, suspect=False, priority=0) for i in range(100_000)]
    assert len(list(pack(jobs, {}, workers=4, slots=8))) == 200
    assert len(list(pack(jobs[:64], {}, workers=4, slots=8))) == 4


# -- looking ---------------------------------------------------------------------------------------------------------


def everything(harness):
    with harness.store.read() as connection:
        return [
            connection.execute(select(table).order_by(*table.primary_key)).all() for table in metadata.sorted_tables
        ]


def files(harness):
    return {path: path.stat().st_mtime_ns for path in harness.spool.folder.root.rglob("*")}


@pytest.mark.parametrize("synced", [False, True])
@pytest.mark.parametrize("end", ["lives", "leaves", "breaks", "is dead"])
def test_a_dry_run_tells_what_resume_would_find_and_changes_nothing(bench, end, synced):
    gone = end == "is dead"
    channel = bench.alone(pid_ns=here().pid_ns if gone else "another")
    held = claim(channel, 6)
    if synced:
        bench.sync()
    ended = [bench.outcome(held[0]), bench.outcome(held[1], Ending.LEARNER_ERROR)]
    channel.exchange(ended, [held[2].attempt_id], 0)
    if end == "leaves":
        channel.close("drained")
    if end == "breaks":
        channel.give_up(3)
    with bm.Registry(Store.open(bench.store.url)) as registry:
        before = everything(bench), files(bench)
        seen = registry.resume(dry_run=True)
        assert (everything(bench), files(bench)) == before
    assert seen.delivered == 2
    assert "2 outcomes that were left on the shared disk would be taken in" in str(seen)
    assert len(seen.found.dead) == (gone and synced)
    assert seen.unserved == (end != "lives")
    assert seen.found.requeued == 3 * gone
    sync(bench.store)
    states = [*bench.seen().values()]
    waits, runs = states.count("queued") - 3 * gone, states.count("running") + 3 * gone
    assert (seen.found.queued, seen.found.running, seen.found.errors) == (waits, runs, states.count("error"))
    assert states.count("error") == 1


def test_what_ended_waits_for_nobody_though_nobody_has_read_it(bench):
    channel = bench.alone()
    channel.exchange([bench.outcome(each) for each in claim(channel, 12)], (), 0)
    channel.close("idle")
    with bm.Registry(Store.open(bench.store.url, readonly=True)) as registry:
        seen = registry.resume(dry_run=True)
    assert (seen.delivered, seen.unserved, seen.found.queued, seen.found.running) == (12, 0, 0, 0)


# -- orders and disks ------------------------------------------------------------------------------------------------


def test_stop_reaches_workers_that_the_registry_has_not_heard_of(bench):
    with bm.Registry(Store.open(bench.store.url)) as registry:
        channel = bench.alone()
        registry.stop()
    assert channel.exchange((), (), 1).order == "drain"


def test_a_spool_that_could_not_be_made_is_not_spoken_of_again(tmp_path, caplog):
    (tmp_path / "file").touch()
    with bm.Registry.create(f"sqlite:///{tmp_path / 'a.db'}", seed=1) as registry:
        registry.add(bm.benchmark_grid("iris", "classif.featureless", bm.rsmp("holdout")), "b")
        with pytest.raises(SpoolError, match="cannot be written: Not a directory"):
            registry.submit(executor=bm.Local(spool=tmp_path / "file" / "spool"))
        assert counts(registry) == {"defined": 1}
        registry.sync()
        assert not registry.spooled
    assert not caplog.text


def test_a_spool_that_cannot_be_seen_from_here_is_complained_of_once(bench, caplog):
    bench.spool.folder.root.rename(bench.spool.folder.root.with_name("away"))
    for _ in range(3):
        sync(bench.store)
    assert caplog.text.count("it cannot be seen from here") == 1


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill_up(ballast):
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(512))


@pytest.mark.root
def test_on_a_full_disk_a_worker_drains_and_what_was_written_counts(registry_url, small_disk, caplog):
    harness = SpoolHarness(registry_url, small_disk / "spool", 12)
    channel = harness.alone()
    held = claim(channel, 4)
    channel.exchange([harness.outcome(held[0])], (), 0)
    ballast = small_disk / "ballast"
    fill_up(ballast)
    large = replace(harness.outcome(held[1]), log="x" * 100_000)
    with pytest.raises(BrokenChannelError, match=r"infrastructure: .*No space left"):
        channel.exchange([large], (), 0)
    assert sync(harness.store).delivered == 1
    assert harness.results() == 1
    with harness.store.write() as connection:
        connection.execute(update(worker).values(wanted="drain"))
    fill_up(ballast)
    sync(harness.store)  # its orders cannot be written, which keeps nobody from looking
    assert "cannot be written: No space left" in caplog.text
    ballast.unlink()
    channel.exchange([large, harness.outcome(held[2])], (), 0)
    harness.spool.ingest()
    assert harness.results() == 3
    harness.store.close()


def test_a_segment_of_nonsense_stops_nobody(bench, caplog):
    from batchml.worker.frames import frame

    (bench.spool.folder.segments / "a.0.00000000").write_bytes(b"nonsense" * 50)
    (bench.spool.folder.segments / "b.0.00000000").write_bytes(frame(b'{"say": "hello"}'))
    channel = bench.alone()
    (held,) = claim(channel, 1)
    channel.exchange([bench.outcome(held)], (), 0)
    assert bench.spool.ingest() == 1
    assert "was altered" in caplog.text


def test_a_spool_is_closed_when_all_is_done_and_latecomers_leave_at_once(bench, tmp_path):
    channel = bench.alone()
    channel.exchange([bench.outcome(each) for each in claim(channel, 12)], (), 0)
    channel.close("idle")
    sync(bench.store)
    root = bench.spool.folder.root
    assert [path.name for path in root.iterdir()] == ["spool.json"]
    done = subprocess.run(
        [sys.executable, "-m", "batchml", "worker", "--spool", str(root), "--slots", "1"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "has been done" in done.stderr
    other = tmp_path / "elsewhere"
    done = subprocess.run(
        [sys.executable, "-m", "batchml", "worker", "--spool", str(other)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no spool in" in done.stderr


def test_a_spool_is_a_folder_or_a_wish():
    with pytest.raises(ConfigError, match=r"Local\(spool=...\)"):
        bm.Local(spool=3)


def test_a_predecessors_frames_are_read_without_being_decoded(bench):
    from batchml.worker.spool_segment import touched

    channel = bench.alone()
    held = claim(channel, 3)
    channel.exchange([bench.outcome(held[0])], (), 0)
    assert touched(bench.spool.folder.segments / channel.name) == {each.attempt_id for each in held}


# -- workers of their own --------------------------------------------------------------------------------------------

NFS = "36 35 98:0 / {} rw,noatime master:1 - nfs4 server:/home rw"


@pytest.fixture
def held(tmp_path, monkeypatch):
    """A registry in single-host mode, which this process holds, with sixty jobs of 50 ms."""
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    store = Store.create(f"sqlite:///{tmp_path / 'a.db'}", seed=1, mountinfo=NFS.format(tmp_path))
    assert store.place.shared
    with bm.Registry(store) as registry:
        learner = bm.lrn("classif.debug", sleep_train=0.05)
        registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("subsampling", repeats=60)), "b")
        yield registry


def counts(registry):
    return registry.sql("SELECT state, COUNT(*) AS n FROM jobs GROUP BY state").set_index("state")["n"].to_dict()


def until(condition, what, seconds=200.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s: {what}"
        time.sleep(0.05)


def test_workers_need_neither_the_registry_nor_its_name(held, tmp_path):
    submission = held.submit(executor=bm.Local(workers=2, slots=1, spool=True))
    assert (tmp_path / "a.db.spool").is_dir(), "beside a registry on a shared disk"
    for handle in submission.handles:
        environment = Path(f"/proc/{handle.pid}/environ").read_bytes()
        words = Path(f"/proc/{handle.pid}/cmdline").read_bytes()
        assert b"sqlite" not in environment + words
    opened = set()

    def look():
        for handle in submission.handles:
            with contextlib.suppress(OSError):
                opened.update(str(each.readlink()) for each in Path(f"/proc/{handle.pid}/fd").iterdir())
        return submission.wait(0.05)

    until(look, "all jobs end")
    assert not any("a.db" in name and "a.db.spool" not in name for name in opened)
    assert any("/segments/" in name for name in opened)
    assert counts(held) == {"done": 60}
    until(lambda: not submission.alive, "the workers leave")  # their last jobs may be known before their goodbye
    held.sync()
    assert held.workers(live=False)["reason"].tolist() == ["idle", "idle"]
    assert not held.spooled


def test_kill_9_of_workers_again_and_again_loses_and_doubles_nothing(held, tmp_path):
    held.submit(executor=bm.Local(workers=2, slots=2, detach=True, spool=tmp_path / "shared"))
    for least in (5, 20, 35):
        until(lambda least=least: held.sync() and counts(held).get("done", 0) >= least, f"{least} jobs are done")
        for pid in held.workers()["pid"]:
            os.kill(int(pid), signal.SIGKILL)
        held.resume(detach=True)
    assert held.wait(200)
    assert counts(held) == {"done": 60}
    held.stop()
    attempts = held.sql("SELECT COUNT(*) AS n FROM scores")["n"].iloc[0]
    assert attempts == 60
    assert len(list((tmp_path / "shared").rglob("segments/*"))) <= 8, "a file for each worker, not for each job"


def test_cancel_and_stop_reach_workers_without_a_database(held):
    submission = held.submit(executor=bm.Local(slots=1, spool=True))
    until(lambda: held.sync() and counts(held).get("done", 0) >= 2, "two jobs are done")
    waiting = held.jobs(state="queued")["job_id"].tolist()[-20:]
    assert held.cancel(waiting) == 20
    held.stop()
    until(lambda: not submission.alive, "the worker drains")
    held.sync()
    states = counts(held)
    assert states["cancelled"] == 20
    assert "running" not in states
    assert states["done"] + states["queued"] == 40
    report = held.resume()
    assert len(report.submissions) == 1
    assert held.wait(200)
    assert counts(held) == {"done": 40, "cancelled": 20}


def test_jobs_of_a_spool_can_go_on_with_workers_of_the_database_and_back(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    with bm.Registry.create(f"sqlite:///{tmp_path / 'a.db'}", seed=1) as registry:
        learner = bm.lrn("classif.debug", sleep_train=0.05)
        registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("subsampling", repeats=60)), "b")
        there_and_back(registry)


def there_and_back(held):
    first = held.submit(executor=bm.Local(slots=1, spool=True))
    until(lambda: held.sync() and counts(held).get("done", 0) >= 2, "two jobs are done")
    first.stop(timeout=200)
    held.resume(executor=bm.Local(slots=1))
    until(lambda: counts(held).get("done", 0) >= 6, "six jobs are done")
    held.stop()
    until(lambda: not len(held.workers()), "the worker drains")
    held.resume(executor=bm.Local(slots=2, spool=True))
    assert held.wait(200)
    assert counts(held) == {"done": 60}


def test_the_command_line_syncs_where_it_looks(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with bm.Registry.create(url, seed=1) as registry:
        registry.add(bm.benchmark_grid("iris", "classif.featureless", bm.rsmp("subsampling", repeats=30)), "b")

    def run(*words):
        done = warm_command.run("--registry", url, *words, cwd=tmp_path, env=os.environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("submit", "--spool", "--slots", "2", "--detach")
    assert '"done": 30' in run("wait", "--json").replace("\n", " ")
    assert "0 outcomes" in run("sync")
    assert '"done": 30' in run("status", "--json")


def test_whatever_shows_jobs_shows_what_elements_have_begun(bench):
    channel = bench.alone()
    held = claim(channel, 2)
    with bm.Registry(Store.open(bench.store.url)) as registry:
        assert registry.jobs(state="running")["job_id"].tolist() == sorted(each.job_id for each in held)
    channel.exchange([bench.outcome(held[0])], (), 0)
    with bm.Registry(Store.open(bench.store.url)) as registry:
        assert "brought a result" in registry.why(held[0].job_id)
    assert bench.states()[held[1].job_id] == "running"
    with bm.Registry(Store.open(bench.store.url)) as registry:
        channel.exchange([bench.outcome(held[1])], (), 0)
        assert registry.cancel([held[1].job_id], running=True) == 0, "it was done when nobody knew yet"
