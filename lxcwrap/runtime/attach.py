"""The user's terminal (or pipes) connected with a container, through its supervisor."""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Callable, Iterable
from typing import Any

from lxcwrap.errors import RuntimeFailure
from lxcwrap.runtime import detach, frames
from lxcwrap.runtime.spawn import Channel, Ended, failure

_PIECE = 1 << 16
# what --sig-proxy does not pass on: they are about this process, or cannot be caught
_NOT_PROXIED = """
SIGCHLD SIGPIPE SIGKILL SIGSTOP SIGTTIN SIGTTOU SIGURG SIGWINCH SIGTSTP SIGCONT SIGSEGV SIGBUS SIGFPE SIGILL SIGTRAP
SIGABRT SIGSYS
""".split()


class Attachment:
    """One client's stdin, stdout and stderr for one container."""

    def __init__(
        self,
        channel: Channel,
        *,
        tty: bool,
        stdin: bool,
        stdout: bool = True,
        stderr: bool = True,
        keys: bytes = b"",
        proxy: bool = True,
        started: Callable[[], None] | None = None,
    ) -> None:
        self.channel = channel
        self.tty = tty
        self.stdin = stdin
        self.streams = {frames.OUTPUT: 1 if stdout else -1, frames.ERROR: 2 if stderr else -1}
        self._matcher = detach.Matcher(keys if tty else b"")
        self._proxy = proxy and not tty
        self._started = started
        self._ended: Ended | None = None
        self._detached = False
        self._decoder = frames.Decoder()
        self._waiting = bytearray()
        self._signals: int = -1

    def run(self) -> Ended | None:
        """Until the container ends, or None when the user detached.  Raises RuntimeFailure."""
        restore = raw(0) if self.tty and self.stdin and os.isatty(0) else None
        unblock = self._catch_signals()
        try:
            if self.tty:
                self._send_size()
            self._loop()
        finally:
            unblock()
            if restore:
                restore()
        return None if self._detached else self._ended

    def _loop(self) -> None:
        os.set_blocking(self.channel.descriptor, False)
        poll = select.poll()
        poll.register(self.channel.descriptor, select.POLLIN)
        poll.register(self._signals, select.POLLIN)
        if self.stdin:
            poll.register(0, select.POLLIN)
        while self._ended is None and not self._detached:
            writing = select.POLLOUT if self._waiting else 0
            poll.modify(self.channel.descriptor, select.POLLIN | writing)
            for descriptor, events in poll.poll():
                if descriptor == 0:
                    if not self._typed():
                        poll.unregister(0)
                elif descriptor == self._signals:
                    self._signalled()
                else:
                    if events & select.POLLOUT:
                        self._flush()
                    if events & ~select.POLLOUT:
                        self._received()

    def _typed(self) -> bool:
        """Pass input on; False once there is no more."""
        try:
            typed = os.read(0, _PIECE)
        except OSError:
            typed = b""
        if not typed:
            self._send(frames.INPUT_END)
            return False
        passed, self._detached = self._matcher.feed(typed)
        if passed:
            self._send(frames.INPUT, passed)
        return True

    def _received(self) -> None:
        try:
            received = os.read(self.channel.descriptor, _PIECE)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            raise RuntimeFailure("the container's supervisor was killed, and the container with it", exit_code=137)
        for kind, payload in self._decoder.feed(received):
            self._take(kind, payload)

    def _take(self, kind: bytes, payload: bytes) -> None:
        if kind in self.streams:
            write_all(self.streams[kind], payload)
        elif kind == frames.EXITED:
            message: dict[str, Any] = json.loads(payload)
            self._ended = Ended(message["exit_code"], message["oom_killed"])
        elif kind == frames.FAILED:
            raise failure(json.loads(payload))
        elif kind == frames.STARTED and self._started:
            self._started()
            self._started = None

    def _send(self, kind: bytes, payload: bytes = b"") -> None:
        self._waiting += frames.encode(kind, payload)
        self._flush()

    def _flush(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: os.write(self.channel.descriptor, self._waiting[:_PIECE])]
        except BlockingIOError:
            pass
        except OSError:
            self._waiting.clear()

    # --- signals and sizes ----------------------------------------------------------------------------------

    def _catch_signals(self) -> Callable[[], None]:
        """Signals come as bytes on a pipe; returns what puts everything back."""
        wanted = [signal.SIGWINCH] if self.tty else []
        if self._proxy:
            named = (number for number in signal.valid_signals() if isinstance(number, signal.Signals))
            wanted += [number for number in named if number.name not in _NOT_PROXIED]
        self._signals, restore = caught(wanted)
        return restore

    def _signalled(self) -> None:
        for number in os.read(self._signals, 4096):
            if number == signal.SIGWINCH:
                if self.tty:
                    self._send_size()
            elif self._proxy:
                self._send(frames.SIGNAL, str(number).encode())

    def _send_size(self) -> None:
        size = terminal_size()
        if size:
            self._send(frames.SIZE, b"%d %d" % size)


def caught(wanted: Iterable[int]) -> tuple[int, Callable[[], None]]:
    """Signals come as bytes on a pipe; returns its reading end, and what puts everything back and closes it."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before_fd = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in wanted}

    def restore() -> None:
        signal.set_wakeup_fd(before_fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)
        os.close(reading)

    return reading, restore


def terminal_size() -> tuple[int, int] | None:
    """(rows, columns) of the first of stdin, stdout, stderr that is a terminal."""
    for descriptor in (0, 1, 2):
        try:
            size = os.get_terminal_size(descriptor)
        except OSError:
            continue
        return size.lines, size.columns
    return None


def raw(descriptor: int) -> Callable[[], None]:
    """Put the user's terminal in raw mode; returns what puts it back."""
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor, termios.TCSADRAIN)  # what was typed ahead is kept
    return lambda: termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def write_all(descriptor: int, content: bytes) -> None:
    """Everything, or nothing once the reader is gone."""
    if descriptor < 0:
        return
    rest = memoryview(content)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
        except BrokenPipeError:
            return
