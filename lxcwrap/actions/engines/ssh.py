"""A host by SSH: one connection for everything, a channel per command."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO

from lxcwrap.actions import far
from lxcwrap.deploy.host import USUAL, Pairs, Result
from lxcwrap.errors import Unreachable
from lxcwrap.model import hosts as model
from lxcwrap.remote import ssh
from lxcwrap.runtime import frames

_PIECE = 1 << 16
_CHANNELS = 6  # at once; sshd allows ten (MaxSessions), and a lock holds one
_START = 45.0  # seconds that the program may take to say who it is


class _Kept:
    def __init__(self) -> None:
        self.text, self.errors = bytearray(), bytearray()

    def out(self, content: bytes) -> None:
        self.text += content

    def err(self, content: bytes) -> None:
        self.errors += content


class _Passed(_Kept):
    """Output and errors go on as they come."""

    def __init__(self, pass_on: Callable[[bytes], None]) -> None:
        super().__init__()
        self._pass_on = pass_on

    def out(self, content: bytes) -> None:
        self._pass_on(content)

    def err(self, content: bytes) -> None:
        self._pass_on(content)


class SshHost:
    """``before``: global options for the program there.  Connects when it is first needed."""

    def __init__(self, host: model.Host, ask: far.Ask, before: Sequence[str] = ()) -> None:
        self.target = host
        self.ask = ask
        self._before = tuple(before)
        self._lock = threading.Lock()
        self._channels = threading.BoundedSemaphore(_CHANNELS)
        self._connection: ssh.Connection | None = None
        self._failure: Unreachable | None = None

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def labels(self) -> Pairs:
        return self.target.labels

    def connection(self) -> ssh.Connection:
        """Raises Unreachable, and the same again: who did not answer once is not waited for twice."""
        with self._lock:
            if self._failure:
                raise self._failure
            if not self._connection:
                try:
                    self._connection = ssh.connect(self.target, self.ask)
                except Unreachable as error:
                    self._failure = error
                    raise
            return self._connection

    def close(self) -> None:
        if self._connection:
            self._connection.close()

    def run(self, words: Sequence[str], stdin: bytes | BinaryIO = b"", timeout: float = USUAL) -> Result:
        kept = _Kept()
        with self._channels, self._begun(words, timeout) as (channel, rest):
            _send(channel, stdin)
            code = far.follow(channel, rest, kept, self.name)
        return Result(code, bytes(kept.text), kept.errors.decode(errors="replace"))

    def follow(self, words: Sequence[str], out: Callable[[bytes], None]) -> int:
        with self._begun(words, 0) as (channel, rest):
            _send(channel, b"")
            return far.follow(channel, rest, _Passed(out), self.name)

    def hold(self, words: Sequence[str], timeout: float = USUAL) -> Held:
        channel, rest = self._begin()
        try:
            _request(channel, (*self._before, *words))
        except (OSError, EOFError) as error:
            channel.close()
            raise Unreachable(f"{self.name}: {error or type(error).__name__}") from None
        held = Held(channel, rest, self.name)
        if not held.said.wait(timeout):
            held.close()
            raise Unreachable(f"{self.name}: no answer within {timeout:.0f} s")
        return held

    def _begin(self) -> tuple[far.Channel, bytes]:
        connection = self.connection()
        watch = threading.Timer(_START, connection.close)
        watch.daemon = True
        watch.start()
        try:
            return far.begin(connection, self.ask)
        except (OSError, EOFError) as error:
            raise Unreachable(f"{self.name}: the connection broke: {error or type(error).__name__}") from None
        finally:
            watch.cancel()

    @contextmanager
    def _begun(self, words: Sequence[str], timeout: float) -> Iterator[tuple[far.Channel, bytes]]:
        """A channel with the command; closed at the end, or when its time is over (0: never)."""
        late = threading.Event()
        channel, rest = self._begin()

        def give_up() -> None:
            late.set()
            channel.close()

        watch = threading.Timer(timeout, give_up)
        watch.daemon = True
        if timeout:
            watch.start()
        try:
            _request(channel, (*self._before, *words))
            yield channel, rest
        except (OSError, EOFError, Unreachable) as error:
            if late.is_set():
                raise Unreachable(f"{self.name}: {' '.join(words[:2])} took more than {timeout:.0f} s") from None
            if isinstance(error, Unreachable):
                raise
            raise Unreachable(f"{self.name}: the connection broke: {error or type(error).__name__}") from None
        finally:
            watch.cancel()
            channel.close()


class Held:
    """A command that goes on.  ``said`` is set once it printed a line, or ended."""

    def __init__(self, channel: far.Channel, rest: bytes, name: str) -> None:
        self.said = threading.Event()
        self._channel = channel
        self._text = bytearray()
        self._reader = threading.Thread(target=self._read, args=(rest, name), daemon=True)
        self._reader.start()

    def out(self, content: bytes) -> None:
        self._text += content
        if b"\n" in self._text:
            self.said.set()

    def err(self, content: bytes) -> None:
        pass

    def _read(self, rest: bytes, name: str) -> None:
        with suppress(Unreachable):
            far.follow(self._channel, rest, self, name)
        self.said.set()

    @property
    def line(self) -> bytes:
        return bytes(self._text.partition(b"\n")[0])

    @property
    def is_alive(self) -> bool:
        return self._reader.is_alive()

    def beat(self) -> None:
        with suppress(OSError, EOFError):
            self._channel.sendall(frames.encode(frames.INPUT, b"\n"))

    def close(self) -> None:
        with suppress(OSError, EOFError):
            self._channel.sendall(frames.encode(frames.INPUT_END))
            self._reader.join(5)
        self._channel.close()


def _request(channel: far.Channel, words: Sequence[str]) -> None:
    channel.sendall(frames.encode(frames.PLAN, json.dumps(far.Request(tuple(words)).to_json()).encode()))


def _send(channel: far.Channel, stdin: bytes | BinaryIO) -> None:
    if isinstance(stdin, bytes):
        if stdin:
            channel.sendall(frames.encode(frames.INPUT, stdin))
    else:
        while piece := stdin.read(_PIECE):
            channel.sendall(frames.encode(frames.INPUT, piece))
    channel.sendall(frames.encode(frames.INPUT_END))
