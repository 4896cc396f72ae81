"""Results go to a folder and come back the same."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from batchml.core.catalog import lrn, rsmp
from batchml.errors import ConfigError, DataError
from batchml.experiment.benchmark import benchmark
from batchml.experiment.grid import benchmark_grid
from batchml.experiment.result import BenchmarkResult


def example():
    flaky = lrn("classif.debug", id="flaky", error_train=0.5, warning_train=1.0, fallback="classif.featureless")
    flaky.predict_sets = ["train", "test"]
    tree = lrn("classif.tree", predict_type="prob")
    variants = [[], [{"max_depth": 1}, {"max_depth": None}]]
    splits = rsmp("cv", folds=3)
    return benchmark(benchmark_grid(["penguins", "iris"], [flaky, tree], splits, param_values=variants, seed=4))


def bits(result, predict_set="test"):
    cells = [result.resample_result(number) for number in range(result.n_resample_results)]
    return [p.to_arrow() for cell in cells for p in cell.predictions(predict_set)]


def test_a_result_comes_back_the_same(tmp_path):
    before = example()
    assert before.export(tmp_path / "a" / "out") == tmp_path / "a" / "out"
    after = BenchmarkResult.load(tmp_path / "a" / "out")
    pd.testing.assert_frame_equal(after.score(), before.score(), check_exact=True)
    options = {"conditions": True, "params": True, "stats": ["mean", "sd"]}
    pd.testing.assert_frame_equal(after.aggregate(**options), before.aggregate(**options), check_exact=True)
    pd.testing.assert_frame_equal(after.coverage, before.coverage)
    for table in ("errors", "warnings"):
        assert getattr(after, table).to_dict("records") == getattr(before, table).to_dict("records")
    assert bits(after) == bits(before)
    assert bits(after, "train") == bits(before, "train")
    assert after.seed == 4
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]


def test_objects_come_back_too(tmp_path):
    before = example()
    before.export(tmp_path / "out")
    after = BenchmarkResult.load(tmp_path / "out")
    for number in range(before.n_resample_results):
        mine, other = before.resample_result(number), after.resample_result(number)
        assert mine.task.digest == other.task.digest
        assert mine.learner.model_spec() == other.learner.model_spec()
        assert mine.learner.policy_spec() == other.learner.policy_spec()
        assert (mine.learner.id, mine.resampling.id) == (other.learner.id, other.resampling.id)
        assert mine.resampling.spec() == other.resampling.spec()
        assert (mine.resampling.test_set(1) == other.resampling.test_set(1)).all()
    assert after.score("classif.bacc").equals(before.score("classif.bacc"))


def test_a_loaded_result_can_be_filtered_combined_and_stored_again(tmp_path):
    before = example()
    before.export(tmp_path / "one")
    loaded = BenchmarkResult.load(tmp_path / "one")
    both = before.filter(task="penguins").combine(loaded)
    assert both.n_resample_results == before.n_resample_results
    both.export(tmp_path / "two")
    assert bits(BenchmarkResult.load(tmp_path / "two")) == bits(before)


def test_storing_again_replaces_but_never_what_is_not_a_result(tmp_path):
    result = example().filter(task="iris")
    result.export(tmp_path / "out")
    result.filter(learner="flaky").export(tmp_path / "out")
    assert BenchmarkResult.load(tmp_path / "out").n_resample_results == 1
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="holds something else"):
        result.export(tmp_path / "papers")
    assert (tmp_path / "papers" / "thesis.tex").read_text() == "years of work"
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="holds something else"):
        result.export(tmp_path / "file")


def test_a_folder_without_a_result_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no result"):
        BenchmarkResult.load(tmp_path / "none")
    example().filter(task="iris", learner="flaky").export(tmp_path / "out")
    head = tmp_path / "out" / "result.json"
    head.write_text(json.dumps({**json.loads(head.read_text()), "format": 99}))
    with pytest.raises(DataError, match="another version"):
        BenchmarkResult.load(tmp_path / "out")


def test_a_damaged_folder_is_named(tmp_path):
    folder = benchmark(benchmark_grid("iris", "classif.featureless", rsmp("cv", folds=2), seed=1)).export(
        tmp_path / "r"
    )
    (folder / "predictions.parquet").write_bytes(b"junk")
    with pytest.raises(DataError, match="is damaged"):
        BenchmarkResult.load(folder).score("classif.bacc")
    (folder / "result.json").write_text("[]")
    with pytest.raises(DataError, match="holds no result"):
        BenchmarkResult.load(folder)
