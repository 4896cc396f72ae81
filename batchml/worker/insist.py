"""A worker that starts while its database is away waits for it, as it would later."""

from __future__ import annotations

import logging
import random
import select
import time
from typing import TYPE_CHECKING, TypeVar

from batchml.core.attempt import Order
from batchml.errors import BusyError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchml.worker.settings import Settings
    from batchml.worker.signals import StopSource

__all__ = ["insist"]

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


def insist(ask: Callable[[], Answer], settings: Settings, stop: StopSource) -> Answer:
    """Ask the registry until it answers, with growing pauses, for as long as a lease and unless somebody says stop.

    Raises
    ------
    UnreachableError, BusyError
        It did not answer in time; other errors come at once.
    """
    give_up = time.monotonic() + settings.lease_s
    pause = settings.retry_s
    while True:
        try:
            return ask()
        except (UnreachableError, BusyError) as error:
            if time.monotonic() >= give_up or stop.order is not Order.GO_ON:
                raise
            _log.warning("cannot start yet: %s", error)
        _sleep(pause * random.uniform(0.5, 1.0), stop)  # noqa: S311 - jitter against a stampede
        pause = min(2 * pause, settings.retry_max_s)


def _sleep(seconds: float, stop: StopSource) -> None:
    poll = select.poll()
    for descriptor in stop.descriptors:
        poll.register(descriptor, select.POLLIN)
    poll.poll(seconds * 1000)
