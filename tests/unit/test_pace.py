"""Claims are sized by measured run times."""

from __future__ import annotations

from batchml.core.attempt import Assignment
from batchml.testing import make_experiment, make_outcome
from batchml.worker.pace import Pace


def assignment(experiment=1, expected_s=None):
    return Assignment(
        attempt_id=1, job_id=1, iteration=0, experiment=make_experiment(experiment), expected_s=expected_s
    )


def pace(*assignments):
    pace = Pace(0.1)
    pace.expect(assignments)
    return pace


def test_nothing_is_known_before_the_first_claim():
    assert Pace(0.1).target(2) is None


def test_an_unmeasured_experiment_has_no_target():
    assert pace(assignment()).target(2) is None


def test_the_registry_s_measure_counts_until_there_is_an_own_one():
    known = pace(assignment(expected_s=0.01))
    assert known.target(2) == 20
    for _ in range(50):
        known.measure(1, make_outcome(assignment(), wall_s=0.05))
    assert known.target(2) == 4


def test_long_jobs_are_held_one_per_slot():
    assert pace(assignment(expected_s=30.0)).target(3) == 3


def test_the_shortest_jobs_are_bounded():
    assert pace(assignment(expected_s=1e-9)).target(2) == 1024


def test_the_experiment_claimed_last_decides():
    assert pace(assignment(1, 0.001), assignment(2, 1.0)).target(2) == 2
    assert pace(assignment(1, 0.001), assignment(2)).target(2) is None


def test_a_stall_is_a_measure():
    known = pace(assignment(expected_s=0.001))
    known.stall(1, 1.5)
    assert known.target(2) == 2
    known.stall(1, 0.5)
    assert known.target(2) == 2
