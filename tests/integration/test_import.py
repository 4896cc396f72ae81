"""What a fresh interpreter loads, how long it takes, and that identities do not depend on the process."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import batchml

HEAVY = {
    "torch",
    "dask",
    "distributed",
    "sklearn",
    "sqlalchemy",
    "pandas",
    "pyarrow",
    "scipy",
    "numpy",
    "click",
    "rich",
}


def fresh(code, **environment):
    """Return what a fresh interpreter prints, as JSON."""
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


def test_importing_batchml_loads_nothing_heavy():
    loaded = fresh("import batchml, json, sys; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))")
    assert not HEAVY & set(loaded)


def test_importing_batchml_takes_little_cpu_time():
    code = "import time; t = time.process_time(); import batchml; print(1000 * (time.process_time() - t))"
    assert min(fresh(code) for _ in range(3)) < 50


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        (["lrn", "tsk", "rsmp", "msr"], set()),
        (["BatchmlError"], set()),
        (["ParamSet"], set()),
        (["Trust"], set()),
        (["Resampling", "as_resampling"], {"numpy", "pyarrow", "pandas"}),
        (["Learner", "as_learner"], {"numpy"}),
        (["__version__"], set()),
    ],
)
def test_a_name_loads_only_what_it_needs(names, allowed):
    code = (
        f"import batchml, json, sys\nfor name in {names!r}: getattr(batchml, name)\n"
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    assert set(fresh(code)) & HEAVY <= allowed


def test_every_public_name_is_there():
    for name in batchml.__all__:
        assert getattr(batchml, name) is not None
    assert set(batchml.__all__) <= set(dir(batchml))


def test_the_public_names_are_sorted_and_written_alike_three_times():
    tree = ast.parse(Path(batchml.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        f"{node.module.removeprefix('batchml.')}.{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    lazy = {f"{module}.{name}" for module, names in batchml._HOMES.items() for name in names}
    assert typed == lazy
    assert sorted(batchml.__all__) == batchml.__all__
    assert {path.rpartition(".")[2] for path in lazy} | {"__version__"} == set(batchml.__all__)


def test_an_unknown_name_is_an_attribute_error_that_names_the_nearest():
    with pytest.raises(AttributeError, match="did you mean 'benchmark_grid'"):
        batchml.benchmark_gird  # noqa: B018
    assert not hasattr(batchml, "__wrapped__")


def test_digests_and_seeds_are_equal_in_every_process():
    code = """
import json
from sklearn.linear_model import LogisticRegression
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from batchml.core.digest import digest
from batchml.core.seed import derive, permutation
from batchml.core.spec import describe
words = frozenset(["a", "b", "c", "d", "e"])
obj = make_pipeline(TfidfVectorizer(stop_words=words), LogisticRegression(class_weight={"x": 1, "y": 2, 3: 4, None: 5}))
print(json.dumps([digest(describe(obj)), derive(5, "a", 1), permutation(3, 9).tolist()]))
"""
    first, *others = (fresh(code, PYTHONHASHSEED=seed) for seed in ("0", "1", "4711"))
    assert all(other == first for other in others)


def test_experimental_classes_have_one_path_whatever_was_imported():
    code = """
import json
from sklearn.model_selection._search_successive_halving import HalvingGridSearchCV
from sklearn.impute._iterative import IterativeImputer
from sklearn.tree import DecisionTreeClassifier
from batchml.core.spec import describe
print(json.dumps([describe(IterativeImputer()), describe(HalvingGridSearchCV(DecisionTreeClassifier(), {}))["object"]]))
"""
    assert fresh(code) == [
        {"object": "sklearn.impute.IterativeImputer", "params": {}},
        "sklearn.model_selection.HalvingGridSearchCV",
    ]


def test_experimental_classes_are_built_in_a_fresh_process():
    code = """
import json
from batchml.core.spec import build, describe
print(json.dumps(describe(build({"object": "sklearn.impute.IterativeImputer", "params": {"max_iter": 3}}))))
"""
    assert fresh(code) == {"object": "sklearn.impute.IterativeImputer", "params": {"max_iter": 3}}


def test_an_untrusted_module_is_not_even_imported(tmp_path):
    (tmp_path / "evil_lab.py").write_text("import pathlib; pathlib.Path(__file__).with_name('ran').touch()\n")
    code = """
import json, sys
from batchml.core.spec import build
from batchml.errors import TrustError
try:
    build({"object": "evil_lab.Model"})
except TrustError as error:
    print(json.dumps([str(error), "evil_lab" in sys.modules]))
"""
    message, loaded = fresh(code, PYTHONPATH=f"{tmp_path}{os.pathsep}{Path(batchml.__file__).parents[1]}")
    assert "evil_lab" in message
    assert not loaded
    assert not (tmp_path / "ran").exists()
