"""The data of a server of one's own: made, configured, started; and its processes, by what they work on."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from batchml.errors import ConfigError, ReadOnlyError, RegistryError

if TYPE_CHECKING:
    from batchml.registry.programs import Programs

__all__ = ["LOOPBACK", "USER", "check_reach", "configure", "initialise", "major_of", "postmaster", "start"]

USER = "batchml"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PATIENCE_S = 15.0


def major_of(folder: Path) -> str | None:
    """Return the major version of PostgreSQL that wrote the data, None where there are none."""
    try:
        return (folder / "data" / "PG_VERSION").read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReadOnlyError(f"{folder}/data cannot be read: {error.strerror}; it belongs to another user") from None


def _at_work(folder: Path) -> set[int]:
    """Return the processes of the data folder, by the working directory that PostgreSQL gives all of them."""
    data, found = str(folder / "data"), set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if str((entry / "cwd").readlink()) == data:
                    found.add(int(entry.name))
    return found


def postmaster(folder: Path) -> int | None:
    """Return the pid of the server's first process. A pid alone proves nothing: it may be used again, or a zombie."""
    try:
        pid = int((folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if pid in _at_work(folder) else None


def check_reach(programs: Programs, folder: Path) -> None:
    """Raise unless the account that is to run the server can enter its folder."""
    if programs.account.uid is None:
        return
    folder.chmod(0o755)
    if not programs.can_enter(folder):
        raise ConfigError(
            f"PostgreSQL refuses to run as root, and the account {programs.account.name} cannot enter {folder}; name a "
            "folder that it can (--folder)"
        )


def initialise(programs: Programs, folder: Path, *, durable: bool) -> None:
    """Make data and password, unless they are there; cut off, it is done again."""
    if major_of(folder) is not None:
        return
    password = secrets.token_hex(16)
    passfile = folder / "pgpass"
    _write_secret(passfile, f"*:*:*:{USER}:{password}\n")
    fresh = folder / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    given = fresh.with_name("initdb.password")
    _write_secret(given, password)
    for path in (fresh, given):
        programs.account.own(path)
    try:
        answer = programs.run(
            "initdb",
            *("-D", fresh, "-U", USER, "-A", "scram-sha-256", f"--pwfile={given}", "-E", "UTF8", "--locale=C"),
            *(() if durable else ("--no-sync",)),
        )
    finally:
        given.unlink(missing_ok=True)
    if answer.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        raise RegistryError(f"initdb failed in {folder}: {_last(answer.stderr)}")
    fresh.rename(folder / "data")


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it says nothing"


def configure(programs: Programs, folder: Path, listen: str, port: int, *, durable: bool) -> None:
    """Write the settings that the server is started with."""
    if not 1024 <= port <= 65535:
        raise ConfigError(f"a port is a number from 1024 to 65535, not {port}")
    if not listen or any(mark in listen for mark in "'\\\n"):
        raise ConfigError(f"--listen takes an address, a host name or *, not {listen!r}")
    data = folder / "data"
    _place(programs, data / "batchml.conf", _settings(listen, port, durable=durable))
    _place(programs, data / "pg_hba.conf", _rules(listen))
    main = data / "postgresql.conf"
    include = "include 'batchml.conf'"
    if include not in main.read_text(encoding="utf-8"):
        with main.open("a", encoding="utf-8") as file:
            file.write(f"\n{include}\n")


def _settings(listen: str, port: int, *, durable: bool) -> str:
    lines = [
        f"listen_addresses = '{listen}'",
        f"port = {port}",
        "unix_socket_directories = ''",  # a path has to be short there, and TCP is enough
        "max_connections = 400",
        "password_encryption = 'scram-sha-256'",
        # A client whose host or link died is noticed in half a minute, and its locks go.
        *("tcp_keepalives_idle = 10", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 4"),
        *("tcp_user_timeout = 30000", "client_connection_check_interval = 10000"),
        "jit = off",  # compiling takes longer than our statements do
        "max_wal_size = 4GB",
        "log_line_prefix = '%m [%p] '",
    ]
    if not durable:
        # What is committed still outlives the server's death, not the machine's.
        lines += ["fsync = off", "full_page_writes = off"]
    return "\n".join(lines) + "\n"


def _rules(listen: str) -> str:
    networks = ["127.0.0.1/32", "::1/128"] if listen in LOOPBACK else ["0.0.0.0/0", "::/0"]
    return "".join(f"host all all {network} scram-sha-256\n" for network in networks)


def _place(programs: Programs, path: Path, text: str) -> None:
    _write_secret(path, text)
    programs.account.own(path)


def start(programs: Programs, folder: Path, port: int) -> int:
    """Start the server and return the pid of its first process.

    Raises
    ------
    RegistryError
        It does not start; the message says why.
    """
    _clear(folder)
    log = folder / "server.log"
    log.touch(mode=0o600)
    programs.account.own(log)
    length = log.stat().st_size
    try:
        answer = programs.run("pg_ctl", "-D", folder / "data", "-w", "-t", "60", "-l", log, "start")
    except subprocess.TimeoutExpired:
        raise RegistryError(f"PostgreSQL did not start in time; see {log}") from None
    pid = postmaster(folder)
    if answer.returncode or pid is None:
        with log.open(encoding="utf-8", errors="replace") as file:
            file.seek(length)
            said = [line for line in file if "FATAL" in line or "could not" in line]
        reason = said[0].strip() if said else _last(answer.stderr)
        if "in use" in "".join(said):
            reason = f"port {port} is in use; name another by --port"
        raise RegistryError(f"PostgreSQL did not start: {reason}; see {log}")
    return pid


def _clear(folder: Path) -> None:
    """Wait for what a killed server left behind to end, then take its pid file away, whose number may be used again."""
    deadline = time.monotonic() + _PATIENCE_S
    while (left := _at_work(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if left:
        raise RegistryError(
            f"processes {', '.join(map(str, sorted(left)))} of a server that died still use {folder}; end them first"
        )
    (folder / "data" / "postmaster.pid").unlink(missing_ok=True)
