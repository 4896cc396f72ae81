"""Specs: JSON descriptions of objects, each stored once by its digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, select

from batchml.registry.dialects import among, among_words, insert_new
from batchml.registry.tables import spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["put_specs", "spec_bodies", "spec_ids"]


def spec_ids(connection: Connection, kind: str, digests: Iterable[str]) -> dict[str, int]:
    """Return the rows of specs by digest, for those that are there."""
    found = select(spec.c.digest, spec.c.id).where(spec.c.kind == bindparam("kind"), among_words(spec.c.digest))
    rows = connection.execute(found, {"kind": kind, "words": sorted(set(digests))})
    return {digest: row_id for digest, row_id in rows}  # noqa: C416 - rows are not pairs to the type checker


def put_specs(connection: Connection, kind: str, bodies: Mapping[str, Any]) -> dict[str, int]:
    """Store what is not there, by digest, and return the rows of all."""
    known = spec_ids(connection, kind, bodies)
    new = [{"kind": kind, "digest": digest, "body": bodies[digest]} for digest in bodies if digest not in known]
    if not new:
        return known
    connection.execute(insert_new(connection.dialect, spec), new)
    return known | spec_ids(connection, kind, [row["digest"] for row in new])


def spec_bodies(connection: Connection, ids: Iterable[int]) -> dict[int, Any]:
    """Return the bodies of specs by row."""
    rows = connection.execute(select(spec.c.id, spec.c.body).where(among(spec.c.id)), {"ids": sorted(set(ids))})
    return {row.id: row.body for row in rows}
