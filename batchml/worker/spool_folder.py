"""The folder through which workers without a database are served: bundles of jobs in, segments of outcomes out.

::

    spool.json   what it is for
    open/        bundles that anybody may claim, the most urgent first by name
    claimed/     bundles with the name of the segment of whoever claimed them, by one rename
    segments/    one file for each worker: what it began, how it ended
    orders/      what workers are to do: drain, stop, cancel these attempts
    artifacts/   the data of tasks

The number of files grows with bundles and workers, never with jobs.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.core.aside import written_aside
from batchml.core.attempt import Order
from batchml.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["EVERYBODY", "BundleName", "SpoolFolder"]

_FORMAT = 1
_ABOUT = "spool.json"
_FOLDERS = ("open", "claimed", "segments", "orders", "artifacts")
EVERYBODY = "all"
"""The orders of all workers of a spool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleName:
    """What the name of a bundle's file says about it.

    Attributes
    ----------
    bundle
        Its row in the registry: those with smaller ones are more urgent.
    first, count
        Its assignments from `first` on have not been given to anybody, of `count`.
    alone
        It holds a suspect.
    longest_s
        Expected seconds of its longest job, rounded; 0 if unknown.
    digest
        Of its content, the first 16 digits.
    """

    bundle: int
    first: int
    count: int
    alone: bool
    longest_s: int
    digest: str

    def __str__(self) -> str:
        kind = "alone" if self.alone else "many"
        return f"{self.bundle:012}.{self.first}-{self.count}.{kind}.{self.longest_s}.{self.digest}"

    @classmethod
    def parse(cls, name: str) -> BundleName | None:
        """Return what a name says, None for a name of something else."""
        parts = name.split(".")
        if len(parts) != 5 or parts[2] not in {"alone", "many"}:
            return None
        first, _, count = parts[1].partition("-")
        if not all(word.isdecimal() for word in (parts[0], first, count, parts[3])):
            return None
        return cls(
            bundle=int(parts[0]),
            first=int(first),
            count=int(count),
            alone=parts[2] == "alone",
            longest_s=int(parts[3]),
            digest=parts[4],
        )


class SpoolFolder:
    """One submission's folder.

    Parameters
    ----------
    root
        On a disk that all workers see.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.artifacts = self.root / "artifacts"
        self.segments = self.root / "segments"
        self._open = self.root / "open"
        self._claimed = self.root / "claimed"
        self._orders = self.root / "orders"

    # -- the folder --------------------------------------------------------------------------------------------------

    def create(self, about: Mapping[str, Any]) -> None:
        """Make it, for its owner only.

        Raises
        ------
        SpoolError
            It cannot be written.
        """
        try:
            for name in _FOLDERS:
                (self.root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
            self.root.chmod(0o700)
            self._tell({"format": _FORMAT, **about})
        except OSError as error:
            raise SpoolError(f"the spool folder {self.root} cannot be written: {error.strerror}") from error

    def about(self) -> dict[str, Any]:
        """Return what it is for.

        Raises
        ------
        SpoolError
            There is none here, somebody else could have written it, or it is of another version.
        """
        try:
            found: dict[str, Any] = json.loads((self.root / _ABOUT).read_text(encoding="utf-8"))
            mode = self.root.stat()
        except FileNotFoundError:
            raise SpoolError(
                f"there is no spool in {self.root} on this machine: it must be a folder that all nodes see; "
                "submit with spool=<such a folder>"
            ) from None
        except (OSError, ValueError) as error:
            raise SpoolError(f"{self.root / _ABOUT} cannot be read: {error}") from None
        if mode.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or mode.st_uid not in {os.geteuid(), 0}:
            raise SpoolError(
                f"{self.root} could have been written by others, who would choose what runs here: make it yours alone "
                "(chmod 700)"
            )
        if found.get("format") != _FORMAT:
            raise SpoolError(f"{self.root} was written by another version of batchml; use the same on all machines")
        return found

    def exists(self) -> bool:
        """Whether it is there."""
        return (self.root / _ABOUT).exists()

    def close(self) -> None:
        """Leave only the word that there is nothing to do: a worker that comes late leaves at once, without alarm."""
        about = self.about()
        self._tell({**about, "closed": True})
        for name in _FOLDERS:
            _remove(self.root / name)

    def _tell(self, about: Mapping[str, Any]) -> None:
        _write(self.root / _ABOUT, json.dumps(about).encode(), durable=True)

    # -- bundles -----------------------------------------------------------------------------------------------------

    def offer(self, name: BundleName, content: bytes) -> None:
        """Put a bundle where anybody may claim it.

        It is not made durable, which would cost more than all the rest: what a power cut takes is dealt out again.
        """
        _write(self._open / str(name), content)

    def offered(self) -> list[BundleName]:
        """Return the bundles that nobody has claimed, the most urgent first."""
        return sorted(_parsed(_listed(self._open)), key=lambda name: name.bundle)

    def claim(self, name: BundleName, segment: str) -> bool:
        """Take a bundle for the writer of a segment; False if somebody else was faster."""
        return _moved(self._open / str(name), self._claimed / f"{name}={segment}")

    def inherit(self, name: BundleName, old: str, segment: str) -> bool:
        """Take over a bundle from the writer of another segment, who is gone."""
        return _moved(self._claimed / f"{name}={old}", self._claimed / f"{name}={segment}")

    def give_back(self, name: BundleName, segment: str, rest: BundleName) -> bool:
        """Offer the rest of a claimed bundle again."""
        return _moved(self._claimed / f"{name}={segment}", self._open / str(rest))

    def claimed(self) -> list[tuple[BundleName, str]]:
        """Return the claimed bundles, each with the segment of its holder."""
        found = []
        for each in _listed(self._claimed):
            words, _, segment = each.partition("=")
            name = BundleName.parse(words)
            if name is not None and segment:
                found.append((name, segment))
        return sorted(found, key=lambda pair: pair[0].bundle)

    def drop(self, name: BundleName, segment: str) -> None:
        """Remove a claimed bundle: nothing of it is needed any more."""
        (self._claimed / f"{name}={segment}").unlink(missing_ok=True)

    def content(self, name: BundleName, segment: str) -> bytes:
        """Return what a claimed bundle holds."""
        return (self._claimed / f"{name}={segment}").read_bytes()

    def segment_names(self) -> list[str]:
        """Return the segments, those of earlier incarnations first."""
        return sorted(_listed(self.segments))

    # -- orders ------------------------------------------------------------------------------------------------------

    def order(self, whom: str, order: Order, cancel: Iterable[int] = ()) -> None:
        """Tell the writer of a segment, or `EVERYBODY`, what to do."""
        content = json.dumps({"order": order.value, "cancel": sorted(cancel)}).encode()
        path = self._orders / whom
        with contextlib.suppress(OSError):
            if path.read_bytes() == content:
                return
        if path.exists() or order is not Order.GO_ON or b"[]" not in content:
            _write(path, content)

    def orders(self, whom: str) -> tuple[Order, frozenset[int]]:
        """Return what the writer of a segment, or `EVERYBODY`, is told; what cannot be read is told again."""
        try:
            data = json.loads((self._orders / whom).read_bytes())
            return Order(data["order"]), frozenset(map(int, data["cancel"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Order.GO_ON, frozenset()


def _write(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file aside and move it into place."""
    with written_aside(path) as aside, aside.open("xb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _moved(old: Path, new: Path) -> bool:
    """Rename a file; on a network file system a rename may fail after it was done, or the other way round."""
    try:
        old.rename(new)
    except FileNotFoundError:
        # The reply to a rename that was done may have been lost and the call repeated by the file system.
        return new.exists()
    return True


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names, many of them
    except FileNotFoundError:
        return []


def _parsed(names: Iterable[str]) -> list[BundleName]:
    return [name for each in names if (name := BundleName.parse(each)) is not None]


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
