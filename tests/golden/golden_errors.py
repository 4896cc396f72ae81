"""Encapsulation, fallbacks, limits, the debug and the featureless learner of mlr3."""

from __future__ import annotations

import contextlib
import logging
import warnings

import numpy as np
import pandas as pd
from golden_ledger import Ledger, rows, same

import batchml as bm
from batchml.errors import ConfigError, DataError, LearnerError, StageTimeoutError

ledger = Ledger("errors")
METHODS = {"evaluate": "capture", "try": "capture", "callr": "process", "mirai": "process"}
LEVELS = ["stage", "level", "message"]
OURS = {"factor": "categorical", "character": "text", "POSIXct": "datetime", "Date": "datetime"}
LATER_IN_R = {"hotstart_forward", "internal_tuning", "marshal", "validation"}


def debug(case=None, **params):
    """Return the debug learner, encapsulated as the name of the case says, with the fallback that R then wants."""
    learner = bm.lrn("classif.debug", **params)
    if case is not None:
        learner.fallback = "classif.featureless"
        learner.encapsulate = METHODS[case.id.rpartition("_")[2]]
    return learner


@contextlib.contextmanager
def hushed():
    """Keep what is captured from the log of the test run."""
    logger = logging.getLogger("batchml.learner")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="learner .*in a session the time limit")
            yield
    finally:
        logger.setLevel(before)


def raised(kind, call):
    try:
        with hushed():
            call()
    except kind as error:
        return str(error)
    raise AssertionError(f"{kind.__name__} was not raised")


def said(learner, state):
    """Compare what was recorded with the state of R's learner."""
    same(learner.log[LEVELS].to_numpy().tolist(), [[a, b, c.strip()] for a, b, c in rows(state["log"])])
    same([learner.warnings, learner.errors], [state["warnings"], state["errors"]])
    same(learner.model is not None, state["has_model"])
    same(learner.state.trained.fallback_ok, state["has_fallback_state"])


def counts(prediction):
    found = {str(name): int((prediction.response == name).sum()) for name in prediction.classes}
    return {**found, "<NA>": prediction.n_missing}


@ledger.replays("none_error_train", "resample_error_no_fallback")
def error_reaches_the_caller(case):
    learner = debug(error_train=1)
    assert raised(LearnerError, lambda: learner.train("penguins")) == case.error
    folds = bm.rsmp("cv", folds=3)
    assert raised(LearnerError, lambda: bm.resample("penguins", learner, folds)).startswith(case.error)


@ledger.replays("none_warning_train")
def warning_is_a_warning(case):
    learner = debug(warning_train=1)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        learner.train("penguins")
    same([str(one.message) for one in heard], list(case.warnings))
    said(learner, case.output)


@ledger.replays("none_error_predict")
def predict_error_reaches_the_caller(case):
    learner = debug(error_predict=1).train("penguins")
    assert raised(LearnerError, lambda: learner.predict("penguins")) == case.error


@ledger.replays("fallback_wrong_type", but="the message says whose fallback it is")
def fallback_of_another_type(case):
    with_regr = lambda: setattr(debug(), "fallback", "regr.featureless")  # noqa: E731
    assert raised(ConfigError, with_regr).startswith(case.error)


@ledger.differs("log_message_try", why="there is no method that catches errors only; capture records messages, too")
def message_in_capture(case):
    learner = debug(case, message_train=1).train("penguins")
    assert learner.log[LEVELS].to_numpy().tolist() == [["train", "output", "Message from classif.debug->train()"]]
    assert rows(case.output["log"]) == []


@ledger.replays("log_message_callr", "log_message_mirai", but="without the line's end")
def message_in_a_process(case):
    said(debug(case, message_train=1).train("penguins"), case.output)


@ledger.replays("log_warn_error_evaluate", "log_warn_error_mirai")
def warning_then_error(case):
    with hushed():
        said(debug(case, warning_train=1, error_train=1).train("penguins"), case.output)


@ledger.replays(
    "fallback_after_train_error_try", "fallback_after_train_error_evaluate", "fallback_after_train_error_mirai"
)
def fallback_after_train(case):
    with hushed():
        learner = debug(case, error_train=1).train("penguins")
        prediction = learner.predict("penguins")
    said(learner, case.output["state"])
    same(counts(prediction), case.output["prediction"])
    assert prediction.imputed.all()


@ledger.replays("fallback_after_predict_error_evaluate")
def fallback_after_predict(case):
    with hushed():
        learner = debug(case, error_predict=1).train("penguins")
        prediction = learner.predict("penguins")
    said(learner, case.output["state"])
    same(counts(prediction), case.output["prediction"])
    same([len(prediction), prediction.n_missing], [case.output["n"], case.output["n_missing"]])


@ledger.replays("segfault_predict_callr", but="the message is `process exited with status -11`")
def segfault(case):
    with hushed():
        learner = debug(case, segfault_predict=1).train("penguins")
        prediction = learner.predict("penguins")
    assert learner.errors == ["process exited with status -11"]
    assert learner.log["level"].tolist() == [level for _, level, _ in rows(case.output["log"])]
    assert learner.log["message"].iloc[1] == rows(case.output["log"])[1][2]
    same(counts(prediction), case.output["prediction"])


@ledger.differs("timeout_evaluate", why="R's limit does not end a sleep; here a signal does, in the main thread")
def timeout_in_capture(case):
    with hushed():
        learner = debug(case, sleep_train=3)
        learner.timeout = {"train": 0.2}
        learner.train("penguins")
    assert learner.errors == ["reached elapsed time limit"]
    assert learner.model is None


@ledger.replays("timeout_callr")
def timeout_in_a_process(case):
    with hushed():
        learner = debug(case, sleep_train=5)
        learner.timeout = {"train": 0.3}
        said(learner.train("penguins"), case.output)


@ledger.replays("timeout_none")
def timeout_without_encapsulation(case):
    with hushed():
        learner = debug(sleep_train=3)
        learner.timeout = {"train": 0.1}
        assert raised(StageTimeoutError, lambda: learner.train("penguins")) == case.error


@ledger.replays("predict_missing_fallback", but="the label of the debug learner is random")
def missing_half(case):
    learner = debug(predict_missing=0.5)
    learner.fallback = "classif.featureless"
    found = counts(learner.train("penguins", seed=2).predict("penguins"))
    assert sum(found.values()) == case.output["n"]
    assert found["<NA>"] == case.output["n_na"]
    assert found["Adelie"] >= case.output["n"] / 2


@ledger.differs(
    "predict_missing_omit", why="rows that are named and left out are missing predictions, which a fallback fills"
)
def omitted_half(case):
    prediction = debug(predict_missing=0.5, predict_missing_type="omit").train("penguins").predict("penguins")
    assert case.error == f"Predicted response not complete, response for {prediction.n_missing} observations is missing"
    assert len(prediction) == 344


@ledger.replays(
    "benchmark_conditions", but="columns have names of their own, seeds differ; iterations with errors are counted"
)
def conditions(case):
    learner = debug(error_train=0.3)
    learner.fallback = "classif.featureless"
    learners = [learner, "classif.featureless"]
    with hushed():
        table = bm.benchmark(bm.benchmark_grid("penguins", learners, bm.rsmp("cv"), seed=1)).aggregate(conditions=True)
    same(
        [table["learner"], table["warnings"], table["n"]], [case.output[k] for k in ("learner_id", "warnings", "iters")]
    )
    assert 0 < table["errors"][0] < 10
    assert table["errors"][1] == case.output["errors_second"]
    assert np.isfinite(table["classif.ce"]).all()


@ledger.differs("fallback_own_conditions", why="the message says that learner and fallback both failed")
def fallback_fails(case):
    learner = debug(error_train=1)
    learner.fallback = debug(error_train=1)
    message = raised(LearnerError, lambda: learner.train("penguins"))
    assert message.startswith("learner 'classif.debug' failed in train, and its fallback failed too")
    assert message.endswith(case.error)


def toy(y):
    return bm.as_task_classif(pd.DataFrame({"x": np.arange(float(len(y))), "y": y}), "y", id="toy")


@ledger.replays("featureless_mode")
def mode(case):
    task = toy(case.inputs["y"])
    learner = bm.lrn("classif.featureless", predict_type="prob").train(task)
    prediction = learner.predict(task)
    same(prediction.response, case.output["response"])
    same(prediction.prob.iloc[0].to_dict(), case.output["prob_row1"])
    same(dict(zip(task.classes, learner.model["counts"], strict=True)), case.output["tab"])


@ledger.replays("featureless_selected")
def selected(case):
    learner = bm.lrn("classif.featureless").train(toy(["a", "b", "b", "c", "b", "a", "c"]))
    same({"sel": learner.selected_features(), "imp": learner.importance().to_dict()}, case.output)


@ledger.replays("featureless_regr")
def mean_and_median(case):
    y = [float(value) for value in case.inputs["y"]]
    task = bm.as_task_regr(pd.DataFrame({"x": np.arange(float(len(y))), "y": y}), "y", id="toy")
    mean, robust = (
        bm.lrn("regr.featureless", predict_type="se", robust=robust).train(task).predict(task)
        for robust in (False, True)
    )
    found = {"mean": mean.response[0], "se": mean.se[0], "median": robust.response[0], "mad": robust.se[0]}
    same(found, case.output)


KINDS = {"ParamDbl": "dbl", "ParamFct": "fct", "ParamLgl": "lgl", "ParamUty": "uty", "ParamInt": "int"}


def domains_agree(wanted, columns):
    """Compare kind, bounds and default of each parameter of the debug learner with R's row."""
    table = bm.lrn("classif.debug").param_set.table().set_index("id")
    for row in wanted:
        name, kind, lower, upper, last = row
        found = table.loc[name]
        assert found["kind"] == KINDS[kind], name
        if kind in {"ParamDbl", "ParamInt"}:
            same([found["lower"], found["upper"]], [lower, upper])
        if columns[-1] == "nlevels":
            same(found["nlevels"], last)
        elif last == "<NoDefault>":
            assert repr(found["default"]) == repr(bm.lrn("classif.debug").param_set.domains["sleep_train"].default), (
                name
            )
        else:
            same(found["default"], last)
    return set(table.index)


@ledger.replays("debug_param_set")
def debug_parameters(case):
    wanted = rows(case.output)
    assert domains_agree(wanted, case.output["__table__"]["columns"]) == {row[0] for row in wanted}


@ledger.replays(
    "learner_properties",
    but="names of types and packages are Python's; hotstart, marshalling, validation and quantiles are not there",
)
def properties(case):
    for key, wanted in case.output.items():
        learner = bm.lrn(key.replace("rpart", "tree"))
        same(sorted(learner.properties), sorted(set(wanted["properties"]) - LATER_IN_R))
        assert set(learner.predict_types) == set(wanted["predict_types"]) - {"quantiles"}
        expected = {OURS.get(kind, kind) for kind in wanted["feature_types"]}
        assert expected <= set(learner.feature_types)


@ledger.replays("task_type_mismatch", but="in words of its own")
def wrong_type(case):
    assert "does not match" in case.error
    message = raised(ConfigError, lambda: bm.lrn("regr.featureless").train("penguins"))
    assert message.startswith("learner 'regr.featureless' is for regr tasks, task 'penguins' is classif")


@ledger.replays("feature_type_unsupported", but="in words of its own; the column is named, too")
def wrong_feature(case):
    frame = pd.DataFrame({"x": pd.date_range("1970-01-01", periods=4), "y": ["a", "b", "a", "b"]})
    task = bm.as_task_classif(frame, "y", id="times")
    assert "unsupported feature types" in case.error
    message = raised(DataError, lambda: bm.lrn("classif.tree").train(task))
    assert message.startswith("learner 'classif.tree' cannot take column 'x' of task 'times': it is datetime")
