"""The loop between a channel and a pool, in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchml.core.attempt import Ending, Order
from batchml.errors import PoolError
from batchml.testing import FakePool, MemoryChannel, MemoryRegistry, PromptCourier
from batchml.worker.loop import Loop
from batchml.worker.settings import Settings

DONE = {"done"}


class Bench:
    """A worker on one memory registry and one fake pool."""

    def __init__(self, jobs, *, seconds=0.001, slots=2, latency=0.0, experiments=1, ending=Ending.DONE, **rhythm):
        length = seconds if callable(seconds) else lambda _: seconds
        self.registry = MemoryRegistry(jobs, experiments=experiments, live_slots=slots)
        self.pool = FakePool(slots, seconds=length, ending=ending if callable(ending) else lambda _: ending)
        self.channel = MemoryChannel(self.registry)
        self.courier = PromptCourier(self.channel, clock=self.pool.clock, latency=latency)
        self.kept = []
        self.stop = Wish()
        self.settings = Settings(**rhythm)
        self.script = []

    def at(self, moment, action):
        self.script.append((moment, action))
        self.script.sort(key=lambda item: item[0])

    def pause(self, seconds):
        script = [moment for moment, _ in self.script[:1]]
        self.pool.pause(seconds, until=[self.courier.due, *script])
        while self.script and self.script[0][0] <= self.pool.now:
            self.script.pop(0)[1]()
        assert self.pool.now < 10_000, "the worker never ends"

    def run(self):
        self.loop = Loop(
            self.pool,
            self.courier,
            self.settings,
            stop=self.stop,
            keep=self,
            clock=self.pool.clock,
            pause=self.pause,
        )
        return self.loop.run()

    def write(self, outcomes):
        self.kept.extend(outcomes)

    def clear(self):
        self.kept.clear()

    @property
    def states(self):
        return set(self.registry.states().values())

    @property
    def runs(self):
        return [a.job_id for a in self.pool.started]


class Wish:
    order = Order.GO_ON
    descriptors = ()
    grace_s = None


def test_every_job_runs_once_and_the_worker_leaves():
    bench = Bench(1000)
    report = bench.run()
    assert bench.states == DONE
    assert sorted(bench.runs) == list(range(1, 1001))
    assert (report.finished, report.refused, report.undelivered, report.reason) == (1000, 0, 0, "idle")
    assert bench.channel.closed == "idle"
    assert bench.pool.closed
    assert bench.pool.most_at_once == 2


def test_a_broken_pool_ends_the_worker_and_costs_no_result():
    bench = Bench(10, slots=1, seconds=1.0)

    def breaks():
        news = bench.pool.wait

        def wait(timeout):
            outcomes = news(timeout)
            if not outcomes:
                raise PoolError("6 slots in a row died")
            return outcomes

        bench.pool.wait = wait

    bench.at(2.5, breaks)
    with pytest.raises(PoolError, match="6 slots"):
        bench.run()
    assert bench.channel.closed == "6 slots in a row died"
    assert sorted(bench.registry.states().values()) == ["done"] * 2 + ["queued"] * 8
    assert bench.pool.closed


def test_short_jobs_are_exchanged_in_batches():
    bench = Bench(5000, latency=0.005)
    bench.run()
    assert len(bench.channel.calls) < 5000 / 50
    assert bench.pool.now < 5000 * 0.001 / 2 * 1.1, "the slots hardly ever wait for the registry"


def test_an_experiment_that_nobody_measured_gives_one_job_per_slot():
    bench = Bench(10, seconds=30.0)
    bench.run()
    assert max(want for _, _, want in bench.channel.calls) == 2
    assert bench.pool.now == pytest.approx(150.0, abs=1)


def test_long_jobs_are_delivered_when_they_end():
    bench = Bench(2, seconds=lambda a: 5.0 + a.iteration)
    seen = []
    bench.at(5.2, lambda: seen.append(bench.registry.states()))
    bench.run()
    assert seen == [{1: "done", 2: "running"}]


def test_a_worker_beats_while_a_long_job_runs():
    bench = Bench(1, seconds=100.0, beat_s=10)
    bench.run()
    assert len(bench.channel.calls) >= 10


def test_work_that_turns_out_long_goes_back_to_the_queue():
    bench = Bench(600, seconds=lambda a: 0.001 if a.iteration < 300 else 60.0, experiments=2)
    seen = []
    bench.at(5.0, lambda: seen.append(len(bench.registry.open_attempts(1))))
    bench.at(5.0, lambda: setattr(bench.stop, "order", Order.STOP))
    bench.run()
    assert seen == [2], "what was claimed by the measure of the short jobs was released"


def test_the_last_jobs_are_shared():
    bench = Bench(100, latency=0.001)
    other = MemoryChannel(bench.registry, 2)
    got = []
    bench.at(0.020, lambda: got.extend(other.exchange((), (), 100).assignments))
    bench.at(0.021, lambda: bench.registry.lose(2))
    bench.run()
    assert len(got) > 5


def test_a_lost_answer_costs_nothing():
    bench = Bench(100)
    bench.channel.fail_after = 3
    report = bench.run()
    assert bench.states == DONE
    assert sorted(bench.runs) == list(range(1, 101)), "what the lost answers had claimed was taken up, not run twice"
    assert report.refused == 0


def test_a_registry_that_is_away_for_a_minute_stops_nobody():
    bench = Bench(50, seconds=1.0, linger_s=0.1)
    bench.at(5.0, lambda: setattr(bench.channel, "fail_before", 10**9))
    kept = []
    bench.at(64.0, lambda: kept.extend(bench.kept))
    bench.at(65.0, lambda: setattr(bench.channel, "fail_before", 0))
    bench.run()
    assert bench.states == DONE
    assert sorted(bench.runs) == list(range(1, 51))
    assert kept, "after five seconds outcomes are on the local disk too"
    assert not bench.kept, "and are taken off when they were delivered"


def test_outcomes_that_cannot_be_delivered_at_the_end_are_kept():
    bench = Bench(4, seconds=1.0)
    bench.at(0.5, lambda: setattr(bench.channel, "fail_before", 10**9))
    bench.at(1.5, lambda: setattr(bench.stop, "order", Order.DRAIN))
    report = bench.run()
    assert report.undelivered == 2
    assert [outcome.ending for outcome in bench.kept] == [Ending.DONE, Ending.DONE]


def test_a_registry_that_never_comes_back_is_given_up():
    bench = Bench(6, seconds=30.0)
    bench.at(40.0, lambda: setattr(bench.channel, "fail_before", 10**9))
    report = bench.run()
    assert report.reason == "no answer"
    assert 600 < bench.pool.now < 800
    assert len(bench.kept) == report.undelivered > 0


def test_a_backlog_that_was_given_to_others_is_not_started():
    bench = Bench(200, seconds=lambda a: 0.01 if a.iteration < 50 else 0.02)

    def asleep():
        bench.registry.lose(1)
        bench.pool.now += 3600
        bench.seen = [a.job_id for a in bench.pool.started]

    bench.at(0.4, asleep)
    bench.run()
    again = [job for job in set(bench.runs) if bench.runs.count(job) > 1]
    assert set(again) <= set(bench.seen[-2:]), "only what ran when the worker was stopped may run twice"


def test_draining_finishes_what_runs_and_gives_the_rest_back():
    bench = Bench(100, seconds=lambda a: 0.01 if a.iteration < 10 else 3.0)
    bench.at(1.0, lambda: setattr(bench.stop, "order", Order.DRAIN))
    report = bench.run()
    assert report.reason == "drained"
    assert report.finished == 12
    assert sum(state == "done" for state in bench.registry.states().values()) == 12
    assert bench.registry.waiting == 88
    assert bench.pool.now < 5


def test_what_outlasts_the_grace_is_preempted():
    bench = Bench(3, seconds=1000.0, grace_s=20)
    bench.at(1.0, lambda: setattr(bench.stop, "order", Order.DRAIN))
    bench.run()
    assert bench.pool.now == pytest.approx(21, abs=1)
    assert [o.ending for o in bench.registry.outcomes.values()] == [Ending.PREEMPTED] * 2
    assert bench.registry.waiting == 3


def test_stopping_ends_what_runs_at_once():
    bench = Bench(3, seconds=1000.0)
    bench.at(1.0, lambda: setattr(bench.stop, "order", Order.STOP))
    report = bench.run()
    assert report.reason == "stopped"
    assert bench.pool.now < 2
    assert bench.registry.waiting == 3


@pytest.mark.parametrize("order", [Order.DRAIN, Order.STOP])
def test_the_registry_can_stop_a_worker(order):
    bench = Bench(100, seconds=2.0)
    bench.at(3.0, lambda: bench.registry.order.update({1: order}))
    report = bench.run()
    assert report.reason == ("drained" if order is Order.DRAIN else "stopped")
    assert bench.registry.waiting > 80
    assert "running" not in bench.states


def test_a_worker_stopped_before_its_first_claim_claims_nothing():
    bench = Bench(5)
    bench.stop.order = Order.DRAIN
    bench.run()
    assert bench.runs == []
    assert bench.channel.calls == []


def test_a_cancelled_job_ends_and_its_neighbours_do_not():
    bench = Bench(4, seconds=30.0)
    bench.at(5.0, lambda: bench.registry.cancel(1))
    bench.run()
    assert bench.registry.states() == {1: "cancelled", 2: "done", 3: "done", 4: "done"}


def test_a_suspect_runs_alone():
    bench = Bench(20, seconds=0.3)
    other = MemoryChannel(bench.registry, 2)
    other.exchange((), (), 3)
    bench.registry.lose(2)
    bench.run()
    assert bench.states == DONE
    assert sum(a.alone for a in bench.pool.started) == 3


def test_a_failing_job_is_delivered_like_any_other():
    bench = Bench(6, ending=lambda a: Ending.CRASHED if a.iteration == 3 else Ending.DONE)
    bench.run()
    assert sorted(bench.registry.states().values()) == ["done"] * 5 + ["error"]


def test_a_job_that_waits_for_its_next_try_keeps_the_worker():
    bench = Bench(1, ending=lambda a: Ending.INFRASTRUCTURE if a.attempt_id == 1 else Ending.DONE)
    bench.run()
    assert bench.states == DONE
    assert len(bench.runs) == 2


def test_an_error_that_is_no_outage_ends_the_worker_and_keeps_its_outcomes():
    bench = Bench(4, seconds=1.0)

    def broken(*_):
        raise TypeError("a bug")

    bench.at(0.5, lambda: setattr(bench.channel, "exchange", broken))
    with pytest.raises(TypeError, match="a bug"):
        bench.run()
    assert bench.kept
    assert bench.pool.closed


def test_a_lease_shorter_than_three_beats_is_refused():
    with pytest.raises(ValueError, match="three beats"):
        Settings(beat_s=10, lease_s=20)


@settings(max_examples=60, deadline=None)
@given(
    jobs=st.integers(0, 60),
    slots=st.integers(1, 4),
    lengths=st.lists(st.sampled_from([0.0005, 0.004, 0.05, 0.7, 4.0]), min_size=1, max_size=8),
    latency=st.sampled_from([0.0, 0.003, 0.4]),
    faults=st.lists(st.tuples(st.floats(0, 20), st.booleans(), st.integers(1, 4)), max_size=4),
)
def test_whatever_fails_every_job_is_recorded_once(jobs, slots, lengths, latency, faults):
    bench = Bench(jobs, slots=slots, seconds=lambda a: lengths[a.iteration % len(lengths)], latency=latency)
    for moment, after, count in faults:
        bench.at(moment, lambda a=after, c=count: setattr(bench.channel, "fail_after" if a else "fail_before", c))
    report = bench.run()
    assert bench.states <= DONE
    assert sorted(bench.runs) == list(range(1, jobs + 1)), "without deaths no job runs twice"
    assert report.refused == 0
    assert not bench.kept
