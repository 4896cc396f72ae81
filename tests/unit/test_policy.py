import pytest

from batchml.core.policy import Ran, why_again

LIMIT_1 = {"format": 1, "timeout": {"train": 1.0}}
LIMIT_5 = {"format": 1, "timeout": {"train": 5.0}}
PLAIN = {"format": 1}
CAPTURE = {"format": 1, "encapsulate": {"train": "capture", "predict": "capture"}}
PROCESS = {"format": 1, "encapsulate": {"train": "process", "predict": "process"}}
FALLBACK = {**CAPTURE, "fallback": {"id": "a", "model": {"key": "classif.featureless"}}}
RENAMED = {**CAPTURE, "fallback": {"id": "b", "model": {"key": "classif.featureless"}}}

HIT = "hit the old limit"
LONGER = "took longer than the new limit"
OTHERWISE = "failed, which the new policy handles otherwise"


def done(completeness="full", **fields):
    return Ran(**({"outcome": "done", "completeness": completeness, "fit_s": 0.4, "predict_s": 0.1} | fields))


def failed(outcome="learner_error", **fields):
    return Ran(outcome=outcome, **fields)


@pytest.mark.parametrize("policy", [PLAIN, LIMIT_1, FALLBACK])
@pytest.mark.parametrize("ran", [done(), done("none", errors=True), failed(), failed("timeout", timed_out=True)])
def test_the_same_policy_changes_nothing(policy, ran):
    assert why_again(policy, policy, ran) is None


def test_the_label_of_a_fallback_changes_nothing():
    assert why_again(FALLBACK, RENAMED, done("imputed", errors=True)) is None


def test_a_raised_limit_re_runs_only_what_hit_the_old_one():
    jobs = [failed("timeout", timed_out=True) if i % 33 == 1 else done() for i in range(100)]
    assert [why_again(LIMIT_1, LIMIT_5, job) for job in jobs].count(HIT) == 3
    assert [why_again(LIMIT_1, LIMIT_5, job) for job in jobs].count(None) == 97
    assert why_again(LIMIT_1, PLAIN, jobs[1]) == HIT
    old, new = {**FALLBACK, **LIMIT_1}, {**FALLBACK, **LIMIT_5}
    assert why_again(old, new, done("imputed", errors=True, timed_out=True, fit_s=1.01)) == HIT
    assert why_again(old, new, done("imputed", errors=True, fit_s=0.2)) is None


def test_a_lowered_limit_re_runs_only_what_took_longer():
    assert why_again(LIMIT_5, LIMIT_1, done(fit_s=2.0)) == LONGER
    assert why_again(PLAIN, LIMIT_1, done(fit_s=2.0)) == LONGER
    assert why_again(LIMIT_5, LIMIT_1, done(fit_s=0.5)) is None
    assert why_again(LIMIT_5, LIMIT_1, failed("timeout", timed_out=True)) is None


@pytest.mark.parametrize(
    ("ran", "reason"),
    [
        (done(), None),
        (done("partial"), OTHERWISE),
        (done("none", errors=True), OTHERWISE),
        (failed(), OTHERWISE),
    ],
)
def test_a_new_fallback_re_runs_what_failed_or_left_rows_out(ran, reason):
    assert why_again(CAPTURE, FALLBACK, ran) == reason


def test_a_removed_fallback_re_runs_what_it_filled():
    assert why_again(FALLBACK, CAPTURE, done("imputed")) == OTHERWISE
    assert why_again(FALLBACK, CAPTURE, done()) is None


@pytest.mark.parametrize(
    ("old", "new", "ran", "reason"),
    [
        (PLAIN, CAPTURE, failed(), OTHERWISE),
        (PLAIN, CAPTURE, failed("crashed"), None),
        (PLAIN, CAPTURE, failed("out_of_memory"), OTHERWISE),
        (PLAIN, PROCESS, failed("crashed"), OTHERWISE),
        (CAPTURE, PROCESS, failed("out_of_memory"), OTHERWISE),
        (PLAIN, PROCESS, done(), None),
        (PLAIN, PROCESS, failed("config_error"), None),
        (CAPTURE, PLAIN, done("none", errors=True), OTHERWISE),
        (CAPTURE, PLAIN, done(), None),
    ],
)
def test_another_encapsulation_re_runs_only_what_it_could_keep_in_or_let_out(old, new, ran, reason):
    assert why_again(old, new, ran) == reason


def test_models_predict_sets_and_threads_ask_for_what_is_not_there():
    store = {**PLAIN, "store_models": True}
    assert why_again(PLAIN, store, done()) == "have no stored model"
    assert why_again(PLAIN, store, done(model_stored=True)) is None
    assert why_again(store, PLAIN, done(model_stored=True)) is None
    both = {**PLAIN, "predict_sets": ["train", "test"]}
    assert why_again(PLAIN, both, done()) == "lack predictions of the train set"
    assert why_again(both, PLAIN, done()) is None
    assert why_again(PLAIN, {**PLAIN, "threads": 2}, done()) == "ran with 1 threads, which changes last digits"
