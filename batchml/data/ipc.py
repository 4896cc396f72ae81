"""The backend over Arrow IPC files (Feather): mapped into memory, so that only what is taken is read.

DuckDB reads this format, too, but only by an extension that it would have to download.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

import pyarrow as pa
import pyarrow.ipc

from batchml.data.duck_open import look_through, pinned_files
from batchml.data.files import PinnedFile, found_files, is_url, located, steady, still_there, unmoved
from batchml.data.lazy import LazyBackend
from batchml.data.pins import Pins
from batchml.data.remote import cached_copy
from batchml.errors import DataError, DataUnavailableError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["IpcBackend", "open_ipc"]

_T = TypeVar("_T")
_TRIES = 3


class IpcBackend(LazyBackend):
    """Arrow IPC files, read where they lie. Made by `as_data_backend`.

    Parameters
    ----------
    files
        In their order.
    pins
        What the table was like at first.
    """

    def __init__(self, files: Iterable[PinnedFile], pins: Pins) -> None:
        super().__init__(pins)
        self._files = tuple(files)
        self._seen: dict[str, tuple[int, ...]] = {}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Return the backend that `source` wrote down."""
        return cls([PinnedFile.from_json(file) for file in spec["files"]], Pins.from_json(spec))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was read."""
        return {"_files": self._files, "_pins": self._pins, "_seen": {}}

    def _place(self) -> dict[str, Any]:
        return {"kind": "ipc", "files": [file.as_json() for file in self._files]}

    def _about(self) -> str:
        more = f" and {len(self._files) - 1} more" if len(self._files) > 1 else ""
        return f"{self._files[0].path}{more}"

    def _steadily(self, read: Callable[[list[str]], _T]) -> _T:
        """Read files; what was read while one of them was written does not count."""
        local = [file for file in self._files if not is_url(file.path)]
        for _ in range(_TRIES):
            for file in local:
                still_there(file, self._seen)
            try:
                found = read([str(cached_copy(f)) if is_url(f.path) else located(f.path) for f in self._files])
            except (OSError, pa.ArrowException, KeyError, ValueError) as problem:
                if unmoved(local, self._seen):
                    raise DataUnavailableError(f"{self._about()} cannot be read: {problem}") from problem
            else:
                if unmoved(local, self._seen):
                    return found
            self._seen.clear()
        raise DataUnavailableError(f"{self._about()} is being written all the time: its rows cannot be read")

    def _whole(self, names: list[str]) -> pa.Table:
        def read(paths: list[str]) -> list[pa.Array]:
            table = _mapped(paths, names)
            return [_copied(table.column(name)) for name in names]  # what is mapped would change with the file

        return self._fitted(names, self._steadily(read), self.n_rows)

    def _read(self, ids: NDArray[np.int64], names: list[str]) -> tuple[NDArray[np.int64], pa.Table]:
        positions, known = self._index.find(ids)
        found = ids if known.all() else ids[known]
        places = pa.array(positions[known])

        def read(paths: list[str]) -> list[pa.ChunkedArray]:
            table = _mapped(paths, names)
            return [table.column(name).take(places) for name in names]

        return found, self._fitted(names, self._steadily(read), len(found))


def _copied(column: pa.ChunkedArray) -> pa.Array:
    chunks = column.unify_dictionaries().chunks
    return pa.concat_arrays([*chunks, chunks[0][:0]]) if chunks else pa.array([], column.type)


def _mapped(paths: Sequence[str], names: Sequence[str]) -> pa.Table:
    """Return columns of files as they lie in them; compressed ones are unpacked."""
    return pa.concat_tables([_one(path, names).select(list(names)) for path in paths])


def _one(path: str, names: Sequence[str] | None = None) -> pa.Table:
    # Read as a file, it would be by a thread of Arrow, which closes the descriptor some time later.
    with pa.memory_map(path, "r") as file:
        content = file.read_buffer()
    if content.slice(0, 6).to_pybytes() == b"ARROW1":
        fields = pa.ipc.open_file(content).schema.names if names else []
        wanted = pa.ipc.IpcReadOptions(included_fields=[fields.index(name) for name in names or ()])
        return pa.ipc.open_file(content, options=wanted).read_all()
    return pa.ipc.open_stream(content).read_all()


def open_ipc(paths: Sequence[str | os.PathLike[str]], primary_key: str | None, text: Iterable[str]) -> IpcBackend:
    """Open Arrow IPC files; see `as_data_backend`."""
    pins = pinned_files(found_files(paths, ".arrow"))
    tables = []
    for file in pins:
        try:
            tables.append(_one(str(cached_copy(file)) if is_url(file.path) else file.path))
        except (pa.ArrowException, OSError) as problem:
            reason = str(problem).splitlines()[0]
            raise DataError(f"{file.path!r} cannot be read as Arrow IPC: {reason}") from problem
        if not tables[-1].schema.equals(tables[0].schema):
            raise DataError(f"{file.path!r} has other columns than {pins[0].path!r}: give files of one schema")
    table = pa.concat_tables(tables)
    names = table.column_names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the table has several columns called {twice!r}: rename all but one of them")
    looked = look_through(names, table.column, primary_key=primary_key, text=text)
    steady(pins)
    return IpcBackend(pins, looked)
