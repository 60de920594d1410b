"""A command on another host that answers while it is spoken to, in frames on its standard input and output."""

from __future__ import annotations

import queue
import threading

from lxcwrap.actions import far
from lxcwrap.errors import LxcwrapError, Unreachable
from lxcwrap.runtime import frames

_MOST = 16 << 20  # bytes of answers
_HEADER = len(frames.encode(frames.OUTPUT))
_PATIENCE = 10.0  # seconds for what a command that has ended said


class Conversation:
    """Speaks in one thread; what is answered is read in another.  Close it.

    ``sent`` and ``received`` count the channel's bytes.  Errors, its own and those of there, are one line that names
    the host.
    """

    def __init__(self, connection: far.Connection, request: far.Request, ask: far.Ask) -> None:
        """Start the command.  Raises Unreachable."""
        self.name = connection.name
        self.sent = self.received = 0
        self._answers: queue.Queue[tuple[bytes, bytes] | None] = queue.Queue()  # None: there are no more
        self._decoder = frames.Decoder()
        self._said = b""
        self._failure: LxcwrapError | None = None
        self._channel, rest = far.begin(connection, ask)
        self._reader = threading.Thread(target=self._read, args=(rest,), daemon=True)
        self._reader.start()
        self._send(far.encoded(request))

    def _read(self, rest: bytes) -> None:
        try:
            code = far.follow(self._channel, rest, self, self.name)
            if code:
                self._failure = far.failure(self.name, self._said, code)
        except LxcwrapError as error:
            self._failure = error
        finally:
            self._channel.close()  # who is sending learns of it
            self._answers.put(None)

    def out(self, content: bytes) -> None:
        """Raises ValueError for what is no answer."""
        self._count(content)
        for frame in self._decoder.feed(content):
            self._answers.put(frame)

    def err(self, content: bytes) -> None:
        self._count(content)
        self._said += content

    def _count(self, content: bytes) -> None:
        self.received += len(content) + _HEADER
        if self.received > _MOST:
            raise ValueError("it says too much")

    def send(self, kind: bytes, payload: bytes) -> None:
        """A frame to the command.  Raises what ended it, or Unreachable."""
        self._send(frames.encode(frames.INPUT, frames.encode(kind, payload)))

    def _send(self, content: bytes) -> None:
        try:
            self._channel.sendall(content)
        except (OSError, EOFError) as error:
            raise self._ended(str(error) or type(error).__name__) from None
        self.sent += len(content)

    def answer(self, kind: bytes) -> bytes:
        """The next frame, which must be of that kind.  Raises what ended the command, or Unreachable."""
        frame = self._answers.get()
        if frame is None:
            raise self._ended("it ended early")
        if frame[0] != kind:
            raise self.not_understood(f"{frame[0]!r} where {kind!r} belongs")
        return frame[1]

    def end(self) -> None:
        """Wait for the command to end by itself.  Raises its failure."""
        while self._answers.get() is not None:
            pass
        if self._failure:
            raise self._failure

    def _ended(self, otherwise: str) -> LxcwrapError:
        self._reader.join(_PATIENCE)
        return self._failure or Unreachable(f"{self.name}: the connection broke: {otherwise}")

    def not_understood(self, why: object) -> LxcwrapError:
        return Unreachable(f"{self.name}: its answer is not understood: {why}")

    def close(self) -> None:
        """The command there is killed if it has not ended.  From any thread."""
        self._channel.close()
