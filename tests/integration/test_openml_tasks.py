"""Tasks of OpenML with their official splits, from what openml.org would answer."""

from __future__ import annotations

import json
import urllib.error

import numpy as np
import pandas as pd
import pytest

import batchml as bm
from batchml.data.openml_task import openml_task
from batchml.errors import DataError, DataUnavailableError
from batchml.experiment.design_file import load_design

FRAME = pd.DataFrame({"x": np.arange(6.0), "class": list("ababab")})
SPLITS = """@RELATION iris_splits
% a comment
@ATTRIBUTE type {TRAIN,TEST}
@ATTRIBUTE rowid INTEGER
@ATTRIBUTE repeat INTEGER
@ATTRIBUTE fold INTEGER
@DATA
""" + "\n".join(
    f"{'TEST' if row % 2 == fold else 'TRAIN'},{row},{repeat},{fold}"
    for repeat in (0, 1)
    for fold in (0, 1)
    for row in range(6)
)


def answer(url, kind="1", splits=SPLITS):
    if url.endswith(".arff"):
        return splits
    procedure = {"type": "crossvalidation", "data_splits_url": "https://openml.example/splits/7.arff"}
    inputs = [
        {"name": "source_data", "data_set": {"data_set_id": "61", "target_feature": "class"}},
        {"name": "estimation_procedure", "estimation_procedure": procedure},
    ]
    return json.dumps({"task": {"task_id": "7", "task_type_id": kind, "task_type": "words", "input": inputs}})


def refuse(_url):
    raise urllib.error.URLError("no route")


def test_a_task_comes_with_its_splits_and_is_asked_for_once(tmp_path):
    first = openml_task(7, cache=tmp_path, fetch=lambda _: FRAME, read=answer)
    again = openml_task(7, cache=tmp_path, fetch=refuse, read=refuse)
    assert first.task.digest == again.task.digest
    assert first.resampling.digest == again.resampling.digest
    assert first.resampling.instantiate(first.task).iters == 4
    assert again.resampling.instantiate(again.task).test_set(1).tolist() == [1, 3, 5]
    scores = bm.resample(again.task, "classif.featureless", again.resampling).score("classif.acc")
    assert len(scores) == 4


def test_workers_need_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "cache"))
    openml_task(7, cache=tmp_path / "cache", fetch=lambda _: FRAME, read=answer)
    design = tmp_path / "d.toml"
    design.write_text(
        '[[task]]\nopenml_task = 7\n[[learner]]\nkey = "classif.featureless"\n[[resampling]]\nopenml_task = 7\n',
        encoding="utf-8",
    )
    with bm.Registry.create(f"sqlite:///{tmp_path}/study.db") as registry:
        jobs = registry.add(load_design(design))
        assert len(jobs) == 4
        monkeypatch.setenv("BATCHML_CACHE", str(tmp_path / "empty"))
        assert registry.test_job(jobs[0], external=True)["ending"] == "done"


def test_what_cannot_be_had_or_used_is_said(tmp_path):
    options = {"cache": tmp_path, "fetch": lambda _: FRAME}
    with pytest.raises(DataUnavailableError, match=r"openml.org cannot be reached .no route.: get it once"):
        openml_task(7, **options, read=refuse)
    with pytest.raises(DataError, match="only classification and regression"):
        openml_task(7, **options, read=lambda url: answer(url, kind="5"))
    with pytest.raises(DataError, match="its splits cannot be read at 'TRAIN,x'"):
        openml_task(7, **options, read=lambda url: answer(url, splits=SPLITS + "\nTRAIN,x"))
    with pytest.raises(DataError, match="not what was expected"):
        openml_task(7, **options, read=lambda _: "{}")
    with pytest.raises(DataError, match="number of a task"):
        openml_task("7", **options)

    def missing(url):
        raise urllib.error.HTTPError(url, 412, "Precondition Failed", None, None)

    with pytest.raises(DataError, match="does not exist"):
        openml_task(7, **options, read=missing)
    with pytest.raises(DataError, match="name row 9, its data have 6 rows"):
        openml_task(7, **options, read=lambda url: answer(url, splits=SPLITS + "\nTRAIN,9,0,0"))
