"""Data of tasks on their way to a Dask worker that does not see the artifact folder."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchml.worker.dask_bundle import Setup

__all__ = ["ship"]

_PIECE = 16 * 2**20
"""Bytes at a time, so that neither end nor the scheduler between them holds a whole table."""


async def ship(client: Any, address: str, setup: Setup, digest: str) -> None:
    """Send a table to a Dask worker's own disk, its checksum first, with which it is verified there.

    Raises
    ------
    OSError
        The table cannot be read here.
    """
    from batchml.data.artifacts import artifact_folder
    from batchml.worker.dask_calls import store_piece

    folder = artifact_folder(setup.artifacts)
    sender = secrets.token_hex(4)
    for kind in ("table.sha256", "table"):
        path = folder.fetch(kind, digest)
        total = path.stat().st_size
        with path.open("rb") as file:
            begin = 0
            while piece := file.read(_PIECE):
                words = (setup.as_text(), (kind, digest, sender), begin, piece, total)
                await client.run(store_piece, *words, workers=[address])
                begin += len(piece)
