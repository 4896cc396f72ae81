"""The same design and seed give the same predictions, byte for byte, wherever they run and whatever is killed.

To add a place to run: a function that takes a `Stage` and works its design off, named in one of the lists below them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

import batchml as bm
from batchml.registry.store import Store
from batchml.study import StalledWarning

DESIGN = """
[benchmark]
name = "agree"
seed = 11
measures = ["classif.acc"]
[[task]]
key = "penguins"
[[task]]
key = "iris"
[[learner]]
key = "classif.random_forest"
params = { n_estimators = 5 }
predict_type = "prob"
[[learner]]
key = "classif.debug"
params = { sleep_train = 0.4 }
[[learner]]
key = "classif.tree"
encapsulate = "process"
[[resampling]]
key = "cv"
folds = 5
"""


class Stage:
    """A folder with the design and an empty registry."""

    def __init__(self, folder, url):
        self.folder = folder
        self.url = url
        (folder / "design.toml").write_text(DESIGN)
        self.command("add", "design.toml")

    def command(self, *words, status=(0,)):
        process = self.start(*words)
        out, err = process.communicate(timeout=200)
        assert process.returncode in status, f"{words}: {out}{err}"
        return out

    def start(self, *words):
        return subprocess.Popen(
            [sys.executable, "-m", "batchml", "--registry", self.url, *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextlib.contextmanager
    def open(self):
        with bm.Registry.open(self.url) as registry:
            yield registry

    def until_done(self, number):
        """Wait until some jobs are done, so that a disturbance meets others that run."""
        end = time.monotonic() + 200
        with self.open() as registry:
            while registry.tally()["done"] < number:
                assert time.monotonic() < end, registry.tally()
                time.sleep(0.1)

    def assert_unfinished(self):
        """See that a disturbance came in time to disturb."""
        with self.open() as registry:
            tally = registry.tally()
        assert tally["done"] < sum(tally.values()), "the work was done before the disturbance: make the jobs longer"

    def complete(self):
        """Resume until everything is done."""
        for _ in range(3):
            self.command("resume", status=(0, 1))
            with self.open() as registry:
                tally = registry.tally()
                if tally["done"] == sum(tally.values()):
                    return
        raise AssertionError(tally)


def local_one_slot(stage):
    stage.command("submit", "--slots", "1")


def local_killed_with_its_command(stage):
    """The command that submitted is killed; its workers drain; `resume` goes on."""
    process = stage.start("submit", "--slots", "3")
    stage.until_done(4)
    process.kill()
    process.communicate()
    stage.assert_unfinished()
    stage.complete()


def local_detached(stage):
    """The shell that submitted is gone; one of the workers is killed."""
    stage.command("submit", "--slots", "1", "--workers", "2", "--detach")
    stage.until_done(4)
    with stage.open() as registry:
        os.kill(int(registry.workers()["pid"].iloc[0]), signal.SIGKILL)
    stage.assert_unfinished()
    stage.complete()


def slurm_database(stage):
    """An element is cancelled, the node of the other is cut off, and the command that submitted is killed."""
    process = stage.start("submit", "--executor", "slurm", "--workers", "2", "--slots", "2", "-r", "walltime=10m")
    stage.until_done(4)
    process.kill()
    process.communicate()
    cluster = stage.cluster
    cancelled, lost = sorted(name for name, state in cluster.states().items() if state == "RUNNING")
    node = cluster.run("squeue", "-h", "-j", lost, "-o", "%N").strip()
    cluster.run("scancel", cancelled)
    cluster.cut_node(node)
    cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    stage.assert_unfinished()
    stage.complete()


def dask_of_its_own(stage):
    """One of the two Dask workers is killed; its nanny starts another."""
    process = stage.start("submit", "--executor", "dask", "--workers", "2", "--slots", "1")
    stage.until_done(4)
    with stage.open() as registry:
        supervisor = int(registry.workers()["pid"].iloc[0])
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").parent.parent.glob("*/children")
    pids = [int(pid) for file in children for pid in file.read_text().split()]
    dask_workers = [pid for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(dask_workers[0], signal.SIGKILL)
    stage.assert_unfinished()
    process.communicate(timeout=200)
    stage.complete()


JOBQUEUE = """
import sys
from dask_jobqueue import SLURMCluster
if __name__ == "__main__":
    own = {"host": "127.0.0.1", "dashboard_address": None}
    with SLURMCluster(
        cores=2, processes=1, memory="2GB", walltime="00:10:00", python=sys.executable, scheduler_options=own
    ) as cluster:
        cluster.scale(jobs=2)
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


def dask_on_slurm(stage):
    """The command that submitted is killed, and one of the jobs in which Dask's workers are is cancelled."""
    session = subprocess.Popen(
        [sys.executable, "-c", JOBQUEUE], cwd=stage.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        address = session.stdout.readline().strip()
        with (stage.folder / "batchml.toml").open("a") as file:
            file.write(f'[dask]\naddress = "{address}"\n')
        process = stage.start("submit", "--executor", "dask")
        stage.until_done(4)
        running = sorted(name for name, state in stage.cluster.states().items() if state == "RUNNING")
        stage.cluster.run("scancel", running[0])
        process.kill()
        process.communicate()
        stage.assert_unfinished()
        stage.complete()
    finally:
        session.communicate("", timeout=200)


def without_a_database(stage, executor):
    """The registry is on a network file system, so this host alone opens it; a worker is killed in the midst of it."""
    file = stage.url.removeprefix("sqlite:///")
    mounts = f"36 35 98:0 / {Path(file).parent} rw,noatime master:1 - nfs4 server:/home rw"
    with Store.open(stage.url, mountinfo=mounts) as store:
        assert store.place.shared
        registry = bm.Registry(store)
        registry.submit(executor=executor, resources={"walltime": "10m"} if executor.name == "slurm" else None)
        end = time.monotonic() + 200
        while registry.sync() and registry.tally()["done"] < 4:
            assert time.monotonic() < end, registry.tally()
            time.sleep(0.1)
        os.kill(int(registry.workers()["pid"].iloc[0]), signal.SIGKILL)
        assert registry.tally()["done"] < 30
        for _ in range(3):
            registry.resume()
            with warnings.catch_warnings():
                # The other worker, for whose sake none was started, may have left with what it had been dealt.
                warnings.simplefilter("ignore", StalledWarning)
                if registry.wait(200):
                    break
        assert Path(f"{file}.spool").is_dir()
        assert registry.tally()["done"] == 30
        registry.stop()


def local_spool(stage):
    without_a_database(stage, bm.Local(workers=2, slots=1, detach=True, spool=True))


def slurm_spool(stage):
    """Elements that reach no database, of a registry that none but its own host may open."""
    without_a_database(stage, bm.Slurm(workers=2, slots=2, spool=True))


LOCAL = [local_spool, local_one_slot, local_killed_with_its_command, local_detached, dask_of_its_own]
ON_SLURM = [slurm_database, dask_on_slurm]
ON_SLURM_WITHOUT_A_DATABASE = [slurm_spool]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What the session itself predicts: cell and iteration to the bytes of the prediction."""
    folder = tmp_path_factory.mktemp("session")
    (folder / "design.toml").write_text(DESIGN)
    from batchml.experiment.design_file import load_design

    return found_in(bm.benchmark(load_design(folder / "design.toml")))


def found_in(result):
    """Return each iteration's prediction as bytes."""
    found = {}
    for place in range(result.n_resample_results):
        rr = result.resample_result(place)
        for iteration, prediction in enumerate(rr.predictions()):
            found[rr.task.id, rr.learner.id, iteration] = prediction.to_arrow()
    return found


def compare(stage, expected):
    with stage.open() as registry:
        found = found_in(registry.reduce(strict=True))
    assert found.keys() == expected.keys()
    assert [cell for cell in expected if found[cell] != expected[cell]] == []


@pytest.mark.parametrize("place", LOCAL, ids=lambda place: place.__name__)
def test_local_workers_predict_what_the_session_does(place, tmp_path, monkeypatch, expected):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    stage = Stage(tmp_path, f"sqlite:///{tmp_path / 'study.db'}")
    place(stage)
    compare(stage, expected)


@pytest.mark.parametrize("place", ON_SLURM, ids=lambda place: place.__name__)
def test_elements_on_slurm_predict_what_the_session_does(place, slurm, postgres_url, tmp_path, monkeypatch, expected):
    monkeypatch.setenv("BATCHML_ARTIFACTS", str(tmp_path / "artifacts"))
    stage = Stage(tmp_path, postgres_url)
    stage.cluster = slurm
    place(stage)
    compare(stage, expected)


@pytest.mark.parametrize("place", ON_SLURM_WITHOUT_A_DATABASE, ids=lambda place: place.__name__)
def test_elements_without_a_database_predict_what_the_session_does(place, slurm, tmp_path, expected):
    stage = Stage(tmp_path, f"sqlite:///{tmp_path / 'study.db'}")
    stage.cluster = slurm
    place(stage)
    compare(stage, expected)
