"""The channel thread: it carries requests to the registry, so that a hanging database never holds up the pool."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from batchml.core.attempt import Assignment, Ending, Exchange, Order, Outcome
from batchml.errors import PoisonedError
from batchml.worker.channel import Channel, ChannelError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Courier", "Reply", "Request", "ThreadCourier", "carry", "deliver", "stand_in"]

_SEVERITY = {Order.GO_ON: 0, Order.DRAIN: 1, Order.STOP: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One exchange to make.

    Attributes
    ----------
    reconcile
        Ask for the open attempts first: the last exchange failed, or it is time.
    oldest
        When the oldest of the outcomes came, by the worker's clock.
    """

    outcomes: tuple[Outcome, ...] = ()
    released: tuple[int, ...] = ()
    want: int = 0
    reconcile: bool = False
    oldest: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What became of a request: an exchange, or an error after which nothing is known.

    Attributes
    ----------
    open_attempts
        The registry's view of what the worker held just before the exchange, if it was asked for.
    """

    request: Request
    exchange: Exchange | None = None
    open_attempts: tuple[Assignment, ...] | None = None
    error: BaseException | None = None


class Courier(Protocol):
    """Carries one request at a time."""

    def post(self, request: Request) -> None:
        """Start to carry a request."""
        ...

    def take(self) -> Reply | None:
        """Return the reply if it has come."""
        ...

    def fileno(self) -> int:
        """A descriptor that becomes readable when a reply has come."""
        ...

    def close(self, reason: str, timeout: float) -> bool:
        """Close the channel; False if it did not answer in `timeout` seconds."""
        ...


def carry(channel: Channel, request: Request) -> Reply:
    """Make the exchange of a request, whatever comes of it."""
    seen: tuple[Assignment, ...] | None = None
    try:
        if request.reconcile:
            seen = tuple(channel.open_attempts())
        exchange = deliver(channel, request.outcomes, request.released, request.want)
    except Exception as error:  # noqa: BLE001 - the worker decides; this thread must not die of it
        return Reply(request=request, open_attempts=seen, error=error)
    return Reply(request=request, exchange=exchange, open_attempts=seen)


def deliver(channel: Channel, outcomes: Sequence[Outcome], released: Sequence[int], want: int) -> Exchange:
    """Exchange; if the database refuses a batch, split it until the guilty outcome stands alone.

    That one is then closed as `infrastructure` with the database's message: its neighbours are stored, and nobody waits
    for it in vain.
    """
    try:
        return channel.exchange(outcomes, released, want)
    except PoisonedError as error:
        if not outcomes:
            raise ChannelError(f"the registry refused an exchange without outcomes: {error}") from error
        if len(outcomes) == 1:
            return _deliver_stand_in(channel, outcomes[0], released, want, error)
    half = len(outcomes) // 2
    first = deliver(channel, outcomes[:half], (), 0)
    second = deliver(channel, outcomes[half:], released, want)
    return replace(
        second,
        lost=first.lost + second.lost,
        cancel=first.cancel + second.cancel,
        order=max(first.order, second.order, key=_SEVERITY.__getitem__),
    )


def _deliver_stand_in(
    channel: Channel, outcome: Outcome, released: Sequence[int], want: int, error: PoisonedError
) -> Exchange:
    """Close the attempt of an outcome that the database will not take."""
    instead = stand_in(outcome, error)
    try:
        return channel.exchange([instead], released, want)
    except PoisonedError:
        # Not even its name is welcome (an attempt of another registry?): it must not block the others for ever.
        exchange = channel.exchange((), released, want)
        return replace(exchange, lost=(*exchange.lost, outcome.attempt_id))


def stand_in(outcome: Outcome, error: PoisonedError) -> Outcome:
    """Return what is said of an attempt whose outcome the database will not take."""
    message = f"the registry refused what this iteration left behind: {error}"
    return Outcome(
        attempt_id=outcome.attempt_id,
        job_id=outcome.job_id,
        ending=Ending.INFRASTRUCTURE,
        error_type=type(error).__name__,
        message=message.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00"),
    )


class ThreadCourier:
    """A courier with a thread of its own; replies are announced on a pipe.

    Parameters
    ----------
    channel
        Used by the courier's thread only, from now until `close` has returned.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._requests: queue.SimpleQueue[Request | str] = queue.SimpleQueue()
        self._replies: deque[Reply] = deque()
        self._unannounced = 0  # replies that were taken and whose byte was not yet read
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._work, name="batchml-channel", daemon=True)
        self._thread.start()

    def post(self, request: Request) -> None:
        """Hand a request to the thread."""
        self._requests.put(request)

    def take(self) -> Reply | None:
        """Return the reply if it has come."""
        if not self._replies and not self._unannounced:
            return None
        reply = self._replies.popleft() if self._replies else None
        self._unannounced += reply is not None
        # One that is taken before it is announced leaves its byte behind, to be read when it comes: a pipe that stays
        # readable would keep the main thread awake.
        with contextlib.suppress(BlockingIOError):
            self._unannounced -= len(os.read(self._read, self._unannounced))
        return reply

    def fileno(self) -> int:
        """The read end of the pipe on which replies are announced."""
        return self._read

    def close(self, reason: str, timeout: float) -> bool:
        """Close the channel from its own thread; one that hangs in the database is left to the end of the process."""
        self._requests.put(reason)
        self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        os.close(self._read)
        os.close(self._write)
        return True

    def _work(self) -> None:
        while not isinstance(request := self._requests.get(), str):
            self._replies.append(carry(self._channel, request))
            os.write(self._write, b".")
            del request  # which may be large, and the next one may be long in coming
        self._channel.close(request)
