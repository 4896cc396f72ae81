"""What a worker holds: large outcomes go to the registry soon, and few at a time."""

from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.worker.hand import Hand
from batchml.worker.rhythm import Rhythm
from batchml.worker.settings import Settings

MB = 1 << 20


def outcome(number, size):
    result = JobResult(completeness="full", predictions={"test": bytes(size)}, scores=(), n=1)
    return Outcome(attempt_id=number, job_id=number, ending=Ending.DONE, result=result)


def packed(hand):
    return [one.attempt_id for one in hand.pack(want=0, reconcile=False, now=0.0).outcomes]


def test_small_outcomes_go_together():
    hand = Hand()
    hand.put([outcome(i, 1000) for i in range(500)], 0.0)
    assert not hand.heavy
    assert packed(hand) == list(range(500))


def test_large_outcomes_go_one_at_a_time_and_in_order():
    hand = Hand()
    hand.put([outcome(0, 10), outcome(1, 24 * MB), outcome(2, 24 * MB), outcome(3, 10)], 0.0)
    assert [packed(hand) for _ in range(4)] == [[0], [1], [2], [3]]
    assert hand.outbox == []
    assert not hand.heavy


def test_what_came_to_no_answer_is_carried_again_before_the_rest():
    hand = Hand()
    hand.put([outcome(i, 10 * MB) for i in range(3)], 0.0)
    assert packed(hand) == [0]
    hand.unpack()
    assert hand.heavy
    assert packed(hand) == [0]


def test_a_large_outcome_waits_for_no_others():
    hand, rhythm = Hand(), Rhythm(Settings(linger_s=5.0), 0.0)
    rhythm.post(0.0)
    hand.put([outcome(0, 1000)], 0.0)
    assert rhythm.due(hand) == 5.0
    hand.put([outcome(1, 5 * MB)], 0.0)
    assert rhythm.due(hand) < 0.0
