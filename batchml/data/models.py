"""Stored models: pickles that user code made in a slot, named by content and signed by the worker's user."""

from __future__ import annotations

import hashlib
import pickle
from typing import TYPE_CHECKING, Any

from batchml.core.signing import read_key
from batchml.errors import ArtifactError, ConfigError, TrustError

if TYPE_CHECKING:
    from pathlib import Path

    from batchml.data.artifacts import ArtifactFolder

__all__ = ["mark_model", "open_model", "put_model"]

_KIND = "model"


def put_model(artifacts: ArtifactFolder, data: bytes) -> str:
    """Store the pickle of a model, which is not opened; return the digest that names it."""
    name = hashlib.sha256(data).hexdigest()

    def write(path: Path) -> None:
        path.write_bytes(data)

    artifacts.put(_KIND, name, write)
    return name


def mark_model(registry: str, job_id: int, data: bytes) -> str | None:
    """Return the mark of a model as that of a job, with the name of the key; None where there is no key."""
    try:
        key = read_key()
    except TrustError:
        return None
    return f"{key.id}:{key.mark(registry, _KIND, f'job {job_id}', data)}"


def open_model(artifacts: ArtifactFolder, registry: str, job_id: int, digest: str, mark: str | None) -> Any:
    """Return a stored model, after its signature was verified.

    Raises
    ------
    TrustError
        It is unsigned, signed by somebody else, altered, or another job's.
    ArtifactError
        It is missing.
    ConfigError
        It cannot be opened with the packages that are installed here.
    """
    key = read_key()
    where = f"the model of job {job_id}"
    if mark is None:
        raise TrustError(f"{where} was not opened: it is not signed, since its worker had no signing key; run it again")
    by, _, signature = mark.partition(":")
    if by != key.id:
        raise TrustError(f"{where} was not opened: it was signed with another key, by another user or machine")
    path = artifacts.fetch(_KIND, digest)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{where} is missing: no file {str(path)!r}; reset the job to make it again") from None
    except OSError as error:
        raise ArtifactError(f"{where} cannot be read from {str(path)!r}: {error.strerror}") from None
    if not key.verifies(signature, registry, _KIND, f"job {job_id}", data):
        raise TrustError(f"{where} was not opened: {path} was altered, or belongs to another job; reset the job")
    try:
        return pickle.loads(data)  # noqa: S301 - signed by this user for this job
    except Exception as error:
        raise ConfigError(f"{where} cannot be opened here: {error!r}") from error
