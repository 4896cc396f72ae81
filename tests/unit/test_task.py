"""Tasks: what they show of a table, and what they refuse."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest

import batchml as bm
from batchml.core.task import Task, as_task
from batchml.errors import ConfigError, DataError, SpecError, UnknownKeyError

FRAME = pd.DataFrame(
    {
        "x": [1.0, 2.0, np.nan, 4.0],
        "i": [1, 2, 3, 4],
        "b": [True, False, True, True],
        "g": ["u", "u", "v", None],
        "w": [1.0, 2.0, 3.0, 4.0],
        "y": ["no", "yes", "no", "yes"],
    }
)

#: Known values: the digest of a stored study's task must never change.
DATASETS = {
    "penguins": ("classif", 344, 8, "0970f1cd069d073e"),
    "iris": ("classif", 150, 5, "c7455a31cddc48da"),
    "wine": ("classif", 178, 14, "6281e1385a151f00"),
    "breast_cancer": ("classif", 569, 31, "39cd68cb96abacd0"),
    "digits": ("classif", 1797, 65, "731b5676bf26cebd"),
    "diabetes": ("regr", 442, 11, "9f3ce0f30d617755"),
}


@pytest.mark.parametrize("key", sorted(DATASETS))
def test_the_datasets_are_as_they_were(key):
    task = bm.tsk(key)
    assert (task.task_type, task.n_rows, task.n_cols, task.digest[:16]) == DATASETS[key]
    assert task.id == key


def test_penguins_keep_their_missing_values():
    task = bm.tsk("penguins")
    assert task.missings() == {
        "species": 0, "island": 0, "bill_length_mm": 2, "bill_depth_mm": 2, "flipper_length_mm": 2,
        "body_mass_g": 2, "sex": 11, "year": 0,
    }  # fmt: skip
    assert task.class_counts == {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124}


def test_a_task_prints_what_it_is():
    task = bm.as_task_classif(FRAME, "y", id="toy", positive="yes", weights="w", drop="i")
    assert repr(task).splitlines() == [
        "<TaskClassif:toy> (4 x 4)",
        "* Target: y",
        "* Classes (2): no (50.0%), yes (50.0%)",
        "* Positive class: yes",
        "* Properties: twoclass, weights",
        "* Features (3):",
        "  - categorical (1): g",
        "  - logical (1): b",
        "  - numeric (1): x",
        "* Weight: w",
    ]
    assert task._repr_html_().startswith("<p><b>&lt;TaskClassif:toy&gt;")


def test_x_is_a_frame_with_all_levels_and_nan():
    task = bm.as_task_classif(FRAME, "y")
    frame = task.features([3, 0])
    assert list(frame.columns) == ["x", "i", "b", "g", "w"]
    assert list(frame.index) == [0, 1]
    assert list(frame["g"].cat.categories) == ["u", "v"]
    assert list(frame["b"].cat.categories) == [False, True]
    assert frame["g"].isna().tolist() == [True, False]
    assert frame["i"].tolist() == [4, 1]


def test_x_is_a_matrix_where_all_is_numeric():
    task = bm.as_task_classif(FRAME, "y", drop=["g"])
    matrix = task.features([3, 2, 2])
    assert matrix.flags.c_contiguous
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix, [[4, 4, 1, 4], [np.nan, 3, 1, 3], [np.nan, 3, 1, 3]])
    assert isinstance(task.features(array=False), pd.DataFrame)
    with pytest.raises(DataError, match="task 'y': feature 'g' is categorical"):
        bm.as_task_classif(FRAME, "y").features(array=True)


def test_what_an_estimator_does_to_x_stays_with_it():
    task = bm.tsk("iris")
    before = task.features()
    matrix = task.features()
    matrix[:] = 0
    np.testing.assert_array_equal(task.features(), before)
    penguins = bm.tsk("penguins")
    frame = penguins.features()
    frame.iloc[:, 1] = 0
    assert penguins.features().iloc[0, 1] == 39.1


def test_truth_holds_the_original_labels():
    task = bm.as_task_classif(FRAME, "y")
    assert task.truth([1, 0]).tolist() == ["yes", "no"]
    assert task.truth_codes([1, 0]).tolist() == [1, 0]
    digits = bm.tsk("digits").truth()
    assert digits.dtype.kind == "i"
    assert bm.as_task_classif(FRAME, "b").truth().dtype == bool
    assert bm.as_task_regr(FRAME, "i").truth([2]).tolist() == [3.0]


@pytest.mark.parametrize(
    ("labels", "positive"),
    [
        ([0, 1], 1),
        ([-1, 1], 1),
        ([1.0, -1.0], 1.0),
        ([True, False], True),
        ([1, 2], 1),
        (["b", "a"], "a"),
        (["0", "1"], "0"),
    ],
)
def test_the_positive_class_is_true_or_one_else_the_first(labels, positive):
    found = bm.as_task_classif({"x": [1, 2], "y": labels}, "y").positive
    assert found == positive
    assert type(found) is type(positive)


def test_a_categorical_keeps_its_own_order():
    y = pd.Categorical(["b", "a", "b"], categories=["b", "a"])
    task = bm.as_task_classif(pd.DataFrame({"x": [1, 2, 3], "y": y}), "y")
    assert task.classes == ("b", "a")
    assert task.positive == "b"
    assert task.truth_codes().tolist() == [0, 1, 0]
    with pytest.raises(DataError, match="task 'y': target 'y' has no class 'c'; it has 'b', 'a'"):
        task.positive = "c"


def test_labels_beside_the_table_are_told_to_go_into_it():
    with pytest.raises(ConfigError, match=r"the name of a column, not a Series: put the labels into the table"):
        bm.as_task_classif(pd.DataFrame({"x": [1, 2]}), pd.Series([0, 1]))


def test_a_level_without_rows_is_named_where_it_stands_in_the_way_of_two_classes():
    y = pd.Categorical(["a", "b"], categories=["a", "b", "c"])
    with pytest.raises(DataError, match=r"has 3 classes, .* no row has 'c': \.cat\.remove_unused_categories"):
        bm.as_task_classif({"x": [1, 2], "y": y}, "y", positive="b")


def test_views_change_the_task_and_clones_do_not():
    task = bm.tsk("iris")
    view = task.clone().filter(range(10)).select(["petal_length_cm", "sepal_width_cm"])
    row = pd.DataFrame({"petal_length_cm": [9.0], "sepal_width_cm": [9.0], "species": ["setosa"]})
    view.rbind(row).cbind(pd.DataFrame({"z": range(1, 12)}))
    assert (view.n_rows, view.feature_names, view.row_ids.max()) == (
        11,
        ("sepal_width_cm", "petal_length_cm", "z"),
        150,
    )
    assert view.data([150]).iloc[0].tolist() == ["setosa", 9.0, 9.0, 11]
    assert (task.n_rows, task.n_features) == (150, 4)
    assert view.classes == task.classes
    assert view.class_counts == {"setosa": 11, "versicolor": 0, "virginica": 0}


def test_roles_change_as_in_r():
    task = bm.tsk("penguins")
    task.set_col_roles("year", remove_from="feature").set_col_roles("sex", roles="stratum")
    assert task.properties == ("multiclass", "strata")
    assert task.n_features == 5
    assert task.col_roles["stratum"] == ("sex",)
    with pytest.raises(UnknownKeyError, match=r"no column role 'strata' .did you mean 'stratum'"):
        task.set_col_roles("sex", add_to="strata")
    with pytest.raises(DataError, match="column 'species' is the target and cannot be a feature"):
        task.set_col_roles("species", add_to="feature")
    with pytest.raises(DataError, match="at most one column can be the group"):
        task.set_col_roles(["sex", "island"], add_to="group")
    assert task.col_roles["group"] == ()


def test_numbers_become_strata_by_bins_of_equal_width():
    task = bm.as_task_regr({"x": [0.0, 1, 2, 3, 4, 5, 6], "y": [1, 2, 3, 4, 5, 6, 7]}, "y")
    task.add_strata("x")
    assert task.strata.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert task.feature_names == ("x",)


def test_levels_can_be_set_dropped_and_columns_renamed():
    task = bm.as_task_classif(FRAME, "y").filter([0, 1])
    assert task.clone().droplevels().levels("g") == ("u",)
    assert task.levels("g") == ("u", "v")
    other = task.clone().set_levels({"g": ["v", "u", "new"]})
    assert other.levels("g") == ("v", "u", "new")
    assert other.features([0])["g"].tolist() == ["u"]
    renamed = task.clone().rename({"y": "target", "x": "size"})
    assert (renamed.target, renamed.feature_names[0]) == ("target", "size")


def test_the_digest_is_of_content_roles_and_rows_not_of_the_id():
    task = bm.as_task_classif(FRAME, "y", id="one")
    assert bm.as_task_classif(FRAME.copy(), "y", id="two").digest == task.digest
    assert task.clone().filter([0, 1, 2, 3]).filter([0, 1]).digest != task.digest
    assert task.clone().select(["x"]).digest != task.digest
    assert bm.as_task_classif(FRAME, "y", positive="yes").digest != task.digest
    assert bm.as_task_classif(FRAME.assign(x=0.0), "y").digest != task.digest
    assert bm.as_task_classif(FRAME.assign(x=0.0), "y").row_digest == task.row_digest
    assert bm.as_task_classif(FRAME, "y", group="i").row_digest != task.row_digest
    assert bm.as_task_classif(FRAME, "y", stratify=True).row_digest != task.row_digest


def test_a_spec_gives_the_task_back():
    task = bm.as_task_classif(FRAME, "y", positive="yes", weights="w", stratify=True).filter([3, 1, 0])
    spec = json.loads(json.dumps(task.spec()))
    again = Task.from_spec(spec, lambda data: {task.backend.digest: task.backend}[data["digest"]], id="again")
    assert again.digest == task.digest
    assert again.row_ids.tolist() == [3, 1, 0]
    assert again.positive == "yes"
    pd.testing.assert_frame_equal(again.features(), task.features())
    with pytest.raises(SpecError, match="upgrade it"):
        Task.from_spec({**spec, "format": 99}, lambda data: task.backend)


def test_a_task_survives_pickling():
    task = bm.tsk("penguins").filter(range(5))
    again = pickle.loads(pickle.dumps(task))
    assert again.digest == task.digest
    pd.testing.assert_frame_equal(again.features(), task.features())


def test_a_primary_key_names_the_rows():
    task = bm.as_task_classif(FRAME.assign(k=[40, 30, 20, 10]), "y", primary_key="k")
    assert task.row_ids.tolist() == [40, 30, 20, 10]
    assert "k" not in task.feature_names
    assert task.data([10, 40], cols=["i"]).to_dict() == {"i": {10: 4, 40: 1}}
    assert task.features([10, 40])["i"].tolist() == [4, 1]
    task.rbind(FRAME.iloc[:1])
    assert task.row_ids.tolist() == [40, 30, 20, 10, 41]


def test_an_index_that_is_not_positions_warns_at_the_users_line():
    with pytest.warns(UserWarning, match="row ids are positions") as caught:
        bm.as_task_classif(FRAME.set_index("i"), "y")
    assert caught[0].filename == __file__


BAD = [
    ({}, {"target": "why"}, UnknownKeyError, "task 'why': the table has no column 'why'"),
    ({"y": [None, "a", "b", "a"]}, {}, DataError, "task 'y': target 'y' has 1 missing values"),
    ({"y": "no"}, {"id": "one"}, DataError, "task 'one': target 'y' has only the class 'no'"),
    ({"x": [1, np.inf, -np.inf, 0]}, {}, DataError, r"task 'y': feature 'x' has 2 infinite values \(first at row 1\)"),
    ({}, {"weights": "g"}, DataError, "task 'y': column 'g' is categorical and cannot be the weight"),
    ({"w": [-1, 1, 1, 1]}, {"weights": "w"}, DataError, "task 'y': weight column 'w' has negative or missing values"),
    ({}, {"positive": "maybe"}, DataError, "task 'y': target 'y' has no class 'maybe'; it has 'no', 'yes'"),
    ({}, {"target": "x"}, DataError, "task 'x': target 'x' has 1 missing values"),
    ({"x": 0.5}, {"target": "x"}, DataError, "task 'x': target 'x' holds fractions"),
    ({}, {"drop": ["gg"]}, UnknownKeyError, "task 'y' has no column 'gg' .did you mean 'g'"),
    ({}, {"drop": list("xibgw")}, DataError, "task 'y' has no features"),
    ({"k": [1, 1, 2, 3]}, {"primary_key": "k"}, DataError, "task 'y': primary key 'k' has duplicated row ids.* 1"),
    ({"x": ["a", 1, 2, 3]}, {}, DataError, "task 'y': column 'x' mixes int and str"),
    (
        {"x": pd.Series(["\ud800", "b", "c", "d"], dtype=object)},
        {},
        DataError,
        "task 'y': column 'x' holds text that is no Unicode",
    ),
    ({"y": ["a\0b", "b", "b", "b"]}, {}, DataError, "task 'y': target 'y' has a class with a NUL character"),
    ({"a\0b": 1}, {}, DataError, "task 'y': the column name .* holds a NUL character"),
    ({"x": [[1], [2], [3], [4]]}, {}, DataError, "task 'y': column 'x' has the type list"),
]


@pytest.mark.parametrize(("columns", "arguments", "error", "message"), BAD)
def test_what_cannot_be_learned_is_refused_by_task_and_column(columns, arguments, error, message):
    with pytest.raises(error, match=message):
        bm.as_task_classif(FRAME.assign(**columns), **{"target": "y", **arguments})


def test_an_empty_or_doubled_table_is_refused():
    with pytest.raises(DataError, match="task 'y' has no rows"):
        bm.as_task_classif(FRAME.iloc[:0], "y")
    with pytest.raises(DataError, match="task 'y': the table has several columns called 'x'"):
        bm.as_task_classif(pd.concat([FRAME, FRAME[["x"]]], axis=1), "y")
    with pytest.raises(DataError, match="task 'g': target 'g' has 1 missing"):
        bm.as_task_regr(FRAME, "g")
    with pytest.raises(DataError, match="task 'y': target 'y' is categorical; regression needs numbers"):
        bm.as_task_regr(FRAME, "y")


def test_sparse_columns_and_names_that_are_no_text_will_do():
    task = bm.as_task_classif(pd.DataFrame({7: pd.arrays.SparseArray([0, 0, 1]), "y": ["a", "b", "a"]}), "y")
    assert task.feature_names == ("7",)
    assert task.features().tolist() == [[0], [0], [1]]


def test_rows_that_are_not_in_use_are_refused():
    task = bm.tsk("iris").filter(range(10))
    for ask in (task.features, task.truth, task.data):
        with pytest.raises(DataError, match="task 'iris' has no row 10 in use: was the resampling"):
            ask([3, 10])
    with pytest.raises(DataError, match="not a mask"):
        task.filter(np.ones(10, dtype=bool))
    with pytest.raises(DataError, match="twice"):
        task.filter([1, 1])


def test_a_key_is_a_task_and_a_table_is_none():
    assert as_task("iris").id == "iris"
    assert bm.tsk("penguins", id="birds").id == "birds"
    with pytest.raises(ConfigError, match="DataFrame is no task: make one with as_task_classif"):
        as_task(FRAME)
    with pytest.raises(UnknownKeyError, match="did you mean 'penguins'"):
        bm.tsk("penguin")


def test_weights_groups_and_offsets_are_read_by_row():
    task = bm.as_task_classif(FRAME, "y", weights="w", group="i")
    assert task.row_weights([3, 0]).tolist() == [4.0, 1.0]
    assert task.groups.tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match="group column 'g' has missing values"):
        _ = bm.as_task_classif(FRAME, "y", group="g").groups


def test_a_change_that_spoils_a_task_is_refused_and_leaves_it_as_it_was():
    task = bm.as_task_classif(FRAME, "y")
    before = task.digest
    n = len(FRAME)
    with pytest.raises(DataError, match=r"task 'y': feature 'z' has 1 infinite values \(first at row 2\)"):
        task.cbind(pd.DataFrame({"z": [0, 1, np.inf, 3.0]}))
    with pytest.raises(DataError, match="task 'y': target 'y' has 1 missing values"):
        task.rbind(pd.DataFrame({"x": [1.0], "i": [1], "b": [True], "g": ["u"], "w": [1.0]}))
    with pytest.raises(DataError, match="task 'y': weight column 'x' has negative or missing values"):
        task.set_col_roles("x", roles="weight")
    with pytest.raises(DataError, match="task 'y': target 'y' has 2 missing values"):
        task.set_levels({"y": ["no"]})
    assert (task.digest, task.n_rows) == (before, n)
    assert "z" not in task.backend.columns


def test_strata_need_values_and_bins():
    task = bm.as_task_classif(FRAME.assign(z=np.nan), "y")
    with pytest.raises(DataError, match="task 'y': column 'z' has no value, so it makes no strata"):
        task.add_strata("z")
    with pytest.raises(ConfigError, match="bins is a whole number of at least 1, not 0"):
        task.add_strata("x", bins=0)
    assert task.clone().add_strata("w", bins=2).strata.tolist() == [0, 0, 1, 1]


def test_roles_are_exclusive_unless_added():
    task = bm.as_task_classif(FRAME, "y")
    task.set_col_roles("w", roles=["order", "name"])
    assert "w" not in task.feature_names
    assert (task.col_roles["order"], task.col_roles["name"]) == (("w",), ("w",))
    task.set_col_roles("i", add_to="offset")
    assert "i" in task.feature_names
    assert task.offset.tolist() == [1.0, 2.0, 3.0, 4.0]
    task.set_col_roles("w", roles="feature", remove_from="feature")
    assert "w" not in [name for names in task.col_roles.values() for name in names]
    assert task.set_col_roles("g", add_to="stratum").properties == ("twoclass", "strata", "offset")
    assert task.strata.tolist() == [1, 1, 2, 0]  # a missing value is a stratum of its own
    with pytest.raises(DataError, match="exactly one column is the target, not 2"):
        task.set_col_roles("g", add_to="target")
    with pytest.raises(UnknownKeyError, match=r"no column role 'wieght' .did you mean 'weight'"):
        task.set_col_roles("g", roles="wieght")
    with pytest.raises(ConfigError, match="columns and roles are named by text, not by 3"):
        task.set_col_roles(3)


def test_feature_types_are_those_of_the_columns():
    table = pd.DataFrame(
        {
            "l": [True, False, True],
            "i": [1, 2, 3],
            "n": [0.5, 1.0, 2.0],
            "c": ["u", "v", "u"],
            "o": pd.Categorical(["lo", "hi", "lo"], categories=["lo", "hi"], ordered=True),
            "d": pd.date_range("2020-01-01", periods=3),
            "t": ["some words", "more", "none"],
            "y": ["a", "b", "c"],
        }
    )
    task = bm.as_task_classif(table, "y", text=["t"])
    kinds = ["logical", "integer", "numeric", "categorical", "ordered", "datetime", "text"]
    assert list(task.feature_types.values()) == kinds
    assert task.properties == ("multiclass",)
    assert task.positive is None


def test_an_infinite_target_names_its_row():
    with pytest.raises(DataError, match=r"task 'z': target 'z' has 1 infinite values \(first at row 1\)"):
        bm.as_task_regr({"x": [1, 2, 3], "z": [1.0, np.inf, 0]}, "z")
