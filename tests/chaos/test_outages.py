"""The database goes away while jobs run: nothing is lost, nothing runs twice, time limits hold.

Nobody dies here: so every job runs exactly once.
"""

from __future__ import annotations

import contextlib
import os
import time

import pytest
from chaos_bases import Postgresql
from chaos_network import Network, possible
from chaos_stage import Stage, until

AWAY_S = 60 if os.environ.get("MINUTES") else 10
QUICK = "&connect_timeout=2&tcp_user_timeout=3000&keepalives_idle=2&keepalives_interval=1&keepalives_count=2"

DESIGN = """
[benchmark]
name = "outage"
seed = 7
measures = ["classif.acc"]
modules = ["witness_learner"]
[[task]]
key = "iris"
[[learner]]
id = "hangs"
key = "classif.debug"
params = {{ sleep_train = 600 }}
timeout = {{ train = {limit} }}
[[learner]]
id = "long"
class = "witness_learner.Witness"
params = {{ name = "long", seconds = {long} }}
[[learner]]
id = "short"
class = "witness_learner.Witness"
grid = {{ name = ["a", "b", "c", "d"] }}
params = {{ seconds = 0.02 }}
[[resampling]]
key = "subsampling"
repeats = {repeats}
"""


@pytest.fixture
def base(tmp_path):
    base = Postgresql(tmp_path)
    try:
        base.start()
        yield base
    finally:
        base.stop()


class Study(Stage):
    """A stage with queued jobs and one worker, which outlives everything."""

    def __init__(self, folder, url, *, repeats, limit=1.0, long=1.5):
        import batchml as bm
        from batchml.registry.store import Store
        from batchml.registry.submissions import submit

        super().__init__(folder, url, repeats)
        (folder / "design.toml").write_text(DESIGN.format(repeats=repeats, limit=limit, long=long))
        self.witnessed = 5 * repeats
        self.hanging = repeats
        bm.Registry.create(url, seed=1, artifacts=self.environment["BATCHML_ARTIFACTS"]).close()
        self.finish("add", "design.toml")
        with Store.open(url) as store:
            self.submission, _ = submit(store)

    def lines(self):
        witness = self.witness()
        return sum(map(len, witness.starts.values()))

    def ended(self):
        return self.ask("select count(*) from job where state in ('done', 'error')")[0][0]

    def check(self, worker, patience_s):
        """The worker leaves by itself, and each job ran once and ended as it had to."""
        assert worker.wait(patience_s) == 0, self.said()
        states = dict(self.ask("select state, count(*) from job group by state"))
        assert states == {"done": self.witnessed, "error": self.hanging}
        outcomes = dict(self.ask("select outcome, count(*) from attempt where outcome <> 'released' group by outcome"))
        assert outcomes == {"done": self.witnessed, "timeout": self.hanging}
        witness = self.witness()
        assert (self.lines(), witness.repeated) == (self.witnessed, 0), "each job ran once"
        assert self.ask("select count(*) from worker") == [(1,)]
        assert self.remaining() == {}


@contextlib.contextmanager
def study(folder, url, **options):
    study = Study(folder / "study", url, **options)
    try:
        yield study
    finally:
        study.kill_all()


@pytest.mark.slow
def test_jobs_go_on_while_the_server_crashes_and_comes_back(base, tmp_path):
    with study(tmp_path, base.url, repeats=6) as stage:
        worker = stage.start_worker(stage.submission, "one")
        waiter = stage.start("wait")
        for away_s in (0, 1, 7):  # longer than five seconds: outcomes go to the local disk
            before = stage.lines()
            until(lambda before=before: stage.lines() > before + 2, 30, f"nothing runs: {stage.said()}")
            with base.crash():
                time.sleep(away_s)
        assert waiter.wait(90) == 1, "who waits outlasts it, too, and says that jobs failed"
        stage.check(worker, 90)
        assert "keeping" in stage.said()
        assert f"{stage.witnessed} done, {stage.hanging} failed" in stage.said()
        assert not list((tmp_path / "study" / "state").glob("undelivered/*/*")), "and from there to the registry"


@pytest.mark.slow
def test_a_commit_whose_reply_is_lost_counts_once(base, tmp_path):
    with study(tmp_path, base.url, repeats=6, limit=0.3, long=0.3) as stage:
        url, proxy = base.route()
        worker = stage.start_worker(stage.submission, "one", url=url)
        until(stage.lines, 60, f"nothing runs: {stage.said()}")
        for number in range(1, 5):
            proxy.set("swallow")
            until(lambda number=number: proxy.swallowed == number or worker.poll() is not None, 20, stage.said())
        stage.check(worker, 60)
        assert proxy.swallowed >= 3


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize("how", ["down", "silent"])
def test_time_limits_hold_while_the_network_is_cut(how, tmp_path, services):
    if not possible():
        services.missing("network namespaces", "that takes root and iproute2")
    away_s = AWAY_S if how == "silent" else AWAY_S / 2
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network())
        url = stack.enter_context(served(network.address))
        stage = stack.enter_context(study(tmp_path, url, repeats=2, limit=4, long=4))
        worker = stage.start_worker(stage.submission, "one", url=url + QUICK, prefix=network.prefix)
        until(lambda: stage.lines() or worker.poll() is not None, 30, stage.said())
        network.cut(how)
        began, ended = time.monotonic(), stage.ended()
        time.sleep(away_s)
        assert stage.ended() == ended, "the database heard nothing meanwhile"
        network.restore(how)
        stage.check(worker, 90)
        assert time.monotonic() - began > away_s
        walls = stage.ask("select wall_s from attempt where outcome = 'timeout'")
        assert all(4 <= wall_s < 6 for (wall_s,) in walls), "the limit held while nobody listened"


@contextlib.contextmanager
def served(address):
    """A server that other hosts reach."""
    from batchml.registry.server import serve

    base = Postgresql(None)
    try:
        base.server = serve(base.folder, durable=False, listen=address)
        yield base.url
    finally:
        base.stop()


def test_no_lease_expires_while_the_database_is_away(base):
    from batchml.registry.processes import Process
    from batchml.registry.rescue import reconcile
    from batchml.registry.store import Store
    from batchml.registry.submissions import submit
    from batchml.registry.tables import worker as workers
    from batchml.registry.workers import register_worker

    elsewhere = Process(host="elsewhere", boot_id="x", pid=1, pid_start=1, pid_ns="x")
    with Store.create(base.url, seed=1) as store:
        submission, _ = submit(store, [])
        worker = register_worker(store, submission, slots=1, process=elsewhere, lease_s=60.0)
        with store.write() as connection:
            connection.execute(workers.update().values(beat_s=workers.c.beat_s - 300))  # the outage is as old as that
        with base.crash():
            pass
        found = reconcile(store)
        assert found.alive == (worker,), found


def test_readers_outlast_a_restart_of_the_server_or_say_in_a_line_that_it_is_away(base, tmp_path, monkeypatch):
    import batchml as bm
    from batchml.errors import UnreachableError
    from batchml.registry import reduction

    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    design = bm.benchmark_grid("iris", ["classif.featureless", "classif.tree"], bm.rsmp("cv", folds=3), seed=1)
    with bm.Registry.create(base.url, seed=1, artifacts=tmp_path / "artifacts") as registry:
        registry.add(design)
        registry.submit(executor=bm.Local(slots=1))
        assert registry.wait(60)
        looks = {
            "status": lambda: registry.status().to_dict(),
            "reduce": lambda: registry.reduce().aggregate().to_dict(),
            "export": lambda: registry.export(tmp_path / "out"),
            "sql": lambda: registry.sql("SELECT * FROM aggregates").to_dict(),
        }
        before = {name: look() for name, look in looks.items()}
        result = registry.reduce()  # reads its predictions when they are asked for
        with base.crash():
            pass
        assert {name: look() for name, look in looks.items()} == before
        end_sessions(base.url)
        assert len(result.resample_result(0).predictions()) == 3

        original, cuts = reduction.read_predictions, []

        def cut(store, *words):
            with store.read() as connection:
                cuts.append(end_sessions(base.url))
                if len(cuts) == 1:
                    connection.exec_driver_sql("SELECT 1")
            return original(store, *words)

        monkeypatch.setattr(reduction, "read_predictions", cut)
        registry.export(tmp_path / "out")
        assert len(cuts) == 2, "cut off in the middle it began anew"
        stage = Stage(tmp_path / "stage", base.url, 1)
        with base.crash():
            for words in (["status"], ["export", "out"]):
                stage.finish(*words, statuses=(2,))
            assert stage.said().count("cannot be reached") == stage.said().count("\n") == 2
            monkeypatch.setattr("batchml.registry.postgres._PATIENCE_S", 0.5)
            with pytest.raises(UnreachableError, match="cannot be reached"):
                registry.reduce()


def end_sessions(url):
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
        return connection.execute(f"SELECT count(pg_terminate_backend(pid, 5000)) {others}").fetchone()[0]
