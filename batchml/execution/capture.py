"""What happens while a stage runs, recorded in order: printed text, logging, Python warnings."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
import traceback
import warnings
from typing import TYPE_CHECKING, TextIO

from batchml.core.conditions import Condition, Level, Stage
from batchml.core.text import clean, error_text, head_and_tail, safe_str

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MESSAGE_LIMIT", "Recorder", "error_condition", "recording"]

MESSAGE_LIMIT = 10_000
_MOST_CONDITIONS = 1_000
_MOST_OUTPUT = 100_000
# Filters for what Python itself hides by default; the rest is shown once per place.
_HIDDEN = [
    ("ignore", None, category, None, 0)
    for category in (ResourceWarning, ImportWarning, PendingDeprecationWarning, DeprecationWarning)
]


class Recorder:
    """Collects conditions in the order in which they happen, at most a thousand; text of one run of prints is one."""

    def __init__(self, stage: Stage) -> None:
        self.stage: Stage = stage
        self._conditions: list[Condition] = []
        self._printed: list[str] = []
        self._length = 0
        self._dropped = 0
        self._lock = threading.RLock()

    def add(self, level: Level, message: str, kind: str = "", trace: str | None = None) -> None:
        """Record one event."""
        with self._lock:
            self._flush()
            self._append(
                Condition(stage=self.stage, level=level, message=message, kind=clean(kind, 200), traceback=trace)
            )

    def write(self, text: str) -> None:
        """Record printed text; it becomes one condition when something else happens, or at the end."""
        with self._lock:
            self._printed.append(text)
            self._length += len(text)
            if self._length > 2 * _MOST_OUTPUT:
                self._printed = [head_and_tail("".join(self._printed), _MOST_OUTPUT)]
                self._length = len(self._printed[0])

    def conditions(self) -> tuple[Condition, ...]:
        """Return what was recorded so far."""
        with self._lock:
            self._flush()
            if not self._dropped:
                return tuple(self._conditions)
            note = f"{self._dropped} more conditions were left out"
            return (*self._conditions, Condition(stage=self.stage, level="output", message=note))

    def _append(self, condition: Condition) -> None:
        # Errors end a stage: they are kept however much was said before.
        if condition.level != "error" and len(self._conditions) >= _MOST_CONDITIONS:
            self._dropped += 1
            return
        self._conditions.append(condition)

    def _flush(self) -> None:
        if not self._printed:
            return
        text = clean("".join(self._printed), _MOST_OUTPUT).strip("\n")
        self._printed, self._length = [], 0
        if text:
            self._append(Condition(stage=self.stage, level="output", message=text))


def error_condition(stage: Stage, error: BaseException, kind: str | None = None) -> Condition:
    """Return the condition of level error that an exception is recorded as; never raises."""
    message = error_text(error, MESSAGE_LIMIT)
    try:
        lines = traceback.format_exception(error)
        trace = clean("".join(lines), 4 * MESSAGE_LIMIT)
    except BaseException:  # noqa: BLE001 - a traceback of hostile objects may fail; the error itself counts
        trace = None
    return Condition(
        stage=stage, level="error", message=message, kind=kind or clean(type(error).__name__, 200), traceback=trace
    )


@contextlib.contextmanager
def recording(recorder: Recorder, *, output: bool) -> Iterator[None]:
    """Record warnings and logging of the body, and with `output` what it prints to sys.stdout and sys.stderr.

    Warnings and streams belong to the process, not to a thread: record in one thread at a time.
    """
    handler = _LogHandler(recorder)
    root = logging.getLogger()
    level, handlers = root.level, root.handlers
    with warnings.catch_warnings(), _printing(recorder) if output else contextlib.nullcontext():
        _catch(recorder)
        # With the output, what is logged is kept from where it usually goes, too.
        root.handlers = [handler] if output else [*handlers, handler]
        if output and level > logging.INFO:
            root.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.handlers = handlers
            if root.level != level:
                root.setLevel(level)


def _catch(recorder: Recorder) -> None:
    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        del filename, lineno, file, line
        recorder.add("warning", safe_str(message, MESSAGE_LIMIT), category.__name__)

    warnings.simplefilter("default")
    # As `simplefilter` would, which looks through all filters each time.
    warnings.filters[:0] = _HIDDEN  # type: ignore[index]
    warnings.showwarning = show


class _LogHandler(logging.Handler):
    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = clean(record.getMessage(), MESSAGE_LIMIT)
        except BaseException:  # noqa: BLE001 - arguments that do not fit the format, or whose __str__ raises
            message = safe_str(record.msg, MESSAGE_LIMIT)
        # An error that was logged, not raised, did not end the stage.
        level: Level = "warning" if record.levelno >= logging.WARNING else "output"
        self._recorder.add(level, message, f"logging.{record.levelname}")


class _Stream(io.TextIOBase):
    """A text stream that records what is written, and passes it on where there is a log behind it."""

    encoding = "utf-8"

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        self._recorder.write(str(text))
        return len(text)


@contextlib.contextmanager
def _printing(recorder: Recorder) -> Iterator[None]:
    before = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = _Stream(recorder)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
