"""Planning and adding designs: idempotent, resumable, and honest about what runs again."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

import batchml as bm
from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.core.conditions import Condition
from batchml.errors import ConfigError, DesignError
from batchml.registry import benchmarks
from batchml.registry.benchmarks import add, plan
from batchml.registry.exchange import exchange
from batchml.registry.jobs import find, status, tally
from batchml.registry.moves import remove
from batchml.registry.store import Store
from batchml.registry.submissions import submit
from batchml.registry.workers import register_worker, stop_worker


@pytest.fixture
def store(registry_url):
    with Store.create(registry_url, seed=1) as store:
        yield store


def design(*learners, tasks=("iris",), folds=3, repeats=None, **fields):
    learners = learners or ("classif.featureless",)
    name, params = ("cv", {}) if repeats is None else ("repeated_cv", {"repeats": repeats})
    return bm.benchmark_grid(list(tasks), list(learners), bm.rsmp(name, folds=folds, **params), **fields)


def run_all(store, ending=None):
    """Submit everything and bring it to an end; `ending` says how by assignment."""
    submission, _ = submit(store)
    worker = register_worker(store, submission, slots=50)
    outcomes = []
    while True:
        answer = exchange(store, worker, outcomes, [], 50)
        outcomes = [(ending or succeed)(assignment) for assignment in answer.assignments]
        if not outcomes and not answer.waiting:
            break
    stop_worker(store, worker, "done")


def succeed(assignment, **fields):
    scores = tuple((key, 0.5) for key, _ in assignment.experiment.measures)
    result = JobResult(completeness="full", predictions={"test": b"x"}, scores=scores, n=50)
    base = {"ending": Ending.DONE, "result": result, "fit_s": 1.0, "predict_s": 0.1, "wall_s": 1.1}
    return Outcome(attempt_id=assignment.attempt_id, job_id=assignment.job_id, **(base | fields))


def test_a_design_becomes_jobs_that_show_under_its_labels(store):
    ids = add(store, design("classif.featureless", "classif.tree", tasks=("iris", "wine")), "first")
    assert len(ids) == len(set(ids)) == 12
    frame = find(store)
    assert frame["job_id"].tolist() == ids
    assert set(frame["task"]) == {"iris", "wine"}
    assert set(frame["benchmark"]) == {"first"}
    assert (frame["state"] == "defined").all()


def test_a_plan_says_what_an_add_does_and_does_nothing(store):
    said = plan(store, design(), "first")
    assert (said.new, said.exists, said.nothing_new) == (3, False, False)
    assert "3 new" in str(said)
    assert find(store).empty
    add(store, design(), "first")
    again = plan(store, design(), "first")
    assert again.nothing_new
    assert "nothing is new" in str(again)
    assert add(store, design(), "first") == []


def test_adding_in_two_processes_without_a_seed_adds_nothing_twice(store, registry_url):
    code = f"""
        import batchml as bm
        from batchml.registry.store import Store
        from batchml.registry.benchmarks import add
        with Store.open({registry_url!r}) as store:
            print(len(add(store, bm.benchmark_grid("iris", ["classif.featureless", "classif.tree"], "cv"), "b")))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = [int(child.communicate(timeout=120)[0]) for child in children]
    assert sum(counts) == 20
    assert tally(store)["defined"] == 20


def test_an_added_learner_adds_only_its_jobs(store):
    add(store, design("classif.featureless"), "b")
    run_all(store)
    said = plan(store, design("classif.featureless", "classif.tree"), "b")
    assert (said.new, said.reused, said.leaving) == (3, 3, 0)
    assert len(add(store, design("classif.featureless", "classif.tree"), "b")) == 3


def test_an_edited_learner_replaces_itself_and_comes_back_for_nothing(store):
    old, new = (design(bm.lrn("classif.tree", max_depth=depth)) for depth in (3, 5))
    add(store, old, "b")
    run_all(store)
    said = plan(store, new, "b")
    assert (said.new, said.reused, said.entering, said.leaving) == (3, 0, 1, 1)
    assert "out of the benchmark" in str(said)
    add(store, new, "b")
    assert status(store)[["benchmark", "defined", "done", "total"]].to_numpy().tolist() == [["b", 3, 0, 3]]
    back = plan(store, old, "b")
    assert (back.new, back.reused) == (0, 3)
    assert add(store, old, "b") == []
    assert status(store)["done"].tolist() == [3]


def test_more_repeats_extend_what_is_there(store):
    add(store, design(repeats=1), "b")
    run_all(store)
    said = plan(store, design(repeats=3), "b")
    assert (said.jobs, said.new, said.reused) == (9, 6, 3)
    assert len(add(store, design(repeats=3), "b")) == 6
    submission, _ = submit(store)
    worker = register_worker(store, submission, slots=9)
    [assignment] = exchange(store, worker, [], [], 1).assignments
    assert assignment.iteration == 3
    assert assignment.experiment.resampling["params"]["repeats"] == 3
    fewer = plan(store, design(repeats=1), "b")
    assert (fewer.jobs, fewer.new, fewer.reused, fewer.leaving) == (3, 0, 3, 0)
    add(store, design(repeats=1), "b")
    assert len(find(store)) == 3
    assert status(store)["total"].tolist() == [3]
    assert tally(store) == {"defined": 0, "queued": 0, "running": 0, "done": 3, "error": 0, "cancelled": 0}


def test_renaming_recomputes_nothing(store):
    add(store, design(bm.lrn("classif.tree", id="a")), "b")
    run_all(store)
    renamed = design(bm.lrn("classif.tree", id="z"))
    assert plan(store, renamed, "b").reused == 3
    assert add(store, renamed, "b") == []
    assert set(find(store)["learner"]) == {"z"}


def test_two_benchmarks_share_jobs(store):
    add(store, design("classif.tree"), "one")
    run_all(store)
    assert add(store, design("classif.tree", "classif.featureless"), "two") != []
    assert status(store)["done"].tolist() == [3, 3]
    assert tally(store)["done"] == 3
    assert len(find(store, benchmark="one")) == 3


def test_a_changed_measure_is_another_member_but_no_other_job(store):
    add(store, design(measures=["classif.acc"]), "b")
    run_all(store)
    other = design(measures=["classif.acc", "classif.ce"])
    said = plan(store, other, "b")
    assert (said.new, said.reused, said.measures_added) == (0, 3, ("classif.ce",))
    assert add(store, other, "b") == []
    with store.read() as connection:
        ask = "SELECT measure, n, n_missing, mean, mean_finished FROM aggregates ORDER BY measure"
        rows = [tuple(row) for row in connection.exec_driver_sql(ask)]
    assert rows == [("classif.acc", 3, 0, 0.5, 0.5), ("classif.ce", 3, 3, None, None)]


def timed_out(assignment):
    """Let the first iteration hit its limit inside, under a fallback."""
    if assignment.iteration:
        return succeed(assignment)
    event = Condition(stage="train", level="error", message="took more than 5 s", kind="timeout")
    return succeed(assignment, conditions=(event,), fit_s=5.01)


def limited(seconds):
    learner = bm.lrn("classif.tree")
    learner.encapsulate = "process"
    learner.fallback = "classif.featureless"
    learner.timeout = {"train": seconds}
    return design(learner)


def test_a_raised_limit_runs_only_what_hit_it(store):
    add(store, limited(5), "b")
    run_all(store, timed_out)
    said = plan(store, limited(60), "b")
    assert (said.again, said.reused, said.new) == ({"hit the old limit": 1}, 2, 0)
    assert "1 again: they hit the old limit" in str(said)
    add(store, limited(60), "b")
    assert status(store)[["defined", "done"]].to_numpy().tolist() == [[1, 2]]
    assert plan(store, limited(60), "b").nothing_new
    run_all(store)
    assert status(store)["done"].tolist() == [3]
    assert plan(store, limited(60), "b").nothing_new


def test_a_changed_policy_runs_failed_jobs_again(store):
    plain = bm.lrn("classif.tree")
    add(store, design(plain), "b")

    def fails(assignment):
        return succeed(assignment, ending=Ending.LEARNER_ERROR, result=None, message="boom", error_type="ValueError")

    run_all(store, fails)
    safe = plain.clone()
    safe.encapsulate = "capture"
    safe.fallback = "classif.featureless"
    said = plan(store, design(safe), "b")
    assert sum(said.again.values()) == 3
    assert said.failed == 0
    add(store, design(safe), "b")
    assert status(store)["defined"].tolist() == [3]


def test_a_dropped_cell_is_not_run_any_more(store):
    add(store, design("classif.tree", "classif.featureless"), "b")
    submission, number = submit(store)
    assert number == 6
    add(store, design("classif.tree"), "b")
    assert find(store)["learner"].unique().tolist() == ["classif.tree"]
    worker = register_worker(store, submission, slots=10)
    seen = []
    for _ in range(9):
        answer = exchange(store, worker, [], [], 10)
        seen += [assignment.job_id for assignment in answer.assignments]
    assert len(seen) == 3


def test_removed_jobs_are_new_again(store):
    ids = add(store, design(), "b")
    run_all(store)
    assert remove(store, ids[1:2]) == 1
    said = plan(store, design(), "b")
    assert (said.new, said.reused) == (1, 2)
    [fresh] = add(store, design(), "b")
    assert fresh > max(ids)
    assert len(find(store)) == 3


def test_an_interrupted_add_shows_nothing_and_is_completed(store, monkeypatch):
    whole = design("classif.tree", "classif.featureless", tasks=("iris", "wine"))
    with monkeypatch.context() as patch:
        patch.setattr(benchmarks, "_make_current", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            add(store, whole, "b")
    assert find(store).empty
    assert tally(store)["defined"] == 0
    said = plan(store, whole, "b")
    assert (said.new, said.waiting, said.exists) == (0, 12, False)
    add(store, whole, "b")
    assert len(find(store)) == 12


def test_the_users_own_module_is_watched(store, tmp_path, monkeypatch):
    module = tmp_path / "my_watched_learners.py"
    module.write_text("from sklearn.dummy import DummyClassifier\nclass Mine(DummyClassifier):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_watched_learners", raising=False)  # of the other database's turn
    import my_watched_learners

    mine = design(bm.as_learner(my_watched_learners.Mine(), preprocess="none"))
    mine = bm.BenchmarkDesign(cells=mine.cells, modules=("my_watched_learners",))
    add(store, mine, "b")
    run_all(store)
    assert plan(store, mine, "b").changed == ()
    module.write_text(module.read_text() + "# edited\n")
    [sentence] = plan(store, mine, "b").changed
    assert "my_watched_learners" in sentence
    assert "3 finished jobs" in sentence
    add(store, mine, "b")
    assert plan(store, mine, "b").changed != ()
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM spec WHERE kind = 'source'").scalar() == 2


def test_a_design_without_cells_is_refused(store):
    with pytest.raises(DesignError, match="no cells"):
        add(store, bm.BenchmarkDesign(cells=()), "b")


def test_a_learner_that_cannot_take_its_task_is_refused_before_anything_is_written(store):
    learner = bm.as_learner(bm.lrn("classif.log_reg"), preprocess="none")
    with pytest.raises(ConfigError, match="penguins"):
        add(store, design(learner, tasks=("penguins",)), "b")
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM spec").scalar() == 0


def test_task_data_lies_beside_the_registry_once(store):
    add(store, design(tasks=("iris", "wine")), "one")
    add(store, design("classif.tree", tasks=("iris", "wine")), "two")
    files = [path for path in store.artifact_path.rglob("*") if path.is_file() and "sha256" not in str(path)]
    assert len(files) == 2


def test_a_design_with_its_own_seed_is_another_experiment(store):
    add(store, design(seed=1), "b")
    assert plan(store, design(), "b").new == 0  # the registry's own seed is 1 too
    assert plan(store, design(seed=2), "b").new == 3


def test_a_worker_sees_a_changed_design_at_its_next_exchange(store):
    add(store, design(measures=["classif.acc"]), "b")
    submission, _ = submit(store)
    worker = register_worker(store, submission, slots=1)
    [first] = exchange(store, worker, [], [], 1).assignments
    add(store, design(measures=["classif.ce"]), "b")
    [second] = exchange(store, worker, [], [], 1).assignments
    keys = [[spec["key"] for _, spec in one.experiment.measures] for one in (first, second)]
    assert keys == [["classif.acc"], ["classif.ce"]]
