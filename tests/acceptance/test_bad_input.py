"""What users get wrong, through the real command: one clear line, status 2, nothing half-written."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import warm_command

ROOT = Path(__file__).parents[2]

GOOD = """
[benchmark]
name = "small"
seed = 1
measures = ["classif.acc"]
[[task]]
key = "iris"
[[learner]]
key = "classif.featureless"
[[resampling]]
key = "cv"
folds = 2
"""


def batchml(*args, cwd, before=(), **environment):
    """Run the command as users do; with other words before it in a process that is started anew."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BATCHML_", "PG"))}
    clean |= {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(cwd / ".config"), "XDG_DATA_HOME": str(cwd / ".data")}
    clean |= {"PYTHONDONTWRITEBYTECODE": "1", "BATCHML_STATE": str(cwd.parent / ".state"), **environment}
    if not before:
        return warm_command.run(*args, cwd=cwd, env=clean)
    return subprocess.run(
        [*before, sys.executable, "-m", "batchml", *args],
        cwd=cwd, env=clean, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def refused(done, *words, status=2):
    """Check that the command said what is wrong in one line, and nothing else."""
    assert done.returncode == status, done
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("batchml: ")
    for word in words:
        assert word in lines[0]


def design(folder, text=GOOD, name="design.toml"):
    (folder / name).write_text(text, encoding="utf-8")
    return name


def left_behind(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix != ".toml" and p.is_file())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param('key = "iris"', 'key = "irsi"', ["irsi", "iris"], id="unknown task"),
        pytest.param(
            'key = "classif.featureless"', 'key = "classif.featurless"', ["did you mean"], id="unknown learner"
        ),
        pytest.param("folds = 2", "fodls = 2", ["fodls", "folds"], id="unknown key of a resampling"),
        pytest.param("seed = 1", "sede = 1", ["sede", "seed"], id="unknown key of the benchmark"),
        pytest.param("[[learner]]", "[[learners]]", ["learners"], id="unknown table"),
        pytest.param("[benchmark]", "[benchmark", ["TOML", "line"], id="broken TOML"),
        pytest.param('key = "classif.featureless"', 'key = "regr.featureless"', ["regr", "iris"], id="wrong task type"),
        pytest.param('"classif.acc"', '"regr.mse"', ["regr.mse"], id="measure of the wrong task type"),
        pytest.param("folds = 2", "folds = 1000", ["1000"], id="more folds than rows"),
        pytest.param(
            'key = "iris"',
            'type = "classif"\nparquet = "data.parquet"\ntarget = "spcies"',
            ["spcies", "species"],
            id="target that is no column",
        ),
        pytest.param(
            'key = "iris"',
            'type = "classif"\nparquet = "gone.parquet"\ntarget = "y"',
            ["gone.parquet"],
            id="no such file",
        ),
        pytest.param(
            'key = "classif.featureless"',
            'steps = ["sklearn.preprocessing.StandardScaler", "sklearn.linear_model.LogisticRegression"]',
            ["penguins"],
            id="missing values a learner cannot take",
        ),
        pytest.param("folds = 2", 'folds = 2\nstratify = "colour"', ["colour"], id="stratified by no column"),
        pytest.param("folds = 2", "folds = 2\nstratify = 3", ["stratify", "3"], id="stratified by a number"),
        pytest.param(
            'key = "iris"',
            'type = "classif"\nparquet = "data.parquet"\ntarget = "species"\ngroup = "g"\nstratify = "species"',
            ["strata and groups"],
            id="strata and groups",
        ),
        pytest.param(
            'key = "iris"',
            'type = "classif"\nparquet = "data.parquet"\ntarget = "species"\ndrop = ["species"]',
            ["target", "drop"],
            id="the target is dropped",
        ),
        pytest.param('key = "classif.featureless"', 'id = "p"\nsteps = [3]', ["step 1", "3"], id="a step that is none"),
        pytest.param(
            'key = "classif.featureless"',
            'key = "classif.tree"\nparams = { max_depth = 2 }\ngrid = { max_depth = [3] }',
            ["max_depth", "params", "grid"],
            id="a parameter given twice",
        ),
        pytest.param('key = "classif.featureless"', 'class = "os.system"', ["os.system"], id="class nobody trusted"),
    ],
)
def test_a_design_that_makes_no_sense_leaves_nothing_behind(old, new, words, tmp_path):
    if "parquet" in new:
        import pandas as pd

        pd.DataFrame({"species": ["a", "b"] * 10, "x": range(20), "g": [1, 2] * 10}).to_parquet(
            tmp_path / "data.parquet"
        )
    assert old in GOOD
    text = GOOD.replace(old, new)
    if "penguins" in words:
        text = text.replace('key = "iris"', 'key = "penguins"')
    before = left_behind(tmp_path)
    refused(batchml("run", design(tmp_path, text), cwd=tmp_path), *words)
    assert left_behind(tmp_path) == before


@pytest.mark.parametrize("verb", ["plan", "add"])
def test_no_command_that_takes_a_design_leaves_anything_of_a_bad_one(verb, tmp_path):
    name = design(tmp_path, GOOD.replace("folds = 2", "folds = 1000"))
    refused(batchml(verb, name, cwd=tmp_path), "1000")
    assert left_behind(tmp_path) == []


def test_a_design_file_that_is_not_there(tmp_path):
    refused(batchml("run", "gone.toml", cwd=tmp_path), "gone.toml")


def test_a_design_that_adds_nothing_says_so_and_is_fine(tmp_path):
    name = design(tmp_path)
    assert batchml("add", name, cwd=tmp_path).returncode == 0
    again = batchml("add", name, cwd=tmp_path)
    assert again.returncode == 0
    assert again.stderr == ""
    assert "nothing is new" in again.stdout


@pytest.mark.parametrize("command", ["status", "submit", "resume", "jobs", "reduce", "errors"])
def test_a_registry_that_is_not_there_is_not_made_by_looking(command, tmp_path):
    refused(batchml("--registry", "sqlite:///gone.db", command, cwd=tmp_path), "gone.db")
    assert left_behind(tmp_path) == []


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "notes.db").write_bytes(b"my notes " * 1000)
    for command in (["status"], ["add", design(tmp_path)]):
        refused(batchml("--registry", "sqlite:///notes.db", *command, cwd=tmp_path), "notes.db")
    assert (tmp_path / "notes.db").read_bytes() == b"my notes " * 1000


def test_a_database_that_is_no_registry(tmp_path):
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE mine (a)")
    before = (tmp_path / "other.db").read_bytes()
    for command in (["status"], ["add", design(tmp_path)], ["run", "design.toml"]):
        refused(batchml("--registry", "sqlite:///other.db", *command, cwd=tmp_path), "other.db", "registry")
    assert (tmp_path / "other.db").read_bytes() == before


def test_a_newer_schema_than_the_code(tmp_path):
    assert batchml("add", design(tmp_path), cwd=tmp_path).returncode == 0
    with sqlite3.connect(tmp_path / "batchml.db") as connection:
        connection.execute("UPDATE batchml_version SET version_num = '9999'")
    for command in (["status"], ["run", "design.toml"], ["db", "upgrade"]):
        refused(batchml(*command, cwd=tmp_path), "9999", "newer")


@pytest.mark.parametrize(
    "url", ["nonsense", "oracle://x/y", "sqlite://", "mongodb://ann:s3cret@db/x", "postgresql://["]
)
def test_a_url_that_makes_no_sense(url, tmp_path):
    done = batchml("--registry", url, "add", design(tmp_path), cwd=tmp_path)
    refused(done)
    assert "s3cret" not in done.stderr
    assert left_behind(tmp_path) == []


def test_a_wrong_password_or_no_server_is_said_without_the_password(tmp_path):
    url = "postgresql://ann:s3cret-w0rd@127.0.0.1:9/study"
    for command in (["status"], ["add", design(tmp_path)]):
        for done in (
            batchml("--registry", url, *command, cwd=tmp_path),
            batchml(*command, cwd=tmp_path, BATCHML_REGISTRY=url),
        ):
            refused(done, "127.0.0.1")
            assert "s3cret" not in done.stderr + done.stdout


def in_private_mounts(folder, *mounts):
    """Words that run a command where `folder` is mounted as told; only that command sees it."""
    script = " && ".join([*(m.format(folder=folder) for m in mounts), f"cd {folder}", 'exec "$@"'])
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


def needs_root():
    """Mounting needs root; the gate runs as root, so there a missing right is a failure."""
    if os.geteuid() != 0 and not os.environ.get("CI"):
        pytest.skip("needs root to mount")


@pytest.mark.root
def test_a_read_only_folder(tmp_path):
    needs_root()
    folder = tmp_path / "shelf"
    folder.mkdir()
    design(folder)
    before = in_private_mounts(folder, "mount --bind {folder} {folder}", "mount -o remount,ro,bind {folder}")
    probe = subprocess.run([*before, "touch", "probe"], capture_output=True, text=True, check=False)
    assert "Read-only file system" in probe.stderr, "the refusal was not seen, so this test shows nothing"
    for verb in ("add", "run"):
        refused(batchml(verb, "design.toml", cwd=folder, before=before), "batchml.db")
    assert left_behind(folder) == []


@pytest.mark.root
def test_a_registry_in_a_read_only_folder_can_be_read_but_not_changed(tmp_path):
    needs_root()
    folder = tmp_path / "shelf"
    folder.mkdir()
    assert batchml("run", design(folder), "--slots", "1", cwd=folder).returncode == 0
    before = in_private_mounts(folder, "mount --bind {folder} {folder}", "mount -o remount,ro,bind {folder}")
    for command in (["status"], ["reduce"], ["sql", "SELECT * FROM aggregates"]):
        done = batchml(*command, cwd=folder, before=before)
        assert (done.returncode, done.stderr) == (0, "")
    for command in (["reset", "1"], ["add", "design.toml", "--name", "other"]):
        refused(batchml(*command, cwd=folder, before=before), "batchml.db")


@pytest.mark.root
def test_a_folder_of_somebody_else(tmp_path):
    needs_root()
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == 0 and parent != parent.parent and "pytest" in parent.name:
            parent.chmod(0o755)
    design(tmp_path)
    before = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    probe = subprocess.run([*before, "touch", str(tmp_path / "probe")], capture_output=True, text=True, check=False)
    assert "Permission denied" in probe.stderr, "the refusal was not seen, so this test shows nothing"
    refused(batchml("run", "design.toml", cwd=tmp_path, before=before), "batchml.db")
    assert left_behind(tmp_path) == []


@pytest.mark.root
@pytest.mark.parametrize("size", ["16k", "128k", "280k"])
def test_a_full_disk(size, tmp_path):
    needs_root()
    folder = tmp_path / "disk"
    folder.mkdir()
    before = in_private_mounts(folder, f"mount -t tmpfs -o size={size} tmpfs {{folder}}")
    text = GOOD.replace('key = "iris"', 'key = "breast_cancer"').replace("folds = 2", "folds = 500")
    name = tmp_path / design(tmp_path, text)
    # The listing afterwards must see the same mount, so one shell does both.
    look = f"test ! -e batchml.db || {sys.executable} -m batchml status"
    script = f'{sys.executable} -m batchml add {name}; code=$?; {look}; exit "$code"'
    probe = subprocess.run(
        [*before, "sh", "-c", "head -c 1000000 /dev/zero > probe"], capture_output=True, text=True, check=False
    )
    assert "No space left" in probe.stderr, "the refusal was not seen, so this test shows nothing"
    done = subprocess.run(
        [*before, "sh", "-c", script], capture_output=True, text=True, check=False,
        env=dict(os.environ, PYTHONPATH=str(ROOT), XDG_DATA_HOME=str(tmp_path / ".data"), PYTHONDONTWRITEBYTECODE="1"),
    )  # fmt: skip
    refused(done, "disk")
    # Either there is no registry, or one that is sound and empty: adding again completes it.
    assert done.stdout == "" or "no benchmark yet" in done.stdout


@pytest.mark.root
def test_a_disk_that_fills_up_during_run_is_said_in_a_line_and_run_goes_on_when_there_is_space(tmp_path):
    needs_root()
    folder = tmp_path / "disk"
    folder.mkdir()
    before = in_private_mounts(folder, "mount -t tmpfs -o size=6m tmpfs {folder}")
    text = GOOD.replace('key = "iris"', 'key = "breast_cancer"')
    text = text.replace('key = "cv"\nfolds = 2', 'key = "subsampling"\nrepeats = 200')
    name = tmp_path / design(tmp_path, text)
    script = f"head -c 4000000 /dev/zero > ballast; exec {sys.executable} -m batchml run {name} --slots 2"
    state = {"BATCHML_STATE": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*before, "sh", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **state},
    ) as run:
        said = ""
        try:
            while "is full" not in said and (line := run.stderr.readline()):
                said += line
            (Path(f"/proc/{run.pid}/root{folder}") / "ballast").unlink()
            out, rest = run.communicate(timeout=90)
        finally:
            run.kill()
    assert (run.returncode, "200/200 jobs, 200 done, 0 failed" in rest) == (0, True), said + rest
    assert (said + rest).count("is full") == 1, said + rest
    assert "Traceback" not in said + rest
    assert "classif.acc" in out


def test_filters_and_ids_exclude_each_other_and_one_is_needed(tmp_path):
    assert batchml("add", design(tmp_path), cwd=tmp_path).returncode == 0
    for verb in ("retry", "reset", "cancel", "remove"):
        refused(batchml(verb, cwd=tmp_path), "which jobs?")
        refused(batchml(verb, "1", "--state", "error", cwd=tmp_path), "not both")
    refused(batchml("remove", "1", cwd=tmp_path), "--yes")
    refused(batchml("log", "999", cwd=tmp_path), "999")
    refused(batchml("log", str(2**64), cwd=tmp_path), "2**63")
    refused(batchml("reset", str(2**64), cwd=tmp_path), str(2**64))
    refused(batchml("jobs", "--state", "dnoe", cwd=tmp_path), "dnoe")
    refused(batchml("jobs", "--learner", "nobody", cwd=tmp_path), "nobody")


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM jobs",
        "SELECT 1; SELECT 2",
        "SELEC 1",
        "SELECT nope FROM jobs",
        "ATTACH 'x.db' AS x",
        "PRAGMA user_version = 3",
    ],
)
def test_a_query_that_is_no_single_select(query, tmp_path):
    assert batchml("add", design(tmp_path), cwd=tmp_path).returncode == 0
    refused(batchml("sql", query, cwd=tmp_path))
    assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("regsitry = 'x'", ["regsitry", "registry"]),
        ("registry = 3", ["registry"]),
        ("trusted_modules = 'a'", ["trusted_modules"]),
        ("[executor]\nslot = 2", ["executor.slot", "slots"]),
        ("registry = ", ["batchml.toml"]),
    ],
)
def test_a_configuration_that_makes_no_sense(text, words, tmp_path):
    (tmp_path / "batchml.toml").write_text(text, encoding="utf-8")
    refused(batchml("config", "show", cwd=tmp_path), *words)


def test_a_disk_that_fills_is_not_a_broken_terminal(tmp_path):
    if not shutil.which("sh"):
        pytest.fail("no shell")
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m batchml --help > /dev/full"],
        cwd=tmp_path, env=dict(os.environ, PYTHONPATH=str(ROOT)), capture_output=True, text=True, check=False,
    )  # fmt: skip
    refused(done, "No space left")


def test_a_resource_that_this_machine_has_not_is_a_slip_of_the_pen(tmp_path):
    assert batchml("add", design(tmp_path), cwd=tmp_path).returncode == 0
    refused(batchml("submit", "-r", "memroy=4G", cwd=tmp_path), "memroy", "memory")
    refused(batchml("submit", "-r", "cpus=0", cwd=tmp_path), "cpus")
    assert '"defined": 2' in batchml("status", "--json", cwd=tmp_path).stdout


def test_no_command_is_a_question_about_commands(tmp_path):
    done = batchml(cwd=tmp_path)
    assert done.returncode == 2
    assert "Usage: batchml [OPTIONS] COMMAND ...\n" in done.stderr
    assert "\n  plan " in done.stderr


def test_a_change_that_changes_nothing_says_why(tmp_path):
    assert batchml("add", design(tmp_path), cwd=tmp_path).returncode == 0
    assert batchml("retry", "1", cwd=tmp_path).stdout == "retried 0 jobs: none of them is failed or cancelled\n"
    assert batchml("submit", "1", "--dry-run", cwd=tmp_path).stdout == "would queue 1 job; nothing was changed\n"
    refused(batchml("submit", "99", "--dry-run", cwd=tmp_path), "there is no job 99")
    batchml("cancel", "1", cwd=tmp_path)
    assert batchml("submit", "1", "--dry-run", cwd=tmp_path).stdout == "would queue 0 jobs; nothing was changed\n"
    assert batchml("submit", "1", cwd=tmp_path).stdout.startswith("nothing to submit: none of these jobs is defined")
    assert batchml("untag", "x", "1", cwd=tmp_path).stdout == "untagged 0 jobs: none of them has the tag 'x'\n"


def test_an_index_that_pandas_stored_is_no_feature_and_is_noted_in_a_line(tmp_path):
    import pandas as pd

    table = pd.DataFrame({"x": range(20), "y": ["a", "b"] * 10}, index=[f"row {i}" for i in range(20)])
    table.to_parquet(tmp_path / "d.parquet")
    text = GOOD.replace('key = "iris"', 'type = "classif"\nparquet = "d.parquet"\ntarget = "y"')
    done = batchml("plan", design(tmp_path, text), cwd=tmp_path)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("batchml: note: the index that pandas stored with the table is ignored")


def test_a_csv_that_is_not_utf_8_is_named(tmp_path):
    (tmp_path / "d.csv").write_bytes("x,y\n1,ä\n2,b\n".encode("latin-1"))
    text = GOOD.replace('key = "iris"', 'type = "classif"\ncsv = "d.csv"\ntarget = "y"')
    refused(batchml("plan", design(tmp_path, text), cwd=tmp_path), "d.csv", "UTF-8", "line 2")
