"""Frames between the solver and a session: four bytes of length, then JSON. Both sides; standard library only.

Never pickle: a session's bytes may be anything, and reading them must do nothing but give a value or an error.
"""

import json
import struct
from typing import Any

MAX_FRAME = 1 << 20
HEADER = 4


def pack(message: dict[str, Any]) -> bytes:
    body = json.dumps(message).encode("ascii")
    return struct.pack(">I", len(body)) + body


def body_length(header: bytes) -> int:
    """Raises ValueError where the frame would be longer than any that we send."""
    length: int = struct.unpack(">I", header)[0]
    if length > MAX_FRAME:
        raise ValueError("a frame of more than a megabyte")
    return length


def unpack(body: bytes) -> dict[str, Any]:
    """Raises ValueError for anything but a JSON object, however deep it is nested."""
    try:
        message = json.loads(body)
    except RecursionError:
        raise ValueError("a frame nested too deep") from None
    if not isinstance(message, dict):
        raise ValueError("a frame that is no object")
    return message
