"""The policy of a benchmark: which failures of the method get another try."""

import pytest

import batchml as bm
from batchml.core.retry import Retry
from batchml.errors import ConfigError


def test_a_policy_is_read_from_what_users_write_and_written_down_again():
    given = {"timeout": 1, "out_of_memory": 2, "crashed": 0, "memory": "x2"}
    policy = Retry.parse(given)
    assert (policy.timeout, policy.out_of_memory, policy.memory) == (1, 2, 2.0)
    assert Retry.parse(policy.as_json()) == policy
    assert Retry.parse(None).as_json() == {}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"timeouts": 1}, "did you mean 'timeout'"),
        ({"learner_error": 1}, "knows no outcome 'learner_error'"),
        ({"timeout": -1}, "from 0 to 10"),
        ({"timeout": True}, "from 0 to 10"),
        ({"crashed": 99}, "from 0 to 10"),
        ({"out_of_memory": 1}, "needs memory"),
        ({"out_of_memory": 1, "memory": "2G"}, "is a factor"),
        ({"memory": 0.5}, "is a factor"),
        ({"memory": float("nan")}, "is a factor"),
        (3, "is a table"),
    ],
)
def test_what_makes_no_sense_is_refused(given, words):
    with pytest.raises(ConfigError, match=words):
        Retry.parse(given)


def test_a_job_is_tried_again_as_often_as_its_policy_says():
    policy = Retry.parse({"timeout": 2})
    assert [policy.allows("timeout", failed) for failed in (1, 2, 3)] == [True, True, False]
    assert not policy.allows("crashed", 1)
    assert not policy.allows("learner_error", 0)


def test_a_design_carries_its_policy_and_sums_take_the_more_generous():
    one = bm.benchmark_grid("iris", "classif.tree", "cv", retry={"timeout": 1})
    two = bm.benchmark_grid("wine", "classif.tree", "cv", retry={"crashed": 2})
    assert (one + two).retry == Retry(timeout=1, crashed=2)
    with pytest.raises(ConfigError, match="retry"):
        bm.benchmark_grid("iris", "classif.tree", "cv", retry={"time": 1})
