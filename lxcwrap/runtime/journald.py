"""A container's output in the host's journal, by journald's native protocol.

Each line is one datagram; longer ones come in parts, as Docker's driver sends them.  A journald that does not keep up
slows the container for a moment; one that stands still loses lines, and later is told how many.  Loaded into
supervisors of containers that log there.  Source: systemd's "Native Journal Protocol".
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time

from lxcwrap.runtime.logfile import LINE_LIMIT, timestamp

SOCKET = "/run/systemd/journal/socket"
_PRIORITY = {"stdout": b"6", "stderr": b"3"}  # syslog's info and err
_PATIENCE = 1000  # milliseconds
_GONE = (errno.ECONNREFUSED, errno.ENOTCONN, errno.ECONNRESET, errno.ENOENT, errno.EPIPE)


class JournalLog:
    """The writing end, as ``logfile.LogFile``; lines are sent whole."""

    def __init__(self, fields: dict[str, str], path: str = SOCKET) -> None:
        """Raises OSError when nobody listens at ``path``."""
        self._path = path
        self._epoch = os.urandom(8).hex()  # with the ordinal it tells readers whether they have seen the last line
        self._head = b"".join(field(name, value.encode("utf-8", "surrogateescape")) for name, value in fields.items())
        self._head += field("CONTAINER_LOG_EPOCH", self._epoch.encode())
        self._rest = {"stdout": b"", "stderr": b""}
        self._sent = 0
        self._lost = 0
        self._socket = self._connected()

    def _connected(self) -> socket.socket:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            found.connect(self._path)
        except OSError as error:
            found.close()
            raise OSError(error.errno, error.strerror, self._path) from None
        return found

    @property
    def end(self) -> str:
        """The last line that was sent."""
        return f"{self._epoch}:{self._sent}"

    def write(self, stream: str, content: bytes) -> None:
        """Output of ``stream`` (stdout or stderr)."""
        *lines, rest = (self._rest[stream] + content).split(b"\n")
        for line in lines:
            while len(line) > LINE_LIMIT:
                self._line(stream, line[:LINE_LIMIT], part=True)
                line = line[LINE_LIMIT:]
            self._line(stream, line)
        while len(rest) >= LINE_LIMIT:
            self._line(stream, rest[:LINE_LIMIT], part=True)
            rest = rest[LINE_LIMIT:]
        self._rest[stream] = rest

    def flush(self) -> None:
        """Send what came without a newline: the container has ended."""
        for stream, rest in self._rest.items():
            if rest:
                self._line(stream, rest, part=True)
                self._rest[stream] = b""

    def _line(self, stream: str, text: bytes, *, part: bool = False) -> None:
        if self._lost:
            told = f"{self._lost} lines were lost: journald did not take them".encode()
            if not self._send(b"4", told, b""):
                self._lost += 1
                return
            self._lost = 0
        if not self._send(_PRIORITY[stream], text, b"CONTAINER_PARTIAL_MESSAGE=true\n" if part else b""):
            self._lost += 1

    def _send(self, priority: bytes, text: bytes, more: bytes) -> bool:
        message = (
            self._head
            + field("MESSAGE", text)
            + field("PRIORITY", priority)
            + field("SYSLOG_TIMESTAMP", timestamp(time.time_ns()).encode())
            + field("CONTAINER_LOG_ORDINAL", str(self._sent + 1).encode())
            + more
        )
        sent = self._sent_once(message)
        self._sent += sent
        return sent

    def _sent_once(self, message: bytes) -> bool:
        """Also after journald was started anew; nothing is waited for again until it takes something."""
        patience = 0 if self._lost else _PATIENCE
        for _ in range(2):
            try:
                return self._given(message, patience)
            except OSError as error:
                if error.errno not in _GONE:
                    return False
            try:
                renewed = self._connected()
            except OSError:
                return False
            self._socket.close()
            self._socket = renewed
        return False

    def _given(self, message: bytes, patience: int) -> bool:
        try:
            self._socket.send(message)
            return True
        except BlockingIOError:
            pass
        waiting = select.poll()
        waiting.register(self._socket, select.POLLOUT)
        if not waiting.poll(patience):
            return False
        try:
            self._socket.send(message)
            return True
        except BlockingIOError:
            return False


def field(name: str, value: bytes) -> bytes:
    """One field of a message; with a newline in it, in the form that says its length."""
    if b"\n" not in value:
        return name.encode() + b"=" + value + b"\n"
    return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
