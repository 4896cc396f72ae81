"""The conformance suite for channels: what every worker relies on, whatever carries it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from batchml.core.attempt import Assignment, Ending, Outcome
from batchml.errors import PoisonedError
from batchml.testing.memory import MemoryChannel, MemoryRegistry, make_outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.worker.channel import Channel

__all__ = ["ChannelContract", "ChannelHarness", "MemoryHarness"]


class ChannelHarness(Protocol):
    """A registry with queued jobs, as a suite needs it."""

    def connect(self) -> Channel:
        """Return the channel of a new worker."""
        ...

    def outcome(self, assignment: Assignment, ending: Ending = Ending.DONE) -> Outcome:
        """Return an outcome that this registry can store."""
        ...

    def states(self) -> Mapping[int, str]:
        """Return job id to state."""
        ...

    def cancel(self, job_id: int) -> None:
        """Cancel a job, running or not."""
        ...

    def lose(self, channel: Channel) -> None:
        """Find that the worker of this channel is dead."""
        ...


class MemoryHarness:
    """The harness over `MemoryRegistry`."""

    def __init__(self, jobs: int) -> None:
        self.registry = MemoryRegistry(jobs)
        self._workers = 0

    def connect(self) -> MemoryChannel:
        """Return the channel of a new worker."""
        self._workers += 1
        return MemoryChannel(self.registry, self._workers)

    def outcome(self, assignment: Assignment, ending: Ending = Ending.DONE) -> Outcome:
        """Return an outcome."""
        return make_outcome(assignment, ending)

    def states(self) -> Mapping[int, str]:
        """Return job id to state."""
        return self.registry.states()

    def cancel(self, job_id: int) -> None:
        """Cancel a job."""
        self.registry.cancel(job_id)

    def lose(self, channel: Channel) -> None:
        """Find that a worker is dead."""
        assert isinstance(channel, MemoryChannel)
        self.registry.lose(channel.worker)


def claim(channel: Channel, count: int) -> list[Assignment]:
    """Claim until `count` assignments came: a registry may give less than wanted, but not nothing while it has some."""
    held: list[Assignment] = []
    while len(held) < count:
        new = channel.exchange((), (), count - len(held)).assignments
        assert 0 < len(new) <= count - len(held), "no more than was wanted, and something while jobs wait"
        held.extend(new)
    return held


class ChannelContract:
    """Inherit, implement `make`, and pytest runs the suite over your channel."""

    def make(self, jobs: int) -> ChannelHarness:
        """Return a registry with so many queued jobs of one experiment."""
        raise NotImplementedError

    def test_a_claim_gives_at_most_what_was_wanted(self) -> None:
        """Jobs come in order, each once, with what is needed to run them."""
        channel = self.make(5).connect()
        held = claim(channel, 5)
        assert [a.iteration for a in held] == [0, 1, 2, 3, 4]
        assert len({a.attempt_id for a in held}) == len({a.job_id for a in held}) == 5
        assert held[0].experiment.digest
        assert not any(a.alone for a in held)
        empty = channel.exchange((), (), 3)
        assert empty.assignments == ()
        assert empty.waiting == 0

    def test_a_beat_without_wishes_changes_nothing(self) -> None:
        """Neither outcomes, nor released, nor want."""
        harness = self.make(2)
        answer = harness.connect().exchange((), (), 0)
        assert not answer.assignments
        assert answer.waiting > 0
        assert set(harness.states().values()) == {"queued"}

    def test_no_job_goes_to_two_workers(self) -> None:
        """Two workers share a queue."""
        harness = self.make(10)
        one, two = harness.connect(), harness.connect()
        jobs = [a.job_id for _ in range(20) for c in (one, two) for a in c.exchange((), (), 2).assignments]
        assert sorted(jobs) == sorted(harness.states())

    def test_a_delivered_outcome_ends_its_job(self) -> None:
        """Deliver and claim in one call."""
        harness = self.make(3)
        channel = harness.connect()
        first, second = claim(channel, 2)
        failed = harness.outcome(second, Ending.LEARNER_ERROR)
        answer = channel.exchange([harness.outcome(first), failed], (), 1)
        assert answer.lost == ()
        assert len(answer.assignments) == 1
        states = harness.states()
        assert (states[first.job_id], states[second.job_id]) == ("done", "error")

    def test_delivering_twice_is_not_a_loss(self) -> None:
        """The answer to the first delivery may have been lost on its way."""
        harness = self.make(1)
        channel = harness.connect()
        (assignment,) = claim(channel, 1)
        outcome = harness.outcome(assignment)
        assert channel.exchange([outcome], (), 0).lost == ()
        assert channel.exchange([outcome], (), 0).lost == ()
        assert harness.states()[assignment.job_id] == "done"

    def test_an_attempt_closed_in_another_way_refuses_its_outcome(self) -> None:
        """The first word counts."""
        harness = self.make(1)
        channel = harness.connect()
        (assignment,) = claim(channel, 1)
        channel.exchange([harness.outcome(assignment)], (), 0)
        answer = channel.exchange([harness.outcome(assignment, Ending.LEARNER_ERROR)], (), 0)
        assert answer.lost == (assignment.attempt_id,)
        assert harness.states()[assignment.job_id] == "done"

    def test_a_released_job_can_be_claimed_again_at_once(self) -> None:
        """It was never started, so nothing is suspect about it."""
        harness = self.make(1)
        one, two = harness.connect(), harness.connect()
        (assignment,) = claim(one, 1)
        assert one.exchange((), [assignment.attempt_id], 0).waiting == 1
        (again,) = two.exchange((), (), 1).assignments
        assert again.job_id == assignment.job_id
        assert again.attempt_id != assignment.attempt_id
        assert not again.alone
        assert one.exchange((), [assignment.attempt_id], 0).waiting == 0, "releasing twice must not take it from others"

    def test_open_attempts_are_what_was_claimed_and_not_closed(self) -> None:
        """So a worker finds out what an exchange without an answer did."""
        harness = self.make(4)
        channel = harness.connect()
        claimed = claim(channel, 4)
        channel.exchange([harness.outcome(claimed[0])], [claimed[1].attempt_id], 0)
        still = sorted(channel.open_attempts(), key=lambda a: a.attempt_id)
        assert [a.attempt_id for a in still] == sorted(a.attempt_id for a in claimed[2:])
        assert {a.experiment.digest for a in still} == {claimed[0].experiment.digest}
        assert {a.iteration for a in still} == {a.iteration for a in claimed[2:]}
        assert not harness.connect().open_attempts()

    def test_a_cancelled_attempt_comes_back_as_an_order(self) -> None:
        """Whatever the worker then reports about it changes nothing."""
        harness = self.make(2)
        channel = harness.connect()
        assignment, _ = claim(channel, 2)
        harness.cancel(assignment.job_id)
        assert channel.exchange((), (), 0).cancel == (assignment.attempt_id,)
        channel.exchange([harness.outcome(assignment, Ending.CANCELLED)], (), 0)
        assert harness.states()[assignment.job_id] == "cancelled"

    def test_a_preempted_job_is_queued_again(self) -> None:
        """Its worker had to leave."""
        harness = self.make(1)
        channel = harness.connect()
        (assignment,) = claim(channel, 1)
        answer = channel.exchange([harness.outcome(assignment, Ending.PREEMPTED)], (), 0)
        assert answer.waiting == 1
        assert harness.states()[assignment.job_id] == "queued"

    def test_the_job_of_a_dead_worker_is_a_suspect(self) -> None:
        """It comes alone, to a worker that holds nothing else."""
        harness = self.make(1)
        dead = harness.connect()
        (lost,) = claim(dead, 1)
        harness.lose(dead)
        (assignment,) = harness.connect().exchange((), (), 2).assignments
        assert assignment.job_id == lost.job_id
        assert assignment.alone

    def test_several_suspects_are_not_held_together(self) -> None:
        """Else one death would be charged to all of them."""
        harness = self.make(3)
        dead = harness.connect()
        claim(dead, 3)
        harness.lose(dead)
        channel = harness.connect()
        (first,) = channel.exchange((), (), 3).assignments
        assert channel.exchange((), (), 3).assignments == ()
        (second,) = channel.exchange([harness.outcome(first)], (), 3).assignments
        assert second.alone
        assert second.job_id != first.job_id

    def test_a_poisoned_batch_commits_nothing(self) -> None:
        """The worker splits it until the guilty outcome stands alone."""
        harness = self.make(2)
        channel = harness.connect()
        good, bad = claim(channel, 2)
        poison = replace(harness.outcome(bad), threads=2**80)
        try:
            channel.exchange([harness.outcome(good), poison], (), 0)
        except PoisonedError:
            assert {a.attempt_id for a in channel.open_attempts()} == {good.attempt_id, bad.attempt_id}
        else:
            raise AssertionError("no database takes an integer of 80 bits")
        assert channel.exchange([harness.outcome(good)], (), 0).lost == ()
