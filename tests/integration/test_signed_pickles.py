"""Pickles in a registry: signed when they are added, verified before they are opened, refused by name otherwise."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

import batchml as bm
from batchml.core.signing import SigningKey, key_file, make_key, read_key
from batchml.data.pickles import SignedPickles
from batchml.errors import ArtifactError, ConfigError, SpecError, TrustError
from batchml.measures.foreign import MeasureFunction


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    return tmp_path


def test_the_key_is_made_once_for_its_user_alone():
    key = make_key()
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert make_key().secret == read_key().secret == key.secret
    assert key.secret.hex() not in repr(key)
    assert [path.name for path in key_file().parent.iterdir()] == ["signing.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_a_key_that_others_can_use_is_refused(mode):
    make_key()
    key_file().chmod(mode)
    with pytest.raises(TrustError, match=f"mode {mode:04o}.*chmod 600"):
        read_key()
    with pytest.raises(TrustError, match="chmod 600"):
        make_key()


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "00" * 31, "00" * 33])
def test_a_file_that_is_no_key_is_refused(text):
    make_key()
    key_file().write_text(text)
    with pytest.raises(TrustError, match="holds no signing key"):
        read_key()


def test_a_missing_key_is_named_with_its_remedy():
    with pytest.raises(TrustError, match=r"signing\.key is missing on .*copy it from"):
        read_key()


def test_a_mark_is_good_for_its_place_only():
    key = SigningKey(b"k" * 32)
    mark = key.mark("r", "pickle", "n", b"data")
    assert key.verifies(mark, "r", "pickle", "n", b"data")
    for other in [
        ("x", "pickle", "n", b"data"),
        ("r", "model", "n", b"data"),
        ("r", "pickle", "m", b"data"),
        ("r", "pickle", "n", b"datA"),
        ("r,6:pickle", "", "n", b"data"),
    ]:
        assert not key.verifies(mark, *other)
    assert not SigningKey(b"l" * 32).verifies(mark, "r", "pickle", "n", b"data")
    assert not key.verifies("ä" * 64, "r", "pickle", "n", b"data")


class Touch:
    """Its pickle leaves a mark when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def opened(folder, registry="a", name="0" * 64):
    return SignedPickles(folder=str(folder), registry=registry).open(name, "the learner")


def only_file(folder):
    (file,) = [path for path in folder.rglob("*") if path.is_file()]
    return file


@pytest.fixture
def stored(tmp_path):
    import pickle

    folder, trap = tmp_path / "artifacts", tmp_path / "trap"
    SignedPickles(folder=str(folder), registry="a").put("0" * 64, pickle.dumps(Touch(trap)))
    yield folder
    assert not trap.exists(), "it was opened before it was verified"


def test_an_altered_pickle_is_refused_unopened(stored):
    file = only_file(stored)
    data = file.read_bytes()
    for changed in (data[:-2] + b"x.", data[:-1], data + b".", b"0" * 64 + data[64:], data[65:], b"", b"\n" + data):
        file.write_bytes(changed)
        with pytest.raises(TrustError, match=r"pickle of the learner was not opened.*altered or moved"):
            opened(stored)


def test_a_pickle_that_was_moved_is_refused_unopened(stored):
    with pytest.raises(TrustError, match="altered or moved here"):
        opened(stored, registry="b")
    file = only_file(stored)
    moved = stored / "pickle" / "11" / file.name.replace("0" * 64, "1" * 64)
    moved.parent.mkdir()
    shutil.copy(file, moved)
    with pytest.raises(TrustError, match="altered or moved here"):
        opened(stored, name="1" * 64)


def test_a_pickle_of_somebody_else_is_refused_unopened(stored):
    file = only_file(stored)
    key_file().unlink()
    with pytest.raises(TrustError, match="is missing on"):
        opened(stored)
    other = make_key()
    with pytest.raises(TrustError, match="signed with another key"):
        opened(stored)
    file.rename(file.with_name(f"{'0' * 64}.{other.id}"))
    with pytest.raises(TrustError, match="altered or moved here"):
        opened(stored)


def test_a_missing_pickle_is_no_ones_fault_but_the_folders(stored):
    only_file(stored).unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        opened(stored)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "", "0" * 63, "ä" * 64, "../" + "0" * 61])
def test_names_of_pickles_are_digests(stored, name):
    with pytest.raises(TrustError, match="no name of a pickle"):
        opened(stored, name=name)


def test_putting_it_again_repairs_it(tmp_path):
    signed = SignedPickles(folder=str(tmp_path / "artifacts"), registry="a")
    signed.put("0" * 64, b"\x80\x05K\x01.")
    only_file(tmp_path / "artifacts").write_bytes(b"rubbish")
    signed.put("0" * 64, b"\x80\x05K\x01.")
    assert signed.open("0" * 64, "it") == 1


@pytest.mark.parametrize("protocol", ["file", "local"])
def test_pickles_behind_a_url_are_signed_verified_and_repaired(tmp_path, monkeypatch, protocol):
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "cache"))
    signed = SignedPickles(folder=f"{protocol}://{tmp_path}/bucket", registry="a")
    with pytest.raises(ArtifactError, match="is missing"):
        make_key(), signed.open("0" * 64, "it")
    signed.put("0" * 64, b"\x80\x05K\x01.")
    stored = only_file(tmp_path / "bucket")
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "of another machine"))
    assert signed.open("0" * 64, "it") == 1
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "of a third"))
    stored.write_bytes(stored.read_bytes() + b"x")
    with pytest.raises(TrustError, match="altered or moved here"):
        signed.open("0" * 64, "it")
    signed.put("0" * 64, b"\x80\x05K\x01.")
    assert signed.open("0" * 64, "it") == 1
    key_file().unlink()
    with pytest.raises(TrustError, match="signed with another key"):
        make_key(), signed.open("0" * 64, "it")


# -- a whole study -------------------------------------------------------------------------------------------------


def design():
    class Own(DecisionTreeClassifier):
        def fit(self, X, y):
            return super().fit(X, y)

    learners = [
        bm.as_learner(make_pipeline(FunctionTransformer(lambda x: x / 2), DecisionTreeClassifier()), id="halved"),
        bm.as_learner(Own(max_depth=2), id="own"),
    ]
    learners[1].when = lambda condition, stage: False
    learners[1].fallback = "classif.featureless"
    learners[1].encapsulate = "capture"
    measure = MeasureFunction(lambda truth, response: float((truth == response).mean()), id="hits")
    return bm.benchmark_grid("iris", learners, bm.rsmp("cv", folds=2), measures=[measure, "classif.acc"], seed=1)


@pytest.fixture
def registry(tmp_path):
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as found:
        yield found


def run(registry):
    registry.submit(executor=bm.Local(slots=1))
    registry.wait(timeout=60)


def test_what_has_no_spec_is_added_only_if_the_user_says_so(registry):
    with pytest.raises(SpecError, match=r"learner 'halved'.*is a lambda.*allow_pickle=True"):
        registry.add(design())
    assert not key_file().exists()
    with pytest.raises(SpecError, match="allow_pickle"):
        registry.plan(design())
    assert len(registry.add(design(), allow_pickle=True)) == 4
    assert registry.add(design(), allow_pickle=True) == []
    assert registry.plan(design(), allow_pickle=True).new == 0


def test_pickled_objects_give_the_results_of_a_session(registry):
    registry.add(design(), allow_pickle=True)
    run(registry)
    assert registry.tally()["done"] == 4, registry.errors()
    found, wanted = registry.reduce(), bm.benchmark(design())
    assert found.aggregate()["classif.acc"].tolist() == wanted.aggregate()["classif.acc"].tolist()
    assert found.aggregate()["hits"].tolist() == wanted.aggregate()["hits"].tolist()


def test_slots_open_pickles_behind_a_url(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "cache"))
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db", artifacts=f"local://{tmp_path}/bucket") as registry:
        registry.add(design(), allow_pickle=True)
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)  # the slots are on another machine
        run(registry)
        assert registry.tally()["done"] == 4, registry.errors()
        assert (tmp_path / "bucket" / "pickle").is_dir()
        assert registry.reduce().aggregate()["hits"].notna().all()


def test_slots_without_a_database_find_the_pickles_in_their_spool(registry, tmp_path):
    registry.add(design(), allow_pickle=True)
    registry.submit(executor=bm.Local(slots=1, spool=tmp_path / "spool"))
    registry.wait(timeout=60)
    assert registry.tally()["done"] == 4, registry.errors()


def test_a_tampered_registry_gives_config_errors_that_name_what(registry, tmp_path):
    registry.add(design(), allow_pickle=True)
    for file in (tmp_path / "study.db.artifacts" / "pickle").rglob("*.*"):
        file.write_bytes(file.read_bytes() + b"x")
    run(registry)
    errors = registry.errors()
    assert set(errors["outcome"]) == {"config_error"}
    assert len(errors) == 4
    assert errors["message"].str.contains("was not opened: .* altered or moved here").all()
    assert errors["message"].str.contains("<lambda>|Own").all()


def test_without_the_key_jobs_say_which_file_is_missing(registry):
    registry.add(design(), allow_pickle=True)
    os.rename(key_file(), key_file().with_suffix(".away"))  # noqa: PTH104
    run(registry)
    errors = registry.errors()
    assert set(errors["outcome"]) == {"config_error"}
    assert errors["message"].str.contains("signing.key is missing on").all()
    with pytest.raises(TrustError, match="is missing on"):
        _ = registry.reduce().learners


# -- stored models -------------------------------------------------------------------------------------------------


@pytest.fixture
def modelled(registry):
    design = bm.benchmark_grid("iris", "classif.tree", bm.rsmp("cv", folds=2), store_models=True, seed=1)
    registry.add(design)
    run(registry)
    assert registry.tally()["done"] == 2, registry.errors()
    return registry


def trained(registry):
    return registry.reduce(allow_pickle=True).resample_result(0).learners


def test_stored_models_are_opened_when_the_user_says_so(modelled):
    with pytest.raises(ConfigError, match=r"reduce\(allow_pickle=True\)"):
        _ = modelled.reduce().resample_result(0).learners
    learners = trained(modelled)
    assert [type(learner.model).__name__ for learner in learners] == ["DecisionTreeClassifier"] * 2
    design = bm.benchmark_grid("iris", "classif.tree", bm.rsmp("cv", folds=2), store_models=True, seed=1)
    wanted = bm.benchmark(design).resample_result(0).learners
    task = bm.tsk("iris")
    for one, other in zip(learners, wanted, strict=True):
        assert one.predict(task).to_frame().equals(other.predict(task).to_frame())


def changed(registry, statement):
    from batchml.registry.store import Store

    with Store.open(registry.url) as store, store.write() as connection:
        connection.exec_driver_sql(statement)


def test_models_behind_a_url_are_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "cache"))
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db", artifacts=f"local://{tmp_path}/bucket") as registry:
        registry.add(bm.benchmark_grid("iris", "classif.tree", bm.rsmp("holdout"), store_models=True, seed=1))
        run(registry)
        shutil.rmtree(tmp_path / "cache")
        assert [type(learner.model).__name__ for learner in trained(registry)] == ["DecisionTreeClassifier"]


def test_a_model_of_another_job_is_refused(modelled):
    changed(
        modelled,
        "UPDATE result SET (model, model_mark) = (SELECT r.model, r.model_mark FROM result r WHERE r.job_id = 2) "
        "WHERE job_id = 1",
    )
    with pytest.raises(TrustError, match=r"model of job 1 was not opened: .* belongs to another job"):
        trained(modelled)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE result SET model_mark = NULL", "not signed"),
        ("UPDATE result SET model_mark = 'x:' || substr(model_mark, 18)", "another key"),
        ("UPDATE result SET model_mark = substr(model_mark, 1, 17) || '00'", "altered"),
    ],
)
def test_a_model_without_a_good_mark_is_refused(modelled, statement, reason):
    changed(modelled, statement)
    with pytest.raises(TrustError, match=rf"model of job 1 was not opened: .*{reason}"):
        trained(modelled)


def test_an_altered_or_missing_model_is_named(modelled, tmp_path):
    for file in (tmp_path / "study.db.artifacts" / "model").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(TrustError, match=r"job 1 was not opened: .* was altered"):
        trained(modelled)
    shutil.rmtree(tmp_path / "study.db.artifacts" / "model")
    with pytest.raises(ArtifactError, match="model of job 1 is missing"):
        trained(modelled)


def test_models_that_could_not_be_signed_are_not_trained_at_all(registry):
    registry.add(bm.benchmark_grid("iris", "classif.tree", bm.rsmp("holdout"), store_models=True, seed=1))
    key_file().chmod(0o644)
    found = registry.test_job(1, external=True)
    assert found["ending"] == "config_error"
    assert "chmod 600" in found["error"]
