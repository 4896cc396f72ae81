"""Designs: what is crossed with what, in which order, and what is refused before anything runs."""

from __future__ import annotations

import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import KFold

from batchml.core.catalog import lrn, rsmp
from batchml.core.task import as_task_classif
from batchml.errors import ConfigError, DesignError, UnknownKeyError
from batchml.experiment.design import BenchmarkDesign
from batchml.experiment.grid import benchmark_grid
from batchml.experiment.preflight import check_cells


def small(name="small", n=12):
    frame = pd.DataFrame({"x": [float(i) for i in range(n)], "y": ["a", "b"] * (n // 2)})
    return as_task_classif(frame, "y", id=name)


def test_cells_come_in_the_order_task_learner_resampling():
    design = benchmark_grid(
        ["iris", "wine"], ["classif.featureless", "classif.tree"], [rsmp("holdout"), rsmp("cv", folds=3)]
    )
    assert [(c.task.id, c.learner.id, c.resampling.id) for c in design.cells] == [
        ("iris", "classif.featureless", "holdout"),
        ("iris", "classif.featureless", "cv"),
        ("iris", "classif.tree", "holdout"),
        ("iris", "classif.tree", "cv"),
        ("wine", "classif.featureless", "holdout"),
        ("wine", "classif.featureless", "cv"),
        ("wine", "classif.tree", "holdout"),
        ("wine", "classif.tree", "cv"),
    ]
    assert len(design) == 2 * 2 * (1 + 3)


def test_keys_estimators_and_splitters_will_do():
    design = benchmark_grid("iris", ["classif.tree", RandomForestClassifier()], KFold(5))
    assert len(design) == 10
    assert design.measures[0].id == "classif.ce"


def test_a_design_says_what_it_is_in_one_line():
    tasks, learners = ["iris", "wine", "breast_cancer"], ["classif.featureless", "classif.tree", "classif.knn"]
    assert repr(benchmark_grid(tasks, learners, "cv")) == "3 tasks x 3 learners x cv10 = 90 iterations"
    assert repr(benchmark_grid("iris", "classif.tree", "holdout")) == "1 task x 1 learner x holdout = 1 iteration"
    repeated = rsmp("repeated_cv", folds=5, repeats=2)
    words = "1 task x 1 learner x repeated_cv 5x2 = 10 iterations"
    assert repr(benchmark_grid("iris", "classif.tree", repeated)) == words
    whole = benchmark_grid(tasks, learners, "cv")
    partial = whole.filter(lambda row: row.task != "iris" or row.learner != "classif.knn")
    assert repr(partial) == "8 cells of 3 tasks x 3 learners x cv10 = 80 iterations"
    assert "3 learners" in partial._repr_html_()


def test_equal_learner_ids_are_refused_with_the_remedy():
    with pytest.raises(DesignError, match=r"'classif\.tree' occurs more than once: set another with id="):
        benchmark_grid("iris", [lrn("classif.tree"), lrn("classif.tree", max_depth=2)], "cv")


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(DesignError, match="task ids must be unique"):
        benchmark_grid([small(), small(n=14)], "classif.tree", "holdout")


def test_mixed_task_types_are_refused():
    with pytest.raises(DesignError, match=r"'iris' is classif.*'diabetes' is regr"):
        benchmark_grid(["iris", "diabetes"], "classif.featureless", "cv")


def test_the_same_model_under_two_names_is_refused():
    with pytest.raises(DesignError, match=r"same computation twice.*'a'.*'b'"):
        benchmark_grid("iris", [lrn("classif.tree", id="a"), lrn("classif.tree", id="b")], "cv")


def test_the_same_model_under_two_policies_is_refused():
    guarded = lrn("classif.tree", id="guarded")
    guarded.fallback = "classif.featureless"
    with pytest.raises(DesignError, match="encapsulation, fallback, limits"):
        benchmark_grid("iris", [lrn("classif.tree"), guarded], "cv")


def test_a_resampling_and_its_extension_are_the_same_computation():
    some = [rsmp("repeated_cv", folds=3, repeats=2, id="two"), rsmp("repeated_cv", folds=3, repeats=4, id="four")]
    with pytest.raises(DesignError, match="same computation twice"):
        benchmark_grid("iris", "classif.tree", some)


def test_two_resamplings_of_one_name_are_refused():
    with pytest.raises(DesignError, match="resampling ids must be unique, but 'cv'"):
        benchmark_grid("iris", "classif.tree", [rsmp("cv", folds=3), rsmp("cv", folds=5)])


def test_an_empty_list_is_refused():
    with pytest.raises(DesignError, match="at least one learner"):
        benchmark_grid("iris", [], "cv")


def test_a_table_is_no_task():
    with pytest.raises(DesignError, match="as_task_classif"):
        benchmark_grid(pd.DataFrame({"x": [1]}), "classif.tree", "cv")


def test_resamplings_are_all_instantiated_or_none_is():
    task = small()
    bound = rsmp("cv", folds=3).instantiate(task, seed=1)
    with pytest.raises(DesignError, match="all instantiated or none is"):
        benchmark_grid(task, "classif.tree", [bound, rsmp("holdout")])


def test_instantiated_resamplings_must_belong_to_the_task():
    bound = rsmp("cv", folds=3).instantiate(small(), seed=1)
    with pytest.raises(DesignError, match="not instantiated on task 'iris'"):
        benchmark_grid("iris", "classif.tree", bound)


def test_the_seed_of_instantiated_resamplings_is_the_designs():
    task = small()
    assert benchmark_grid(task, "classif.tree", rsmp("cv", folds=3).instantiate(task, seed=7)).seed == 7
    assert benchmark_grid(task, "classif.tree", "cv").seed is None


def test_paired_puts_each_task_with_its_own_resampling():
    tasks = [small("one"), small("two", n=20)]
    splits = [rsmp("cv", folds=3).instantiate(tasks[0], seed=1), rsmp("cv", folds=4).instantiate(tasks[1], seed=1)]
    design = benchmark_grid(tasks, ["classif.tree", "classif.featureless"], splits, paired=True)
    assert [(c.task.id, c.iters) for c in design.cells] == [("one", 3), ("one", 3), ("two", 4), ("two", 4)]
    with pytest.raises(DesignError, match="2 tasks and 1 resamplings"):
        benchmark_grid(tasks, "classif.tree", splits[:1], paired=True)
    with pytest.raises(DesignError, match="paired=True needs instantiated"):
        benchmark_grid(tasks, "classif.tree", [rsmp("cv"), rsmp("cv")], paired=True)
    with pytest.raises(DesignError, match="not instantiated on task 'one'"):
        benchmark_grid(tasks, "classif.tree", splits[::-1], paired=True)


def test_param_values_make_labelled_variants_and_leave_the_learner_alone():
    tree = lrn("classif.tree")
    design = benchmark_grid(
        "iris", ["classif.featureless", tree], "holdout", param_values=[[], [{"max_depth": 1}, {"max_depth": 3}]]
    )
    assert [(c.learner.id, dict(c.params)) for c in design.cells] == [
        ("classif.featureless", {}),
        ("classif.tree", {"max_depth": 1}),
        ("classif.tree", {"max_depth": 3}),
    ]
    assert [c.learner.param_set.values.get("max_depth") for c in design.cells[1:]] == [1, 3]
    assert "max_depth" not in dict(tree.param_set.values)


def test_param_values_are_checked():
    with pytest.raises(DesignError, match="1 lists for 2 learners"):
        benchmark_grid("iris", ["classif.tree", "classif.knn"], "cv", param_values=[[{}]])
    with pytest.raises(DesignError, match="is a mapping"):
        benchmark_grid("iris", "classif.tree", "cv", param_values=[{"max_depth": 1}])
    with pytest.raises(UnknownKeyError, match="max_depth"):
        benchmark_grid("iris", "classif.tree", "cv", param_values=[[{"max_dept": 1}]])
    with pytest.raises(DesignError, match="2 cells are called"):
        benchmark_grid("iris", "classif.tree", "cv", param_values=[[{"max_depth": 1}, {"max_depth": 1}]])


def test_filter_and_plus_undo_each_other():
    whole = benchmark_grid(["iris", "wine"], ["classif.tree", "classif.knn"], "cv", seed=3)
    iris, wine = (whole.filter(lambda row, task=task: row.task == task) for task in ("iris", "wine"))
    both = iris + wine
    assert both.cells == whole.cells
    assert (both.seed, len(both)) == (3, 40)
    assert (whole + whole).cells == whole.cells


def test_designs_of_different_seeds_are_not_added():
    with pytest.raises(DesignError, match="different seeds"):
        benchmark_grid("iris", "classif.tree", "cv", seed=1) + benchmark_grid("wine", "classif.tree", "cv", seed=2)


def test_a_design_shows_its_cells_as_a_table():
    frame = benchmark_grid("iris", "classif.tree", rsmp("cv", folds=4)).to_frame()
    assert frame.to_dict("records") == [
        {"task": "iris", "learner": "classif.tree", "resampling": "cv", "params": {}, "iters": 4}
    ]
    assert list(BenchmarkDesign(cells=()).to_frame().columns) == list(frame.columns)


def test_a_learner_that_cannot_take_a_task_is_named_before_anything_runs():
    design = benchmark_grid(
        ["penguins", "iris"], [lrn("classif.tree", preprocess="none"), lrn("classif.knn", preprocess="none")], "cv"
    )
    with pytest.raises(ConfigError, match="penguins") as caught:
        check_cells(design.cells)
    assert "classif.tree" in str(caught.value)
    assert "one more pair of task and learner" in str(caught.value)


def test_a_measure_for_other_tasks_is_refused():
    with pytest.raises(DesignError, match=r"'regr\.mse' is for regr tasks, the design has classif tasks"):
        benchmark_grid("iris", "classif.tree", "cv", measures="regr.mse")
    with pytest.raises(DesignError, match=r"two measures are called 'classif\.acc'"):
        benchmark_grid("iris", "classif.tree", "cv", measures=["classif.acc", "classif.acc"])


def test_a_measure_that_a_learner_cannot_be_scored_by_is_named_before_anything_runs():
    learners = ["classif.tree", lrn("classif.featureless", predict_type="prob")]
    with pytest.warns(
        UserWarning, match=r"'classif\.logloss' will be NaN for 'classif\.tree': .* predict_type = 'prob'"
    ):
        benchmark_grid(small(), learners, rsmp("holdout"), measures=["classif.acc", "classif.logloss"])
