"""A PostgreSQL of one's own: `batchml db serve` starts one where no administrator is at hand.

It listens on TCP only, asks for a password (scram-sha-256) that stands in one file of mode 0600, and writes durably.
"""

from __future__ import annotations

import contextlib
import random
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchml.errors import BusyError, ConfigError, RegistryError
from batchml.registry.mounts import file_system, is_shared
from batchml.registry.processes import host_name
from batchml.registry.programs import Programs, account_for, find_programs
from batchml.registry.server_data import (
    LOOPBACK,
    USER,
    check_reach,
    configure,
    initialise,
    major_of,
    postmaster,
    start,
)
from batchml.registry.server_folder import Note, dangers, locked, prepared, read_note, write_note

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Server", "default_folder", "look", "serve", "stop"]

_DATABASE = "batchml"
_PATIENCE_S = 15.0
_MODES = ("smart", "fast", "immediate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server and where it is reached.

    Attributes
    ----------
    folder
        Holds its data, log and password.
    host, port
        What clients connect to.
    listen
        The address it listens on; ``*`` for all.
    running
        Whether it runs; None if another host would have to say.
    pid
        Of its first process, None if it does not run or runs on another host.
    started
        Whether this call started it.
    warnings
        What the user should know about the place.
    """

    folder: Path
    host: str
    port: int
    listen: str
    running: bool | None
    pid: int | None = None
    started: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def passfile(self) -> Path:
        """The file with the password, in the format of ``~/.pgpass``."""
        return self.folder / "pgpass"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "server.log"

    @property
    def url(self) -> str:
        """The URL of its registry; it names the file with the password, not the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{USER}@{host}:{self.port}/{_DATABASE}?passfile={self.passfile}"


def default_folder() -> Path:
    """Return where the server lives unless a folder is named: in the user's data directory."""
    from platformdirs import user_data_path

    return user_data_path("batchml") / "postgresql"


def serve(
    folder: Path,
    *,
    port: int | None = None,
    listen: str | None = None,
    durable: bool = True,
    assume_dead: bool = False,
    mountinfo: str | None = None,
) -> Server:
    """Start a server, or find the one that runs.

    Parameters
    ----------
    folder
        Made if it is not there. A server that crashed is started again on its data.
    port
        None keeps the one used before, or takes a free one.
    listen
        Address, host name or ``*``; None keeps the one used before, or takes 127.0.0.1. Anything but this host's
        loopback lets other hosts in, by password.
    durable
        False for tests: what was committed may be lost when the power fails.
    assume_dead
        The user knows that the host which held the folder is down.
    mountinfo
        Stands for ``/proc/self/mountinfo``.

    Raises
    ------
    RegistryError
        It cannot be started.
    BusyError
        Another host holds the folder.
    """
    folder = prepared(folder)
    shared = is_shared(file_system(folder, mountinfo))
    with locked(folder):
        before = read_note(folder)
        found = _found(folder, before)
        deadline = time.monotonic() + _PATIENCE_S
        while found is not None and found.running and not _made_database(found):
            if time.monotonic() > deadline:
                raise RegistryError(f"the server of {folder} runs and does not answer; see {found.log}")
            time.sleep(0.05)  # it dies, or has just been started
            found = _found(folder, before)
        if found is not None and (found.running or (found.running is None and not assume_dead)):
            return _found_again(found, before, port, listen)
        programs = find_programs(account_for(folder), major_of(folder))
        check_reach(programs, folder)
        initialise(programs, folder, durable=durable)
        where = _settle(programs, folder, before, port=port, listen=listen, durable=durable)
        pid = start(programs, folder, where.port)
        write_note(folder, where, pid)
        server = Server(
            folder=folder,
            host=where.host,
            port=where.port,
            listen=where.listen,
            running=True,
            pid=pid,
            started=True,
            warnings=dangers(folder) if shared else (),
        )
        if not _made_database(server):
            raise RegistryError(f"PostgreSQL started and ended again; see {server.log}")
        return server


def look(folder: Path) -> Server | None:
    """Return the server of a folder, None if there never was one."""
    folder = folder.expanduser().absolute()
    return _found(folder, read_note(folder))


def stop(folder: Path, mode: str = "fast") -> bool:
    """Stop the server and return whether it ran.

    Parameters
    ----------
    mode
        ``smart`` waits for the clients, ``fast`` disconnects them, ``immediate`` is a crash.

    Raises
    ------
    BusyError
        It runs on another host.
    RegistryError
        It did not stop.
    """
    if mode not in _MODES:
        raise ConfigError(f"a server is stopped {', '.join(_MODES)}, not {mode!r}")
    folder = folder.expanduser().absolute()
    if not (folder / "lock").exists():
        return False
    with locked(folder):
        server = _found(folder, read_note(folder))
        if server is None or server.running is False:
            return False
        if server.pid is None:
            raise BusyError(f"the server of {folder} runs on host {server.host}; stop it there")
        programs = find_programs(account_for(folder), major_of(folder))
        answer = programs.run("pg_ctl", "-D", folder / "data", "-m", mode, "-w", "-t", "60", "stop")
        if answer.returncode and postmaster(folder) is not None:
            raise RegistryError(f"the server of {folder} does not stop: {answer.stderr.strip()}")
        return True


def _found(folder: Path, note: Note | None) -> Server | None:
    if note is None:
        return None
    pid = postmaster(folder)
    gone = False if pid is not None else note.gone()
    # A container, or another host: what the port says is all that can be known.
    running = None if gone is None else not gone
    if gone is None and note.host not in LOOPBACK and _answers(note.host, note.port):
        running = True
    return Server(folder=folder, host=note.host, port=note.port, listen=note.listen, running=running, pid=pid)


def _found_again(found: Server, note: Note | None, port: int | None, listen: str | None) -> Server:
    if found.running is None:
        holder = note.process["host"] if note is not None and note.process is not None else "?"
        raise BusyError(
            f"the server of {found.folder} was started on host {holder} and does not answer here; look there, or, if "
            "that host is down for good, say --assume-dead"
        )
    if port not in {None, found.port} or listen not in {None, found.listen}:
        raise BusyError(
            f"the server of {found.folder} runs already, on {found.listen} port {found.port}; stop it first: "
            "batchml db serve --stop"
        )
    return found


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=3.0):
            return True
    except OSError:
        return False


def _settle(
    programs: Programs, folder: Path, before: Note | None, *, port: int | None, listen: str | None, durable: bool
) -> Note:
    """Configure the server and return where it will be."""
    listen = listen or (before.listen if before is not None else "127.0.0.1")
    port = port or (before.port if before is not None else _free_port())
    configure(programs, folder, listen, port, durable=durable)
    return Note(port=port, listen=listen, host=_host(listen))


def _host(listen: str) -> str:
    """Return the name that clients use."""
    if listen in LOOPBACK:
        return "127.0.0.1" if listen == "localhost" else listen
    return host_name() if listen in {"*", "0.0.0.0", "::"} else listen  # noqa: S104 - the user's word is compared


def _free_port() -> int:
    """Return a port that nothing uses, below those that the system gives to outgoing connections."""
    for _ in range(200):
        port = random.randint(15000, 29999)  # noqa: S311 - no secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RegistryError("no free port was found; name one by --port")


def _made_database(server: Server) -> bool:
    """Make the database that the URL names, unless it is there; return whether the server let us in."""
    try:
        import psycopg
    except ModuleNotFoundError:
        raise ConfigError("PostgreSQL needs the package psycopg: pip install 'batchml[server]'") from None
    try:
        with (
            psycopg.connect(
                host="127.0.0.1" if server.listen == "*" else server.host,
                port=server.port,
                user=USER,
                dbname="postgres",
                passfile=str(server.passfile),
                connect_timeout=10,
                autocommit=True,
            ) as connection,
            contextlib.suppress(psycopg.errors.DuplicateDatabase),
        ):
            connection.execute(f"CREATE DATABASE {_DATABASE}")
    except psycopg.errors.InvalidPassword:
        raise RegistryError(f"the server refuses the password in {server.passfile}; was the file changed?") from None
    except psycopg.Error:
        return False
    return True
