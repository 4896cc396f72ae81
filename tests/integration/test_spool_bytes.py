"""A worker without a database may be killed at any byte of a write: what is whole counts once, the rest runs again."""

from __future__ import annotations

import io
import itertools
import shutil
import sqlite3
from dataclasses import replace

import pytest
from made_outcome import outcome
from sqlalchemy import func, select

import batchml as bm
from batchml.core.attempt import Ending
from batchml.registry.benchmarks import add
from batchml.registry.processes import here
from batchml.registry.store import Store
from batchml.registry.submissions import submit
from batchml.registry.tables import attempt, job, result
from batchml.testing.contract import claim
from batchml.worker.spool import SpoolChannel
from batchml.worker.spool_plan import open_spool
from batchml.worker.spool_segment import SpoolWorker, read_segment, touched

JOBS = 4


class Stage:
    """A registry and its spool, which can be put back to how they were; an element that has begun three jobs."""

    def __init__(self, folder):
        self.file, self.root = folder / "a.db", folder / "spool"
        self.store = Store.create(f"sqlite:///{self.file}", seed=1)
        add(self.store, bm.benchmark_grid("iris", "classif.featureless", bm.rsmp("subsampling", repeats=JOBS)), "b")
        submission, _ = submit(self.store, resources={"spool": str(self.root)})
        self.spool = open_spool(self.store, submission, str(self.root))
        self.spool.prepare(workers=1, slots=2)
        first = self.element(0)
        held = claim(first, 3)
        self.ends = [self.size(first)]
        for each, ending in zip(held[:2], (Ending.DONE, Ending.LEARNER_ERROR), strict=True):
            first.exchange([outcome(each, ending)], (), 0)
            self.ends.append(self.size(first))
        self.name = first.name
        self.content = self.segment.read_bytes()
        self.held = [each.attempt_id for each in held]
        self.kept = sqlite3.connect(":memory:")
        with sqlite3.connect(self.file) as raw:
            raw.backup(self.kept)
        raw.close()
        shutil.copytree(self.root, folder / "kept")

    @property
    def segment(self):
        return self.spool.folder.segments / self.name

    def size(self, channel):
        return (self.spool.folder.segments / channel.name).stat().st_size

    def element(self, incarnation):
        process = replace(here(), pid=10_000_000 + incarnation, pid_ns="another")
        worker = SpoolWorker(process=process, slots=2, scheduler_id="7_0@c", incarnation=incarnation)
        return SpoolChannel(self.spool.folder, self.store.uuid, worker, orders_s=0.0)

    def put_back(self):
        with sqlite3.connect(self.file) as raw:
            self.kept.backup(raw)
        raw.close()
        shutil.rmtree(self.root)
        shutil.copytree(self.root.with_name("kept"), self.root)

    def whole(self, size):
        """How many outcomes are whole in so many first bytes."""
        return sum(end <= size for end in self.ends[1:])

    def go_on(self):
        """Have the next incarnation do the rest, while somebody syncs."""
        second = self.element(1)
        given, ran = [], []
        for _ in range(8):
            given = list(second.exchange([outcome(each) for each in given], (), JOBS).assignments)
            ran += [each.attempt_id for each in given]
            self.spool.refresh(thorough=True)
        assert not given
        second.close("idle")
        self.spool.refresh(thorough=True)
        return ran

    def counts(self):
        with self.store.read() as connection:
            ended = select(attempt.c.outcome, func.count()).group_by(attempt.c.outcome)
            return dict(connection.execute(ended).all())

    def taken(self):
        """Outcomes of the first incarnation that were taken in."""
        held = attempt.c.id.in_(self.held), attempt.c.outcome.in_(["done", "learner_error"])
        with self.store.read() as connection:
            return set(connection.execute(select(attempt.c.id).where(*held)).scalars())

    def check(self, whole, ran):
        """What was whole counts, once; all the rest was run, by the second incarnation, once."""
        with self.store.read() as connection:
            states = connection.execute(select(job.c.state, func.count()).group_by(job.c.state)).all()
            results = connection.execute(select(func.count()).select_from(result)).scalar()
        errors = int(whole == 2)
        assert dict(states) == {"done": JOBS - errors} | ({"error": 1} if errors else {})
        assert results == JOBS - errors
        counts = self.counts()
        assert (counts["done"], counts.get("learner_error", 0)) == (JOBS - errors, errors)
        assert None not in counts
        assert self.taken() - {*ran} == set(self.held[:whole])
        assert len(ran) == len(set(ran)) == JOBS - whole


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("spool"))
    yield made
    made.store.close()


@pytest.fixture
def stage(shared):
    shared.put_back()
    return shared


def ends_of(content):
    return list(itertools.accumulate(each.size for each in read_segment(io.BytesIO(content), 0)))


def test_of_a_segment_cut_at_any_byte_its_whole_frames_are_read(stage):
    ends = ends_of(stage.content)
    assert ends[-1] == len(stage.content)
    for cut in range(len(stage.content) + 1):
        assert ends_of(stage.content[:cut]) == [end for end in ends if end <= cut]


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80, 0xFF])
def test_of_a_segment_with_any_byte_changed_what_is_before_it_is_read(stage, mask):
    ends = ends_of(stage.content)
    for place in range(len(stage.content)):
        changed = bytearray(stage.content)
        changed[place] ^= mask
        assert ends_of(bytes(changed)) == [end for end in ends if end <= place]


def test_byte_by_byte_each_outcome_is_taken_in_when_it_is_whole_and_never_again(stage):
    """Somebody syncs after each byte of a write."""
    for cut in range(stage.ends[0] - 1, len(stage.content) + 1):
        stage.segment.write_bytes(stage.content[:cut])
        taken = stage.spool.ingest()
        assert taken == (cut in stage.ends[1:])
    assert stage.taken() == set(stage.held[:2])


def places(stage):
    """Each kind of place in each frame, and some more: at all of them the same is read, see above."""
    ends = [0, *ends_of(stage.content)]
    near = {start + step for start in ends for step in (-1, 0, 1, 16)}
    return sorted((near | {*range(0, len(stage.content), 67)}) & {*range(len(stage.content) + 1)})


def test_an_incarnation_after_a_cut_at_any_place_does_the_rest_once(stage):
    for cut in places(stage):
        stage.put_back()
        stage.segment.write_bytes(stage.content[:cut])
        stage.check(stage.whole(cut), stage.go_on())


def test_an_incarnation_after_damage_at_any_place_does_the_rest_once(stage):
    for place in places(stage)[:-1]:
        stage.put_back()
        changed = bytearray(stage.content)
        changed[place] ^= 0xFF
        stage.segment.write_bytes(bytes(changed))
        stage.check(stage.whole(place), stage.go_on())


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("synced", [True, False])
def test_a_segment_that_is_there_twice_counts_once(stage, before, synced):
    if synced:
        stage.spool.ingest()
    twin = "0" * 8 if before else "g" * 8
    (stage.spool.folder.segments / (stage.name[:-8] + twin)).write_bytes(stage.content)
    stage.spool.ingest()
    assert stage.taken() == set(stage.held[:2])
    ran = stage.go_on()
    stage.check(2, ran)


def test_what_an_incarnation_takes_for_begun_is_what_its_predecessor_has_written(stage):
    begin = ends_of(stage.content)[1]
    assert touched(stage.segment) == set(stage.held)
    stage.segment.write_bytes(stage.content[: begin - 1])
    assert touched(stage.segment) == set()
