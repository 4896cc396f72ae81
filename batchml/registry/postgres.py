"""Connections to PostgreSQL: kept alive, found dead soon, made again with patience; and what its errors mean."""

from __future__ import annotations

import json
import math
import random
import select
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event, exc

from batchml.errors import (
    BatchmlError,
    BusyError,
    ConfigError,
    NotARegistryError,
    ReadOnlyError,
    RegistryError,
    UnknownKeyError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL

__all__ = ["meaning", "server_engine"]

# Without these a client of a server whose host or link died hangs for a quarter of an hour. A lease is 60 s. Values in
# the URL come first.
_WIRE = {
    "connect_timeout": "10",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "application_name": "batchml",
}
# The server ends the session soon if this side vanishes or is stopped: it would keep its locks for two hours.
_SESSION = {
    "idle_in_transaction_session_timeout": "60s",
    "lock_timeout": "60s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
    "tcp_user_timeout": "30s",
    "client_connection_check_interval": "10s",
    "jit": "off",  # compiling takes longer than our statements do
    "TimeZone": "UTC",
}
_PATIENCE_S = 20.0
_REST_S = 1.0
_NAP_S = (0.05, 2.0)
_LOST = ("08", "57P01", "57P02", "57P03", "57P05", "25P03", "53300")
_LOGIN = ("password", "authentication failed", "pg_hba.conf", 'role "')


def server_engine(url: URL, scrub: Callable[[str], str]) -> Engine:
    """Return an engine that keeps one connection open; more are closed when they are given back.

    Parameters
    ----------
    url
        With its password.
    scrub
        Strikes it out of messages.
    """
    whole = url.update_query_dict({key: value for key, value in _WIRE.items() if key not in url.query})
    try:
        engine = create_engine(whole, hide_parameters=True, pool_size=1, max_overflow=9)
    except ModuleNotFoundError:
        raise ConfigError("PostgreSQL needs the package psycopg: pip install 'batchml[postgres]'") from None
    except exc.ArgumentError as error:
        raise ConfigError(scrub(str(error))) from None
    event.listen(engine, "do_connect", _Patience())
    event.listen(engine, "connect", _settle)
    event.listen(engine, "checkin", _rest)
    event.listen(engine, "checkout", _rouse)
    return engine


class _Patience:
    """Connect; where that has succeeded before, wait for a server that is being started again."""

    def __init__(self) -> None:
        self._known = False

    def __call__(self, dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        import psycopg

        deadline = time.monotonic() + _PATIENCE_S
        nap, longest = _NAP_S
        while True:
            try:
                connection = dialect.connect(*arguments, **options)
            except psycopg.OperationalError as error:
                said = str(error)
                starting = "starting up" in said or "in recovery" in said
                if not (self._known or starting) or _refused(said) or time.monotonic() > deadline:
                    raise
            else:
                self._known = True
                return connection
            # All workers lose it at the same moment, and must not come back at the same moment.
            time.sleep(nap * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            nap = min(2 * nap, longest)


def _settle(connection: Any, _record: Any) -> None:
    # Those that an older server does not know are left out.
    known = "SELECT set_config(name, %s::json ->> name, false) FROM pg_settings WHERE name = ANY (%s)"
    connection.execute(known, (json.dumps(_SESSION), list(_SESSION)))
    connection.commit()


def _rest(_connection: Any, record: Any) -> None:
    record.info["idle since"] = time.monotonic()


def _rouse(connection: Any, record: Any, _proxy: Any) -> None:
    """Ask a connection that has rested whether its server is still there; the pool replaces it if not.

    One that was at work a moment ago is not asked unless there is something to read from it, such as its end: the
    question is a trip, and workers exchange many times a second.
    """
    rested = time.monotonic() - record.info.get("idle since", math.inf) > _REST_S
    if not (rested or connection.closed or _has_news(connection.fileno())):
        return
    import psycopg

    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as error:
        raise exc.DisconnectionError(str(error)) from None


def _has_news(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _refused(said: str) -> bool:
    """Say whether waiting is in vain: the server answered, and does not let this user in."""
    return any(word in said for word in _LOGIN) or ('database "' in said and "does not exist" in said)


def meaning(place: str, error: BaseException | None, said: str) -> BatchmlError:
    """Return what a driver's error means for the user.

    Parameters
    ----------
    place
        The registry, without its password.
    error
        Of the driver.
    said
        Its message, without the password, in one line.
    """
    state = getattr(error, "sqlstate", None) or ""
    if state.startswith("28") or (not state and any(word in said for word in _LOGIN)):
        return RegistryError(
            f"{place} refused the login ({said}); check the user, and the password in $PGPASSWORD, ~/.pgpass or the URL"
        )
    if not state and said.startswith("invalid "):  # libpq did not even try
        return ConfigError(f"{place}: {said}; check the URL")
    if state == "3D000" or ('database "' in said and "does not exist" in said):
        return NotARegistryError(f"{place}: {said}; make it first: createdb, or CREATE DATABASE")
    if state == "42501":
        return ReadOnlyError(
            f"{place} does not let this user do that ({said}): its owner can grant the right; to look, the right to "
            "SELECT from all tables and readonly=True will do"
        )
    if state == "25006":
        return ReadOnlyError(f"{place} is open for reading only ({said})")
    if state in {"55P03", "40P01", "40001"}:
        return BusyError(f"{place} is in use by others ({said}); nothing was changed, try again")
    if state == "22003":
        return UnknownKeyError(f"there is no such number in {place}: ids and iterations are below 2**63")
    if state == "53100":
        return RegistryError(f"the disk of {place} is full ({said}); free some space and say it again")
    if state.startswith(_LOST) or (not state and type(error).__name__ in {"OperationalError", "ConnectionTimeout"}):
        return UnreachableError(f"{place} cannot be reached ({said}); see whether its server runs, and say it again")
    return RegistryError(f"{place} failed: {said}")
