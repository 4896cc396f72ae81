"""Workers as elements of a job array, on a real SLURM cluster on this machine."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import sqlite3
import stat
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select

import batchml as bm
from batchml.cli.following import Grumbler
from batchml.core.attempt import Ending
from batchml.errors import ConfigError, SchedulerError
from batchml.executors.base import Launch
from batchml.executors.slurm_cluster import read_cluster
from batchml.executors.slurm_handle import SlurmHandle
from batchml.executors.slurm_listing import Listing
from batchml.executors.slurm_watch import SlurmWatch
from batchml.registry.rescue import Verdict, reconcile
from batchml.registry.store import Store
from batchml.registry.tables import worker

LEARNERS = """
import glob, os, time
import numpy as np
from sklearn.dummy import DummyClassifier

class Patient(DummyClassifier):
    '''Waits for a file.'''
    def __init__(self, gate=""):
        super().__init__()
        self.gate = gate
    def fit(self, X, y):
        open(f"{self.gate}-{os.getpid()}", "w").close()
        while not os.path.exists(self.gate):
            time.sleep(0.05)
        return super().fit(X, y)

class Greedy(DummyClassifier):
    '''Takes more and more memory, 800 MB a second.'''
    def fit(self, X, y):
        blocks = []
        while True:
            blocks.append(np.ones(5 << 20))
            time.sleep(0.05)

class Watchful(DummyClassifier):
    '''Says which devices it sees, and waits for another that sees others.'''
    def __init__(self, gate=""):
        super().__init__()
        self.gate = gate
    def fit(self, X, y):
        devices = os.environ.get("CUDA_VISIBLE_DEVICES")
        print("devices", devices)
        open(f"{self.gate}-{devices}", "w").close()
        while len(glob.glob(f"{self.gate}-*")) < 2:
            time.sleep(0.05)
        return super().fit(X, y)
"""


class Study:
    """A registry in a file, whose elements use it directly, since all nodes are this machine.

    Attributes
    ----------
    gate
        The file that patient jobs wait for.
    """

    def __init__(self, folder):
        self.file = folder / "study.db"
        self.url = f"sqlite:///{self.file}"
        self.gate = folder / "gate"
        self.registry = bm.Registry.create(self.url, seed=1)

    def fill_with(self, name, jobs, **params):
        """Add jobs of a learner of `LEARNERS`."""
        learner = bm.as_learner(getattr(importlib.import_module("slurm_learners"), name)(**params), preprocess="none")
        return self.registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("subsampling", repeats=jobs)), "b")

    def fill_patiently(self, jobs):
        """Add jobs that end once the gate is there."""
        return self.fill_with("Patient", jobs, gate=str(self.gate))

    def fill(self, jobs, seconds=0.0, **params):
        learner = bm.lrn("classif.debug", sleep_train=seconds, **params)
        return self.registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("subsampling", repeats=jobs)), "b")

    def ask(self, query):
        with contextlib.closing(sqlite3.connect(self.file, timeout=20)) as connection:
            rows = connection.execute(query).fetchall()
            connection.commit()
            return rows

    def states(self):
        return Counter(dict(self.ask("select state, count(*) from job group by state")))

    def outcomes(self):
        return Counter(outcome for (outcome,) in self.ask("select outcome from attempt"))

    def until_running(self, n=1):
        until(lambda: self.states()["running"] >= n, "jobs run")
        until(lambda: self.ask("select count(*) from attempt where ended_at is null")[0][0] >= n, "attempts")

    def until_begun(self, n=1):
        """Wait until patient jobs run in so many slots."""
        until(lambda: len(list(self.gate.parent.glob("gate-*"))) >= n, f"{n} jobs have begun")

    def until_state(self, cluster, name, *states):
        until(lambda: cluster.states().get(name) in states, f"{name} is {states}, but {cluster.states()}")


def until(condition, what, seconds=200.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s: {what}"
        time.sleep(0.1)


@pytest.fixture
def study(slurm, tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "slurm_learners.py").write_text(LEARNERS)
    monkeypatch.syspath_prepend(tmp_path / "own")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "own"))
    monkeypatch.setenv("BATCHML_TRUSTED_MODULES", "slurm_learners")
    monkeypatch.delitem(sys.modules, "slurm_learners", raising=False)
    study = Study(tmp_path)
    yield study
    study.registry.close()


def the_worker(store):
    with store.read() as connection:
        return connection.execute(select(worker)).one()


def wrap(folder, monkeypatch, name, text):
    """Put a program before SLURM's own, which it may call as $REAL."""
    real = next(path for part in os.environ["PATH"].split(":") if (path := Path(part) / name).exists())
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin" / name
    program.write_text(f"#!/bin/bash\nREAL={real}\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_an_array_of_workers_works_off_the_queue_and_is_seen_doing_so(slurm, study):
    study.fill_patiently(12)
    submission = study.registry.submit(
        executor=bm.Slurm(workers=2, slots=2, walltime="10m"), resources={"memory": "1G"}
    )
    assert len(submission.workers) == 2
    assert all(name.endswith(("_0", "_1")) for name in submission.workers)
    until(lambda: len(study.registry.workers()) == 2, "both elements say hello")
    workers = study.registry.workers()
    assert set(workers["scheduler_id"]) == {f"{name}@batchml" for name in submission.workers}
    assert set(workers["scheduler_state"]) == {"RUNNING"}
    assert study.registry.allocations()["states"].tolist() == ["2 RUNNING"]
    study.gate.touch()
    assert submission.wait(200)
    assert study.states() == {"done": 12}
    assert submission.handles[0].wait(200)
    assert "left (idle)" in submission.handles[0].last_words()
    until(lambda: {slurm.states()[name] for name in submission.workers} == {"COMPLETED"}, "both end well")
    (file,) = Path(os.environ["BATCHML_STATE"]).glob("slurm/*/registry-*")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600  # the address of the registry may hold a password
    assert file.read_text() == study.url


def test_the_script_sums_up_what_the_slots_need_and_holds_no_password(slurm, tmp_path):
    executor = bm.Slurm(
        workers=4,
        slots=8,
        walltime="2h",
        account="physics",
        qos="high",
        constraint="avx2",
        lines=["--exclusive"],
        setup=["module load python"],
        env={"MODE": "a b"},
        tmpdir="/tmp/$SLURM_JOB_ID",
        python="python3",
    )
    resources = {"cpus": 2, "memory_mb": 4096, "gpus": 1, "partition": "main", "extra": {"nice": "5"}}
    url = "postgresql+psycopg://ann:s3cret@db.example/study"
    launch = Launch(url=url, registry="ab" * 16, submission=7, trust=("mine",), resources=resources)
    script = executor.script(launch)
    assert "s3cret" not in script
    lines = {line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")}
    wanted = "--cpus-per-task=16 --mem=33280M --gres=gpu:8 --time=2:00:00 --partition=main --account=physics --qos=high"
    assert {
        *wanted.split(),
        "--constraint=avx2",
        "--nice=5",
        "--exclusive",
        "--signal=B:USR1@120",
        "--requeue",
    } <= lines
    assert "module load python || fail" in script
    assert "export MODE='a b'" in script
    assert 'export TMPDIR="/tmp/$SLURM_JOB_ID"' in script
    assert "exec python3 -m batchml worker --submission 7 --slots 8 --trust mine" in script
    words = executor.summary(bm.core.resources.Resources.parse({"cpus": 2, "memory": "4G", "gpus": 1}))
    assert words.startswith("4 elements x 8 slots x 4 GB = 32 GB each, 2:00:00")


def test_the_folder_of_the_spool_may_be_configured(slurm, tmp_path):
    (tmp_path / "batchml.toml").write_text('[slurm]\nspool = "outbox"\n')
    outbox, url = str(tmp_path / "outbox"), "postgresql://db/x"
    assert bm.Slurm().spool_for(url) == bm.Slurm(spool=True).spool_for(url) == outbox
    assert bm.Slurm(channel="spool").spool_for(url) == outbox
    assert bm.Slurm(spool=tmp_path / "mine").spool_for(url) == str(tmp_path / "mine")
    assert bm.Slurm(channel="database").spool_for(url) is None
    assert bm.Slurm(spool=False).spool_for("sqlite:///study.db") is None


def test_a_template_of_ones_own_is_used_and_must_start_the_worker(slurm, tmp_path):
    launch = Launch(url="postgresql://db/x", registry="ab" * 16, submission=7)
    template = tmp_path / "mine.sh"
    template.write_text(
        "#!/bin/bash\n{% for line in directives %}\n#SBATCH {{ line }}\n{% endfor %}\nulimit -c 0\n{{ command }}\n"
    )
    assert "ulimit -c 0" in bm.Slurm(template=template).script(launch)
    template.write_text("{{ commando }}")
    with pytest.raises(ConfigError, match=r"mine.sh is wrong: 'commando' is undefined"):
        bm.Slurm(template=template).script(launch)
    template.write_text("echo")
    with pytest.raises(ConfigError, match="starts the worker"):
        bm.Slurm(template=template).script(launch)


def test_what_slurm_refuses_is_said_in_its_words_and_leaves_the_jobs_as_they_were(slurm, study):
    study.fill(2)
    with pytest.raises(SchedulerError, match=r"[Ii]nvalid partition"):
        study.registry.submit(executor=bm.Slurm(partition="nowhere"))
    assert study.states() == {"defined": 2}


def test_commands_of_slurm_without_a_cluster_are_told_from_a_cluster_that_does_not_answer(slurm, tmp_path, monkeypatch):
    file = tmp_path / "slurm.conf"
    monkeypatch.setenv("SLURM_CONF", str(file))
    with pytest.raises(
        ConfigError, match=rf"SLURM_CONF names {file}, which is no file on .*: submit from a login node"
    ):
        read_cluster()
    file.write_text("ClusterName=x\n")
    with pytest.raises(ConfigError, match=rf"cannot use its configuration {file}: .*No SlurmctldHost defined"):
        read_cluster()
    if not Path("/etc/slurm/slurm.conf").exists():
        monkeypatch.delenv("SLURM_CONF")
        with pytest.raises(ConfigError, match=r"belongs to no cluster, as it has no slurm\.conf: submit from"):
            read_cluster()


def test_what_a_user_tells_slurm_for_other_jobs_does_not_outdo_what_batchml_says(slurm, study, monkeypatch):
    study.fill(1)
    for name in ("SBATCH_TIMELIMIT", "SBATCH_JOB_NAME", "SBATCH_NO_REQUEUE", "SLURM_RESTART_COUNT"):
        monkeypatch.setenv(name, "7")
    for name in ("SQUEUE_NAMES", "SCANCEL_NAME", "SCANCEL_STATE"):
        monkeypatch.setenv(name, "suspended")
    (handle,) = study.registry.submit(executor=bm.Slurm(walltime="2h", lines=["--hold"])).handles
    words = slurm.run("scontrol", "--oneliner", "show", "job", handle.array).split()
    assert {"TimeLimit=02:00:00", "Requeue=1", f"JobName={handle.job}"} <= set(words)
    assert handle.state == "PENDING"
    handle.stop()
    assert handle.wait(200)


def test_a_cancelled_element_gives_its_jobs_back_and_resume_completes_them(slurm, study):
    study.fill_patiently(5)
    submission = study.registry.submit(executor=bm.Slurm(workers=1, slots=2))
    study.until_begun(2)
    slurm.run("scancel", submission.workers[0])
    study.until_state(slurm, submission.workers[0], "CANCELLED")
    study.gate.touch()
    found = study.registry.resume()
    assert [each.queued for each in found.submissions] == [study.states().total() - study.states()["done"]]
    assert study.registry.wait(200)
    assert study.states() == {"done": 5}
    assert set(study.outcomes()) <= {"done", "preempted", "released"}


def test_a_preempted_element_starts_again_and_closes_what_it_held(slurm, study):
    """Also where the site cancels what it preempts: there the element asks for it itself, if it is to start again."""
    study.fill_patiently(7)
    element = {"workers": 1, "slots": 2, "cpus": 8}
    scavenger = {**element, "partition": "scavenger"}
    places = [bm.Slurm(**element), bm.Slurm(**scavenger), bm.Slurm(**scavenger, requeue=False)]
    handles = [study.registry.submit(executor=place).handles[0] for place in places]
    requeued, cancelled, ended = (handle.name for handle in handles)
    study.until_begun(6)
    # A partition of higher priority takes all processors of all nodes for a moment.
    slurm.run("sbatch", "-p", "urgent", "-N3", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1")
    until(lambda: len(study.ask("select id from worker")) == 5, "the second incarnations")
    seen = [(requeued, 0), (requeued, 1), (cancelled, 0), (cancelled, 1), (ended, 0)]
    assert sorted(study.ask("select scheduler_id, incarnation from worker")) == sorted(
        (f"{name}@batchml", incarnation) for name, incarnation in seen
    )
    study.gate.touch()
    until(lambda: handles[2].state == "PREEMPTED", "SLURM says so of what does not start again")
    row = SimpleNamespace(scheduler_id=f"{ended}@batchml", incarnation=0, submission_id=3)
    with Store.open(study.url) as store:
        word = SlurmWatch(store).evidence(row)
    assert (word.verdict, word.ending) == (Verdict.DEAD, Ending.PREEMPTED)
    assert study.registry.wait(200)
    assert study.states() == {"done": 7}
    assert set(study.outcomes()) <= {"done", "preempted", "released"}
    assert study.outcomes()["preempted"] == 6


def test_a_job_that_outlives_its_node_counts_once(slurm, study):
    """The daemon of the node dies, SLURM starts the element elsewhere, and the first one works on: fencing decides."""
    study.fill_patiently(1)
    submission = study.registry.submit(executor=bm.Slurm(workers=1, slots=1))
    study.until_begun()
    node = slurm.run("squeue", "-h", "-j", submission.workers[0].partition("_")[0], "-o", "%N").strip()
    slurm.cut_node(node)
    slurm.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    until(lambda: len(study.ask("select id from attempt")) == 2, "SLURM gives the node up and starts the element again")
    study.gate.touch()
    assert study.registry.wait(200)
    assert study.states() == {"done": 1}
    # Whoever came first: the one that was cut off learns at its next beat that it has been replaced.
    assert study.outcomes() in ({"done": 1, "superseded": 1}, {"done": 1, "preempted": 1})
    assert study.ask("select count(*) from result") == [(1,)]


def reconciled(study):
    """Let SLURM say what became of the workers; return why they are taken for dead."""
    with Store.open(study.url) as store:
        return list(reconcile(store, evidence=SlurmWatch(store).evidence).dead.values())


def test_the_kill_of_an_element_for_memory_is_charged_to_the_job_that_ran_alone(slurm, study):
    study.fill_with("Greedy", 1)
    submission = study.registry.submit(executor=bm.Slurm(workers=1, slots=1, lines=["--mem=900M"]))
    study.until_state(slurm, submission.workers[0], "FAILED")
    assert reconciled(study) == [f"SLURM reports FAILED for {submission.workers[0]} (memory)"]
    assert study.outcomes() == {"out_of_memory": 1}
    assert study.states() == {"error": 1}


def test_the_kill_of_a_worker_that_slurm_did_not_kill_for_memory_makes_its_job_a_suspect(slurm, study):
    """SLURM says so as long as its controller remembers, and its accounting after that."""
    study.fill_patiently(1)
    submission = study.registry.submit(executor=bm.Slurm(workers=1, slots=1))
    study.until_begun()
    os.kill(study.ask("select pid from worker")[0][0], signal.SIGKILL)
    study.ask("update worker set boot_id = 'another', host = 'far'")  # nobody here can look for its process
    study.until_state(slurm, submission.workers[0], "FAILED")
    reason = f"SLURM reports FAILED for {submission.workers[0]}, killed by signal 9"
    with Store.open(study.url) as store:
        assert SlurmWatch(store).evidence(the_worker(store)).reason == reason
    assert study.registry.allocations()["reason"].tolist() == [reason]
    slurm.forget()
    until(lambda: "FAILED" in slurm.run("sacct", "-X", "-n", "-j", submission.workers[0]), "accounting knows")
    assert reconciled(study) == [reason]
    assert study.outcomes() == {"lost": 1}
    assert study.states() == {"queued": 1}


def test_what_the_end_of_a_walltime_or_of_a_node_cuts_off_is_queued_again(slurm, study, monkeypatch):
    monkeypatch.setenv("BATCHML_BEAT", "0.3")
    monkeypatch.setenv("BATCHML_LEASE", "1")
    study.fill_patiently(2)
    executor = bm.Slurm(workers=2, slots=1, cpus=8, requeue=False)
    timed_out, lost = study.registry.submit(executor=executor).workers
    study.until_begun(2)
    slurm.end_walltime(timed_out)
    node = slurm.run("squeue", "-h", "-j", lost, "-o", "%N").strip()
    study.ask(f"update worker set boot_id = 'another', host = 'far' where scheduler_id like '{lost}@%'")
    slurm.crash_node(node)
    study.until_state(slurm, lost, "NODE_FAIL")
    until(lambda: reconciled(study), "the lease expires")
    assert study.outcomes()["infrastructure"] == 1
    study.until_state(slurm, timed_out, "TIMEOUT")
    until(lambda: study.outcomes()["preempted"] == 1, "the other has said goodbye, or is known to be dead")
    assert study.states() == {"queued": 2}


def test_each_slot_sees_the_devices_that_slurm_has_given_to_its_element(slurm, study):
    ids = study.fill_with("Watchful", 2, gate=str(study.gate))
    assert study.registry.submit(executor=bm.Slurm(workers=1, slots=2), resources={"gpus": 2}).wait(200)
    seen = Counter(line for job in ids for line in study.registry.log(job).splitlines() if "devices" in line)
    assert seen == {"devices 0,1": 1, "devices 2,3": 1}


def test_an_element_leaves_alone_what_would_outlast_it(slurm, study):
    quick, slow = (bm.lrn("classif.debug", id=f"d{s}", sleep_train=s) for s in (0.01, 0.02))
    study.registry.add(bm.benchmark_grid("iris", [slow, quick], bm.rsmp("subsampling", repeats=6)), "b")
    ids = study.registry.jobs(iteration=0)["job_id"]
    assert study.registry.submit(ids, executor=bm.Local(slots=2)).wait(200)
    study.ask("update attempt set wall_s = 500 where id = (select min(id) from attempt)")
    submission = study.registry.submit(executor=bm.Slurm(workers=1, slots=2, walltime="4m"))
    assert submission.handles[0].wait(200)
    assert study.states() == {"done": 7, "queued": 5}
    assert set(study.outcomes()) == {"done"}


def check_node(study, executor):
    with bm.Registry.open(study.url) as registry:
        return registry.check_node(executor)


def test_an_element_on_an_unfit_node_says_so_and_claims_nothing(slurm, study, tmp_path):
    study.fill(2)
    (tmp_path / "broken_module.py").write_text("import there_is_no_such_module\n")
    registry = study.registry
    unfit = {"infrastructure: .*the setup line failed: false": {"setup": ["false"]}}
    unfit |= {"infrastructure: .*there is no /no/python": {"python": "/no/python"}}
    with ThreadPoolExecutor() as pool:
        fine = pool.submit(check_node, study, bm.Slurm())
        found = {cause: pool.submit(check_node, study, bm.Slurm(**settings)) for cause, settings in unfit.items()}
    fit, words = fine.result()
    assert fit, words
    for cause, each in found.items():
        fit, words = each.result()
        assert not fit
        assert re.search(cause, words)
    launch = Launch(
        url=study.url,
        registry="ab" * 16,
        submission=registry.submit(executor=bm.Slurm(lines=["--hold"])).id,
        paths=(str(tmp_path),),
        trust=("broken_module",),
    )
    (handle,) = bm.Slurm().start(launch)
    assert handle.wait(200)
    cause = "cannot import broken_module: ModuleNotFoundError"
    assert cause in handle.last_words()
    ((state, reason),) = study.ask("select state, reason from worker")
    assert state == "stopped"
    assert reason.startswith("infrastructure: ")
    assert cause in reason
    assert study.ask("select count(*) from attempt") == [(0,)]


def test_stop_and_cancel_reach_elements_that_wait_and_that_run(slurm, study):
    study.fill(40, seconds=1.0)
    submission = study.registry.submit(executor=bm.Slurm(workers=4, slots=1, cpus=8, throttle=1))
    study.until_running()
    assert sorted(slurm.states()[name] for name in submission.workers) == ["PENDING"] * 3 + ["RUNNING"]
    study.registry.stop()
    until(lambda: not slurm.run("squeue", "-h").strip(), "nothing is left in SLURM")
    assert study.states()["running"] == 0
    assert study.states()["queued"] > 0
    held = study.registry.resume(executor=bm.Slurm(workers=2, lines=["--hold"])).submissions[0]
    assert study.registry.allocations()["states"].tolist()[0] == "2 PENDING"
    assert study.registry.backlog().stalled is None  # somebody will come
    said = []
    grumbler = Grumbler(SimpleNamespace(tell=said.append), patient_s=0)
    until(lambda: grumbler.idle(study.registry) or said, "SLURM says why they wait")
    assert said == [f"batchml: SLURM, submission {held.id}: 2 PENDING (JobHeldUser)"]
    study.registry.cancel(study.registry.jobs(state="queued"))
    until(lambda: {slurm.state(name) for name in held.workers} == {"CANCELLED"}, "what nobody needs is cancelled")


def test_more_elements_than_an_array_may_have_become_two_arrays(slurm, study):
    study.fill(1)
    submission = study.registry.submit(executor=bm.Slurm(workers=1100, lines=["--hold"]))
    assert Counter(name.partition("_")[0] for name in submission.workers).most_common() == [
        (submission.handles[0].array, 1001),  # MaxArraySize is one more than the largest index
        (submission.handles[-1].array, 99),
    ]
    submission.stop(timeout=200)
    assert not submission.alive


def test_a_submission_that_was_heard_in_spite_of_its_error_is_not_made_twice(slurm, study, tmp_path, monkeypatch):
    study.fill(1)
    once = '[ -e once ] && exec $REAL "$@"; touch once; $REAL "$@" >/dev/null; echo "Socket timed out" >&2; exit 1'
    wrap(tmp_path, monkeypatch, "sbatch", once)
    submission = study.registry.submit(executor=bm.Slurm(workers=2, lines=["--hold"]))
    assert set(slurm.states()) >= set(submission.workers)
    assert len({name.partition("_")[0] for name, state in slurm.states().items() if state == "PENDING"}) == 1


def test_where_the_site_allows_fewer_jobs_there_are_fewer(slurm, study, caplog):
    study.fill(2)
    few = bm.Slurm(workers=8, account="few", lines=["--hold"])
    submission = study.registry.submit(study.registry.jobs().head(1), executor=few)
    assert len(submission.workers) == 3  # MaxSubmitJobs of that account
    assert len(slurm.states()) >= 3
    assert "SLURM took 3 of 8 elements: AssocMaxSubmitJobLimit" in caplog.text
    with pytest.raises(SchedulerError, match=r"took no job: AssocMaxSubmitJobLimit.* submit again when"):
        study.registry.submit(executor=few)
    assert study.states() == {"queued": 1, "defined": 1}


def test_a_job_of_somebody_else_that_has_got_an_elements_number_is_left_alone(slurm, study):
    study.fill(1)
    mine = study.registry.submit(executor=bm.Slurm(lines=["--hold"])).handles[0]
    assert mine.state == "PENDING"
    # After SLURM's numbers have begun again: one element of it runs, one waits.
    words = ("--array=0-1%1", "--output=/dev/null", "--wrap=sleep 60")
    foreign = slurm.run("sbatch", "--parsable", *words).strip()
    study.until_state(slurm, f"{foreign}_0", "RUNNING")
    study.ask(f"update submission set scheduler_id = '{foreign}@batchml'")
    handles = [SlurmHandle(foreign, i, mine.job, mine.cluster, mine.log, Listing()) for i in (0, 1)]
    assert not any(handle.alive() for handle in handles)
    SlurmHandle.stop_all(handles, now=True)
    study.registry.stop(now=True)
    assert study.registry.allocations().empty
    row = SimpleNamespace(scheduler_id=f"{foreign}_0@batchml", incarnation=0, submission_id=1)
    with Store.open(study.url) as store:
        watch = SlurmWatch(store)
        assert watch.states([(row.scheduler_id, 1)]) == [""]
        until(lambda: watch.evidence(row).verdict is Verdict.MISSING, "it is taken for ended")
    assert [slurm.states()[f"{foreign}_{i}"] for i in (0, 1)] == ["RUNNING", "PENDING"]


def test_no_id_is_no_success(slurm, study, tmp_path, monkeypatch):
    study.fill(1)
    wrap(tmp_path, monkeypatch, "sbatch", "echo; exit 0")
    with pytest.raises(SchedulerError, match="no job id"):
        study.registry.submit(executor=bm.Slurm())
    assert study.states() == {"defined": 1}


def test_a_query_that_fails_proves_nothing_and_a_job_that_is_twice_unknown_is_dead(slurm, study, tmp_path, monkeypatch):
    study.fill(1)
    study.registry.submit(executor=bm.Slurm(lines=["--hold"]))
    unknown = SimpleNamespace(scheduler_id="999_0@batchml", incarnation=0, submission_id=1)
    with Store.open(study.url) as store:
        with monkeypatch.context() as broken:
            wrap(tmp_path, broken, "squeue", "echo 'Socket timed out' >&2; exit 1")
            assert SlurmWatch(store).evidence(unknown) is None
        watch = SlurmWatch(store)
        assert watch.evidence(unknown).verdict is Verdict.ALIVE  # seen missing for the first time
        time.sleep(1.1)
        assert SlurmWatch(store).evidence(unknown).verdict is Verdict.MISSING
        assert watch.evidence(SimpleNamespace(scheduler_id="999_0@elsewhere", incarnation=0, submission_id=1)) is None
