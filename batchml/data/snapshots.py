"""Copies of the folders of a user's own modules, named by their content: what workers run does not change any more."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from batchml.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batchml.data.artifacts import ArtifactFolder

__all__ = ["about_snapshot", "check_snapshots", "import_path", "snapshot_folders", "take_snapshot"]

_KIND = "snapshot"
_ABOUT = "about.json"
_FILE_MB = 10
_TOTAL_MB = 100
_FILES = 10_000
_TRIES = 3
_LEFT_OUT: Final = frozenset({"__pycache__", "node_modules"})
_ENDINGS: Final = (".pyc", ".pyo", ".db", ".db-wal", ".db-shm", ".db-journal", ".db.lock", ".db.turn", ".db.owner")


def take_snapshot(artifacts: ArtifactFolder, folders: Sequence[str], about: Sequence[Mapping[str, Any]] = ()) -> str:
    """Copy folders into the artifacts and return the digest of their content; what is there is not copied again.

    Left out are hidden folders (``.git``, ``.venv``), virtual environments, ``__pycache__``, registries with their
    artifacts, and links to folders.

    Parameters
    ----------
    folders
        Of the user's own modules.
    about
        What else is known of them (commit, dirtiness): plain data, kept beside the copy.

    Raises
    ------
    ConfigError
        There is no folder, one is too large, or files in it change all the time.
    ArtifactError
        The artifacts cannot be written.
    """
    if not folders:
        raise ConfigError("there is nothing to take a snapshot of: the designs of this registry name no `modules`")
    aside = artifacts.root / _KIND / f"tmp-{secrets.token_hex(8)}"
    try:
        aside.mkdir(parents=True)
        try:
            for number, folder in enumerate(folders):
                _copy(Path(folder), aside / str(number))
            digest = _digest(aside)
            text = {"folders": [str(Path(folder).resolve()) for folder in folders], "about": list(about)}
            (aside / _ABOUT).write_text(json.dumps(text), encoding="utf-8")
            _put(aside, artifacts.path(_KIND, digest))
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise ArtifactError(f"cannot take a snapshot in {str(artifacts.root)!r}: {error}") from error
    return digest


def _put(aside: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        aside.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        return  # it is there
    for file in place.rglob("*"):
        if file.is_file():
            file.chmod(file.stat().st_mode & 0o555)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder as it was at one moment."""
    for _ in range(_TRIES):
        before = _listed(source)
        for name in before:
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, copy)
            copy.chmod(0o755 if os.access(source / name, os.X_OK) else 0o644)
        if _listed(source) == before:
            return
        shutil.rmtree(target, ignore_errors=True)
    raise ConfigError(
        f"no snapshot of {source} can be taken, since its files change all the time; wait until they rest"
    )


def _listed(source: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of what belongs into a snapshot, by relative name."""
    found: dict[str, tuple[int, int]] = {}
    total = 0
    for path in _files(source):
        about = path.stat()
        name = path.relative_to(source).as_posix()
        total += about.st_size
        if about.st_size > _FILE_MB << 20:
            raise ConfigError(_too_large(source, f"{name} has {about.st_size >> 20} MB, a file may have {_FILE_MB}"))
        if total > _TOTAL_MB << 20:
            raise ConfigError(_too_large(source, f"it would hold more than {_TOTAL_MB} MB"))
        if len(found) >= _FILES:
            raise ConfigError(_too_large(source, f"it would hold more than {_FILES:,} files"))
        found[name] = (about.st_size, about.st_mtime_ns)
    if not found:
        raise ConfigError(f"no snapshot of {source} can be taken: there are no files in it")
    return found


def _files(source: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(source):
        here = Path(root)
        folders[:] = sorted(name for name in folders if _belongs(here / name))
        for name in sorted(files):
            if not name.endswith(_ENDINGS) and (here / name).is_file():
                yield here / name


def _belongs(folder: Path) -> bool:
    name = folder.name
    if name.startswith(".") or name in _LEFT_OUT or name.endswith((".artifacts", ".egg-info")):
        return False
    return not (folder.is_symlink() or (folder / "pyvenv.cfg").exists())


def _too_large(source: Path, why: str) -> str:
    return f"no snapshot of {source} can be taken: {why}; put the design's `modules` into a folder of their own"


def _digest(place: Path) -> str:
    """Name a copy by all its files; there is nothing that does not count."""
    state = hashlib.sha256(b"batchml snapshot 1")
    for path in sorted(place.rglob("*"), key=lambda path: path.relative_to(place).as_posix()):
        name = path.relative_to(place).as_posix()
        if path.is_symlink():
            raise ArtifactError(f"the snapshot {place} was altered: {name} is a link")
        if path.is_file() and name != _ABOUT:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            state.update(f"{len(name)}:{name}:{os.access(path, os.X_OK)}:{content}".encode())
    return state.hexdigest()


def snapshot_folders(artifacts: ArtifactFolder, digest: str) -> tuple[str, ...]:
    """Return the copied folders of a snapshot, to be put on a worker's import path.

    Raises
    ------
    ArtifactError
        It is not there.
    """
    place = artifacts.path(_KIND, digest)
    numbers = sorted(int(path.name) for path in place.glob("*") if path.name.isdecimal())
    if not numbers:
        raise ArtifactError(f"the snapshot {digest[:12]} is missing: no folder {str(place)!r}; submit again")
    return tuple(str(place / str(number)) for number in numbers)


def _place_of(folder: str) -> Path | None:
    """Return the snapshot that a folder on an import path belongs to."""
    place = Path(folder).parent
    is_one = place.parent.parent.name == _KIND and len(place.name) == 64 and (place / _ABOUT).is_file()
    return place if is_one else None


def check_snapshots(folders: Sequence[str]) -> None:
    """Refuse snapshots among folders whose content is no longer what they are named by.

    Raises
    ------
    ArtifactError
        Naming the snapshot.
    """
    for place in {place for folder in folders if (place := _place_of(folder)) is not None}:
        if _digest(place) != place.name:
            raise ArtifactError(f"the snapshot {place} was altered, its code is not run; submit again")


def about_snapshot(folder: str) -> dict[str, Any] | None:
    """Return what is known of the folder that a snapshot's folder is a copy of; None if it is no copy."""
    place = _place_of(folder)
    if place is None:
        return None
    try:
        told = json.loads((place / _ABOUT).read_text(encoding="utf-8"))
        original = told["folders"][int(Path(folder).name)]
    except (OSError, ValueError, KeyError, IndexError):
        return {"folder": folder, "snapshot": place.name}
    known: dict[str, Any] = next((one for one in told["about"] if one.get("folder") == original), {})
    return {**known, "folder": original, "snapshot": place.name}


def import_path(before: Sequence[str], folders: Sequence[str]) -> list[str]:
    """Return a module search path with folders at its end; a snapshot replaces the folder that it is a copy of."""
    copied = [about["folder"] for folder in folders if (about := about_snapshot(folder)) is not None]
    kept = [one for one in before if not copied or str(Path(one).resolve()) not in copied]
    return [*kept, *(folder for folder in folders if folder not in kept)]
