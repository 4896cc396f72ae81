"""Design files: what they say becomes a design, and a mistake in them is one clear line that says where."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from batchml.core.catalog import lrn
from batchml.errors import BatchmlError, ConfigError, DesignError, TrustError, UnknownKeyError
from batchml.experiment.design_file import load_design
from batchml.experiment.preflight import check_cells

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

HEAD = """
[benchmark]
seed = 42
measures = ["classif.acc"]
"""
TASK = """
[[task]]
key = "iris"
"""
LEARNER = """
[[learner]]
key = "classif.tree"
"""
RESAMPLING = """
[[resampling]]
key = "cv"
folds = 3
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a design file and return its path; what it puts on the import path is taken off again."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def make(text, name="study.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    yield make
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in str(getattr(module, "__file__", None)):
            del sys.modules[name]


def test_the_quickstart_is_a_full_design_that_every_learner_can_take():
    design = load_design(EXAMPLES / "quickstart.toml")
    check_cells(design.cells)
    assert repr(design) == "3 tasks x 5 learners x cv10 = 150 iterations"
    assert (design.name, design.seed, design.modules, design.paths) == ("quickstart", 42, (), ())
    assert [measure.id for measure in design.measures] == ["classif.acc", "classif.logloss"]
    assert {cell.learner.predict_type for cell in design.cells} == {"prob"}


def test_a_file_without_a_name_gives_its_own(write):
    design = load_design(write(HEAD + TASK + LEARNER + RESAMPLING))
    assert (design.name, design.seed, len(design)) == ("study", 42, 3)
    assert load_design(write(TASK + LEARNER + RESAMPLING)).seed is None


def test_a_mark_that_editors_put_in_front_of_a_file_is_no_mistake(write):
    path = write(TASK + LEARNER + RESAMPLING)
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert len(load_design(path)) == 3


def test_learners_by_class_steps_and_key_have_their_settings(write):
    design = load_design(
        write(
            TASK
            + RESAMPLING
            + """
[[learner]]
id = "forest"
class = "sklearn.ensemble.RandomForestClassifier"
params = { n_estimators = 7, max_depth = { none = true }, class_weight = "balanced" }
predict_type = "prob"
encapsulate = "process"
fallback = "classif.featureless"
timeout = { train = 60, predict = 10 }
[[learner]]
id = "lr"
steps = [
  "sklearn.preprocessing.StandardScaler",
  { class = "sklearn.linear_model.LogisticRegression", params = { C = 0.1 } },
]
[[learner]]
id = "net"
class = "sklearn.neural_network.MLPClassifier"
params = { hidden_layer_sizes = { tuple = [4, 2] } }
[[learner]]
id = "boost"
class = "sklearn.ensemble.AdaBoostClassifier"
params = { estimator = { class = "sklearn.tree.DecisionTreeClassifier", params = { max_depth = 2 } } }
"""
        )
    )
    forest, lr, net, boost = (cell.learner for cell in design.cells)
    assert forest.predict_type == "prob"
    assert forest.encapsulate == {"train": "process", "predict": "process"}
    assert forest.timeout == {"train": 60.0, "predict": 10.0}
    assert forest.fallback.key == "classif.featureless"
    assert forest.param_set.values["n_estimators"] == 7
    assert [str(step) for _, step in lr.param_set.values["steps"]] == ["StandardScaler()", "LogisticRegression(C=0.1)"]
    assert net.param_set.values["hidden_layer_sizes"] == (4, 2)
    assert str(boost.param_set.values["estimator"]) == "DecisionTreeClassifier(max_depth=2)"


def test_a_grid_makes_labelled_variants(write):
    text = LEARNER + 'grid = { max_depth = [3, { none = true }], criterion = ["gini", "entropy"] }\n'
    design = load_design(write(TASK + text + RESAMPLING))
    assert [dict(cell.params) for cell in design.cells] == [
        {"max_depth": 3, "criterion": "gini"},
        {"max_depth": 3, "criterion": "entropy"},
        {"max_depth": None, "criterion": "gini"},
        {"max_depth": None, "criterion": "entropy"},
    ]
    assert {cell.learner.id for cell in design.cells} == {"classif.tree"}


def test_exclude_takes_combinations_out(write):
    more = TASK + '[[task]]\nkey = "wine"\n' + LEARNER + '[[learner]]\nkey = "classif.knn"\n' + RESAMPLING
    design = load_design(write(more + '[[exclude]]\nlearner = "classif.knn"\ntask = "wine"\n'))
    assert [(cell.task.id, cell.learner.id) for cell in design.cells] == [
        ("iris", "classif.tree"),
        ("iris", "classif.knn"),
        ("wine", "classif.tree"),
    ]
    with pytest.raises(DesignError, match=r"\[\[exclude\]\] 1: no task is called 'wines' \(did you mean 'wine'\?\)"):
        load_design(write(more + '[[exclude]]\ntask = "wines"\n'))
    with pytest.raises(DesignError, match="nothing is left"):
        load_design(write(more + '[[exclude]]\ntask = ["wine", "iris"]\n'))


def test_tables_are_read_relative_to_the_file(write, tmp_path, monkeypatch):
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0] * 5, "risk": ["good", "bad", "good", "bad"] * 5, "junk": 1})
    (tmp_path / "data").mkdir()
    frame.to_parquet(tmp_path / "data" / "credit.parquet")
    frame.to_csv(tmp_path / "data" / "credit.csv", index=False)
    text = """
[[task]]
id = "credit"
type = "classif"
parquet = "data/credit.parquet"
target = "risk"
positive = "good"
drop = ["junk"]
[[task]]
id = "from_csv"
type = "classif"
csv = "data/credit.csv"
target = "risk"
"""
    path = write(text + LEARNER + RESAMPLING)
    monkeypatch.chdir("/")
    credit, from_csv = (cell.task for cell in load_design(path).cells)
    assert (credit.id, credit.positive, credit.feature_names) == ("credit", "good", ("x",))
    assert (from_csv.id, from_csv.n_rows, from_csv.positive) == ("from_csv", 20, "bad")


def test_a_splitter_by_class_is_a_resampling(write):
    text = '[[resampling]]\nid = "times"\nclass = "sklearn.model_selection.TimeSeriesSplit"\nparams.n_splits = 4\n'
    (cell,) = load_design(write(TASK + LEARNER + text)).cells
    assert (cell.resampling.id, cell.iters) == ("times", 4)


OWN = """
from sklearn.base import BaseEstimator, ClassifierMixin
import numpy as np

class First(ClassifierMixin, BaseEstimator):
    def __init__(self, shift=0):
        self.shift = shift
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self
    def predict(self, X):
        return np.repeat(self.classes_[0], len(X))
"""


def test_own_modules_beside_the_file_are_trusted_by_name_only(write, tmp_path):
    write(OWN, "own_learners_a.py")
    learner = '[[learner]]\nid = "first"\nclass = "own_learners_a.First"\n'
    design = load_design(write('[benchmark]\nmodules = ["own_learners_a"]\n' + TASK + learner + RESAMPLING))
    assert (design.modules, design.paths) == (("own_learners_a",), (str(tmp_path),))
    assert design.cells[0].learner.id == "first"
    with pytest.raises(TrustError, match=r"study\.toml: \[\[learner\]\] 1 \('first'\)"):
        load_design(write(TASK + learner + RESAMPLING))
    with pytest.raises(DesignError, match="there is no module 'own_learner_b'"):
        load_design(write('[benchmark]\nmodules = ["own_learner_b"]\n' + TASK + LEARNER + RESAMPLING))


def test_a_measure_of_an_own_module_is_trusted_with_it(write):
    write("def cost(truth, response):\n    return float((truth != response).sum())\n", "own_measures_a.py")
    head = '[benchmark]\nmeasures = ["own_measures_a.cost"]\n'
    design = load_design(write(head + 'modules = ["own_measures_a"]\n' + TASK + LEARNER + RESAMPLING))
    assert [measure.id for measure in design.measures] == ["cost"]
    with pytest.raises(TrustError, match=r"\[benchmark\].*own_measures_a"):
        load_design(write(head + TASK + LEARNER + RESAMPLING))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[benchmark\nseed = 1", "study.toml is not valid TOML: .*line 1"),
        (HEAD + 'tasks = ["iris"]\n', r"\[benchmark\]: unknown key 'tasks'.*it takes measures, modules, name"),
        ("[[tasks]]\nkey = 'iris'\n", r"study.toml: unknown key 'tasks' \(did you mean 'task'\?\)"),
        (TASK + 'colour = "red"\n' + LEARNER + RESAMPLING, r"\[\[task\]\] 1 \('iris'\): unknown key 'colour'"),
        (TASK + LEARNER + "max_depth = 3\n" + RESAMPLING, r"\[\[learner\]\] 1 .*'max_depth'.*go into params"),
        (TASK + LEARNER + 'predict_typ = "prob"\n' + RESAMPLING, r"\(did you mean 'predict_type'\?\)"),
        (TASK + LEARNER + "params = { max_dept = 3 }\n" + RESAMPLING, r"\[\[learner\]\] 1 .*max_dept.*max_depth"),
        (TASK + LEARNER + 'predict_type = "probs"\n' + RESAMPLING, r"\[\[learner\]\] 1 .*'probs'"),
        (TASK + LEARNER + RESAMPLING + "fold = 3\n", r"\[\[resampling\]\] 1 \('cv'\): .*'fold'.*folds"),
        (TASK + LEARNER + RESAMPLING + "params = 3\n", r"\[\[resampling\]\] 1 \('cv'\): params must be a table"),
        ('[[task]]\nkey = "irs"\n' + LEARNER + RESAMPLING, r"\[\[task\]\] 1 \('irs'\).*iris"),
        (TASK + '[[learner]]\nkey = "classif.rpart"\n' + RESAMPLING, r"classif\.tree"),
        (TASK + RESAMPLING, r"study.toml: there is no \[\[learner\]\]"),
        (TASK + LEARNER + LEARNER + RESAMPLING, r"study.toml: learner ids must be unique"),
        ("[task]\nkey = 'iris'\n" + LEARNER + RESAMPLING, r"write \[\[task\]\] in double brackets"),
        ("[[benchmark]]\nseed = 1\n" + TASK, r"write \[benchmark\] in single brackets"),
        (TASK + '[[learner]]\nid = "x"\n' + RESAMPLING, "exactly one of key, class, steps; none is there"),
        (TASK + LEARNER + 'class = "a.B"\n' + RESAMPLING, "exactly one of key, class, steps; key and class are there"),
        ("[benchmark]\nseed = -1\n" + TASK + LEARNER + RESAMPLING, "seed must be a whole number from 0 to .*, not -1"),
        ("[benchmark]\nseed = true\n" + TASK + LEARNER + RESAMPLING, "seed must be a whole number"),
        ("[benchmark]\nmeasures = 3\n" + TASK + LEARNER + RESAMPLING, "measures must be a list of texts"),
        ('[benchmark]\nmeasures = ["classif.acx"]\n' + TASK + LEARNER + RESAMPLING, r"classif\.acc"),
        ('[benchmark]\nstore_models = "no"\n' + TASK + LEARNER + RESAMPLING, "store_models must be true or false"),
        (TASK + LEARNER + "grid = { max_depth = 3 }\n" + RESAMPLING, "grid must be a table of lists"),
        (TASK + LEARNER + 'encapsulate = "proces"\n' + RESAMPLING, r"'proces' \(did you mean 'process'\?\)"),
        (TASK + LEARNER + "timeout = { trian = 1 }\n" + RESAMPLING, r"'trian' \(did you mean 'train'\?\)"),
        (TASK + LEARNER + 'preprocess = "atuo"\n' + RESAMPLING, "atuo"),
        (TASK + LEARNER + 'id = " "\n' + RESAMPLING, r"\[\[learner\]\] 1 .*id is empty"),
        (
            TASK + LEARNER + "params = { max_depth = 2020-01-01 }\n" + RESAMPLING,
            r"max_depth: datetime\.date\(2020, 1, 1\) is not an int",
        ),
        (TASK + '[[learner]]\nid = "a"\nsteps = []\n' + RESAMPLING, "steps must be a list"),
        (
            TASK + '[[learner]]\nid = "a"\nsteps = ["sklearn.preprocessing.StandardScaler"]\n' + RESAMPLING,
            "the last of steps must be a classifier or regressor, not StandardScaler",
        ),
        (
            TASK + '[[learner]]\nid = "a"\nsteps = ["sklearn.svm.SVC", { klass = "x" }]\n' + RESAMPLING,
            r"step 2: unknown key 'klass'",
        ),
        (
            TASK + '[[learner]]\nid = "a"\nclass = "sklearn.svm.SVC"\nparams = { Q = 1 }\n' + RESAMPLING,
            r"\[\[learner\]\] 1 \('a'\): .*Q",
        ),
        (TASK + '[[learner]]\nclass = "sklearn.svm.SVX"\n' + RESAMPLING, r"sklearn\.svm has no 'SVX' \(did you mean"),
        (TASK + '[[learner]]\nclass = "subprocess.Popen"\n' + RESAMPLING, "subprocess.Popen"),
        ('[[task]]\nparquet = "a.parquet"\ntype = "classif"\n' + LEARNER + RESAMPLING, "write target = "),
        ('[[task]]\nparquet = "a.parquet"\ntarget = "y"\n' + LEARNER + RESAMPLING, 'write type = "classif"'),
        ('[[task]]\nparquet = "a.parquet"\ntype = "classif"\ntarget = "y"\n' + LEARNER, "a.parquet"),
        ('[[task]]\ncsv = "a.csv"\ntype = "classif"\ntarget = "y"\n' + LEARNER, "a.csv"),
        ('[[task]]\nkey = "diabetes"\n' + LEARNER + RESAMPLING + HEAD, "regr"),
        (TASK + '[[task]]\nkey = "diabetes"\n' + LEARNER + RESAMPLING, "compares tasks of one type"),
        (TASK + LEARNER + RESAMPLING + "[[exclude]]\n", r"\[\[exclude\]\] 1: name a task"),
    ],
)
def test_a_mistake_is_one_line_that_says_where(write, text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        load_design(write(text))
    assert str(caught.value).startswith("study.toml")
    assert "\n" not in str(caught.value)


def test_a_target_that_is_no_column_is_named(write, tmp_path):
    pd.DataFrame({"x": [1.0, 2.0], "risk": ["a", "b"]}).to_parquet(tmp_path / "d.parquet")
    text = '[[task]]\nparquet = "d.parquet"\ntype = "classif"\ntarget = "rsk"\n'
    with pytest.raises(UnknownKeyError, match=r"study\.toml: \[\[task\]\] 1: .*rsk.*risk"):
        load_design(write(text + LEARNER + RESAMPLING))


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path):
    with pytest.raises(DesignError, match="there is no design file"):
        load_design(tmp_path / "none.toml")
    with pytest.raises(DesignError, match=r"a \.toml or a \.py file"):
        load_design(tmp_path / "study.json")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(DesignError, match="cannot be read"):
        load_design(tmp_path / "folder.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(DesignError, match="not UTF-8"):
        load_design(tmp_path / "latin.toml")


PYTHON = (
    OWN
    + """
import batchml.experiment.grid as grid
from batchml.core.learner import as_learner

def design():
    return grid.benchmark_grid("iris", as_learner(First(), id="first"), "cv", seed=5)
"""
)


def test_a_python_file_gives_its_design_and_its_own_module(write, tmp_path):
    design = load_design(write(PYTHON, "own_study_c.py"))
    assert (design.name, design.seed, len(design)) == ("own_study_c", 5, 10)
    assert design.paths == (str(tmp_path),)
    assert design.modules == ("own_study_c",)
    assert "own_study_c.First" in str(design.cells[0].learner.model_spec())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def design(:\n", "not valid Python: .*line 1"),
        ("x = 1\n", r"no function design\(\)"),
        ("def design():\n    return 3\n", r"returned int, not a BenchmarkDesign"),
        ("def design():\n    return 1 / 0\n", "line 2: ZeroDivisionError"),
        ("import no_such_module_here\n", "line 1: ModuleNotFoundError"),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
    ],
)
def test_a_mistake_in_a_python_file_is_one_line(write, text, words):
    with pytest.raises(DesignError, match=words):
        load_design(write(text, "own_study_d.py"))


def test_a_mistake_is_located_by_a_relative_path_too(write, tmp_path, monkeypatch):
    write("def design():\n    return 1 / 0\n", "own_study_r.py")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DesignError, match="line 2: ZeroDivisionError"):
        load_design("own_study_r.py")


def test_a_module_that_ends_the_process_is_a_mistake(write, tmp_path):
    (tmp_path / "own_exits.py").write_text("import sys\nsys.exit(3)\n")
    text = HEAD + 'modules = ["own_exits"]\n' + TASK + '[[learner]]\nclass = "own_exits.A"\n' + RESAMPLING
    with pytest.raises(ConfigError, match="module 'own_exits' fails: SystemExit: 3"):
        load_design(write(text))


def test_an_error_of_batchml_in_a_python_file_keeps_its_class(write):
    text = "import batchml.core.catalog as c\ndef design():\n    return c.tsk('irs')\n"
    with pytest.raises(BatchmlError, match=r"own_study_e\.py: .*irs.*iris"):
        load_design(write(text, "own_study_e.py"))


def test_a_python_file_does_not_take_the_name_of_another_module(write):
    call = "benchmark_grid('iris', 'classif.tree', 'cv')"
    path = write(f"from batchml.experiment.grid import benchmark_grid\ndef design():\n    return {call}\n", "json.py")
    assert load_design(path).name == "json"
    assert sys.modules["json"].__file__ != str(path)
    assert lrn("classif.tree").key == "classif.tree"


def test_own_classes_need_a_file_that_workers_can_import(write):
    with pytest.raises(DesignError, match="workers cannot import classes from a module called 'json': rename the file"):
        load_design(write(PYTHON, "json.py"))


def test_when_is_the_import_path_of_a_function_of_the_users(write, tmp_path, monkeypatch):
    (tmp_path / "judges_of_errors.py").write_text(
        "def not_timeouts(condition, stage):\n    return condition.kind != 'timeout'\n"
    )
    head = '[benchmark]\nmodules = ["judges_of_errors"]\n'
    learner = LEARNER + 'fallback = "classif.featureless"\nwhen = "judges_of_errors.not_timeouts"\n'
    (cell,) = load_design(write(head + TASK + learner + RESAMPLING)).cells
    assert cell.learner.when.__name__ == "not_timeouts"
    assert cell.learner.policy_spec()["when"] == {"$function": "judges_of_errors.not_timeouts"}
    with pytest.raises(ConfigError, match="judges_of_errors"):
        load_design(write(TASK + learner + RESAMPLING))
    with pytest.raises(ConfigError, match="when is a function"):
        load_design(write(TASK + LEARNER + 'when = "sklearn.tree.DecisionTreeClassifier"\n' + RESAMPLING))
