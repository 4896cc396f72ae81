"""Encapsulation, fallback and `when`, in this process; the golden cases of mlr3 where they apply."""

import logging

import numpy as np
import pytest

from batchml.core.catalog import lrn, tsk
from batchml.core.measure import as_measure
from batchml.errors import ConfigError, LearnerError, NotTrainedError, StageTimeoutError
from batchml.execution import iteration
from batchml.execution.call import IterationFailed, StageCall
from batchml.execution.execute import execute

ERROR, WARNING, MESSAGE = (f"{word} from classif.debug->train()" for word in ("Error", "Warning", "Message"))


class Halves:
    """A resampling of one iteration: even rows train, odd ones test."""

    def __init__(self, task, *, bootstrap=False):
        self._rows = task.row_ids
        self._bootstrap = bootstrap

    def train_set(self, iteration):
        rows = self._rows[::2]
        return np.concatenate([rows[:-1], rows[:1]]) if self._bootstrap else rows

    def test_set(self, iteration):
        return self._rows[1::2]


@pytest.fixture(scope="module")
def penguins():
    return tsk("penguins")


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="batchml.learner")


def debug(fallback=None, **params):
    learner = lrn("classif.debug", **params)
    if fallback is not None:
        learner.fallback = fallback
    return learner


def log_of(learner):
    return [tuple(row) for row in learner.log.itertuples(index=False)]


def test_without_encapsulation_errors_and_warnings_reach_the_caller(penguins, capsys):
    with pytest.raises(LearnerError, match=r"Error from classif\.debug->train"):
        debug(error_train=1).train(penguins)
    with pytest.raises(LearnerError, match=r"Error from classif\.debug->predict"):
        debug(error_predict=1).train(penguins).predict(penguins)
    learner = debug(warning_train=1, message_train=1)
    with pytest.warns(UserWarning, match=r"Warning from classif\.debug->train"):
        learner.train(penguins)
    assert MESSAGE in capsys.readouterr().err
    assert log_of(learner) == []
    assert learner.model is not None


def test_capture_records_in_order_and_predicting_then_says_why_not(penguins):
    learner = debug(message_train=1, warning_train=1, error_train=1, encapsulate="capture").train(penguins)
    assert log_of(learner) == [("train", "output", MESSAGE), ("train", "warning", WARNING), ("train", "error", ERROR)]
    assert (learner.warnings, learner.errors) == ([WARNING], [ERROR])
    assert "in _happen" in learner.state.log[-1].traceback
    with pytest.raises(NotTrainedError, match=r"Cannot predict, Learner 'classif\.debug' has not been trained yet"):
        learner.predict(penguins)


def test_what_is_kept_in_is_told_to_the_logger(penguins, caplog):
    caplog.set_level(logging.WARNING, logger="batchml.learner")
    debug(warning_train=1, error_train=1, encapsulate="capture").train(penguins)
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", f"classif.debug: train: {WARNING}"),
        ("ERROR", f"classif.debug: train: {ERROR}"),
    ]


def test_the_fallback_stands_in_after_a_train_error(penguins):
    learner = debug("classif.featureless", error_train=1).train(penguins)
    prediction = learner.predict(penguins)
    assert set(prediction.response) == {"Adelie"}
    assert prediction.imputed.all()
    assert log_of(learner) == [
        ("train", "error", ERROR),
        ("predict", "output", "Using fallback learner for predictions"),
    ]
    assert learner.model is None


def test_the_fallback_stands_in_after_a_predict_error(penguins):
    learner = debug("classif.featureless", error_predict=1).train(penguins)
    assert set(learner.predict(penguins).response) == {"Adelie"}
    assert learner.model is not None
    assert learner.errors == ["Error from classif.debug->predict()"]


def test_the_fallback_is_trained_on_the_same_rows_even_if_nothing_fails(penguins):
    learner = debug("classif.featureless").train(penguins, penguins.row_ids[:100], seed=1)
    assert learner.state.trained.fallback_model["counts"].sum() == 100
    assert learner.predict(penguins).n_imputed == 0
    assert learner.encapsulate == {"train": "capture", "predict": "capture"}


@pytest.mark.parametrize("predict_type", ["response", "prob"])
@pytest.mark.parametrize("kind", ["na", "omit"])
def test_missing_rows_are_filled_in_place_by_the_majority(penguins, predict_type, kind):
    params = {"predict_missing": 0.5, "predict_missing_type": kind, "predict_type": predict_type}
    plain = debug(**params).train(penguins, seed=4).predict(penguins)
    assert (len(plain), plain.n_missing) == (344, 172)
    filled = debug("classif.featureless", **params).train(penguins, seed=4).predict(penguins)
    assert (len(filled), filled.n_missing, filled.n_imputed) == (344, 0, 172)
    assert (filled.row_ids == penguins.row_ids).all()
    assert (filled.imputed == plain.missing).all()
    assert set(filled.response[filled.imputed]) == {"Adelie"}
    assert (filled.response[~filled.imputed] == plain.response[~plain.missing]).all()
    assert filled.predict_type == predict_type


def test_a_fallback_that_fails_too_is_reported_as_such(penguins):
    learner = debug(lrn("classif.debug", id="spare", error_train=1), error_train=1)
    with pytest.raises(LearnerError, match=r"failed in train, and its fallback failed too: Error from"):
        learner.train(penguins)
    learner = debug(lrn("classif.debug", id="spare", error_train=1)).train(penguins)
    assert learner.errors == [f"fallback learner 'spare': {ERROR}"]
    assert learner.predict(penguins).n_missing == 0
    learner = debug(lrn("classif.debug", error_predict=1), error_train=1).train(penguins)
    with pytest.raises(LearnerError, match="fallback failed too"):
        learner.predict(penguins)


def test_when_decides_by_condition_and_configuration_errors_always_raise(penguins):
    learner = debug("classif.featureless", error_train=1)
    asked = []
    learner.when = lambda condition, stage: asked.append((condition.message, stage))
    with pytest.raises(LearnerError, match="Error from"):
        learner.train(penguins)
    assert asked == [(ERROR, "train")]
    learner.when = lambda condition, stage: True
    assert learner.train(penguins).predict(penguins).imputed.all()
    with pytest.raises(ConfigError, match="Configuration error"):
        debug("classif.featureless", config_error=True).train(penguins)


def test_a_limit_of_zero_is_reached_at_once(penguins):
    learner = debug("classif.featureless", timeout={"train": 0}).train(penguins)
    assert learner.errors == ["reached elapsed time limit"]
    assert learner.state.log[0].kind == "timeout"
    with pytest.raises(StageTimeoutError, match="reached elapsed time limit"):
        debug(timeout={"train": 0}).train(penguins)


def test_random_numbers_are_the_same_under_every_encapsulation(penguins):
    numbers = set()
    for method in ("none", "capture"):
        learner = debug(encapsulate=method).train(penguins, seed=8)
        numbers.add((learner.model.random_number, learner.predict(penguins).response[0]))
    assert len(numbers) == 1


def test_the_debug_learner_refuses_chances_that_are_none(penguins):
    for params in ({"error_train": 2}, {"x": -1}, {"predict_missing_type": "gone"}, {"iter": 0}):
        with pytest.raises(ConfigError):
            debug(**params).train(penguins)


def test_the_debug_learner_keeps_its_task_and_counts_pickles(penguins):
    import pickle

    model = debug(save_tasks=True, count_marshaling=True, iter=3).train(penguins).model
    assert (model.iter, model.task_train[0].id, model.marshal_count) == (3, "penguins", 0)
    assert pickle.loads(pickle.dumps(model)).marshal_count == 1
    task = tsk("diabetes")
    assert lrn("regr.debug", predict_type="se").train(task).predict(task).se[0] == pytest.approx(task.truth().std())


def test_chances_are_rolled_from_the_seed(penguins):
    learner = debug(error_train=0.3, encapsulate="capture")
    failed = [bool(learner.train(penguins, seed=seed).errors) for seed in range(100)]
    assert 15 < sum(failed) < 45
    assert failed == [bool(learner.train(penguins, seed=seed).errors) for seed in range(100)]


# One iteration


def run(task, learner, **options):
    return iteration.run(task, learner, Halves(task), 0, job_seed=5, **options)


def test_an_iteration_says_how_complete_its_predictions_are(penguins):
    assert run(penguins, debug()).completeness == "full"
    partial = run(penguins, debug(predict_missing=0.5))
    assert (partial.completeness, partial.n, partial.n_missing, partial.n_imputed) == ("partial", 172, 86, 0)
    assert run(penguins, debug(predict_missing=1)).completeness == "none"
    imputed = run(penguins, debug("classif.featureless", predict_missing=0.5))
    assert (imputed.completeness, imputed.n_imputed) == ("imputed", 86)
    failed = run(penguins, debug(error_train=1, encapsulate="capture"))
    assert (failed.completeness, failed.n, failed.n_missing, failed.predictions) == ("none", 172, 172, {})
    assert [c.message for c in failed.conditions] == [ERROR]


def test_what_a_measure_warns_of_is_in_every_jobs_record(penguins):
    logloss = as_measure("classif.logloss")
    for _ in range(2):  # a slot scores all its jobs with one measure object
        found = run(penguins, debug(), measures=[logloss], record=True).conditions
        assert [c.message for c in found if c.stage == "score"] == [
            "measure 'classif.logloss' is NaN: it needs the predict type 'prob', the prediction has 'response'"
        ]


def test_an_iteration_trains_and_predicts_its_own_rows_only(penguins):
    learner = debug(save_tasks=True, predict_sets=["train", "test"])
    result = run(penguins, learner, store_model=True)
    assert (result.model.task_train[1] == penguins.row_ids[::2]).all()
    assert (result.predictions["test"].row_ids == penguins.row_ids[1::2]).all()
    assert (result.predictions["train"].row_ids == penguins.row_ids[::2]).all()
    assert learner.state is None
    assert run(penguins, learner).model is None
    assert result.timings["train"] > 0 < result.timings["predict"]


def test_rows_drawn_several_times_are_imputed_in_place(penguins):
    learner = debug("classif.featureless", predict_missing=0.4, predict_sets="train")
    result = iteration.run(penguins, learner, Halves(penguins, bootstrap=True), 0, job_seed=5)
    assert (result.n, result.n_missing) == (172, 0)
    assert result.n_imputed >= 68


def test_a_session_gets_the_original_exception_and_a_worker_the_stage_and_what_was_recorded(penguins):
    learner = debug(warning_train=1, error_predict=1)
    with pytest.raises(LearnerError, match="predict"), pytest.warns(UserWarning, match="Warning"):
        run(penguins, learner)
    with pytest.raises(IterationFailed) as caught:
        run(penguins, learner, record=True)
    assert caught.value.stage == "predict"
    assert [(c.stage, c.level) for c in caught.value.conditions] == [("train", "warning"), ("predict", "error")]
    assert isinstance(caught.value.cause, LearnerError)
    assert caught.value.timings["train"] > 0


def test_predictions_depend_on_the_job_seed_alone(penguins):
    learner = lrn("classif.random_forest", n_estimators=3, predict_type="prob")
    one, two = run(penguins, learner), run(penguins, learner, record=True)
    assert one.predictions["test"].to_arrow() == two.predictions["test"].to_arrow()


class Hostile(Exception):  # noqa: N818
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    "error", [Hostile(), SystemExit(3), KeyboardInterrupt(), MemoryError(), RecursionError(), GeneratorExit()]
)
def test_whatever_is_raised_in_a_worker_is_the_learners_error(penguins, error, monkeypatch):
    def fail(*args, **kwargs):
        raise error

    learner = debug("classif.featureless")
    monkeypatch.setattr(type(learner), "_predict", fail)
    result = run(penguins, learner, record=True)
    assert result.completeness == "imputed"
    assert result.conditions[0].kind == type(error).__name__
    call = StageCall(stage="predict", learner=learner, task=penguins, row_ids=penguins.row_ids, seed=1)
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            execute(call, interrupts=False)


def test_a_measure_that_fails_leaves_the_predictions_alone(penguins):
    class Broken:
        id = "broken"
        predict_sets = ("test",)
        facts = as_measure("classif.ce").facts

        def fresh(self):
            return self

        def score(self, prediction, **context):
            raise ZeroDivisionError("no")

    result = run(penguins, debug(), measures=[Broken()], record=True)
    assert result.scores == {"broken": None}
    assert result.completeness == "full"
    assert [(c.stage, c.level, c.message) for c in result.conditions] == [("score", "error", "measure 'broken': no")]
