"""From the data of a task's spec to a backend, in whatever process that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchml.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.core.backend import DataBackend
    from batchml.data.artifacts import ArtifactFolder

__all__ = ["open_data"]


def open_data(spec: Mapping[str, Any], artifacts: ArtifactFolder) -> DataBackend:
    """Return the backend that a task's spec names: an artifact, or a table that stays where it lies.

    Raises
    ------
    ArtifactError
        The artifact is missing or damaged.
    DataUnavailableError
        The file or database is not there, for now.
    SpecError
        This version knows no such kind of data.
    """
    kind = spec.get("kind")
    if kind == "artifact":
        from batchml.data.tables import open_table

        return open_table(artifacts, spec["digest"])
    if kind in {"parquet", "csv", "duckdb"}:
        from batchml.data.duck import CsvBackend, DuckBackend

        return (CsvBackend if kind == "csv" else DuckBackend).from_spec(spec)
    if kind == "ipc":
        from batchml.data.ipc import IpcBackend

        return IpcBackend.from_spec(spec)
    if kind == "sql":
        from batchml.data.sql import SqlBackend

        return SqlBackend.from_spec(spec).reopened()
    raise SpecError(f"this version of batchml cannot read data of the kind {kind!r}: upgrade it")
