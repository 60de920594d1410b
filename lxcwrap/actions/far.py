"""One command line on another host, as if it were typed there: its streams, its terminal, its exit code.

The far side is ``lxcwrap remote-end``, started over SSH with no words of ours but those: the command line goes to
its standard input.  What both say after that are the frames of ``runtime.frames``.
"""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from lxcwrap.errors import LxcwrapError, Unreachable
from lxcwrap.runtime import frames

PROTOCOL = 1
GREETING = b"lxcwrap remote end %d\n" % PROTOCOL
_NOISE = 1 << 16  # bytes that a login shell may print before the greeting
_PIECE = 1 << 16
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_PROGRAM = "lxcwrap remote-end"
_ASKED = "lxcwrap asks for a password:"  # sudo's prompt


@dataclass(frozen=True)
class File:
    """A local file that a word of the command line names: the far side puts a path of its own after ``before``."""

    before: str
    content: bytes


Word = str | File


@dataclass(frozen=True)
class Request:
    """A command line.  ``terminal``: TERM of the one that it gets there, of ``size`` (rows, columns); '' is none."""

    words: tuple[Word, ...]
    terminal: str = ""
    size: tuple[int, int] = (0, 0)

    def to_json(self) -> dict[str, Any]:
        plain = [
            word if isinstance(word, str) else [word.before, base64.b64encode(word.content).decode()]
            for word in self.words
        ]
        return {"words": plain, "terminal": self.terminal, "size": self.size}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Request:
        """Raises ValueError, KeyError or TypeError for what is none."""
        words = (
            word if isinstance(word, str) else File(str(word[0]), base64.b64decode(word[1])) for word in plain["words"]
        )
        rows, columns = plain["size"]
        return cls(tuple(words), str(plain["terminal"]), (int(rows), int(columns)))


class Channel(Protocol):
    """What is used of paramiko's."""

    def fileno(self) -> int: ...
    def recv_stderr_ready(self) -> bool: ...
    def recv(self, nbytes: int) -> bytes: ...
    def recv_stderr(self, nbytes: int) -> bytes: ...
    def sendall(self, s: bytes) -> None: ...
    def recv_exit_status(self) -> int: ...
    def close(self) -> None: ...


class Connection(Protocol):
    """What is used of remote.ssh's."""

    @property
    def name(self) -> str: ...
    @property
    def needs_sudo(self) -> bool: ...
    def start(self, command: str) -> Any: ...


Ask = Callable[[str], str | None]


def begin(connection: Connection, ask: Ask) -> tuple[Channel, bytes]:
    """Start the far side; its channel, and what it said after its greeting.

    ``ask`` is asked for sudo's password where it wants one.  Raises Unreachable.
    """
    channel = connection.start(f"sudo -n {_PROGRAM}" if connection.needs_sudo else _PROGRAM)
    rest, said = _greeted(channel)
    if rest is not None:
        return channel, rest
    words, status = _rest_of(channel, said)
    if connection.needs_sudo and "password" in words:
        return _with_password(connection, ask)
    raise _refusal(connection.name, words, status)


def _with_password(connection: Connection, ask: Ask) -> tuple[Channel, bytes]:
    password = ask(f"sudo's password on {connection.name}: ")
    if password is None:
        raise Unreachable(
            f"{connection.name}: sudo wants a password there, and nobody is here to give it",
            hint="let the user there run lxcwrap without one, or log in as root",
        )
    channel = connection.start(f"sudo -S -p '{_ASKED}' {_PROGRAM}")
    channel.sendall(password.encode() + b"\n")
    rest, said = _greeted(channel)
    if rest is not None:
        return channel, rest
    if said.count(_ASKED.encode()) > 1:
        channel.close()
        raise Unreachable(f"{connection.name}: sudo does not take the password")
    raise _refusal(connection.name, *_rest_of(channel, said.replace(_ASKED.encode(), b"")))


def _greeted(channel: Channel) -> tuple[bytes | None, bytes]:
    """What follows the greeting (None: there is none), and what was said on standard error.

    What a login shell printed before the greeting is dropped.  sudo that asks again will not greet.
    """
    received, said = b"", b""
    while True:
        select.select([channel], [], [])
        if channel.recv_stderr_ready():
            said += channel.recv_stderr(_PIECE)
            if said.count(_ASKED.encode()) > 1:
                return None, said
            continue
        piece = channel.recv(_PIECE)
        received += piece
        if GREETING in received:
            return received.partition(GREETING)[2], said
        if not piece or len(received) > _NOISE:
            return None, said


def _rest_of(channel: Channel, said: bytes) -> tuple[str, int]:
    """Everything that was said on standard error, and the exit status."""
    while len(said) < _NOISE:
        piece = channel.recv_stderr(_PIECE)
        if not piece:
            break
        said += piece
    status = channel.recv_exit_status()
    channel.close()
    return said.decode(errors="replace").strip(), status


def _refusal(name: str, said: str, status: int) -> Unreachable:
    lines = said.splitlines() or [f"exit code {status}"]
    if status == 127 or "command not found" in said:
        return Unreachable(f"{name} has no lxcwrap", hint=f"lxcwrap host setup {name} installs it")
    if "remote-end" in said:
        return too_old(name)
    return Unreachable(f"{name}: lxcwrap cannot be started there: {lines[-1]:.300}")


def too_old(name: str) -> Unreachable:
    return Unreachable(f"{name} has a lxcwrap that is too old", hint=f"lxcwrap host setup {name} brings this one there")


class Output(Protocol):
    """Where the far command's output goes."""

    def out(self, content: bytes) -> None: ...
    def err(self, content: bytes) -> None: ...


def follow(channel: Channel, received: bytes, output: Output, name: str) -> int:
    """Pass output on until the command ends; its exit code.  Raises Unreachable when the connection is lost."""
    decoder = frames.Decoder()
    while True:
        try:
            for kind, payload in decoder.feed(received):
                if kind == frames.OUTPUT:
                    output.out(payload)
                elif kind == frames.ERROR:
                    output.err(payload)
                elif kind == frames.EXITED:
                    return int(json.loads(payload)["exit_code"])
                elif kind == frames.FAILED:
                    raise Unreachable(f"{name}: {json.loads(payload)['message']}")
            received = channel.recv(_PIECE)
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise Unreachable(f"{name}: the connection broke: {error or type(error).__name__}") from None
        if not received:
            raise Unreachable(f"{name}: the connection was lost; what runs there may go on")


def failure(name: str, said: bytes, code: int) -> LxcwrapError:
    """Of a command that is none of the user's, after what it said on standard error."""
    words = said.decode(errors="replace").strip().removeprefix("lxcwrap: ")
    if "is not a command" in words:
        return too_old(name)
    return LxcwrapError(f"{name}: {words[:1000] or f'exit code {code}'}")


def encoded(request: Request) -> bytes:
    return frames.encode(frames.PLAN, json.dumps(request.to_json()).encode())


def run(connection: Connection, request: Request, output: Output, ask: Ask) -> int:
    """Without input; the exit code.  Raises Unreachable."""
    channel, rest = begin(connection, ask)
    try:
        channel.sendall(encoded(request))
        channel.sendall(frames.encode(frames.INPUT_END))
        return follow(channel, rest, output, connection.name)
    finally:
        channel.close()


class Interactive:
    """A command whose input, signals and terminal are those of this process."""

    def __init__(self, connection: Connection, request: Request, output: Output, ask: Ask) -> None:
        self._name = connection.name
        self._request = request
        self._output = output
        self._channel, self._rest = begin(connection, ask)
        self._done, self._done_write = os.pipe2(os.O_CLOEXEC)
        self._code = 0
        self._error: BaseException | None = None

    def run(self, stdin: int) -> int:
        """Until the command ends; its exit code.  ``stdin``: a descriptor, -1 for none.  Raises Unreachable."""
        from lxcwrap.runtime import attach

        restore = attach.raw(0) if self._request.terminal and os.isatty(0) else None
        signals, unblock = attach.caught([signal.SIGWINCH] if self._request.terminal else _PASSED_ON)
        reader = threading.Thread(target=self._read, daemon=True)
        try:
            self._channel.sendall(encoded(self._request))
            reader.start()
            self._write(stdin, signals)
        except OSError as error:
            if self._error is None:
                self._error = Unreachable(f"{self._name}: the connection broke: {error or type(error).__name__}")
        finally:
            unblock()
            if restore:
                restore()
            self._channel.close()
        reader.join(5)
        if self._error:
            raise self._error
        return self._code

    def _read(self) -> None:
        try:
            self._code = follow(self._channel, self._rest, self._output, self._name)
        except BaseException as error:
            self._error = error
        finally:
            os.close(self._done_write)

    def _write(self, stdin: int, signals: int) -> None:
        poll = select.poll()
        for descriptor in (self._done, signals, stdin):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        if stdin < 0:
            self._send(frames.INPUT_END)
        while True:
            happened = dict(poll.poll())
            if self._done in happened:
                return
            if signals in happened:
                self._signalled(os.read(signals, 4096))
            if stdin in happened:
                typed = os.read(stdin, _PIECE)
                self._send(frames.INPUT if typed else frames.INPUT_END, typed)
                if not typed:
                    poll.unregister(stdin)

    def _signalled(self, numbers: bytes) -> None:
        from lxcwrap.runtime import attach

        for number in numbers:
            if number == signal.SIGWINCH:
                size = attach.terminal_size()
                if size:
                    self._send(frames.SIZE, b"%d %d" % size)
            else:
                self._send(frames.SIGNAL, str(number).encode())

    def _send(self, kind: bytes, payload: bytes = b"") -> None:
        self._channel.sendall(frames.encode(kind, payload))
