"""Frames between supervisor, keeper, slot and partner: a JSON header and bytes, never pickled objects.

A frame is one packet of a SOCK_SEQPACKET socket, so it arrives whole or not at all and a half-written one cannot
block its reader. Bytes that would not fit go through a memfd, whose descriptor travels with the packet.
"""

from __future__ import annotations

import array
import fcntl
import json
import mmap
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["INLINE_BYTES", "Frame", "Link", "Pieces", "ProtocolError", "decode", "encode", "pair"]

INLINE_BYTES = 96 * 1024
"""Larger payloads go through a memfd (a packet has to fit the socket's buffer, 208 kB by default)."""

_MAX_FDS = 8
# As plain numbers: combining flags of an enum costs more than the call that gets them.
_WAIT = int(socket.MSG_CMSG_CLOEXEC)
_NO_WAIT = int(socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT)
_PEEK = int(socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT | socket.MSG_PEEK)
_NO_SIGNAL = int(socket.MSG_NOSIGNAL)
_JSON = json.JSONEncoder(separators=(",", ":"))
_PARSE = json.JSONDecoder().raw_decode  # without the search for blanks around it
_LENGTH = struct.Struct("<I")
_FDS = socket.CMSG_SPACE(_MAX_FDS * 4)
_PACKET = INLINE_BYTES + 64 * 1024


class ProtocolError(RuntimeError):
    """The other side sent something that is no frame."""


class Pieces:
    """Bytes that lie in several places, as one blob: sent without being joined before."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(map(len, self.parts))


class Frame(NamedTuple):
    """One message: its header, its blobs, and the descriptors that came with it (the receiver's to close)."""

    header: dict[str, Any]
    blobs: tuple[Any, ...] = ()
    fds: tuple[int, ...] = ()


def encode(header: Mapping[str, Any], blobs: Sequence[bytes | Pieces] = ()) -> list[Any]:
    """Return the parts of a packet: length of the header, header, blobs."""
    if blobs:
        header = {**header, "blobs": [len(blob) for blob in blobs]}
    text = _JSON.encode(header).encode()
    parts = [_LENGTH.pack(len(text)), text]
    for blob in blobs:
        parts.extend(blob.parts if isinstance(blob, Pieces) else [blob])
    return parts


def decode(packet: bytes | memoryview, *, views: bool = False) -> Frame:
    """Return the frame of a packet; see `encode`. With `views`, large blobs are views of it."""
    try:
        (length,) = _LENGTH.unpack_from(packet)
        end = _LENGTH.size + length
        text = str(packet[_LENGTH.size : end], "ascii")
        header, parsed = _PARSE(text)
        if parsed < length:
            raise ProtocolError(f"{length - parsed} bytes follow the header")
        blobs = []
        for size in header.pop("blobs", ()):
            blob = packet[end : end + size]
            if not views or size < INLINE_BYTES:
                blob = bytes(blob)
            if len(blob) != size:
                raise ProtocolError(f"a blob of {size} bytes was announced, {len(blob)} came")
            blobs.append(blob)
            end += size
    except (struct.error, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ProtocolError(f"not a frame: {error}") from error
    return Frame(header, tuple(blobs))


class Link:
    """One end of a packet socket that carries frames."""

    __slots__ = ("_buffer", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray(_PACKET)

    @classmethod
    def from_fd(cls, fd: int) -> Link:
        """Return the link on a descriptor that was inherited or received."""
        return cls(socket.socket(fileno=fd))

    def fileno(self) -> int:
        """Return the descriptor, -1 once closed."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def detach(self) -> int:
        """Give the descriptor away."""
        return self._socket.detach()

    def send(self, header: Mapping[str, Any], blobs: Sequence[bytes | Pieces] = (), fds: Sequence[int] = ()) -> None:
        """Send a frame. Raises OSError if nobody can receive it."""
        parts = encode(header, blobs)
        if sum(map(len, parts)) <= INLINE_BYTES:
            self._packet(parts, fds)
            return
        memory = os.memfd_create("batchml-frame", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            for part in parts:
                view = memoryview(part)
                while view:
                    view = view[os.write(memory, view) :]
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
            self._packet([_LENGTH.pack(0)], [memory, *fds])
        finally:
            os.close(memory)

    def _packet(self, parts: list[bytes], fds: Sequence[int]) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else ()
        self._socket.sendmsg(parts, ancillary, _NO_SIGNAL)

    def receive(self, *, block: bool = True, peek: bool = False, views: bool = False) -> Frame | None:
        """Return the next frame, or None if there is none and `block` is false.

        With `peek` and without `block` the frame stays where it is. With `views`, large blobs are views of the memory
        that they came in, which is free when the last of them is gone.

        Raises
        ------
        EOFError
            The other end is closed.
        ProtocolError
            What came is no frame.
        """
        flags = _WAIT if block else _PEEK if peek else _NO_WAIT
        try:
            size, ancillary, _, _ = self._socket.recvmsg_into([self._buffer], _FDS, flags)
        except BlockingIOError:
            return None
        except ConnectionError:
            size, ancillary = 0, []
        if size == 0:
            raise EOFError("the other end is closed")
        fds = array.array("i")
        for _, _, data in ancillary:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        frame, received = self._unpack(memoryview(self._buffer)[:size], list(fds), views=views)
        return frame._replace(fds=tuple(received)) if received else frame

    @staticmethod
    def _unpack(packet: memoryview, fds: list[int], *, views: bool) -> tuple[Frame, list[int]]:
        if packet != _LENGTH.pack(0):
            try:
                return decode(packet), fds
            except ProtocolError:
                _close(fds)
                raise
        if not fds:
            raise ProtocolError("a large frame without its memory")
        memory = fds.pop(0)
        try:
            # Nobody can take sealed memory away from under a view.
            sealed = bool(fcntl.fcntl(memory, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK)
            view = memoryview(mmap.mmap(memory, 0, access=mmap.ACCESS_READ))
            return decode(view, views=views and sealed), fds
        except (OSError, ValueError, ProtocolError) as error:
            _close(fds)
            raise ProtocolError(f"the memory of a large frame: {error}") from error
        finally:
            os.close(memory)


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def pair() -> tuple[Link, Link]:
    """Return two connected links."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Link(left), Link(right)
