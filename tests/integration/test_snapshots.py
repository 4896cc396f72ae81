"""Code snapshots: what was submitted runs, whatever is edited afterwards."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

import batchml as bm
from batchml.data.artifacts import ArtifactFolder
from batchml.data.snapshots import about_snapshot, check_snapshots, import_path, snapshot_folders, take_snapshot
from batchml.errors import ArtifactError, ConfigError, TrustError
from batchml.executors.consent import Consent, recall, remember
from batchml.experiment.design_file import load_design

LEARNER = """
from batchml.core.learner import Learner
import snapped_constant

class Constant(Learner):
    task_type = "classif"
    feature_types = ("numeric", "integer", "categorical", "logical")
    properties = frozenset({"twoclass", "multiclass"})
    parameters = {}
    predict_types = ("response",)
    packages = ()
    def _fit(self, task, row_ids, *, seed):
        return task.classes[snapped_constant.WHICH]
    def _predict(self, model, task, row_ids, *, seed):
        return {"response": [model] * len(row_ids)}
"""
DESIGN = """
[benchmark]
seed = 1
measures = ["classif.acc"]
modules = ["snapped_learners", "snapped_constant"]
[[task]]
key = "iris"
[[learner]]
class = "snapped_learners.Constant"
[[resampling]]
key = "custom"
train_sets = [[0, 50, 100]]
test_sets = [[1, 2, 51]]
"""


@pytest.fixture
def artifacts(tmp_path):
    return ArtifactFolder(tmp_path / "artifacts")


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "study"
    (folder / "package").mkdir(parents=True)
    (folder / "own.py").write_text("x = 1\n")
    (folder / "package" / "__init__.py").write_text("")
    return folder


def copied(artifacts, digest):
    place = artifacts.path("snapshot", digest)
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())


def test_a_snapshot_is_named_by_its_content(artifacts, source, tmp_path):
    first = take_snapshot(artifacts, [str(source)])
    assert take_snapshot(artifacts, [str(source)]) == first
    shutil.copytree(source, tmp_path / "elsewhere")
    assert take_snapshot(artifacts, [str(tmp_path / "elsewhere")]) == first
    (source / "own.py").write_text("x = 2\n")
    second = take_snapshot(artifacts, [str(source)])
    (source / "own.py").rename(source / "other.py")
    assert len({first, second, take_snapshot(artifacts, [str(source)])}) == 3
    assert copied(artifacts, first) == ["0/own.py", "0/package/__init__.py", "about.json"]
    assert not list((artifacts.root / "snapshot").glob("tmp-*"))
    check_snapshots(snapshot_folders(artifacts, first))


def test_what_is_no_code_of_the_user_is_left_out(artifacts, source):
    for name in (
        ".git/config",
        "__pycache__/own.pyc",
        ".venv/x.py",
        "study.db",
        "study.db.artifacts/table/x",
        "env/pyvenv.cfg",
    ):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (source / "link").symlink_to("/etc")
    (source / "own.pyc").write_text("x")
    assert copied(artifacts, take_snapshot(artifacts, [str(source)])) == [
        "0/own.py",
        "0/package/__init__.py",
        "about.json",
    ]


def test_what_is_too_large_is_refused_by_name(artifacts, source, monkeypatch):
    with (source / "big.bin").open("wb") as file:
        file.truncate(11 << 20)
    with pytest.raises(ConfigError, match=r"big\.bin has 11 MB, a file may have 10; put the design's `modules`"):
        take_snapshot(artifacts, [str(source)])
    (source / "big.bin").unlink()
    monkeypatch.setattr("batchml.data.snapshots._FILES", 1)
    with pytest.raises(ConfigError, match="more than 1 files"):
        take_snapshot(artifacts, [str(source)])
    monkeypatch.setattr("batchml.data.snapshots._FILES", 10)
    monkeypatch.setattr("batchml.data.snapshots._TOTAL_MB", 0)
    with pytest.raises(ConfigError, match="more than 0 MB"):
        take_snapshot(artifacts, [str(source)])
    assert not [path for path in artifacts.root.rglob("*") if path.is_file()]


def test_without_modules_there_is_nothing_to_snap(artifacts):
    with pytest.raises(ConfigError, match="name no `modules`"):
        take_snapshot(artifacts, [])


def test_files_that_change_while_they_are_copied_are_copied_again_or_refused(artifacts, source, monkeypatch):
    copyfile, edits = shutil.copyfile, iter(range(100))

    def edited(origin, target):
        copyfile(origin, target)
        if next(edits) < limit:
            Path(origin).write_text("x" * (next(edits) + 10))

    limit = 1
    monkeypatch.setattr("batchml.data.snapshots.shutil.copyfile", edited)
    (folder,) = snapshot_folders(artifacts, take_snapshot(artifacts, [str(source)]))
    assert (Path(folder) / "own.py").read_text() == (source / "own.py").read_text()
    limit = 100
    with pytest.raises(ConfigError, match="change all the time"):
        take_snapshot(artifacts, [str(source)])


def unlocked(place):
    for path in (place, *place.rglob("*")):
        path.chmod(0o755)


@pytest.mark.parametrize("change", ["edit", "add", "bytecode", "remove", "link"])
def test_an_altered_snapshot_is_refused(artifacts, source, change):
    digest = take_snapshot(artifacts, [str(source)])
    folders = snapshot_folders(artifacts, digest)
    unlocked(artifacts.path("snapshot", digest))
    own = Path(folders[0]) / "own.py"
    if change == "edit":
        own.write_text("import os\n")
    elif change == "add":
        own.with_name("json.py").write_text("")
    elif change == "bytecode":
        (own.parent / "__pycache__").mkdir()
        (own.parent / "__pycache__" / "own.cpython-311.pyc").write_bytes(b"")
    elif change == "remove":
        own.unlink()
    else:
        own.unlink()
        own.symlink_to("/etc/passwd")
    with pytest.raises(ArtifactError, match=f"{digest}.* was altered"):
        check_snapshots(folders)


def test_a_snapshot_stands_in_for_its_folder(artifacts, source, tmp_path):
    (snapped,) = snapshot_folders(
        artifacts, take_snapshot(artifacts, [str(source)], [{"folder": str(source), "dirty": True}])
    )
    assert about_snapshot(snapped) == {"folder": str(source), "dirty": True, "snapshot": Path(snapped).parent.name}
    assert about_snapshot(str(source)) is None
    assert import_path(["/a", str(source)], [snapped]) == ["/a", snapped]
    assert import_path(["/a", str(source)], [str(source), "/b"]) == ["/a", str(source), "/b"]


# -- a study -------------------------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "snapped_learners.py").write_text(LEARNER)
    (folder / "snapped_constant.py").write_text("WHICH = 0\n")
    (folder / "design.toml").write_text(DESIGN)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))  # where a worker would find the modules first of all
    return folder


def test_workers_run_the_snapshot_and_resume_runs_it_again(study, tmp_path):
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as registry:
        registry.add(load_design(study / "design.toml"))
        (study / "snapped_constant.py").write_text("WHICH = 0  # snapped\n")
        submission = registry.submit(executor=bm.Local(slots=1), snapshot=True)
        submission.stop(now=True)  # before it has begun
        (study / "snapped_constant.py").write_text("WHICH = 2\n")
        (study / "snapped_learners.py").write_text("raise RuntimeError('half edited')\n")
        registry.resume(executor=bm.Local(slots=1))
        assert registry.wait(60)
        assert registry.tally()["done"] == 1, registry.errors()
        assert registry.sql("SELECT value FROM scores")["value"].round(3).tolist() == [0.667]
        registry.stop()
        deadline = time.monotonic() + 30
        while registry.sql("SELECT * FROM environments").empty and time.monotonic() < deadline:
            time.sleep(0.05)
        code = json.loads(registry.sql("SELECT code FROM environments")["code"][0])
        (needs,) = registry.sql("SELECT DISTINCT body FROM resource")["body"]
    needs = json.loads(needs) if isinstance(needs, str) else needs
    assert [(one["folder"], one["snapshot"]) for one in code] == [(str(study), needs["snapshot"])]
    snapshot = tmp_path / "study.db.artifacts" / "snapshot"
    assert not list(snapshot.rglob("*.pyc"))


def test_a_snapshot_that_the_registry_names_is_run_only_if_the_user_took_it(study, tmp_path):
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as registry:
        registry.add(load_design(study / "design.toml"))
        submission = registry.submit(executor=bm.Local(slots=1), snapshot=True)
        submission.stop(now=True)
        known = recall(registry.info()["id"])
        state = next((tmp_path / "state" / "trusted").iterdir())
        state.unlink()
        remember(registry.info()["id"], Consent(modules=known.modules, paths=known.paths))
        with pytest.raises(TrustError, match=r"the code snapshot [0-9a-f]{12}, which was not taken by you"):
            registry.resume(executor=bm.Local(slots=1))
        assert registry.tally()["queued"] == 1


def test_a_snapshot_is_asked_for_by_its_own_word(study, tmp_path):
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as registry:
        registry.add(load_design(study / "design.toml"))
        with pytest.raises(ConfigError, match="snapshot=True"):
            registry.submit(executor=bm.Local(slots=1), resources={"snapshot": "0" * 64})
        assert registry.tally()["defined"] == 1
    assert os.environ["PYTHONPATH"] == str(study)
