"""The workers of a Dask cluster: which there are, which are fit, and which is kept for a suspect."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

from batchml.worker.dask_place import Place
from batchml.worker.dask_ship import ship

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from batchml.worker.dask_bundle import Setup
    from batchml.worker.dask_link import Link

__all__ = ["Places"]

_BUSY_S = 1.0
"""So long nothing more is sent to a Dask worker that keeps itself for a suspect of another supervisor."""
_log = logging.getLogger(__name__)


class Places:
    """The workers of a Dask cluster, by address. Lives in the feeder's thread.

    Parameters
    ----------
    link, setup
        What each of them must offer, and what it is told.
    start
        Starts a coroutine as a task of the feeder's.
    news
        Called when there are more or fewer slots.

    Attributes
    ----------
    slots
        How many iterations run at once besides suspects.
    solos
        How many Dask workers there are of which each can have a suspect.
    environments
        Of Dask workers by host and address, as they become known; see `batchml.execution.environment`.
    """

    def __init__(
        self,
        link: Link,
        setup: Setup,
        start: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
        news: Callable[[], None],
    ) -> None:
        self.client: Any = None
        self.slots = 0
        self.solos = 0
        self.environments: dict[tuple[str, str], dict[str, Any]] = {}
        self._unfit_at: float | None = None
        self._link = link
        self._setup = setup
        self._text = setup.as_text()
        self._start = start
        self._news = news
        self._places: dict[str, Place] = {}
        self._homes: dict[tuple[str, str], asyncio.Task[dict[str, Any]]] = {}
        self._change = asyncio.Event()

    def __contains__(self, address: object) -> bool:
        return address in self._places

    def __iter__(self) -> Any:
        return iter(list(self._places))

    def __getitem__(self, address: str) -> Place:
        return self._places[address]

    # -- which there are -----------------------------------------------------------------------------------------

    def note(self, address: str, words: Mapping[str, Any]) -> bool:
        """Take note of what the scheduler says of a Dask worker; return whether it is new."""
        new = address not in self._places
        if new:
            self._places[address] = Place()
        place = self._places[address]
        place.slots = self._room(words)
        if place.fit is None and (place.visit is None or place.visit.done()):
            place.visit = self._start(self._visit(address))
        return new

    def host(self, address: str) -> str:
        """Return the machine that a Dask worker is on, "" if that is not known."""
        return self._places[address].host if address in self._places else ""

    def remove(self, address: str) -> Place | None:
        """Forget a Dask worker that is gone."""
        place = self._places.pop(address, None)
        if place is not None and place.fit is False and not any(one.fit is False for one in self._places.values()):
            _log.info("not used: none of those that are there")
        self.count()
        return place

    def _room(self, words: Mapping[str, Any]) -> int:
        """Return how many iterations run at once on a Dask worker."""
        room = int(words["nthreads"]) // int(self._setup.needs.get("cpus") or 1)
        for name, amount in self._link.resources.items():
            room = min(room, int(float(words.get("resources", {}).get(name, 0)) // amount))
        return room if self._link.resources else max(1, room)

    def count(self) -> None:
        """See how many slots there are, and tell whoever waits for a place that something has changed."""
        if self.some_fit and self._unfit_at is not None:
            self._unfit_at = None
            _log.info("no Dask worker is missing any more")
        elif self._places and self.none_fit and self._unfit_at is None:
            self._unfit_at = time.monotonic()
            _log.warning("no Dask worker is fit: unless one comes, the supervisor leaves soon: %s", self.causes)
        fit = [place for place in self._places.values() if place.fit and place.slots]
        slots = sum(place.slots for place in fit if place.kept_for is None)
        news = (slots, len(fit)) != (self.slots, self.solos)
        self.slots, self.solos = slots, len(fit)
        self._change.set()
        self._change = asyncio.Event()
        if news:
            self._news()

    async def change(self) -> None:
        """Wait until something has changed, or a while."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._change.wait(), _BUSY_S / 2)

    # -- which are fit -------------------------------------------------------------------------------------------

    @property
    def some_fit(self) -> bool:
        """Whether iterations can run anywhere."""
        return any(place.fit for place in self._places.values())

    @property
    def none_fit(self) -> bool:
        """Whether it is known that iterations can run nowhere."""
        return all(place.fit is False for place in self._places.values())

    def hopeless(self, patience_s: float) -> bool:
        """Return whether all are unfit, and no fit one has come for so long."""
        since = self._unfit_at
        return bool(self._places) and self.none_fit and since is not None and time.monotonic() - since >= patience_s

    @property
    def causes(self) -> str:
        """Why Dask workers are not used."""
        return "; ".join(dict.fromkeys(place.unfit or "no answer" for place in self._places.values()))

    def exclude(self, address: str, words: str) -> None:
        """Do not use a Dask worker any more."""
        place = self._places.get(address)
        if place is not None and place.fit is not False:
            place.fit, place.unfit = False, words
            _log.warning("not used: %s", words)
            self.count()

    async def _visit(self, address: str) -> None:
        """Examine a Dask worker; should the connection be cut meanwhile, the next look sends another visit."""
        try:
            await self._examine(address)
        except (OSError, TimeoutError) as error:
            _log.info("could not examine the Dask worker %s: %s", address, error)

    async def _examine(self, address: str) -> None:
        from batchml.worker import dask_calls

        answer = await self.client.run(dask_calls.examine, self._text, workers=[address], on_error="return")
        found = answer.get(address)
        place = self._places.get(address)
        if place is None or found is None:
            return
        if isinstance(found, BaseException):
            self.exclude(address, f"{address}: {type(found).__name__}: {found}")
            return
        place.host = found["host"]
        if found["unfit"]:
            self.exclude(address, found["unfit"])
            return
        if not place.slots:
            wanted = " ".join(f"{name}={amount:g}" for name, amount in self._link.resources.items())
            place.fit, place.unfit = False, f"{place.host} ({address}): offers less than an iteration takes: {wanted}"
            _log.info("left out, which may be meant so: %s", place.unfit)
            self.count()
            return
        place.fit = True
        _log.info("Dask worker %s on %s: %d slots", address, place.host, place.slots)
        self.count()
        if around := await self._environment(address, (place.host, found["home"])):
            self.environments[place.host, address] = around

    async def _environment(self, address: str, home: tuple[str, str]) -> dict[str, Any]:
        """Return on what results depend there; the same interpreter on the same machine is asked once."""
        if home not in self._homes:
            self._homes[home] = self._start(self._look_around(address))
        return await self._homes[home]

    async def _look_around(self, address: str) -> dict[str, Any]:
        from batchml.worker import dask_calls

        folders = list(self._setup.paths)
        found = await self.client.run(dask_calls.environment, folders, workers=[address], on_error="return")
        known = found.get(address)
        return known if isinstance(known, dict) else {}

    # -- where to send -------------------------------------------------------------------------------------------

    def open(self) -> list[str] | None:
        """Return where bundles may go: None for wherever Dask likes; nothing while all is kept for suspects."""
        now = time.monotonic()
        shut = {
            address: place
            for address, place in self._places.items()
            if place.fit is False or place.kept_for is not None or place.busy_until > now
        }
        if not shut:
            return None
        return [address for address in self._places if address not in shut]

    def find(self, who: object, crowd: Callable[[str], int]) -> list[str] | None:
        """Keep a Dask worker for a suspect and return it; nothing while none can be kept.

        Parameters
        ----------
        crowd
            How much runs on a Dask worker: what is there must end first.
        """
        if mine := [address for address, place in self._places.items() if place.kept_for is who]:
            return mine
        if not self._places:
            return None  # a cluster that grows by what it sees waiting must see this, too
        now = time.monotonic()
        free = [
            address
            for address, place in self._places.items()
            if place.fit and place.slots and place.kept_for is None and place.busy_until <= now
        ]
        if not free:
            return []
        address = min(free, key=crowd)
        self.keep(who, address)
        return [address]

    def keep(self, who: object, address: str) -> None:
        """Keep this Dask worker for a suspect, and no other."""
        place = self._places.get(address)
        if place is not None and place.kept_for is not who:
            self.give_up(who)
            place.kept_for = who
            self.count()

    def give_up(self, who: object) -> None:
        """Let all use again what was kept for a suspect."""
        for place in self._places.values():
            if place.kept_for is who:
                place.kept_for = None
                self.count()

    def shun(self, address: str) -> None:
        """Send nothing there for a while: it keeps itself for somebody else's suspect."""
        if address in self._places:
            self._places[address].busy_until = time.monotonic() + _BUSY_S

    # -- what they need ------------------------------------------------------------------------------------------

    async def ship(self, address: str, digest: str) -> None:
        """Send a table to a Dask worker, once."""
        place = self._places.get(address)
        if place is None:
            return
        if digest not in place.shipped:
            place.shipped[digest] = self._start(ship(self.client, address, self._setup, digest))
        try:
            await asyncio.shield(place.shipped[digest])
        except BaseException:
            place.shipped.pop(digest, None)
            raise
