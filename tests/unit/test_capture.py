import logging
import sys
import threading
import warnings

import pytest

from batchml.core.text import clean, head_and_tail, safe_str
from batchml.execution.capture import Recorder, error_condition, recording


class HostileError(Exception):
    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


def record(body, *, output=True):
    recorder = Recorder("train")
    with recording(recorder, output=output):
        body()
    return recorder.conditions()


def test_events_are_recorded_in_order_and_prints_in_a_row_are_one():
    def body():
        print("one")
        print("two", file=sys.stderr)
        warnings.warn("careful", RuntimeWarning, stacklevel=1)
        logging.getLogger("some.library").info("step %d", 3)
        logging.getLogger("some.library").error("bad step")
        print("three")

    found = record(body)
    assert [(c.level, c.message, c.kind) for c in found] == [
        ("output", "one\ntwo", ""),
        ("warning", "careful", "RuntimeWarning"),
        ("output", "step 3", "logging.INFO"),
        ("warning", "bad step", "logging.ERROR"),
        ("output", "three", ""),
    ]


def test_everything_is_put_back():
    root, before = logging.getLogger(), (sys.stdout, sys.stderr, warnings.showwarning, list(warnings.filters))
    level, handlers = root.level, list(root.handlers)
    with pytest.raises(KeyError):
        record(lambda: {}["x"])
    assert (sys.stdout, sys.stderr, warnings.showwarning, list(warnings.filters)) == before
    assert (root.level, root.handlers) == (level, handlers)


def test_output_is_left_alone_unless_asked_for(capsys):
    assert record(lambda: print("hello"), output=False) == ()
    assert capsys.readouterr().out == "hello\n"


def test_what_cannot_be_stored_is_replaced_and_what_is_long_is_cut():
    found = record(lambda: print("a\x00b\ud800c" + "x" * 10**6))
    assert found[0].message.startswith("a\ufffdb\ufffdc")
    assert len(found[0].message) < 101_000
    assert clean("\udfff") == "\ufffd"
    assert head_and_tail("abc", 3) == "abc"


def test_a_flood_of_conditions_is_counted_not_kept():
    def body():
        for i in range(5000):
            warnings.warn(f"number {i}", UserWarning, stacklevel=1)

    found = record(body)
    assert len(found) == 1001
    assert found[-1].message == "4000 more conditions were left out"


def test_exceptions_without_a_text_are_recorded_all_the_same():
    with pytest.raises(HostileError) as caught:
        raise HostileError
    condition = error_condition("predict", caught.value)
    assert condition.kind == "HostileError"
    assert "__str__ raised" in condition.message
    assert "Traceback" in condition.traceback
    assert safe_str(HostileError()).startswith("<HostileError")
    assert error_condition("train", ValueError()).message == "ValueError"


def test_logging_with_arguments_that_do_not_fit_is_recorded():
    found = record(lambda: logging.getLogger("x").warning("%d apples", "two"))
    assert found[0].message == "%d apples"


def test_prints_of_other_threads_do_not_break_the_order():
    def body():
        threads = [threading.Thread(target=print, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted("".join(c.message for c in record(body)).split()) == [str(i) for i in range(8)]
