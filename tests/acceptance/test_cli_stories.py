"""What users do with the command line, in a process of its own and a folder of its own."""

import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm_command

ROOT = Path(__file__).parents[2]

DESIGN = """
[benchmark]
name = "small"
seed = 1
measures = ["classif.acc"]
[[task]]
key = "iris"
[[learner]]
key = "classif.featureless"
[[learner]]
key = "classif.tree"
[[resampling]]
key = "cv"
folds = 3
"""

SLOW = DESIGN.replace(
    'key = "classif.tree"', 'id = "slow"\nkey = "classif.debug"\nparams = { sleep_train = 0.4 }'
).replace("folds = 3", "folds = 20")  # fmt: skip


def environment(folder, **more):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BATCHML_", "PG"))}
    clean |= {
        "PYTHONPATH": str(ROOT),
        "XDG_CONFIG_HOME": str(folder / ".config"),
        "XDG_DATA_HOME": str(folder / ".data"),
    }
    return clean | {"PYTHONDONTWRITEBYTECODE": "1", **more}


def batchml(*args, cwd, status=0, **more):
    done = warm_command.run(*args, cwd=cwd, env=environment(cwd, **more))
    assert done.returncode == status, f"{args}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder in which the small design has been run. Tests only look."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "design.toml").write_text(DESIGN)
    done = batchml("run", "design.toml", "--slots", "2", cwd=folder)
    return folder, done


def test_help_comes_at_once_and_loads_nothing_heavy(tmp_path):
    code = (
        "import sys, time; start = time.process_time(); sys.argv = ['batchml', '--help']\n"
        "from batchml.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(time.process_time() - start, file=sys.stderr)\n"
        "heavy = ('torch', 'dask', 'sklearn', 'sqlalchemy', 'pandas', 'numpy', 'rich')\n"
        "print([m for m in heavy if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(tmp_path), check=True
    )
    seconds, loaded = done.stderr.splitlines()
    assert loaded == "[]"
    assert float(seconds) < 0.4


@pytest.mark.parametrize("words", [["status"], ["jobs", "--json"], ["log", "99"], ["config", "show"], ["--version"]])
def test_a_command_that_is_forked_says_what_a_fresh_one_does(words, study):
    folder, _ = study
    fresh = subprocess.run(
        [sys.executable, "-m", "batchml", *words],
        cwd=folder, env=environment(folder), capture_output=True, text=True, check=False,
    )  # fmt: skip
    forked = warm_command.run(*words, cwd=folder, env=environment(folder))
    assert (forked.returncode, forked.stdout, forked.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)


def test_run_prints_plan_progress_table_registry_and_what_next(study):
    _, done = study
    assert "1 task x 2 learners x cv3 = 6 iterations" in done.stdout
    assert "6 new" in done.stdout
    assert "6/6 jobs, 6 done, 0 failed" in done.stderr
    table = re.findall(r"^iris +(\S+) .* (0\.\d{4})\b", done.stdout, re.MULTILINE)
    assert [name for name, _ in table] == ["classif.featureless", "classif.tree"]
    assert float(table[1][1]) > 0.85
    assert "registry: sqlite:///batchml.db" in done.stdout
    after = done.stdout.partition("next:")[2].strip().splitlines()
    assert len(after) == 3
    assert [re.search("batchml (status|sql|export)", line)[1] for line in after] == ["status", "sql", "export"]


def test_output_that_goes_to_a_pipe_is_plain(study):
    _, done = study
    for text in (done.stdout, done.stderr):
        assert not re.search(r"[\x1b\u2500-\u257f\r]", text)


def test_a_second_run_says_that_nothing_is_new_and_prints_the_table(study):
    folder, first = study
    again = batchml("run", "design.toml", cwd=folder)
    assert "nothing is new" in again.stdout
    assert first.stdout[first.stdout.index("task  ") :] == again.stdout[again.stdout.index("task  ") :]


def test_what_next_works_as_printed(study):
    import shlex

    folder, done = study
    for line in done.stdout.partition("next:")[2].strip().splitlines():
        assert batchml(*shlex.split(line.strip())[1:], cwd=folder).stdout


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "design.toml"], ["status"], ["jobs"], ["jobs", "--learner", "classif.tree", "-n", "1"], ["errors"],
        ["log", "1"], ["grep", "x"], ["attempts", "1"], ["why", "1"], ["estimate"], ["reduce"], ["wait"],
        ["reduce", "-m", "classif.ce"], ["sql", "SELECT COUNT(*) AS n FROM jobs"], ["db", "info"], ["db", "check"],
        ["db", "upgrade"], ["config", "show"], ["export", "out"], ["resume", "--dry-run"], ["submit", "--dry-run"],
        ["test-job", "1"], ["test-job", "1", "--external"], ["stop"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_command_speaks_to_people_and_to_programs(words, study):
    folder, _ = study
    assert batchml(*words, cwd=folder).stdout.strip()
    done = batchml(*words, "--json", cwd=folder)
    assert done.stderr == ""
    json.loads(done.stdout)


def test_what_changes_jobs_prints_json_too(study):
    """Commands of which none has anything to do here, so that this study stays as it is."""
    folder, _ = study
    for words in (
        ["summary"], ["tags"], ["tag", "x", "1"], ["untag", "x", "1"], ["retry", "1"], ["cancel", "1"], ["rescore"],
        ["sync"], ["add", "design.toml"], ["submit"], ["resume"],
    ):  # fmt: skip
        done = batchml(*words, "--json", cwd=folder)
        assert done.stderr == ""
        json.loads(done.stdout)


def test_tables_are_not_cut_at_eighty_columns(study):
    folder, _ = study
    header = batchml("jobs", cwd=folder, COLUMNS="80").stdout.splitlines()[0]
    assert header.split() == [
        *("job_id", "benchmark", "experiment_id", "task", "learner", "resampling", "params", "iteration", "state"),
        *("outcome", "prediction", "attempts", "host", "fit_s", "predict_s", "wall_s", "peak_mb"),
        *("started_at", "ended_at"),
    ]


def test_on_a_terminal_there_is_a_bar_and_a_table(tmp_path):
    (tmp_path / "design.toml").write_text(DESIGN)
    status, text = on_a_terminal(["run", "design.toml", "--slots", "1"], tmp_path)
    assert status == 0, text
    assert "\x1b[" in text
    assert "6/6 jobs" in text
    assert "classif.tree" in text


def on_a_terminal(words, folder, press=None):
    """Run the command on a pseudo terminal; `press` = (text to wait for, key to press then)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(
            sys.executable, [sys.executable, "-m", "batchml", *words], environment(folder, TERM="xterm", COLUMNS="120")
        )
    seen, deadline = "", time.monotonic() + 90
    while time.monotonic() < deadline:
        if select.select([fd], [], [], 1.0)[0]:
            try:
                chunk = os.read(fd, 65536)
            except OSError:
                break
            if not chunk:
                break
            seen += chunk.decode(errors="replace")
            if press is not None and re.search(press[0], seen):
                os.write(fd, press[1])
                press = None
    else:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return status, seen


def states(folder):
    with sqlite3.connect(f"file:{folder / 'batchml.db'}?mode=ro", uri=True) as connection:
        return dict(connection.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state").fetchall())


def test_ctrl_c_lets_running_iterations_finish_and_says_how_to_go_on(tmp_path):
    (tmp_path / "slow.toml").write_text(SLOW)
    status, text = on_a_terminal(["run", "slow.toml", "--slots", "1"], tmp_path, press=(r"\b2\d/40 jobs", b"\x03"))
    assert status == 1, text
    assert "Traceback" not in text
    assert "batchml resume" in text
    found = states(tmp_path)
    assert "running" not in found
    assert found["queued"] > 0
    done = batchml("resume", "--executor", "local", "--slots", "2", "-r", "memory=2G", cwd=tmp_path)
    assert "40/40 jobs, 40 done, 0 failed" in done.stdout
    assert states(tmp_path) == {"done": 40}
    with sqlite3.connect(f"file:{tmp_path / 'batchml.db'}?mode=ro", uri=True) as connection:
        last = connection.execute("SELECT executor, settings FROM submission ORDER BY id DESC LIMIT 1").fetchone()
    assert (last[0], json.loads(last[1])["slots"]) == ("local", 2)


def test_an_added_learner_runs_alone_and_shares_the_folds(tmp_path):
    (tmp_path / "design.toml").write_text(DESIGN)
    batchml("run", "design.toml", "--slots", "1", cwd=tmp_path)
    (tmp_path / "design.toml").write_text(
        DESIGN + '[[learner]]\nid = "deep"\nkey = "classif.tree"\nparams = { max_depth = 1 }\n'
    )
    done = batchml("run", "design.toml", "--slots", "1", cwd=tmp_path)
    assert "3 new" in done.stdout
    assert "6 reused" in done.stdout
    rows = json.loads(batchml("jobs", "--json", cwd=tmp_path).stdout)
    assert [row["attempts"] for row in rows] == [1] * 9


def test_failed_jobs_are_reported_by_status_one_and_can_be_retried(tmp_path):
    (tmp_path / "design.toml").write_text(
        DESIGN.replace('key = "classif.tree"', 'id = "bad"\nkey = "classif.debug"\nparams = { error_train = 1.0 }')
    )
    done = batchml("run", "design.toml", "--slots", "1", cwd=tmp_path, status=1)
    assert "3 of 6 iterations are missing" in done.stdout
    assert "3 failed" in done.stderr
    assert "batchml errors" in done.stdout
    kinds = json.loads(batchml("errors", "--json", cwd=tmp_path).stdout)
    assert [kind["jobs"] for kind in kinds] == [3]
    assert kinds[0]["learners"] == "bad"
    assert "retried 3 jobs" in batchml("retry", "--state", "error", cwd=tmp_path).stdout
    batchml("resume", cwd=tmp_path, status=1)
    rows = json.loads(batchml("jobs", "--learner", "bad", "--json", cwd=tmp_path).stdout)
    assert [row["attempts"] for row in rows] == [2, 2, 2]
    batchml("reduce", "--strict", cwd=tmp_path, status=1)


def test_jobs_can_be_tagged_cancelled_reset_and_removed(tmp_path):
    (tmp_path / "design.toml").write_text(DESIGN)
    batchml("add", "design.toml", cwd=tmp_path)
    assert "tagged 2 jobs" in batchml("tag", "odd", "1", "3", cwd=tmp_path).stdout
    assert len(json.loads(batchml("jobs", "--tag", "odd", "--json", cwd=tmp_path).stdout)) == 2
    assert "untagged 1 job" in batchml("untag", "odd", "1", cwd=tmp_path).stdout
    assert "cancelled 1 job" in batchml("cancel", "2", cwd=tmp_path).stdout
    batchml("submit", "--slots", "1", cwd=tmp_path, status=1)
    assert states(tmp_path) == {"done": 5, "cancelled": 1}
    assert "reset 1 job" in batchml("reset", "1", cwd=tmp_path).stdout
    assert states(tmp_path) == {"done": 4, "cancelled": 1, "defined": 1}
    assert "removed 1 job" in batchml("remove", "2", "--yes", cwd=tmp_path).stdout


def test_detached_workers_outlive_the_command(tmp_path):
    (tmp_path / "design.toml").write_text(DESIGN)
    batchml("add", "design.toml", cwd=tmp_path)
    assert "submission 1" in batchml("submit", "--slots", "1", "--detach", cwd=tmp_path).stdout
    batchml("wait", "--timeout", "60", cwd=tmp_path)
    assert states(tmp_path) == {"done": 6}


def test_after_the_death_of_its_shell_a_detached_worker_is_found_by_status_and_ended_by_stop(tmp_path):
    (tmp_path / "design.toml").write_text(SLOW)
    batchml("add", "design.toml", cwd=tmp_path)
    submit = f"{sys.executable} -m batchml submit --slots 1 --detach; sleep 60"
    shell = subprocess.Popen(
        ["sh", "-c", submit], cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.DEVNULL, start_new_session=True
    )

    def workers():
        return json.loads(batchml("status", "--json", cwd=tmp_path).stdout)["workers"]

    wait_until(lambda: states(tmp_path).get("running"))
    os.killpg(shell.pid, signal.SIGHUP)
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    before = states(tmp_path).get("done", 0)
    wait_until(lambda: states(tmp_path).get("done", 0) > before + 1)
    (found,) = workers()
    os.kill(found["pid"], 0)
    assert "told 1 worker" in batchml("stop", cwd=tmp_path).stdout
    wait_until(lambda: not workers())
    assert set(states(tmp_path)) == {"done", "queued"}


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_waiting_for_jobs_that_nobody_runs_ends_with_the_reason(tmp_path):
    (tmp_path / "design.toml").write_text(DESIGN)
    batchml("add", "design.toml", cwd=tmp_path)
    with sqlite3.connect(tmp_path / "batchml.db") as connection:
        connection.execute("INSERT INTO resource (digest, body) VALUES ('x', '{}')")
        connection.execute("UPDATE job SET state = 'queued', resource_id = 1")
    done = batchml("wait", cwd=tmp_path, status=1)
    assert "no worker" in done.stderr
    assert "batchml resume" in done.stderr


def test_a_closed_pipe_is_no_error(study):
    folder, _ = study
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m batchml jobs --json | head -n 1"],
        cwd=folder, env=environment(folder), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""


def test_the_registry_may_come_from_the_environment_or_the_configuration(tmp_path):
    (tmp_path / "design.toml").write_text(DESIGN)
    batchml("add", "design.toml", cwd=tmp_path, BATCHML_REGISTRY="sqlite:///e.db")
    (tmp_path / "batchml.toml").write_text('registry = "sqlite:///c.db"')
    batchml("add", "design.toml", cwd=tmp_path)
    batchml("--registry", "sqlite:///o.db", "add", "design.toml", cwd=tmp_path)
    assert {p.name for p in tmp_path.glob("*.db")} == {"e.db", "c.db", "o.db"}


def test_a_module_beside_the_design_is_used_by_the_workers(tmp_path):
    (tmp_path / "my_learners.py").write_text(
        "from sklearn.dummy import DummyClassifier\n\nclass Mine(DummyClassifier):\n    pass\n"
    )
    text = DESIGN.replace("seed = 1", 'seed = 1\nmodules = ["my_learners"]').replace(
        'key = "classif.tree"', 'id = "mine"\nclass = "my_learners.Mine"'
    )
    (tmp_path / "design.toml").write_text(text)
    away = tmp_path / "elsewhere"
    away.mkdir()
    done = batchml("run", "../design.toml", "--slots", "1", cwd=away)
    assert "mine" in done.stdout


def test_a_python_design_runs_too(tmp_path):
    (tmp_path / "design.py").write_text(
        "import batchml as bm\n\ndef design():\n"
        "    return bm.benchmark_grid('iris', 'classif.tree', bm.rsmp('cv', folds=2), measures='classif.acc', seed=1)\n"
    )
    assert "1 task x 1 learner x cv2 = 2 iterations" in batchml("run", "design.py", "--slots", "1", cwd=tmp_path).stdout


def test_a_run_may_take_pickles_and_a_snapshot(tmp_path):
    (tmp_path / "own.py").write_text(
        "from sklearn.tree import DecisionTreeClassifier\nclass Mine(DecisionTreeClassifier): pass\n"
    )
    (tmp_path / "design.py").write_text(
        "import batchml as bm\nimport own\n"
        "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import FunctionTransformer\n"
        "def design():\n"
        "    learner = make_pipeline(FunctionTransformer(lambda x: x * 2), own.Mine())\n"
        "    return bm.benchmark_grid('iris', learner, bm.rsmp('cv', folds=2), seed=1)\n"
    )
    for command in ("plan", "add", "run"):
        assert "--allow-pickle" in batchml(command, "design.py", cwd=tmp_path, status=2).stderr
    words = ("--allow-pickle", "--snapshot", "--slots", "1")
    batchml("run", "design.py", *words, cwd=tmp_path)
    [row] = json.loads(batchml("sql", "SELECT code FROM environments", "--json", cwd=tmp_path).stdout)
    assert "snapshot" in row["code"]


def test_resume_names_what_was_added_but_never_submitted(tmp_path):
    (tmp_path / "design.toml").write_text(DESIGN)
    batchml("add", "design.toml", cwd=tmp_path)
    assert "6 jobs have not been submitted yet; next:" in batchml("resume", cwd=tmp_path).stdout
