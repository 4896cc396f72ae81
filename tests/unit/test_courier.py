"""Batches that the database refuses are split until the guilty outcome stands alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchml.core.attempt import Ending, Order
from batchml.errors import PoisonedError
from batchml.testing import MemoryChannel, MemoryRegistry, make_outcome
from batchml.worker.channel import ChannelError
from batchml.worker.courier import Request, carry, deliver


def claim_all(jobs):
    registry = MemoryRegistry(jobs, live_slots=1)
    channel = MemoryChannel(registry)
    held = []
    while len(held) < jobs:
        held.extend(channel.exchange((), (), jobs).assignments)
    return registry, channel, held


def poison(outcome):
    return replace(outcome, threads=2**80)


@pytest.mark.parametrize("guilty", [[0], [4], [9], [2, 3], [0, 5, 9], list(range(10))])
def test_the_neighbours_of_a_poisoned_outcome_are_stored(guilty):
    registry, channel, held = claim_all(10)
    outcomes = [poison(make_outcome(a)) if i in guilty else make_outcome(a) for i, a in enumerate(held)]
    answer = deliver(channel, outcomes, (), 0)
    assert answer.lost == ()
    for number, assignment in enumerate(held):
        expected = Ending.INFRASTRUCTURE if number in guilty else Ending.DONE
        assert registry.attempts[assignment.attempt_id].ending is expected
    message = registry.outcomes[held[guilty[0]].attempt_id].message
    assert "integer out of range" in message


def test_a_split_batch_claims_and_releases_once():
    registry, channel, held = claim_all(4)
    registry.order[1] = Order.DRAIN
    outcomes = [poison(make_outcome(held[0])), make_outcome(held[1]), make_outcome(held[2])]
    answer = deliver(channel, outcomes, [held[3].attempt_id], 1)
    assert len(answer.assignments) == 1
    assert answer.order is Order.DRAIN
    assert registry.attempts[held[3].attempt_id].ending is Ending.RELEASED


def test_a_refusal_without_outcomes_is_an_outage():
    channel = MemoryChannel(MemoryRegistry(1))

    def refuse(*_):
        raise PoisonedError("no")

    channel.exchange = refuse
    with pytest.raises(ChannelError, match="without outcomes"):
        deliver(channel, (), (), 1)


def test_an_outcome_whose_very_name_is_refused_does_not_block_the_others():
    _, channel, held = claim_all(2)
    exchange = channel.exchange

    def refuse(outcomes, released, want):
        if any(o.attempt_id == held[0].attempt_id for o in outcomes):
            raise PoisonedError("no")
        return exchange(outcomes, released, want)

    channel.exchange = refuse
    answer = deliver(channel, [make_outcome(a) for a in held], (), 0)
    assert answer.lost == (held[0].attempt_id,)


def test_an_error_is_carried_back():
    channel = MemoryChannel(MemoryRegistry(1))
    channel.fail_before = 1
    reply = carry(channel, Request(want=1))
    assert isinstance(reply.error, ChannelError)
    assert reply.exchange is None


def test_open_attempts_are_read_before_the_exchange():
    _, channel, held = claim_all(2)
    reply = carry(channel, Request(outcomes=(make_outcome(held[0]),), reconcile=True))
    assert {a.attempt_id for a in reply.open_attempts} == {a.attempt_id for a in held}
