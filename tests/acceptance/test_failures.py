"""Any learner may do anything: through registry, workers and command line, with two slots."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import warm_command

import batchml as bm
from batchml.core.learner import as_learner
from batchml.execution.sandbox.session import session_partner

pytestmark = pytest.mark.filterwarnings("ignore:.*in a session the time limit:UserWarning")

NASTY = Path(__file__).parent.parent / "integration"
MARK = "BATCHML_FAILURES_TEST"
ROUNDS = 15

ENDS = {
    # deed: outcomes that are right, words that the log must hold
    "crash": ("crashed", "Segmentation fault"),
    "abort": ("crashed", "Aborted"),
    "fill_the_pipe_and_die": ("crashed", "bytes left out"),
    "leave": ("crashed", "status 3"),
    "leave_well": ("crashed", "status 0"),
    "kill_self": ("crashed", "SIGKILL"),
    "kill_group": ("crashed", "SIGKILL"),
    "kill_parent": ("crashed", "killed from within"),
    "close_descriptors": ("crashed", "closes descriptors"),
    "raise_value_error": ("learner_error", "ValueError"),
    "raise_unspeakable": ("learner_error", "Unspeakable"),
    "interrupt": ("learner_error", "KeyboardInterrupt"),
    "exit_python": ("learner_error", "SystemExit"),
    "recurse": ("learner_error", "RecursionError"),
    "run_out_of_memory": ("out_of_memory", "MemoryError"),
    "fork": ("done", ""),
    "fork_and_raise": ("done", ""),
    "daemon": ("done", ""),
    "daemon_and_crash": ("crashed", "status -11"),
    "daemon_and_kill_parent": ("crashed", "killed from within"),
    "print_rubbish": ("done", "a\N{REPLACEMENT CHARACTER}b"),
    "print_in_c": ("done", "from the C library"),
    "change_folder_and_environment": ("done", ""),
    "look_around": ("done", "nothing"),
    "raise_on_overflow": ("done", ""),
    "handle_signals": ("done", ""),
    "disable_logging": ("done", ""),
    "leak_thread": ("done", ""),
    "leak_descriptor": ("done", ""),
    "hold_a_lock": ("done", ""),
}
WRONG = {"short": "49", "unknown": "unheard of", "none": "", "floats": ""}
SLOW = {
    "sleep": ("timeout", "nasty_learners.py"),
    "swallow": ("timeout", "nasty_learners.py"),
    "loop_in_c": ("timeout", "nasty_learners.py"),
    "stubborn_child": ("timeout", "nasty_learners.py"),
    "daemon_and_sleep": ("timeout", "nasty_learners.py"),
    "stop_parent": ("timeout", ""),
    "print_a_gigabyte": ("done", "the end"),
}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Return a folder for a registry; nothing that is started for it may be left running."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    monkeypatch.syspath_prepend(str(NASTY))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    session_partner().close()
    left = {}
    end = time.monotonic() + 5
    while time.monotonic() < end and (left := processes(mark)):
        time.sleep(0.05)
    assert not left
    assert not processes("987654")


def processes(word):
    """Return the processes with a word in their command or environment, but this one."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                text = (entry / "cmdline").read_bytes()
                if word.encode() in text + (entry / "environ").read_bytes():
                    found[int(entry.name)] = text
    return found


def cli(*words, status=0):
    path = os.pathsep.join(sys.path)
    done = warm_command.run(*words, cwd=Path.cwd(), env={**os.environ, "PYTHONPATH": path}, timeout=250)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def answer(*words, status=0):
    return json.loads(cli(*words, "--json", status=status))


def nasty(name, timeout=None, **params):
    import nasty_learners

    learner = as_learner(nasty_learners.Nasty(**params), id=name, preprocess="none")
    if timeout is not None:
        learner.timeout = {"train": timeout}
    return learner


def own(design, name):
    return dataclasses.replace(design, name=name, modules=("nasty_learners",), paths=(str(NASTY),))


def run_to_the_end(registry, **options):
    registry.submit(executor=bm.Local(slots=2), **options).wait(300)
    assert registry.wait(30)


def test_a_thousand_jobs_of_nasty_learners_among_good_ones(study):
    deeds, ways = list(ENDS), list(WRONG)
    names = [*deeds, *(f"how_{way}" for way in ways)]
    bad = [nasty(deed, deed=deed) for deed in deeds] + [nasty(f"how_{way}", how=way) for way in ways]
    good = [bm.lrn("classif.tree", max_depth=depth + 1, id=f"tree{depth}") for depth in range(len(bad) - 2)]
    good += [bm.lrn("classif.log_reg"), bm.lrn("classif.naive_bayes")]
    mixed = [learner for pair in zip(good, bad, strict=True) for learner in pair]
    slow = [nasty(deed, deed=deed, timeout=30 if deed == "print_a_gigabyte" else 0.5) for deed in SLOW]
    clean = []
    with bm.Registry.create(f"sqlite:///{study / 'study.db'}", seed=3) as registry:
        for number in range(ROUNDS):
            splits = bm.rsmp("holdout")
            registry.add(own(bm.benchmark_grid("iris", mixed, splits, seed=number), f"round{number:02}"))
            clean.append(bm.benchmark_grid("iris", good, splits, seed=number))
            if number == ROUNDS // 2:
                registry.add(own(bm.benchmark_grid("iris", slow, splits), "slow"))
        assert len(registry.jobs()) >= 1000
        run_to_the_end(registry)
        jobs = registry.jobs()
        expected = {deed: outcome for deed, (outcome, _) in (ENDS | SLOW).items()}
        expected |= dict.fromkeys([f"how_{way}" for way in ways], "learner_error")
        expected |= {learner.id: "done" for learner in good}
        wrong = jobs[jobs["outcome"] != jobs["learner"].map(expected)]
        assert wrong.empty, wrong[["learner", "state", "outcome"]].to_string()
        assert set(jobs["attempts"]) == {1}
        last = {row.learner: row.job_id for row in jobs.itertuples()}
        words = {deed: text for deed, (_, text) in (ENDS | SLOW).items()} | {f"how_{w}": t for w, t in WRONG.items()}
        for name in [*names, *SLOW]:
            log = registry.log(last[name])
            assert words[name] in log, (name, log[-2000:])
            assert not re.search("[\0\ud800-\udfff]", log)
            assert len(log) < 300_000
        for number, design in list(enumerate(clean))[:: ROUNDS // 3]:
            alone = bm.benchmark(design)
            there = registry.reduce(benchmark=f"round{number:02}", strict=False)
            for learner in good:
                one, two = (b.resample_result(learner=learner.id).prediction() for b in (alone, there))
                assert one.to_arrow() == two.to_arrow()


DESIGN = """
[benchmark]
name = "limits"
seed = 5
[[task]]
key = "iris"
[[learner]]
id = "quick"
key = "classif.tree"
[[learner]]
id = "sometimes slow"
key = "classif.debug"
params = {{ sleep_train = 0.6 }}
timeout = {{ train = {limit} }}
[[resampling]]
key = "subsampling"
repeats = 97
[[resampling]]
id = "three"
key = "cv"
folds = 3
[[exclude]]
learner = "quick"
resampling = "three"
[[exclude]]
learner = "sometimes slow"
resampling = "subsampling"
"""


def test_a_hundred_jobs_of_which_three_timed_out_when_the_limit_is_raised_three_run_again(study):
    (study / "limits.toml").write_text(DESIGN.format(limit=0.2))
    cli("run", "limits.toml", "--slots", 2, status=1)
    before = answer("jobs")
    assert sorted(job["outcome"] for job in before) == ["done"] * 97 + ["timeout"] * 3
    (study / "limits.toml").write_text(DESIGN.format(limit=5))
    planned = answer("plan", "limits.toml")
    assert (planned["new"], planned["reused"], planned["again"]) == (0, 97, {"hit the old limit": 3})
    assert "3 again: they hit the old limit" in cli("plan", "limits.toml")
    cli("run", "limits.toml", "--slots", 2)
    after = answer("jobs")
    assert {job["outcome"] for job in after} == {"done"}
    assert [job["attempts"] for job in after].count(2) == 3
    same = {job["job_id"]: job["ended_at"] for job in before if job["outcome"] == "done"}
    assert {job["job_id"]: job["ended_at"] for job in after if job["job_id"] in same} == same


RETRY = """
[benchmark]
name = "again"
seed = 5
retry = {{ timeout = 2 {more} }}
[[task]]
key = "iris"
[[learner]]
id = "slow"
key = "classif.debug"
params = {{ sleep_train = 5 }}
timeout = {{ train = 0.2 }}
[[learner]]
id = "wrong"
key = "classif.debug"
params = {{ error_train = 1 }}
[[resampling]]
key = "holdout"
"""


def test_a_time_limit_is_tried_again_by_the_policy_of_the_design_and_an_error_is_not(study):
    (study / "again.toml").write_text(RETRY.format(more=""))
    cli("run", "again.toml", "--slots", 2, status=1)
    tries = {job["learner"]: (job["state"], job["attempts"]) for job in answer("jobs")}
    assert tries == {"slow": ("error", 3), "wrong": ("error", 1)}
    assert [row["outcome"] for row in answer("attempts", 1)] == ["timeout"] * 3
    (study / "again.toml").write_text(RETRY.format(more=", out_of_memory = 1"))
    refused = subprocess.run(
        [sys.executable, "-m", "batchml", "plan", "again.toml"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "again.toml: [benchmark]: retry.out_of_memory needs memory" in refused.stderr


def test_a_job_that_lacks_memory_gets_more_when_the_policy_says_so(study):
    small, big = nasty("small", deed="nothing"), nasty("big", deed="eat_some")
    policy = {"out_of_memory": 1, "memory": "x4"}
    design = own(bm.benchmark_grid("iris", [small, big], bm.rsmp("holdout"), retry=policy), "memory")
    with bm.Registry.create(f"sqlite:///{study / 'study.db'}", seed=3) as registry:
        registry.add(design)
        registry.submit(executor=bm.Local(slots=2), resources={"memory": "400M"}).wait(60)
        state = {row.learner: (row.state, row.outcome) for row in registry.jobs().itertuples()}
        assert state == {"small": ("done", "done"), "big": ("queued", "out_of_memory")}
        told = registry.why(2)
        assert "memory_mb=1600" in told
        assert "out_of_memory" in told
        assert registry.wait(60)  # it starts workers with more
        job = registry.jobs(learner="big").iloc[0]
        assert (job["state"], job["outcome"], job["attempts"]) == ("done", "done", 2)
        assert 500 < job["peak_mb"] < 1600
        assert registry.jobs(learner="small").iloc[0]["peak_mb"] < 400


def test_a_limit_for_the_whole_job_comes_with_its_resources(study):
    with bm.Registry.create(f"sqlite:///{study / 'study.db'}", seed=3) as registry:
        learner = bm.lrn("classif.debug", sleep_train=20, sleep_predict=20)
        registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("holdout")))
        run_to_the_end(registry, resources={"timeout": "700ms"})
        assert registry.attempts(1)["outcome"].tolist() == ["timeout"]
        assert "job's time limit of 0.7 s" in registry.log(1)
        assert "debug.py" in registry.log(1)


def test_conditions_are_the_same_in_session_views_log_and_command_line(study):
    learner = bm.lrn("classif.debug", message_train=1, warning_train=1, error_predict=1, encapsulate="capture")
    splits = bm.rsmp("cv", folds=2)
    alone = bm.resample("iris", learner, splits, seed=3)
    crashing = bm.lrn("classif.debug", segfault_train=1, encapsulate="process", id="crashing")
    with bm.Registry.create(f"sqlite:///{study / 'batchml.db'}", seed=3) as registry:
        registry.add(bm.benchmark_grid("iris", [learner, crashing], splits))
        run_to_the_end(registry)
        found = registry.sql("select * from conditions order by job_id")
        seen = found[found["learner"] == "classif.debug"]
        words = ["stage", "level", "message"]
        here = bm.lrn("classif.debug", message_train=1, warning_train=1, error_predict=1, encapsulate="capture")
        here.train(bm.tsk("iris"), seed=1)
        here.predict(bm.tsk("iris"))
        assert seen[seen["iteration"] == 0][words].values.tolist() == here.log[words].values.tolist()
        reduced = registry.reduce()
        there = reduced.resample_result(learner="classif.debug")
        for name in ("errors", "warnings"):
            assert getattr(there, name).values.tolist() == getattr(alone, name).values.tolist()
        assert [row["message"] for row in answer("errors", "--all")] == registry.errors()["message"].tolist()
        assert set(registry.errors()["message"]) == {
            "Error from classif.debug->predict()",
            "process exited with status -11",
        }
        assert "[predict error] LearnerError: Error from classif.debug->predict()" in cli("log", 1)
        assert registry.jobs()[["state", "prediction"]].drop_duplicates().values.tolist() == [["done", "none"]]
        scores = registry.sql("select distinct kind from scores")
        assert scores["kind"].tolist() == ["missing"]
        assert registry.retry(registry.jobs()) == 4
        registry.resume()
        assert registry.wait(60)
        assert set(registry.jobs()["attempts"]) == {2}


def test_a_job_records_what_it_took(study):
    with bm.Registry.create(f"sqlite:///{study / 'study.db'}", seed=3) as registry:
        learner = bm.set_threads(bm.lrn("classif.random_forest", n_estimators=5), 2)
        registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("holdout")))
        registry.submit(executor=bm.Local(slots=1)).wait(60)
        row = registry.attempts(1).iloc[0]
        assert row["threads"] == 2
        assert row["wall_s"] > row["fit_s"] > 0
        assert row["predict_s"] > 0
        assert row["cpu_s"] > 0
        assert 50 < row["peak_mb"] < 2000


def test_a_job_that_crashes_can_be_tried_where_it_takes_nothing_along(study):
    learner = bm.lrn("classif.debug", segfault_train=1)
    with bm.Registry.create(f"sqlite:///{study / 'batchml.db'}", seed=3) as registry:
        registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("holdout")))
        run_to_the_end(registry)
        assert registry.jobs()["outcome"].tolist() == ["crashed"]
        assert registry.attempts(1).iloc[0]["threads"] == 1
        assert registry.attempts(1).iloc[0]["cpu_s"] > 0
    outside = subprocess.run(
        [sys.executable, "-m", "batchml", "test-job", "1", "--external", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outside.returncode == 1
    assert (json.loads(outside.stdout)["ending"], json.loads(outside.stdout)["signal"]) == ("crashed", 11)
    here = subprocess.run(
        [sys.executable, "-m", "batchml", "test-job", "1"], capture_output=True, text=True, check=False
    )
    assert here.returncode == -11
    assert "ended as crashed before: if it takes this process along, use --external" in here.stderr
    assert "Segmentation fault" in here.stderr
    assert "debug.py" in here.stderr


def test_slots_are_counted_by_the_threads_of_the_learners(study, monkeypatch):
    monkeypatch.setenv("BATCHML_CPUS", "4")
    learner = bm.set_threads(bm.lrn("classif.random_forest", n_estimators=2), 2)
    with bm.Registry.create(f"sqlite:///{study / 'study.db'}", seed=3) as registry:
        registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("cv", folds=2)))
        assert registry.submit().wait(60)
        assert registry.sql("SELECT slots FROM workers")["slots"].tolist() == [2]
        registry.reset([1])
        with pytest.warns(UserWarning, match="3 x 2 threads at once want more than the 4 CPUs"):
            registry.submit(executor=bm.Local(slots=3)).wait(60)


def test_a_job_is_debugged_in_this_process_with_its_own_seed_and_rows(study):
    with bm.Registry.create(f"sqlite:///{study / 'study.db'}", seed=3) as registry:
        learner = bm.lrn("classif.debug", error_train=1, encapsulate="process", fallback="classif.featureless")
        registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("holdout")))
        assert registry.test_job(1)["prediction"] == "imputed"
        with pytest.raises(Exception, match=r"Error from classif\.debug") as caught:
            registry.test_job(1, debug=True)
        assert any("debug.py" in str(entry.path) for entry in caught.traceback)
    pdb = subprocess.run(
        [sys.executable, "-m", "batchml", "--registry", f"sqlite:///{study / 'study.db'}", "test-job", "1", "--pdb"],
        input="where\nquit\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "(Pdb)" in pdb.stdout
    assert "_happen" in pdb.stdout
