"""Outcomes as frames of an append-only file: length, checksum and attempt, then a JSON header and the bytes it
speaks of.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from batchml.core.attempt import Ending, JobResult, Outcome
from batchml.core.conditions import Condition

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Frame", "decode_outcome", "encode_outcome", "ending_of", "frame", "read_frames", "write_frame"]

_HEAD = struct.Struct("<IIq")  # length of the payload, CRC-32 of key and payload, key
_KEY = struct.Struct("<q")
_SIZE = struct.Struct("<I")
_LARGEST = 2**31

_FIELDS = tuple(field.name for field in dataclasses.fields(Outcome))
_NOTHING = (None, "", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame of a file.

    Attributes
    ----------
    key
        The attempt that an outcome is about; 0 for what is about none.
    payload
        What it holds.
    size
        Its bytes in the file.
    """

    key: int
    payload: bytes
    size: int


def frame(payload: bytes, key: int = 0) -> bytes:
    """Return a frame: a file full of zeros, which a network file system may show for a moment, holds none."""
    head = _HEAD.pack(len(payload), zlib.crc32(payload, zlib.crc32(_KEY.pack(key))), key)
    return head + payload


def write_frame(file: BinaryIO, payload: bytes, key: int = 0) -> None:
    """Append a frame in one write, so that only the last frame of a file can be torn."""
    file.write(frame(payload, key))


def read_frames(file: BinaryIO) -> Iterator[Frame]:
    """Return the frames of a file from where it stands, up to its end or to the first that is damaged."""
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        length, checksum, key = _HEAD.unpack(head)
        if length > _LARGEST:
            return
        payload = file.read(length)
        if len(payload) < length or zlib.crc32(payload, zlib.crc32(_KEY.pack(key))) != checksum:
            return
        yield Frame(key=key, payload=payload, size=_HEAD.size + length)


def encode_outcome(outcome: Outcome) -> bytes:
    """Return an outcome as bytes."""
    # Without what is not there: a registry reads these by the hundred thousand.
    data = {name: value for name in _FIELDS if (value := getattr(outcome, name)) not in _NOTHING}
    data["ending"] = outcome.ending.value
    if outcome.conditions:
        data["conditions"] = [condition.as_json() for condition in outcome.conditions]
    blobs: list[bytes | memoryview] = []
    if outcome.result is not None:
        data["result"] = _pack_result(outcome.result, blobs)
    # Scores may be nan or infinite: Python's JSON writes and reads them.
    header = json.dumps(data, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return b"".join([_SIZE.pack(len(header)), header, *blobs])


def ending_of(payload: bytes) -> Ending:
    """Return how an outcome that `encode_outcome` wrote ended, without reading the rest."""
    data, _ = _header(payload)
    return Ending(data["ending"])


def decode_outcome(payload: bytes) -> Outcome:
    """Return the outcome that `encode_outcome` wrote."""
    data, start = _header(payload)
    data["ending"] = Ending(data["ending"])
    if "conditions" in data:
        data["conditions"] = tuple(Condition(**condition) for condition in data["conditions"])
    if "dirty" in data:
        data["dirty"] = tuple(data["dirty"])
    if "result" in data:
        data["result"] = _unpack_result(data["result"], memoryview(payload)[start:])
    return Outcome(**data)


def _header(payload: bytes) -> tuple[dict[str, Any], int]:
    """Return the header of an outcome, and where its bytes begin."""
    (size,) = _SIZE.unpack_from(payload)
    start = _SIZE.size + size
    return json.loads(payload[_SIZE.size : start].decode("utf-8", "surrogatepass")), start


def _pack_result(result: JobResult, blobs: list[bytes | memoryview]) -> dict[str, Any]:
    data: dict[str, Any] = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    data["predictions"] = [[name, len(blob)] for name, blob in result.predictions.items()]
    blobs.extend(result.predictions.values())
    if result.model is not None:
        data["model"] = len(result.model)
        blobs.append(result.model)
    return data


def _unpack_result(data: dict[str, Any], rest: memoryview) -> JobResult:
    predictions = {}
    for name, size in data["predictions"]:
        predictions[name] = bytes(rest[:size])
        rest = rest[size:]
    data["predictions"] = predictions
    data["scores"] = tuple((int(key), value) for key, value in data["scores"])
    if data["model"] is not None:
        data["model"] = bytes(rest[: data["model"]])
    return JobResult(**data)
