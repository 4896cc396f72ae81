import pytest

from batchml.core.policy import could_change, reasons

LIMIT_1 = {"format": 1, "timeout": {"train": 1.0}}
LIMIT_5 = {"format": 1, "timeout": {"train": 5.0}}
PLAIN = {"format": 1}
CAPTURE = {"format": 1, "encapsulate": {"train": "capture", "predict": "capture"}}
PROCESS = {"format": 1, "encapsulate": {"train": "process", "predict": "process"}}
FALLBACK = {**CAPTURE, "fallback": {"id": "a", "model": {"key": "classif.featureless"}}}
RENAMED = {**CAPTURE, "fallback": {"id": "b", "model": {"key": "classif.featureless"}}}


def test_the_same_policy_changes_nothing():
    for policy in (PLAIN, LIMIT_1, FALLBACK):
        assert not could_change(policy, policy, ending="learner_error", n_errors=3, completeness="none")
    assert not could_change(FALLBACK, RENAMED, ending="done", n_errors=1, completeness="imputed")


def test_a_raised_limit_re_runs_only_what_hit_the_old_one():
    jobs = [{"ending": "timeout"} if i % 33 == 1 else {"ending": "done", "fit_s": 0.4} for i in range(100)]
    assert sum(could_change(LIMIT_1, LIMIT_5, **job) for job in jobs) == 3
    kept_in = {"ending": "done", "n_errors": 1, "fit_s": 1.01, "completeness": "imputed"}
    assert reasons({**FALLBACK, **LIMIT_1}, {**FALLBACK, **LIMIT_5}, **kept_in) == ("hit the old train limit",)
    failed_early = {**kept_in, "fit_s": 0.2}
    assert not could_change({**FALLBACK, **LIMIT_1}, {**FALLBACK, **LIMIT_5}, **failed_early)


def test_a_lowered_limit_re_runs_only_what_took_longer():
    assert could_change(LIMIT_5, LIMIT_1, ending="done", fit_s=2.0)
    assert not could_change(LIMIT_5, LIMIT_1, ending="done", fit_s=0.5)
    assert could_change(PLAIN, LIMIT_1, ending="done", fit_s=2.0)


@pytest.mark.parametrize(
    ("job", "again"),
    [
        ({"ending": "done"}, False),
        ({"ending": "done", "completeness": "partial"}, True),
        ({"ending": "done", "completeness": "none", "n_errors": 1}, True),
        ({"ending": "learner_error"}, True),
        ({"ending": None}, False),
        ({"ending": "cancelled"}, False),
    ],
)
def test_a_new_fallback_re_runs_what_failed_or_left_rows_out(job, again):
    assert could_change(CAPTURE, FALLBACK, **job) is again


def test_a_removed_fallback_re_runs_what_it_filled():
    assert could_change(FALLBACK, CAPTURE, ending="done", completeness="imputed", n_imputed=3)
    assert not could_change(FALLBACK, CAPTURE, ending="done")


def test_stronger_encapsulation_re_runs_only_what_it_could_have_kept_in():
    assert could_change(PLAIN, CAPTURE, ending="learner_error")
    assert not could_change(PLAIN, CAPTURE, ending="crashed")
    assert could_change(PLAIN, PROCESS, ending="crashed")
    assert could_change(CAPTURE, PROCESS, ending="out_of_memory")
    assert not could_change(PLAIN, PROCESS, ending="done")
    assert could_change(CAPTURE, PLAIN, ending="done", n_errors=1)


def test_models_predict_sets_and_threads_ask_for_what_is_not_there():
    store = {**PLAIN, "store_models": True}
    assert could_change(PLAIN, store, ending="done")
    assert not could_change(PLAIN, store, ending="done", has_model=True)
    assert not could_change(store, PLAIN, ending="done", has_model=True)
    both = {**PLAIN, "predict_sets": ["train", "test"]}
    assert could_change(PLAIN, both, ending="done")
    assert not could_change(both, PLAIN, ending="done")
    assert could_change(PLAIN, {**PLAIN, "threads": 2}, ending="done")
