"""``exec``: one more process in a running container, started by its supervisor."""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
from typing import NamedTuple

from lxcwrap.errors import Conflict, RuntimeFailure
from lxcwrap.model.names import check_text
from lxcwrap.model.paths import Paths
from lxcwrap.runtime import connect, detach, frames
from lxcwrap.runtime.attach import raw, terminal_size, write_all

_PIECE = 1 << 16


class Wish(NamedTuple):
    """What to execute and how; '' and () take the container's own."""

    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    tty: bool = False
    stdin: bool = False
    privileged: bool = False
    detached: bool = False
    keys: bytes = b""


def execute(paths: Paths, container_id: str, name: str, wish: Wish) -> int | None:
    """The process's exit code; None when the user detached.  Raises Conflict, Unsafe or RuntimeFailure (126, 127)."""
    for item in (*wish.env, wish.user, wish.working_dir):
        check_text(item, "exec's environment, user or directory")
    channel = connect.connect(paths, container_id)
    if not channel:
        raise Conflict(f"container {name} is not running", hint=f"start it: lxcwrap start {name}")
    with socket.socket(fileno=channel.descriptor) as connection:
        return _Execution(connection, wish).run()


class _Execution:
    """One process's client."""

    def __init__(self, connection: socket.socket, wish: Wish) -> None:
        self.connection, self.wish = connection, wish
        self._decoder = frames.Decoder()
        self._outputs: dict[int, int] = {}  # what to read from, where it goes
        self._input = -1  # where stdin goes
        self._pending = bytearray()
        self._code: int | None = None
        self._started = False
        self._detached = False
        self._matcher = detach.Matcher(wish.keys if wish.tty else b"")

    def run(self) -> int | None:
        self._ask()
        restore = raw(0) if self.wish.tty and self.wish.stdin and os.isatty(0) else None
        resized = self._watch_size() if self.wish.tty else -1
        try:
            self._loop(resized)
        finally:
            if restore:
                restore()
        return None if self._detached and not self.wish.detached else self._code or 0

    def _ask(self) -> None:
        """Send the request with the process's ends of the pipes."""
        wish = self.wish._asdict()
        del wish["keys"], wish["stdin"], wish["detached"]
        theirs = [] if self.wish.tty else self._pipes()
        frame = frames.encode(frames.EXEC, json.dumps(wish).encode())
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", theirs))] if theirs else []
        sent = self.connection.sendmsg([frame], rights)
        if sent < len(frame):  # else the process may have ended by now, and even an empty send would fail
            self.connection.sendall(frame[sent:])
        for descriptor in theirs:
            os.close(descriptor)

    def _pipes(self) -> list[int]:
        if self.wish.detached:
            return [os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC) for _ in range(3)]
        if self.wish.stdin:
            stdin, self._input = os.pipe()
            os.set_blocking(self._input, False)
        else:
            stdin = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        self._outputs = {out_read: 1, err_read: 2}
        return [stdin, out_write, err_write]

    def _watch_size(self) -> int:
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGWINCH, lambda *_: None)
        return read

    def _loop(self, resized: int) -> None:
        reading_stdin = self.wish.stdin
        while self._code is None and not self._detached:
            wanted = [self.connection.fileno(), *self._outputs, *([resized] if resized >= 0 else [])]
            if reading_stdin and self._started and len(self._pending) < _PIECE:
                wanted.append(0)
            ready, writable, _ = select.select(wanted, [self._input] if self._pending else [], [])
            if writable:
                self._pass_input()
            if 0 in ready:
                reading_stdin = self._typed()
            if resized in ready:
                os.read(resized, 4096)
                self._apply_size()
            for descriptor in [one for one in ready if one in self._outputs]:
                self._read(descriptor)
            if self.connection.fileno() in ready:
                self._heard()
        for descriptor in list(self._outputs):
            while select.select([descriptor], [], [], 0)[0] and self._read(descriptor):
                pass

    def _read(self, descriptor: int) -> bool:
        try:
            content = os.read(descriptor, _PIECE)
        except OSError:  # EIO: the terminal's other side is closed
            content = b""
        if content:
            write_all(self._outputs[descriptor], content)
        else:
            del self._outputs[descriptor]
        return bool(content)

    def _typed(self) -> bool:
        typed = os.read(0, _PIECE)
        if not typed:
            self._end_input()
            return False
        passed, self._detached = self._matcher.feed(typed)
        self._pending += passed
        self._pass_input()
        return True

    def _pass_input(self) -> None:
        try:
            while self._pending:
                del self._pending[: os.write(self._input, self._pending[:_PIECE])]
        except BlockingIOError:
            return
        except OSError:
            self._pending.clear()

    def _end_input(self) -> None:
        if self.wish.tty or self._input < 0:
            return
        os.set_blocking(self._input, True)
        self._pass_input()
        os.close(self._input)
        self._input = -1

    def _heard(self) -> None:
        received, descriptors, _, _ = socket.recv_fds(self.connection, _PIECE, 1, socket.MSG_CMSG_CLOEXEC)
        if descriptors:
            self._input = descriptors[0]
            self._outputs = {} if self.wish.detached else {descriptors[0]: 1}
            self._apply_size()
        for kind, payload in self._decoder.feed(received):
            self._take(kind, payload)
        if not received and self._code is None:
            self._code = 137  # the container was killed, and the process with it

    def _take(self, kind: bytes, payload: bytes) -> None:
        if kind == frames.EXITED:
            self._code = int(json.loads(payload)["exit_code"])
        elif kind == frames.FAILED:
            message = json.loads(payload)
            raise RuntimeFailure(message["message"], exit_code=message["code"])
        elif kind == frames.STARTED:
            self._started = True
            self._detached = self.wish.detached

    def _apply_size(self) -> None:
        size = terminal_size()
        if size and self.wish.tty and self._input >= 0:
            import fcntl
            import struct
            import termios

            fcntl.ioctl(self._input, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
