"""Outcomes on the local disk: written, torn, ingested."""

from __future__ import annotations

import io
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.core.conditions import Condition
from batchml.executors.complaints import standing
from batchml.registry.rescue import reconcile
from batchml.registry.store import Store
from batchml.testing.contract import claim
from batchml.worker.direct import DirectChannel
from batchml.worker.frames import decode_outcome, encode_outcome, read_frames, write_frame
from batchml.worker.home import undelivered_folder
from batchml.worker.undelivered import LocalKeep, ingest

FULL = Outcome(
    attempt_id=7,
    job_id=3,
    ending=Ending.DONE,
    signal=None,
    message="a\udcffb",
    conditions=(Condition(stage="train", level="warning", message="hm", kind="UserWarning"),),
    log="line\n",
    fit_s=0.25,
    peak_mb=10.5,
    threads=1,
    dirty=("threads",),
    result=JobResult(
        completeness="partial",
        predictions={"test": b"\0\1\2", "train": b""},
        scores=((1, 0.5), (2, math.inf), (3, None)),
        n=10,
        n_missing=1,
        model=b"opaque",
    ),
)


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "state"))


def test_an_outcome_survives_being_written_down():
    assert decode_outcome(encode_outcome(FULL)) == FULL


def test_a_score_that_is_no_number_survives():
    result = JobResult(completeness="none", predictions={}, scores=((1, math.nan),), n=1)
    again = decode_outcome(encode_outcome(Outcome(attempt_id=1, job_id=1, ending=Ending.DONE, result=result)))
    assert math.isnan(again.result.scores[0][1])


def payloads_of(data):
    return [each.payload for each in read_frames(io.BytesIO(data))]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(0, 300), st.integers(0, 255))
def test_a_torn_or_damaged_file_gives_its_sound_beginning(payloads, position, value):
    file = io.BytesIO()
    for payload in payloads:
        write_frame(file, payload)
    data = bytearray(file.getvalue())
    assert payloads_of(data) == payloads
    torn = payloads_of(data[:position])
    assert torn == payloads[: len(torn)]
    if position < len(data):
        data[position] = value
        read = payloads_of(data)
        assert all(frame == payload for frame, payload in zip(read, payloads, strict=False)) or len(read) <= 1


@pytest.fixture
def bench(registry_url):
    import batchml as bm
    from batchml.registry.benchmarks import add
    from batchml.registry.submissions import submit
    from batchml.registry.workers import register_worker

    with Store.create(registry_url, seed=1) as store:
        add(store, bm.benchmark_grid("iris", "classif.featureless", bm.rsmp("subsampling", repeats=4)), "b")
        submission, _ = submit(store)
        worker = register_worker(store, submission, slots=2)
        yield store, DirectChannel(store, worker)


def done(assignment):
    scores = tuple((key, 0.5) for key, _ in assignment.experiment.measures)
    result = JobResult(completeness="full", predictions={"test": b"arrow"}, scores=scores, n=10)
    return Outcome(
        attempt_id=assignment.attempt_id, job_id=assignment.job_id, ending=Ending.DONE, wall_s=0.01, result=result
    )


def states(store):
    from batchml.registry.jobs import find

    return sorted(find(store)["state"])


def files(store):
    folder = undelivered_folder(store.uuid)
    return list(folder.iterdir()) if folder.is_dir() else []


def test_what_a_dead_worker_left_is_ingested_before_its_jobs_are_queued_again(bench):
    store, channel = bench
    first, second = claim(channel, 2)
    keep = LocalKeep(store.uuid, channel.worker_id)
    keep.write([done(first)])
    keep.leave()
    assert ingest(store) == 1
    assert files(store) == []
    assert states(store) == ["done", "queued", "queued", "running"]
    assert ingest(store) == 0
    assert second.job_id != first.job_id


def test_a_result_that_comes_after_its_worker_was_declared_lost_still_counts(bench):
    store, channel = bench
    first, _ = claim(channel, 2)
    keep = LocalKeep(store.uuid, channel.worker_id)
    keep.write([done(first)])
    keep.leave()
    reconcile(store, assume_dead=[channel.worker_id])
    assert states(store) == ["queued"] * 4
    assert ingest(store) == 1
    assert states(store) == ["done", "queued", "queued", "queued"]


def test_the_file_of_a_living_worker_is_left_alone(bench):
    store, channel = bench
    (first,) = claim(channel, 1)
    keep = LocalKeep(store.uuid, channel.worker_id)
    keep.write([done(first)])
    assert ingest(store) == 0
    assert len(files(store)) == 1
    keep.clear()
    assert files(store) == []


def test_a_torn_file_gives_what_is_whole(bench):
    store, channel = bench
    first, second = claim(channel, 2)
    keep = LocalKeep(store.uuid, channel.worker_id)
    keep.write([done(first), done(second)])
    keep.leave()
    (path,) = files(store)
    path.write_bytes(path.read_bytes()[:-3])
    assert ingest(store) == 1


def test_what_the_database_refuses_does_not_block_the_rest(bench):
    from dataclasses import replace

    store, channel = bench
    first, second = claim(channel, 2)
    keep = LocalKeep(store.uuid, channel.worker_id)
    keep.write([replace(done(first), threads=2**80), done(second)])
    keep.leave()
    ingest(store)
    assert files(store) == []
    assert "done" in states(store)


def test_a_disk_that_refuses_is_no_reason_to_die(bench, monkeypatch, caplog, tmp_path):
    store, _ = bench
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BATCHML_STATE", str(tmp_path / "file"))
    LocalKeep(store.uuid, 1).write([FULL])
    assert "cannot keep" in caplog.text


# What workers complain about ------------------------------------------------------------------------------------------

BEGAN = "2026-11-22 07:00:00,000 INFO worker 3, submission 1, 2 slots\n"
AWAY = "2026-11-22 07:00:01,000 WARNING the registry did not answer, trying on: %s\n"
KEEPING = "2026-11-22 07:00:06,000 WARNING keeping %d undelivered outcomes in /here\n"
BACK = "2026-11-22 07:00:09,000 WARNING the registry answers again, after 8.0 s\n"
LEFT = "2026-11-22 07:00:09,000 INFO left (drained): 9 outcomes, 0 refused, %d undelivered\n"
UNFIT = "2026-11-22 07:00:01,000 WARNING no Dask worker is fit for these jobs\n"
FIT = "2026-11-22 07:00:09,000 INFO no Dask worker is missing any more\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BEGAN, []),
        (BEGAN + AWAY % "gone", ["the registry did not answer, trying on: gone"]),
        (BEGAN + KEEPING % 2 + KEEPING % 5, ["keeping 5 undelivered outcomes in /here"]),
        (BEGAN + AWAY % "gone" + KEEPING % 2 + BACK, []),
        (
            BEGAN + AWAY % "gone" + "Traceback\n" + BACK + AWAY % "full",
            ["the registry did not answer, trying on: full"],
        ),
        (BEGAN + KEEPING % 2 + LEFT % 0, []),
        (BEGAN + UNFIT + AWAY % "gone" + FIT, ["the registry did not answer, trying on: gone"]),
        (BEGAN + KEEPING % 2 + LEFT % 2, ["it has left, 2 outcomes undelivered; `batchml resume` goes on"]),
        (BEGAN + "INFO padding\n" * 10_000 + AWAY % "gone", ["the registry did not answer, trying on: gone"]),
    ],
)
def test_of_what_a_worker_has_complained_about_the_last_counts_until_it_is_settled(tmp_path, text, said):
    (tmp_path / "log").write_text(text)
    found = standing(tmp_path / "log")
    assert (found.worker, list(found.complaints.values())) == (3, said)
    assert standing(tmp_path / "none").complaints == {}
