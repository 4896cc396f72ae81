"""Tables that outgrow memory, written to an Arrow file in parts.

Readers map an artifact, and take rows of columns that lie in one piece. So the file is laid out first, with nothing in
it, and then each part of each column is written to its place.
"""

from __future__ import annotations

import io
import mmap
import os
import secrets
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from batchml.data.fingerprint import column_digest, joined_digest
from batchml.data.tables import about_table, adopt_table
from batchml.errors import ArtifactError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchml.data.artifacts import ArtifactFolder
    from batchml.data.lazy import LazyBackend
    from batchml.data.pins import ColumnPin

__all__ = ["write_in_parts"]

_SCHEMA_BYTES = 1 << 24
"""What is longer than this is no schema, in which the digest is named."""


def write_in_parts(folder: ArtifactFolder, backend: LazyBackend) -> str:
    """Store a table that lies elsewhere as an artifact, without having it in memory; return its logical digest.

    A column of free text is held at once, since nothing says beforehand how long it is.

    Raises
    ------
    DataError
        The data have changed since they were opened, or while they were read.
    ArtifactError
        The folder cannot be written.
    """
    aside = folder.root / f"tmp-{secrets.token_hex(8)}"
    try:
        folder.make()
        digest = _write(aside, backend)
        adopt_table(folder, digest, aside)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise ArtifactError(f"cannot write to the folder {str(folder.root)!r}: {reason}") from problem
    finally:
        aside.unlink(missing_ok=True)
    return digest


def _write(path: Path, backend: LazyBackend) -> str:
    """Write a table to a file and return its digest."""
    columns = [_laid_out(backend, name) for name in backend.columns]
    unknown = secrets.token_hex(32)  # stands for the digest until that is known; no text of a user's holds it
    about = about_table(unknown, backend.primary_key)
    batch = pa.RecordBatch.from_arrays(columns, schema=_schema(backend, columns, about))
    with path.open("w+b") as file:
        sink = _Sink(file, unknown.encode())
        with pa.PythonFile(sink, mode="w") as target, pa.ipc.new_file(target, batch.schema) as writer:
            writer.write_batch(batch)
        del batch, columns
        file.truncate(sink.place)
        _fill(file, backend)
        digest = _digest(file, backend)
        for place in sink.named:
            os.pwrite(file.fileno(), digest.encode(), place)
    return digest


def _schema(backend: LazyBackend, columns: list[pa.Array], about: str) -> pa.Schema:
    fields = [pa.field(name, array.type) for name, array in zip(backend.columns, columns, strict=True)]
    return pa.schema(fields, metadata={"batchml": about})


class _Sink(io.RawIOBase):
    """A file in which zeros stay a hole: values that are yet to come."""

    def __init__(self, file: Any, unknown: bytes) -> None:
        self._file = file
        self._unknown = unknown
        self.place = 0
        self.named: list[int] = []  # where the digest belongs

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if np.frombuffer(view, np.uint8).any():
            os.pwrite(self._file.fileno(), view, self.place)
            at = bytes(view).find(self._unknown) if len(view) < _SCHEMA_BYTES else -1
            if at >= 0:
                self.named.append(self.place + at)
        self.place += len(view)
        return len(view)


# layout


def _laid_out(backend: LazyBackend, name: str) -> pa.Array:
    """Return a column of the right type and length; but for text, it has no values yet."""
    pin, n = backend.pins.columns[name], backend.n_rows
    if pin.info.type == "text":
        read = list(backend.parts([name]))
        return pa.concat_tables(read).column(name).combine_chunks() if read else pa.array([], pa.large_string())
    kind = _kind(pin)
    width = 1 if kind == pa.bool_() else 8 * (4 if pa.types.is_dictionary(kind) else 8)
    holes = pin.missing if pin.info.type != "numeric" else 0
    buffers = [_nothing((n + 7) // 8) if holes else None, _nothing((n * width + 7) // 8)]
    if pin.info.levels is None:
        return pa.Array.from_buffers(kind, n, buffers, null_count=holes)
    levels = pa.array(list(pin.info.levels), type=kind.value_type)
    return pa.DictionaryArray.from_buffers(kind, n, buffers, levels, null_count=holes)


def _kind(pin: ColumnPin) -> Any:
    if pin.info.levels is not None:
        values = pa.array(list(pin.info.levels)).type if pin.info.levels else pa.string()
        return pa.dictionary(pa.int32(), values, ordered=pin.info.type == "ordered")
    plain = {"logical": pa.bool_(), "integer": pa.int64(), "numeric": pa.float64()}
    return plain.get(pin.info.type) or pa.timestamp(pin.unit, tz=pin.zone)


def _nothing(size: int) -> Any:
    """Return zeros that take no memory."""
    return pa.py_buffer(mmap.mmap(-1, max(1, size))).slice(0, size)


# values


def _fill(file: Any, backend: LazyBackend) -> None:
    names = [name for name in backend.columns if backend.schema[name].type != "text"]
    places = _places(file, names)
    for group in backend.groups(names):
        start = 0
        for part in _even(backend.parts(group), backend.part_rows(group)):
            for name in group:
                _put(file, name, part.column(name).combine_chunks(), start, *places[name])
            start += part.num_rows
        if start != backend.n_rows:
            raise DataError(f"{backend!r:.200} has {start} rows now: the data have changed while they were read")


def _put(file: Any, name: str, array: pa.Array, start: int, bits: int | None, values: int) -> None:
    """Write the values of a column from row `start` on; `bits` and `values` are where it begins in the file."""
    if bits is not None:
        there = np.packbits(array.is_valid().to_numpy(zero_copy_only=False), bitorder="little")
        os.pwrite(file.fileno(), there.data, bits + start // 8)
    elif array.null_count:
        raise DataError(f"column {name!r} has missing values now: the data have changed while they were read")
    plain = _plain(array)
    before = start // 8 if pa.types.is_boolean(array.type) else start * plain.itemsize
    os.pwrite(file.fileno(), plain.data, values + before)


def _places(file: Any, names: list[str]) -> dict[str, tuple[int | None, int]]:
    """Return where in the file the validity bits and the values of columns begin."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        content = pa.py_buffer(mapped)
        table = pa.ipc.open_file(content).read_all()
        found = {}
        for name in names:
            array = table.column(name).chunk(0)
            bits, values = (array.indices if pa.types.is_dictionary(array.type) else array).buffers()
            found[name] = (None if bits is None else bits.address - content.address, values.address - content.address)
            del array, bits, values
        del table, content
    return found


def _even(parts: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    """Cut parts anew, so that each but the last has a multiple of `size` rows: bits fill bytes."""
    held: list[pa.Table] = []
    n = 0
    for part in parts:
        held.append(part)
        n += part.num_rows
        if n < size:
            continue
        table = pa.concat_tables(held)
        whole = n // size * size
        yield table.slice(0, whole)
        held, n = [table.slice(whole)], n - whole
    if n:
        yield pa.concat_tables(held)


def _plain(array: pa.Array) -> Any:
    if pa.types.is_dictionary(array.type):
        array = array.indices
    if pa.types.is_boolean(array.type):
        return np.packbits(array.fill_null(False).to_numpy(zero_copy_only=False), bitorder="little")
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    return np.ascontiguousarray((array.fill_null(0) if array.null_count else array).to_numpy())


def _digest(file: Any, backend: LazyBackend) -> str:
    """Digest what was written; a map of its own for each column keeps the others out of memory."""
    digests = {}
    for i, name in enumerate(backend.columns):
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            content = pa.py_buffer(mapped)
            column = pa.ipc.open_file(content).read_all().column(i)
            digests[name] = column_digest(column)
            del column, content
    found = joined_digest(digests, backend.n_rows, backend.primary_key)
    if backend.logical and found != backend.digest:
        raise DataError(f"{backend!r:.200} has changed since it was opened: add the design again")
    return found
