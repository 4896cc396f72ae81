"""Big things beside the registry: tables, models and splits in a folder or behind a URL, named by their content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchml.core.aside import remove_abandoned, written_aside
from batchml.data.pruning import in_use, tidy
from batchml.data.remote import cache_folder, filesystem, locked
from batchml.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ArtifactFolder", "RemoteArtifacts", "artifact_folder"]


class ArtifactFolder:
    """A folder of files named by kind and digest; a file that is there is complete.

    Parameters
    ----------
    root
        The folder; made when something is first put there.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    def path(self, kind: str, digest: str) -> Path:
        """Return where the artifact is, or will be."""
        return self.root / kind / digest[:2] / digest

    def has(self, kind: str, digest: str) -> bool:
        """Whether the artifact is there."""
        return self.path(kind, digest).exists()

    def put(self, kind: str, digest: str, write: Callable[[Path], Any]) -> Path:
        """Have `write` write the artifact aside, then move it into place; nothing happens if it is there.

        Raises
        ------
        ArtifactError
            The folder cannot be written, or is full; nothing half-written stays.
        """
        path = self.path(kind, digest)
        if path.exists():
            return path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(path.parent)
            with written_aside(path) as aside:
                write(aside)
                with aside.open("rb") as file:  # the name must not outlive the content in a power cut
                    os.fsync(file.fileno())
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise ArtifactError(f"cannot write to the artifact folder {str(self.root)!r}: {reason}") from problem
        return path

    def fetch(self, kind: str, digest: str) -> Path:
        """Return where the artifact can be read on this machine; it may be missing."""
        return self.path(kind, digest)

    def variants(self, kind: str, digest: str) -> list[str]:
        """Return the names of the artifacts called `digest` and an ending."""
        return sorted(path.name for path in self.path(kind, digest).parent.glob(f"{digest}.*"))

    def drop(self, kind: str, digest: str) -> None:
        """Remove an artifact that is damaged, so that it can be put again."""
        self.path(kind, digest).unlink(missing_ok=True)

    def make(self) -> None:
        """Make the folder: one that is there and empty is not one that this machine cannot see."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise ArtifactError(f"cannot write to the artifact folder {str(self.root)!r}: {reason}") from problem

    def check(self) -> None:
        """Make sure that artifacts can be read here.

        Raises
        ------
        ArtifactError
            They cannot.
        """
        if not self.root.is_dir() or not os.access(self.root, os.R_OK | os.X_OK):
            raise ArtifactError(f"{self.root} cannot be read on this machine")

    def __repr__(self) -> str:
        return f"<ArtifactFolder> {self.root}"


class RemoteArtifacts(ArtifactFolder):
    """Artifacts behind an fsspec URL, with a copy of each that was needed in this machine's cache.

    Parameters
    ----------
    url
        E.g. ``s3://bucket/study``.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        name = hashlib.sha256(self.url.encode()).hexdigest()[:32]
        super().__init__(cache_folder() / "artifacts" / name)

    def _remote(self, kind: str, digest: str) -> tuple[Any, str]:
        system, root = filesystem(self.url)
        return system, f"{root}/{kind}/{digest[:2]}/{digest}"

    def has(self, kind: str, digest: str) -> bool:
        """Whether the artifact is there."""
        system, path = self._remote(kind, digest)
        with self._translated():
            return bool(system.exists(path))

    def put(self, kind: str, digest: str, write: Callable[[Path], Any]) -> Path:
        """Have `write` write the artifact into the cache, and upload it; it gets its name when it is complete."""
        if self.has(kind, digest):
            return self.fetch(kind, digest)
        copy = super().put(kind, digest, write)
        system, path = self._remote(kind, digest)
        aside = f"{path}.tmp-{secrets.token_hex(8)}"
        with self._translated():
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.put_file(str(copy), aside)
            system.mv(aside, path)
        return copy

    def fetch(self, kind: str, digest: str) -> Path:
        """Return the copy on this machine; one process downloads it, the others wait for it."""
        copy = self.path(kind, digest)
        if copy.exists():
            in_use(copy)
            return copy
        with locked(copy.with_name(f"{copy.name}.lock")):
            if copy.exists():
                return copy
            system, path = self._remote(kind, digest)
            with self._translated():
                if not system.exists(path):
                    return copy
                super().put(kind, digest, lambda aside: system.get_file(path, str(aside)))
        tidy(cache_folder())
        return copy

    def variants(self, kind: str, digest: str) -> list[str]:
        """Return the names of the artifacts called `digest` and an ending."""
        system, path = self._remote(kind, digest)
        with self._translated():
            return sorted(one.rpartition("/")[2] for one in system.glob(f"{path}.*"))

    def drop(self, kind: str, digest: str) -> None:
        """Remove an artifact that is damaged, and this machine's copy of it, so that it can be put again."""
        super().drop(kind, digest)
        system, path = self._remote(kind, digest)
        with self._translated():
            if system.exists(path):
                system.rm_file(path)

    def check(self) -> None:
        """Make sure that the URL can be reached from here."""
        system, root = filesystem(self.url)
        with self._translated():
            system.exists(root)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ArtifactError:
            raise
        except Exception as problem:  # each file system of fsspec has errors of its own
            reason = (str(problem).splitlines() or [type(problem).__name__])[0]
            raise ArtifactError(f"the artifacts at {self.url!r} cannot be reached: {reason}") from problem

    def __repr__(self) -> str:
        return f"<RemoteArtifacts> {self.url}"


def artifact_folder(place: str | os.PathLike[str]) -> ArtifactFolder:
    """Return the artifacts in a folder or behind an fsspec URL."""
    text = os.fspath(place)
    if text.startswith("file://"):
        return ArtifactFolder(text.removeprefix("file://"))
    return RemoteArtifacts(text) if "://" in text else ArtifactFolder(text)
