"""The data of tasks as a Dask worker reads them: from the supervisor's folder if it is seen there, else from copies."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from batchml.worker.dask_bundle import tables_of

if TYPE_CHECKING:
    import os

    from batchml.worker.dask_bundle import Bundle, Setup

__all__ = ["Tables"]


class Tables:
    """A folder with tables.

    Parameters
    ----------
    setup
        Names the supervisor's folder.
    own
        This Dask worker's folder for what it writes.
    blind
        It is known that the supervisor's folder is not seen here.

    Attributes
    ----------
    folder
        The folder or its URL.
    are_copies
        Tables are on this worker's own disk, to which they have to be sent.
    """

    def __init__(self, setup: Setup, own: str | os.PathLike[str], *, blind: bool) -> None:
        from batchml.data.artifacts import artifact_folder
        from batchml.errors import ArtifactError

        self._seen: set[str] = set()
        with contextlib.suppress(ArtifactError):
            if not blind:
                artifact_folder(setup.artifacts).check()
                self.folder, self.are_copies = setup.artifacts, False
                return
        copies = Path(own) / f"batchml-{setup.registry}"
        copies.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder, self.are_copies = str(copies), True

    def missing(self, bundle: Bundle) -> tuple[str, ...]:
        """Return the tables of a bundle that are not where they would be read."""
        from batchml.data.artifacts import artifact_folder

        tables = [one for one in tables_of(each.experiment for each in bundle.assignments) if one not in self._seen]
        if not tables:
            return ()
        folder = artifact_folder(self.folder)
        missing = tuple(digest for digest in tables if not folder.has("table", digest))
        self._seen.update(set(tables).difference(missing))
        return missing

    def store(self, kind: str, digest: str, sender: str, begin: int, content: bytes, total: int) -> None:
        """Add a piece to a file. That it is whole, and what its name says, is verified when it is first mapped.

        Each sender has a file of its own until it is whole: several supervisors may send the same table at once.
        """
        from batchml.data.artifacts import ArtifactFolder

        path = ArtifactFolder(self.folder).path(kind, digest)
        if not self.are_copies or path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{sender}.part")
        with aside.open("r+b" if begin else "wb") as file:
            file.seek(begin)
            file.write(content)
            file.flush()
        if begin + len(content) == total:
            aside.rename(path)
