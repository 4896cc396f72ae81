"""Stages in a process of their own, limits that really pass: the worst of the debug learner."""

import logging
import os
import signal
import threading
import time

import numpy as np
import pytest

from batchml.core.catalog import lrn, tsk
from batchml.errors import ConfigError, LearnerError, ProcessDiedError, StageTimeoutError
from batchml.execution import iteration
from batchml.execution.limits import thread_limit, time_limit
from batchml.execution.sandbox.session import session_partner

PYTHON_ONLY = "ignore:learner .* in a session the time limit:UserWarning"


class Halves:
    def __init__(self, task):
        self._rows = task.row_ids

    def train_set(self, iteration):
        return self._rows[::2]

    def test_set(self, iteration):
        return self._rows[1::2]


@pytest.fixture(scope="module")
def penguins():
    return tsk("penguins")


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL, logger="batchml.learner")


def swallow():
    """A learner's sleep that ignores whatever tells it to stop politely."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            time.sleep(30)
        except Exception:  # noqa: BLE001
            continue
    return 0


@pytest.mark.parametrize("stage", ["train", "predict"])
def test_a_segmentation_fault_is_survived_and_the_fallback_stands_in(penguins, stage):
    learner = lrn("classif.debug", **{f"segfault_{stage}": 1}, encapsulate="process")
    learner.fallback = "classif.featureless"
    prediction = learner.train(penguins, seed=1).predict(penguins)
    assert learner.errors == [f"process exited with status -{signal.SIGSEGV.value}"]
    assert set(prediction.response) == {"Adelie"}
    learner.when = lambda condition, stage: condition.kind != "died"
    with pytest.raises(ProcessDiedError, match="exited with status -11"):
        learner.train(penguins, seed=1).predict(penguins)


def test_conditions_come_back_from_the_process_in_order(penguins):
    learner = lrn("classif.debug", message_train=1, warning_train=1, error_train=1, encapsulate="process")
    learner.train(penguins, seed=1)
    messages = [f"{word} from classif.debug->train()" for word in ("Message", "Warning", "Error")]
    assert list(learner.log["message"]) == messages
    assert list(learner.log["level"]) == ["output", "warning", "error"]
    assert "_happen" in learner.state.log[-1].traceback
    with pytest.raises(ConfigError, match="Configuration error"):
        lrn("classif.debug", config_error=True, encapsulate="process").train(penguins)


@pytest.mark.parametrize("method", ["none", "capture", "process"])
@pytest.mark.filterwarnings(PYTHON_ONLY)
def test_a_stage_that_takes_too_long_is_stopped(penguins, method):
    learner = lrn("classif.debug", sleep_train=60, encapsulate=method, timeout={"train": 0.3})
    start = time.monotonic()
    if method == "none":
        with pytest.raises(StageTimeoutError, match="reached elapsed time limit"):
            learner.train(penguins)
    else:
        assert learner.train(penguins).errors == ["reached elapsed time limit"]
        assert learner.state.log[-1].kind == "timeout"
    assert time.monotonic() - start < 10


def test_random_results_are_the_same_under_every_encapsulation(penguins):
    said = set()
    for method in ("none", "capture", "process"):
        learner = lrn("classif.debug", predict_type="prob", encapsulate=method)
        result = iteration.run(penguins, learner, Halves(penguins), 0, job_seed=7, store_model=True)
        said.add((result.predictions["test"].to_arrow(), result.model.random_number))
        forest = lrn("classif.random_forest", n_estimators=4, predict_type="prob", encapsulate=method)
        said.add(iteration.run(penguins, forest, Halves(penguins), 0, job_seed=7).predictions["test"].to_arrow())
    assert len(said) == 2


def test_models_come_back_from_the_process_and_predict_here(penguins):
    learner = lrn("classif.tree", encapsulate={"train": "process"}).train(penguins, seed=1)
    here = learner.predict(penguins)
    learner.encapsulate = "process"
    assert (learner.predict(penguins).response == here.response).all()


@pytest.mark.filterwarnings(PYTHON_ONLY)
def test_in_another_thread_a_limit_is_noticed_afterwards(penguins):
    learner = lrn("classif.debug", sleep_train=0.2, encapsulate="capture", timeout={"train": 0.1})
    thread = threading.Thread(target=learner.train, args=(penguins,))
    thread.start()
    thread.join()
    assert learner.errors == ["reached elapsed time limit"]


@pytest.mark.filterwarnings(PYTHON_ONLY)
def test_code_that_swallows_exceptions_is_stopped_too(penguins):
    learner = lrn("classif.debug", sleep_train=swallow, encapsulate="capture", timeout={"train": 0.1})
    start = time.monotonic()
    assert learner.train(penguins).errors == ["reached elapsed time limit"]
    assert time.monotonic() - start < 10


def test_an_outer_alarm_still_rings_after_an_inner_limit():
    def ring(signum, frame):
        raise KeyError("outer")

    before, armed = signal.signal(signal.SIGALRM, ring), signal.getitimer(signal.ITIMER_REAL)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(StageTimeoutError), time_limit(0.05):
            time.sleep(5)
        with pytest.raises(KeyError, match="outer"):
            time.sleep(5)
        assert signal.getsignal(signal.SIGALRM) is ring
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *armed)


def test_a_limit_that_is_not_reached_leaves_nothing_behind():
    handler = signal.getsignal(signal.SIGALRM)
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    with time_limit(5000):
        pass
    assert signal.getitimer(signal.ITIMER_REAL)[0] <= left
    assert signal.getsignal(signal.SIGALRM) == handler


def test_numerical_libraries_use_the_threads_they_are_given():
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    before = [pool["num_threads"] for pool in threadpool_info()]
    with thread_limit(1):
        assert {pool["num_threads"] for pool in threadpool_info()} <= {1}
    assert [pool["num_threads"] for pool in threadpool_info()] == before


def test_a_job_without_a_fallback_ends_without_a_prediction(penguins):
    learner = lrn("classif.debug", segfault_predict=1, encapsulate="process")
    result = iteration.run(penguins, learner, Halves(penguins), 0, job_seed=7)
    assert result.completeness == "none"
    assert [c.kind for c in result.conditions] == ["died"]
    with pytest.raises(LearnerError):
        iteration.run(penguins, lrn("classif.debug", error_train=1), Halves(penguins), 0, job_seed=7)


@pytest.mark.parametrize("method", ["none", "capture", {"train": "process"}])
def test_a_limit_that_a_session_cannot_enforce_warns_when_it_is_set_and_once(penguins, method):
    words = r"learner 'classif.tree': in a session the time limit of .*predict interrupts"
    with pytest.warns(UserWarning, match=words) as caught:
        learner = lrn("classif.tree", timeout=60, encapsulate=method)
    assert [warning.filename for warning in caught] == [__file__]
    learner.timeout = 50
    learner.train(penguins)
    assert len(learner.predict(penguins)) == 344
    learner.clone().train(penguins)
    later = lrn("classif.tree", encapsulate="process")
    later.timeout = 60
    with pytest.warns(UserWarning, match=words):
        later.encapsulate = {"predict": "none"}


def test_a_limit_on_processes_does_not_warn(penguins):
    lrn("classif.featureless", timeout=60, encapsulate="process").train(penguins)
    lrn("classif.featureless").train(penguins)
    lrn("classif.featureless", timeout=0).timeout = None


def test_a_limit_from_a_design_file_warns_where_a_session_runs_it(tmp_path):
    from batchml.experiment.benchmark import benchmark
    from batchml.experiment.design_file import load_design

    (tmp_path / "design.toml").write_text(
        '[benchmark]\nname = "b"\nseed = 1\n[[task]]\nkey = "iris"\n[[resampling]]\nkey = "holdout"\n'
        '[[learner]]\nkey = "classif.featureless"\ntimeout = 60\n'
    )
    design = load_design(tmp_path / "design.toml")  # for workers, maybe
    with pytest.warns(UserWarning, match="in a session"):
        benchmark(design)


def test_a_session_with_thousands_of_open_files_still_has_processes_of_its_own(penguins):
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]  # `select` ends at 1023
    try:
        session_partner().close()
        learner = lrn("classif.debug", segfault_train=1, encapsulate="process", fallback="classif.featureless")
        assert len(learner.train(penguins, seed=1).predict(penguins)) == penguins.n_rows
    finally:
        for file in files:
            os.close(file)
        session_partner().close()
