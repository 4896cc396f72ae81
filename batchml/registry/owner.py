"""The owner file of single-host mode: on a network file system only one host at a time may open a SQLite registry."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from batchml.errors import BusyError, ReadOnlyError
from batchml.registry.processes import Process, here, is_gone

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["claim_host", "free_host", "owner_path"]


def owner_path(path: Path) -> Path:
    """Return the name of the owner file of a database file."""
    return path.with_name(path.name + ".owner")


def _read(file: Path) -> Process | None:
    try:
        return Process(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise BusyError(
            f"{file} cannot be read ({error}); if no other host uses the registry, `batchml db unlock` removes it"
        ) from None


def claim_host(path: Path, me: Process | None = None) -> None:
    """Write this host's name beside the file, or find it there. Processes of one boot of one host share the claim.

    Raises
    ------
    BusyError
        Another host holds the registry; the message names it.
    """
    me = here() if me is None else me
    file = owner_path(path)
    aside = file.with_name(f"{file.name}.tmp-{me.pid}")
    for _ in range(3):
        holder = _read(file)
        if holder is not None:
            same_boot = holder.host == me.host and holder.boot_id == me.boot_id
            if not same_boot and not is_gone(holder):
                raise BusyError(
                    f"{path} is on a network file system and held by host {holder.host} (process {holder.pid}); "
                    "work there, or, if that host is down for good, `batchml db unlock`"
                )
            if same_boot and not is_gone(holder):
                return
        try:
            aside.write_text(json.dumps(asdict(me)), encoding="utf-8")
            if holder is None:
                os.link(aside, file)  # fails if another host was faster; a link is atomic on NFS
            else:
                aside.replace(file)
        except FileExistsError:
            continue
        except OSError as error:
            raise ReadOnlyError(
                f"cannot write {file}: {error.strerror}; a registry on a network file system needs it"
            ) from None
        finally:
            aside.unlink(missing_ok=True)
        return
    raise BusyError(f"several hosts try to open {path} at once; it is on a network file system and takes one")


def free_host(path: Path, me: Process | None = None) -> None:
    """Remove the claim if it is this process's."""
    me = here() if me is None else me
    with contextlib.suppress(BusyError, OSError):
        if _read(owner_path(path)) == me:
            owner_path(path).unlink(missing_ok=True)
