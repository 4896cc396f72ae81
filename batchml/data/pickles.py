"""Pickles beside a registry: written signed, verified before they are opened."""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchml.core.signing import make_key, read_key
from batchml.data.artifacts import artifact_folder
from batchml.errors import ArtifactError, ConfigError, TrustError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchml.core.signing import SigningKey

__all__ = ["PICKLE", "SignedPickles", "pickles_in"]

PICKLE = "pickle"
"""The kind of artifact that they are."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPickles:
    """The pickles that a registry's specs name.

    Each is a file of the artifact folder: the mark on a line, then the pickle. The key's public name is part of the
    file's name, so that users of one registry do not refuse each other's.

    Parameters
    ----------
    folder
        Of the artifacts, or their URL.
    registry
        The registry's own id: a file that was copied from another registry is refused.
    """

    folder: str
    registry: str

    def put(self, digest: str, content: bytes) -> None:
        """Write a pickle, signed with this user's key; a damaged one is replaced."""
        key = make_key()
        folder, name = artifact_folder(self.folder), f"{digest}.{key.id}"
        if folder.has(PICKLE, name) and not self._verified(folder.fetch(PICKLE, name), key, digest):
            folder.drop(PICKLE, name)
        mark = key.mark(self.registry, PICKLE, digest, content)
        folder.put(PICKLE, name, lambda aside: _write(aside, mark, content))

    def open(self, digest: str, what: str) -> Any:
        """See `batchml.core.pickled.Pickles`."""
        if not _DIGEST.fullmatch(digest):
            raise TrustError(f"{digest!r:.80} is no name of a pickle")
        key = read_key()
        folder, name = artifact_folder(self.folder), f"{digest}.{key.id}"
        path = folder.fetch(PICKLE, name)
        if not path.exists():
            raise self._missing(path, what, signed=bool(folder.variants(PICKLE, digest)))
        content = self._verified(path, key, digest)
        if content is None:
            raise TrustError(
                f"the pickle of {what} was not opened: {path} is not what you signed for this registry, it was altered "
                "or moved here; add the design again (allow_pickle=True) to write it anew"
            )
        try:
            return pickle.loads(content)  # noqa: S301 - signed by this user for this registry
        except Exception as error:
            raise ConfigError(f"the pickle of {what} cannot be opened here: {error!r}") from error

    def _verified(self, path: Path, key: SigningKey, digest: str) -> bytes | None:
        """Return the content of a file whose mark is right."""
        try:
            mark, _, content = path.read_bytes().partition(b"\n")
        except OSError as error:
            raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
        right = key.verifies(mark.decode("ascii", "replace"), self.registry, PICKLE, digest, content)
        return content if right else None

    def _missing(self, path: Path, what: str, *, signed: bool) -> Exception:
        if signed:
            return TrustError(
                f"the pickle of {what} was signed with another key than this user's: only who added it can run or open "
                "it, where the same signing key is"
            )
        return ArtifactError(f"the pickle of {what} is missing: no file {str(path)!r}; add the design again")


def pickles_in(spec: Any) -> Iterator[str]:
    """Return the digests of the pickles that plain data names, at any depth."""
    if isinstance(spec, dict):
        for tag in ("$pickle", "pickle"):
            if isinstance(spec.get(tag), str) and _DIGEST.fullmatch(spec[tag]):
                yield spec[tag]
    if isinstance(spec, (dict, list, tuple)):
        for value in spec.values() if isinstance(spec, dict) else spec:
            yield from pickles_in(value)


def _write(aside: Path, mark: str, content: bytes) -> None:
    aside.write_bytes(mark.encode() + b"\n" + content)
