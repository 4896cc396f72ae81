"""Tables from openml.org, kept in the user's cache folder."""

from __future__ import annotations

import json
import warnings
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.ipc

from batchml.core.aside import written_aside
from batchml.data.canonical import canonical_table
from batchml.data.remote import cache_folder
from batchml.data.sources import arrow_table
from batchml.errors import DataError, DataUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["cache_folder", "openml_table"]

_FORMAT = 1


def openml_table(number: int, *, cache: Path | None = None, fetch: Callable[[int], Any] | None = None) -> pa.Table:
    """Return the table of an OpenML dataset: from the cache, else downloaded once.

    A cached file is used only if its checksum is right; a damaged one is downloaded again.

    Parameters
    ----------
    number
        The dataset's id, as in ``https://www.openml.org/d/31``.
    cache
        The folder; by default `cache_folder`.
    fetch
        What downloads; by default scikit-learn's `fetch_openml`.

    Raises
    ------
    DataUnavailableError
        It is not cached and openml.org cannot be reached.
    DataError
        There is no such dataset.
    """
    folder = (cache or cache_folder()) / "openml"
    table = _cached(folder, number)
    if table is None:
        table = canonical_table(arrow_table(_downloaded(number, fetch or _from_sklearn)))
        _keep(folder, number, table)
    return table


def _cached(folder: Path, number: int) -> pa.Table | None:
    path = folder / f"{number}.arrow"
    try:
        about = json.loads((folder / f"{number}.json").read_text(encoding="utf-8"))
        content = path.read_bytes()
    except (OSError, ValueError):
        return None
    if about.get("format") != _FORMAT or sha256(content).hexdigest() != about.get("sha256"):
        return None
    return pa.ipc.open_file(pa.py_buffer(content)).read_all()


def _keep(folder: Path, number: int, table: pa.Table) -> None:
    """Write table and checksum aside and move them into place; a cache that cannot be written is no error."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content = bytes(sink.getvalue())
    about = {"format": _FORMAT, "openml": number, "sha256": sha256(content).hexdigest(), "n_rows": table.num_rows}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in ((f"{number}.arrow", content), (f"{number}.json", json.dumps(about).encode())):
            with written_aside(folder / name) as aside:
                aside.write_bytes(data)
    except OSError as problem:
        message = (
            f"OpenML dataset {number} cannot be kept in {str(folder)!r} ({problem.strerror}): downloaded each time"
        )
        warnings.warn(message, UserWarning, stacklevel=3)


def _downloaded(number: int, fetch: Callable[[int], Any]) -> Any:
    try:
        return fetch(number)
    except OSError as problem:  # URLError, HTTPError, timeouts and broken connections
        reason = str(getattr(problem, "reason", problem)).splitlines()[0]
        raise DataUnavailableError(
            f"OpenML dataset {number} is not in the cache and openml.org cannot be reached ({reason}): "
            "get it once on a machine with a network, or point BATCHML_CACHE at a folder that has it"
        ) from problem
    except ValueError as problem:
        raise DataError(f"OpenML dataset {number} cannot be used: {str(problem).splitlines()[0]}") from problem


def _from_sklearn(number: int) -> Any:
    """Return the whole table, target included; scikit-learn checks OpenML's own checksum of the download."""
    from sklearn.datasets import fetch_openml

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on retries and inactive versions
        bunch = fetch_openml(data_id=number, as_frame=True, cache=False, n_retries=1, delay=0.5)
    return bunch.frame
