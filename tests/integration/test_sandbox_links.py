"""Links and logs between real descriptors."""

import os

import pytest

from batchml.execution.sandbox.proc import open_fds
from batchml.execution.sandbox.protocol import INLINE_BYTES, ProtocolError, pair
from batchml.execution.sandbox.sink import Sink, mark


@pytest.fixture
def links():
    left, right = pair()
    yield left, right
    left.close()
    right.close()


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES - 100, INLINE_BYTES, 5_000_000])
def test_blobs_of_any_size_cross_a_link(links, size):
    left, right = links
    blob = os.urandom(size)
    left.send({"t": "x"}, [blob, b"second"])
    frame = right.receive()
    assert frame.header == {"t": "x"}
    assert frame.blobs == (blob, b"second")
    assert frame.fds == ()


def test_descriptors_cross_a_link_with_small_and_large_frames(links):
    left, right = links
    for size in (1, 1_000_000):
        reader, writer = os.pipe()
        left.send({}, [b"x" * size], fds=[writer])
        frame = right.receive()
        os.write(frame.fds[0], b"hello")
        assert os.read(reader, 10) == b"hello"
        for fd in (reader, writer, *frame.fds):
            os.close(fd)


def test_reading_does_not_wait_and_the_end_is_noticed(links):
    left, right = links
    assert right.receive(block=False) is None
    left.close()
    with pytest.raises(EOFError):
        right.receive(block=False)


def test_rubbish_is_refused_and_the_next_frame_is_read(links):
    left, right = links
    before = len(open_fds())
    left._socket.send(b"rubbish")
    left._socket.send(b"\0\0\0\0")
    left.send({"t": "fine"})
    for _ in range(2):
        with pytest.raises(ProtocolError):
            right.receive()
    assert right.receive().header == {"t": "fine"}
    assert len(open_fds()) == before


@pytest.fixture
def sink():
    reader, writer = os.pipe()
    sink = Sink(reader, keep=100)
    yield sink, writer
    sink.close()
    os.close(writer)


def test_a_log_keeps_head_and_tail(sink):
    sink, writer = sink
    os.write(writer, b"head" + b"x" * 1000 + b"tail")
    while sink.drain():
        pass
    text = sink.take()
    assert text.startswith("head")
    assert text.endswith("tail")
    assert "[... 808 bytes left out ...]" in text
    assert sink.take() == ""


def test_a_short_log_is_whole_and_clean(sink):
    sink, writer = sink
    os.write(writer, b"a\0b\xed\xa0\x80" + "ü".encode())
    assert sink.drain() > 0
    assert sink.take() == "a\N{REPLACEMENT CHARACTER}b" + 3 * "\N{REPLACEMENT CHARACTER}" + "ü"
    assert not sink.ended


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_marks_tell_the_logs_of_jobs_apart_however_they_arrive(piece):
    reader, writer = os.pipe()
    sink = Sink(reader, nonce="abcdef01")
    printed = {5: b"five\0abcdef0", 6: b"", 2**40: b"\0\0abcd", 7: b"\0" * 20}
    stream = b"".join(text + mark("abcdef01", attempt) for attempt, text in printed.items()) + b"the next\0"
    for start in range(0, len(stream), piece):
        os.write(writer, stream[start : start + piece])
        sink.drain()
    assert all(sink.has(attempt) for attempt in printed)
    for attempt, text in printed.items():
        assert sink.take(attempt) == text.decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    os.write(writer, b"!")
    sink.drain()
    assert sink.take(8) == "the next\N{REPLACEMENT CHARACTER}!"
    sink.close()
    os.close(writer)


def test_forged_marks_do_not_fill_the_memory():
    reader, writer = os.pipe()
    sink = Sink(reader, nonce="abcdef01")
    for attempt in range(2000):
        os.write(writer, mark("abcdef01", attempt))
        sink.drain()
    assert len(sink._logs) <= 256
    sink.close()
    os.close(writer)
