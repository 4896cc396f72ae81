"""Frames are what was sent or a ProtocolError, whatever bytes come."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchml.core.attempt import Assignment, Ending, Experiment
from batchml.execution.sandbox.gauge import Gauge
from batchml.execution.sandbox.proc import Ended
from batchml.execution.sandbox.protocol import INLINE_BYTES, Frame, Pieces, ProtocolError, decode, encode, pair
from batchml.worker.endings import ended_outcome, exit_outcome, frame_outcome

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
HEADERS = st.dictionaries(st.text().filter(lambda key: key != "blobs"), JSON, max_size=4)


@settings(max_examples=40)
@given(HEADERS, st.lists(st.binary(max_size=50), max_size=3))
def test_a_frame_arrives_as_it_was_sent(header, blobs):
    assert decode(b"".join(encode(header, blobs))) == Frame(header, tuple(blobs))


@settings(max_examples=60)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_frame_or_a_protocol_error(packet):
    try:
        frame = decode(packet)
    except ProtocolError:
        return
    assert isinstance(frame.header, dict)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x05\0\0\0[1,2]",
        b"\x02\0\0\0[]",
        b'\x0d\0\0\0{"blobs":[9]}',
        b'\x0d\0\0\0{"blobs":"x"}',
        b"\xff\xff\xff\xff",
    ],
)
def test_what_is_no_frame_is_refused(packet):
    with pytest.raises(ProtocolError):
        decode(packet)


def assignment():
    experiment = Experiment(id=1, digest="d", task={}, learner={}, policy={}, resampling={}, measures=(), seed=1)
    return Assignment(attempt_id=7, job_id=8, iteration=0, experiment=experiment)


STARVED = "the kernel killed it for want of memory"


@pytest.mark.parametrize(
    ("words", "ending", "signum", "message"),
    [
        ({"status": 11, "memory": None}, Ending.CRASHED, 11, "SIGSEGV"),
        ({"status": 9, "memory": STARVED}, Ending.OUT_OF_MEMORY, 9, STARVED),
        ({"status": 9, "memory": None}, Ending.CRASHED, 9, "SIGKILL"),
        ({"status": 7, "memory": None}, Ending.CRASHED, 7, "(SIGBUS): a file that was mapped into memory"),
        ({"status": 3 << 8, "memory": None}, Ending.CRASHED, None, "status 3"),
        ({"status": 71 << 8, "memory": None}, Ending.CRASHED, None, "closes descriptors"),
        (None, Ending.CRASHED, None, "killed from within"),
    ],
)
def test_the_status_of_a_process_tells_how_its_attempt_ended(words, ending, signum, message):
    outcome = exit_outcome(assignment(), "log", 1.0, words)
    assert (outcome.ending, outcome.signal, outcome.log) == (ending, signum, "log")
    assert message in outcome.message
    assert (outcome.threads, outcome.cpu_s) == (1, None)


def test_what_a_keeper_measured_is_in_the_outcome():
    spent = {"cpu_s": 2.5, "peak_mb": 300.0, "fit_s": 1.5}
    for outcome in (
        exit_outcome(assignment(), "", 3.0, {"status": 11, "spent": spent}),
        ended_outcome(assignment(), Ending.TIMEOUT, "too long", "", 3.0, spent),
    ):
        assert (outcome.cpu_s, outcome.peak_mb, outcome.fit_s, outcome.predict_s) == (2.5, 300.0, 1.5, None)


def test_a_page_tells_what_a_job_took_before_it_died():
    gauge = Gauge()
    gauge.begin(5.0, 80.0)
    gauge.stage("train")
    gauge.stage(None)
    gauge.stage("predict")
    lived, other = Ended(1, 11, 7.5, 120.0), Ended(2, 0, 0.5, 60.0)
    found = gauge.read(1, [lived, other])
    assert (found["cpu_s"], found["peak_mb"]) == (3.0, 120.0)
    assert found["fit_s"] > 0
    assert found["predict_s"] > 0
    # A figure that an earlier job's subprocess may have left is none of this job.
    assert gauge.read(1, [Ended(1, 11, 7.5, 80.0), other])["peak_mb"] == 60.0
    gauge.begin(7.5, 80.0)
    assert gauge.read(1, [Ended(1, 9, 7.5, 80.0)]) == {}
    gauge.close()


def test_an_attempt_that_was_ended_says_why():
    outcome = ended_outcome(assignment(), Ending.TIMEOUT, "too long", "log", 2.0)
    assert (outcome.attempt_id, outcome.job_id) == (7, 8)
    assert (outcome.message, outcome.error_type) == ("too long", "StageTimeoutError")


@pytest.mark.parametrize("header", [{}, {"ending": "done"}, {"ending": "great", "conditions": [], "dirty": []}])
def test_a_report_that_makes_no_sense_is_refused(header):
    with pytest.raises((KeyError, ValueError, TypeError)):
        frame_outcome(assignment(), Frame(header), "")


@pytest.mark.parametrize("size", [10, INLINE_BYTES + 1])
def test_a_blob_in_pieces_arrives_as_one(size):
    left, right = pair()
    left.send({"t": "done"}, [Pieces([b"ab", memoryview(bytes(size))]), b"last"])
    assert right.receive(block=False) == Frame({"t": "done"}, (b"ab" + bytes(size), b"last"))
    left.close()
    right.close()


def test_a_large_blob_can_be_a_view_that_outlives_both_ends():
    left, right = pair()
    left.send({}, [b"x" * (2 * INLINE_BYTES), b"small"])
    frame = right.receive(block=False, views=True)
    left.close()
    right.close()
    large, small = frame.blobs
    assert isinstance(large, memoryview)
    assert large == b"x" * (2 * INLINE_BYTES)
    assert small == b"small"
    assert isinstance(small, bytes)
