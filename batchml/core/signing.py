"""The user's signing key: what carries its mark was written by this user, and belongs where it is found.

Whoever can write to a registry or its artifacts could put any pickle there. So pickles carry an HMAC over the registry,
their kind, the digest they go by and their content, and are opened only after it was verified.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from batchml.errors import TrustError

__all__ = ["SigningKey", "key_file", "make_key", "read_key"]

_BYTES = 32
_FORMAT = "batchml signature 1"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret of one user.

    Attributes
    ----------
    id
        A public name, so that a mark made with another key is told from a forged one.
    """

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits."""
        return hmac.new(self.secret, b"batchml key id", hashlib.sha256).hexdigest()[:16]

    def mark(self, registry: str, kind: str, name: str, content: bytes) -> str:
        """Return the mark of a content, for this registry, kind and name only."""
        parts = (_FORMAT, registry, kind, name, hashlib.sha256(content).hexdigest())
        # Lengths first: no two lists of parts may give the same text.
        text = "".join(f"{len(part)}:{part}," for part in parts)
        return hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()

    def verifies(self, mark: str, registry: str, kind: str, name: str, content: bytes) -> bool:
        """Tell whether a mark is this key's, for this content at this place."""
        made = self.mark(registry, kind, name, content)
        return hmac.compare_digest(made.encode(), mark.encode("utf-8", "replace"))


def key_file() -> Path:
    """Return where the key is: ``signing.key`` in the user's configuration folder of batchml."""
    import platformdirs

    return Path(platformdirs.user_config_path("batchml")) / "signing.key"


def read_key() -> SigningKey:
    """Return the user's key.

    Raises
    ------
    TrustError
        There is none on this machine, others can read it, or it is no key.
    """
    file = key_file()
    try:
        with file.open("rb") as source:
            about = os.fstat(source.fileno())
            text = source.read(1024)
    except FileNotFoundError:
        raise TrustError(
            f"the signing key {file} is missing on {os.uname().nodename}, and without it pickles are neither opened "
            "nor signed: copy it from the machine on which the design was added (mode 0600)"
        ) from None
    except OSError as error:
        raise TrustError(f"the signing key {file} cannot be read: {error.strerror}") from None
    if about.st_uid != os.geteuid():
        raise TrustError(f"the signing key {file} belongs to another user: remove it, and add your designs again")
    if about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TrustError(
            f"the signing key {file} has the mode {stat.S_IMODE(about.st_mode):04o}, so that others can use it: if "
            f"nobody has read it, `chmod 600 {file}`; else remove it, and add your designs again"
        )
    try:
        secret = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        secret = b""
    if len(secret) != _BYTES:
        raise TrustError(f"{file} holds no signing key: remove it, and add your designs again")
    return SigningKey(secret)


def make_key() -> SigningKey:
    """Return the user's key, made if there is none yet; two processes at once agree on one.

    Raises
    ------
    TrustError
        It cannot be made, or the one that is there cannot be used.
    """
    file = key_file()
    if file.exists():
        return read_key()
    aside = file.with_name(f"{file.name}.tmp-{secrets.token_hex(8)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, secrets.token_hex(_BYTES).encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            os.link(aside, file)  # fails if another process was faster: its key counts
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    except OSError as error:
        raise TrustError(f"the signing key {file} cannot be made: {error.strerror}") from None
    return read_key()
