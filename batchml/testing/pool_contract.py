"""The conformance suite for pools: what the loop relies on, wherever iterations run."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Assignment, Ending

if TYPE_CHECKING:
    from batchml.core.attempt import Experiment, Outcome
    from batchml.worker.pool import Pool

__all__ = ["PoolContract"]

_PATIENCE_S = 60.0


class PoolContract:
    """Inherit, implement `make` and `experiment`, and pytest runs the suite over your pool."""

    timeout_s = 3.0
    """The limit of one iteration in the pools that `make` returns."""

    _attempts = 0

    def make(self) -> Pool:
        """Return a pool with two slots, which the suite closes or which is closed after each test."""
        raise NotImplementedError

    def experiment(self, **params: Any) -> Experiment:
        """Return the experiment of ``classif.debug`` with parameters, whose data the pool can read; 3 iterations."""
        raise NotImplementedError

    def assign(self, experiment: Experiment, iteration: int = 0) -> Assignment:
        """Return a new assignment."""
        PoolContract._attempts += 1
        number = PoolContract._attempts
        return Assignment(attempt_id=number, job_id=1000 + number, iteration=iteration, experiment=experiment)

    def test_every_assignment_comes_back_once(self) -> None:
        """With its result, its log and what was measured."""
        pool = self.make()
        experiment = self.experiment(message_train=1.0)
        sent = [self.assign(experiment, iteration % 3) for iteration in range(12)]
        outcomes = run(pool, sent)
        assert sorted(outcomes) == sorted(one.attempt_id for one in sent)
        for one in sent:
            outcome = outcomes[one.attempt_id]
            assert (outcome.job_id, outcome.ending) == (one.job_id, Ending.DONE)
            assert outcome.result is not None
            assert outcome.wall_s is not None
        kinds = {one.iteration: outcomes[one.attempt_id].result.predictions["test"] for one in sent}  # type: ignore[union-attr]
        assert len(set(kinds.values())) == 3
        assert all(outcomes[one.attempt_id].result.predictions["test"] == kinds[one.iteration] for one in sent)  # type: ignore[union-attr]
        assert not pool.running

    def test_it_takes_no_more_than_it_says(self) -> None:
        """Beyond that a submission is a mistake of the caller."""
        pool = self.make()
        experiment = self.experiment(sleep_train=0.2)
        sent: list[Assignment] = []
        while pool.room:
            assert len(sent) < 10_000
            sent.append(self.assign(experiment))
            pool.submit(sent[-1])
        assert len(sent) >= pool.slots
        try:
            pool.submit(self.assign(experiment))
        except RuntimeError:
            pass
        else:
            raise AssertionError("it took more")
        assert set(pool.running) == {one.attempt_id for one in sent}
        pool.close()

    def test_a_crash_costs_one_job(self) -> None:
        """Its neighbours and successors do not notice."""
        pool = self.make()
        bad, good = self.experiment(segfault_train=1.0), self.experiment()
        sent = [self.assign(experiment) for experiment in (good, bad, good, bad, good)]
        outcomes = run(pool, sent)
        endings = [outcomes[one.attempt_id].ending for one in sent]
        assert endings == [Ending.DONE, Ending.CRASHED, Ending.DONE, Ending.CRASHED, Ending.DONE]

    def test_an_exception_is_the_learner_s(self) -> None:
        """Told with class, message and traceback."""
        one = self.assign(self.experiment(error_train=1.0))
        outcome = run(self.make(), [one])[one.attempt_id]
        assert outcome.ending is Ending.LEARNER_ERROR
        assert outcome.message
        assert outcome.traceback

    def test_a_limit_of_time_is_held(self) -> None:
        """Whatever the learner does."""
        one = self.assign(self.experiment(sleep_train=60.0))
        outcome = run(self.make(), [one])[one.attempt_id]
        assert outcome.ending is Ending.TIMEOUT

    def test_what_is_cancelled_comes_back_so(self) -> None:
        """Running or waiting; unknown attempts are ignored, and others go on."""
        pool = self.make()
        slow, quick = self.experiment(sleep_train=60.0), self.experiment()
        sent = [self.assign(slow), self.assign(quick)]
        for one in sent:
            pool.submit(one)
        first = collect(pool, 1)
        assert list(first) == [sent[1].attempt_id]
        pool.cancel(10**9, Ending.CANCELLED)
        pool.cancel(sent[0].attempt_id, Ending.SUPERSEDED)
        second = collect(pool, 1)
        assert second[sent[0].attempt_id].ending is Ending.SUPERSEDED
        after = self.assign(quick)
        assert run(pool, [after])[after.attempt_id].ending is Ending.DONE

    def test_what_has_not_begun_can_be_recalled(self) -> None:
        """It is `released`; what runs goes on."""
        pool = self.make()
        experiment = self.experiment(sleep_train=1.0)
        sent: list[Assignment] = []
        while pool.room:
            sent.append(self.assign(experiment))
            pool.submit(sent[-1])
        time.sleep(0.5)
        pool.recall()
        outcomes = collect(pool, len(sent))
        endings = [outcomes[one.attempt_id].ending for one in sent]
        assert set(endings) <= {Ending.DONE, Ending.RELEASED}
        assert Ending.DONE in endings

    def test_closing_ends_what_runs(self) -> None:
        """`preempted`, at once, and once."""
        pool = self.make()
        experiment = self.experiment(sleep_train=60.0)
        sent = [self.assign(experiment) for _ in range(2)]
        for one in sent:
            pool.submit(one)
        time.sleep(0.5)
        begin = time.monotonic()
        outcomes = pool.close()
        assert time.monotonic() - begin < 10
        assert sorted(one.attempt_id for one in outcomes) == sorted(one.attempt_id for one in sent)
        assert {one.ending for one in outcomes} == {Ending.PREEMPTED}
        assert not pool.close()

    def test_news_can_be_polled_for(self) -> None:
        """The descriptor becomes readable when something ends."""
        pool = self.make()
        pool.submit(self.assign(self.experiment(sleep_train=0.3)))
        poll = select.poll()
        poll.register(pool.fileno(), select.POLLIN)
        end = time.monotonic() + _PATIENCE_S
        done: list[Outcome] = []
        while not done:
            assert time.monotonic() < end
            poll.poll(1000)
            done = pool.wait(0)
        assert done[0].ending is Ending.DONE


def run(pool: Pool, assignments: list[Assignment]) -> dict[int, Outcome]:
    """Submit assignments as there is room and return their outcomes by attempt."""
    left = list(assignments)
    found: dict[int, Outcome] = {}
    while len(found) < len(assignments):
        while left and pool.room:
            pool.submit(left.pop(0))
        found.update(collect(pool, 1))
    return found


def collect(pool: Pool, count: int) -> dict[int, Outcome]:
    """Wait for at least so many outcomes."""
    end = time.monotonic() + _PATIENCE_S
    found: dict[int, Outcome] = {}
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} outcomes came"
        for outcome in pool.wait(1.0):
            assert outcome.attempt_id not in found, "an attempt came back twice"
            found[outcome.attempt_id] = outcome
    return found
