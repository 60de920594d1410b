"""What the supervisor and its clients say to each other: one byte of kind, four of length, the payload.

From a client: PLAN (JSON, once, first), INPUT, INPUT_END, SIZE (``rows columns``), SIGNAL (a number), STOPPING,
DONE, BEAR (``program.IDENTITY``; a socket comes with it).  From the supervisor: READY, STARTED (JSON), OUTPUT, ERROR
(the container's stderr), EXITED (JSON), FAILED (JSON), HEALTH (JSON).
Imports nothing beyond sockets' own errors: it is loaded into every supervisor.
"""

from __future__ import annotations

import os

PLAN, INPUT, INPUT_END, SIZE, SIGNAL = b"P", b"I", b"C", b"W", b"S"
STOPPING, DONE, ATTACH, PAUSE, EXEC = b"T", b"D", b"A", b"Z", b"Q"
STARTED, OUTPUT, ERROR, EXITED, FAILED = b"R", b"O", b"E", b"X", b"F"
PAUSED, TERMINAL = b"z", b"t"
BEAR, READY, HEALTH = b"B", b"r", b"H"
UPDATE, UPDATED = b"U", b"u"
FREEZE, THAW, FREEZE_FOR_ME = b"1", b"0", b"2"  # what PAUSE asks for; the last until the client leaves

LIMIT = 64 * 1024 * 1024  # bytes of one payload: a plan is far smaller


def encode(kind: bytes, payload: bytes = b"") -> bytes:
    return kind + len(payload).to_bytes(4, "big") + payload


class Decoder:
    """Bytes as they come in, frames as they are complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, received: bytes) -> list[tuple[bytes, bytes]]:
        """The frames that are complete now.  Raises ValueError when the peer does not speak this protocol."""
        self._buffer += received
        frames = []
        while len(self._buffer) >= 5:
            length = int.from_bytes(self._buffer[1:5], "big")
            if length > LIMIT:
                raise ValueError("not a frame")
            if len(self._buffer) < 5 + length:
                break
            frames.append((bytes(self._buffer[:1]), bytes(self._buffer[5 : 5 + length])))
            del self._buffer[: 5 + length]
        return frames


def read_one(descriptor: int) -> tuple[bytes, bytes] | None:
    """Block for one frame; None at end of file.  Raises ValueError for a frame cut short."""
    header = _read_exactly(descriptor, 5)
    if not header:
        return None
    length = int.from_bytes(header[1:5], "big")
    if len(header) < 5 or length > LIMIT:
        raise ValueError("not a frame")
    payload = _read_exactly(descriptor, length)
    if len(payload) < length:
        raise ValueError("a frame was cut short")
    return header[:1], payload


def _read_exactly(descriptor: int, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        piece = os.read(descriptor, min(count - len(received), 1 << 20))
        if not piece:
            break
        received += piece
    return bytes(received)


def write(descriptor: int, kind: bytes, payload: bytes = b"") -> None:
    """Block until the whole frame is written.  Raises OSError when the peer is gone."""
    rest = memoryview(encode(kind, payload))
    while rest:
        rest = rest[os.write(descriptor, rest) :]
