"""The views of one finished benchmark are the same from both databases, and `aggregates` is `bmr.aggregate()`."""

from __future__ import annotations

import pandas as pd
import pytest

import batchml as bm
from batchml.registry.views import NAMES

MOMENTS = ("started_at", "ended_at", "heartbeat_at")
MEASURED = ("host", "fit_s", "predict_s", "wall_s", "peak_mb", "fit_s_median", "predict_s_median", "peak_mb_max", "pid")


def design():
    guarded = bm.lrn("classif.debug", id="guarded", error_train=0.5, encapsulate="capture")
    guarded.fallback = bm.lrn("classif.featureless")
    learners = ["classif.tree", guarded, bm.lrn("classif.debug", id="bare", error_train=0.5, warning_predict=1.0)]
    measures = ["classif.acc", "classif.ce"]
    return bm.benchmark_grid(["iris", "wine"], learners, bm.rsmp("cv", folds=3), measures=measures, seed=4)


@pytest.fixture
def views(tmp_path, postgres_url, monkeypatch):
    """The views, the reduced result and the dry types of both."""
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))
    found = {}
    for name, url in {"sqlite": f"sqlite:///{tmp_path / 'study.db'}", "postgresql": postgres_url}.items():
        with bm.Registry.create(url, seed=7) as registry:
            registry.add(design(), name="study")
            registry.submit(executor=bm.Local(slots=1))
            assert registry.wait(120)
            frames = {view: registry.sql(f"SELECT * FROM {view}") for view in NAMES}
            found[name] = frames, registry.reduce().aggregate(finished_only=True)
    return found


def in_order(frame):
    """Leave out what is measured, and attempts' numbers: which slot was faster."""
    kept = frame.drop(columns=[name for name in (*MOMENTS, *MEASURED, "attempt_id") if name in frame])
    return kept.sort_values(list(kept.columns)).reset_index(drop=True)


def test_views_have_the_same_columns_types_and_rows_on_both_databases_and_aggregates_are_those_of_the_result(views):
    (ours, _), (theirs, _) = views["sqlite"], views["postgresql"]
    for view in NAMES:
        assert ours[view].dtypes.to_dict() == theirs[view].dtypes.to_dict(), view
        assert len(ours[view]) > 0, view
        pd.testing.assert_frame_equal(in_order(ours[view]), in_order(theirs[view]), rtol=1e-14, obj=view)
    for frames, result in views.values():
        assert_aggregates(frames["aggregates"], result)


def assert_aggregates(view, result):
    for measure in ("classif.acc", "classif.ce"):
        one = view[view["measure"] == measure].set_index(["task", "learner"])
        for row in result.itertuples():
            cell = one.loc[(row.task, row.learner)]
            value = result.loc[row.Index, measure]
            assert value == pytest.approx(cell["mean_finished"], rel=1e-14, nan_ok=True)
            assert (cell["n"], cell["n_missing"]) == (row.n, row.n_missing)
