"""The container's stdin, stdout and stderr, or its terminal, seen from the supervisor.  Loaded into supervisors."""

from __future__ import annotations

import os
import select
import stat
from typing import TYPE_CHECKING, Any

from lxcwrap.runtime import frames
from lxcwrap.runtime.logfile import LogFile

if TYPE_CHECKING:
    from lxcwrap.runtime.journald import JournalLog
    from lxcwrap.runtime.session import Session

_PIECE = 1 << 16
_SIGWINCH = 28
_TIOCSLCKTRMIOS = 0x5457  # ioctl_tty(2)
_SIGKILL = 9


class Streams:
    """Pumps what the container writes to the log and the clients, and what they type to the container."""

    def __init__(self, session: Session) -> None:
        plan = session.plan
        self._session = session
        self._tty: bool = plan["tty"]
        self._log: LogFile | JournalLog | None = None
        self._sources: dict[int, tuple[str, bytes]] = {}
        self._input = -1
        self._pending = bytearray()
        self._input_ended = False
        self._size = (0, 0)
        self._held = False

    def open(self) -> tuple[tuple[int, int, int], str]:
        """Descriptors for the container's stdio, and the path of its console's terminal ('' for none).

        Raises OSError, also when nobody takes the log.
        """
        self._open_log(self._session.plan)
        if self._tty:
            return self._open_terminal()
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        self._add_source(out_read, "stdout", frames.OUTPUT)
        self._add_source(err_read, "stderr", frames.ERROR)
        if self._session.plan["interactive"] and (self._pending or not self._input_ended):
            in_read, self._input = os.pipe()
            os.set_blocking(self._input, False)
        else:
            in_read = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        return (in_read, out_write, err_write), ""

    def _open_log(self, plan: dict[str, Any]) -> None:
        log = plan["log"]
        if not log or self._log:
            return
        if "fields" in log:
            from lxcwrap.runtime.journald import JournalLog

            self._log = JournalLog(**log)
        else:
            self._log = LogFile(plan["directory"], **log)

    def _open_terminal(self) -> tuple[tuple[int, int, int], str]:
        master, slave = os.openpty()
        self._keep_open = slave
        self._add_source(master, "stdout", frames.OUTPUT)
        self._input = master
        _make_raw(slave)
        self._apply_size()
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        return (null, os.dup(null), os.dup(null)), os.ttyname(slave)

    def give(self, stdio: tuple[int, int, int], uid: int) -> None:
        """Make a user of the host the owner of the pipes: the container's process may open its /dev/stdout anew."""
        for descriptor in stdio:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.fchown(descriptor, uid, -1)

    def started(self, stdio: tuple[int, int, int]) -> None:
        """The container has its ends now: close the supervisor's copies."""
        for descriptor in stdio:
            os.close(descriptor)
        if self._pending or self._input_ended:
            self._write_input()

    def _add_source(self, descriptor: int, stream: str, kind: bytes) -> None:
        os.set_blocking(descriptor, False)
        self._sources[descriptor] = (stream, kind)
        self._session.watch(descriptor, lambda events: self._readable(descriptor, events))

    def _readable(self, descriptor: int, events: int) -> None:
        if events & select.POLLOUT:
            self._write_input()
        if events & (select.POLLIN | select.POLLHUP) and not self._read(descriptor):
            self._remove_source(descriptor)

    def _read(self, descriptor: int) -> bool:
        """Pass one piece on; False at the end."""
        try:
            content = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return True
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        if content:
            stream, kind = self._sources[descriptor]
            if self._log:
                self._log.write(stream, content)
            self._session.clients.output(kind, content)
        return bool(content)

    def _remove_source(self, descriptor: int) -> None:
        self._session.unwatch(descriptor)
        if self._sources.pop(descriptor, None):
            if descriptor == self._input:
                self._input = -1
            os.close(descriptor)

    def drain(self) -> None:
        """Read what the container wrote before it ended."""
        for descriptor in list(self._sources):
            while select.select([descriptor], [], [], 0)[0]:
                if not self._read(descriptor):
                    break
        if self._log:
            self._log.flush()
            self._session.state["log_end"] = self._log.end

    def close(self) -> None:
        """The container is gone: close everything, ready to be opened again."""
        self.drain()
        for descriptor in list(self._sources):
            self._remove_source(descriptor)
        if self._input >= 0:
            self._session.unwatch(self._input)
            os.close(self._input)
            self._input = -1
        if self._tty:
            os.close(self._keep_open)
        self._pending.clear()

    def close_copies(self) -> None:
        """In a forked child: it must not keep the container's streams open."""
        for descriptor in {*self._sources, self._input} - {-1}:
            os.close(descriptor)

    def held_back(self, full: bool) -> None:
        """Stop or go on reading the container's output: a client that is slow slows the container, as a pipe does."""
        if full == self._held:
            return
        self._held = full
        for descriptor in self._sources:
            self._session.poll.modify(descriptor, 0 if full else select.POLLIN)

    # --- input ----------------------------------------------------------------------------------------------

    def feed(self, content: bytes) -> None:
        """Input from a client."""
        if self._tty or self._session.plan["interactive"]:
            self._pending += content
            self._write_input()

    def end_input(self) -> None:
        """The client's stdin is at its end; the container's follows once everything is written."""
        if not self._tty and self._session.plan["stdin_once"]:
            self._input_ended = True
            self._write_input()

    def owner_left(self) -> None:
        """The client that started it is gone: its stdin is at its end, and what is bound to it goes too."""
        self.end_input()
        if self._session.plan["bound"]:
            self._session.signal(_SIGKILL)

    def _write_input(self) -> None:
        if self._input < 0:
            return
        try:
            while self._pending:
                del self._pending[: os.write(self._input, self._pending[:_PIECE])]
        except BlockingIOError:
            pass
        except OSError:  # the container closed its stdin
            self._pending.clear()
        self._watch_input()

    def _watch_input(self) -> None:
        waiting = bool(self._pending)
        if self._tty:
            self._session.poll.modify(self._input, select.POLLIN | (select.POLLOUT if waiting else 0))
        elif waiting:
            self._session.watch(self._input, lambda events: self._write_input(), select.POLLOUT)
        else:
            self._session.unwatch(self._input)
            if self._input_ended:
                os.close(self._input)
                self._input = -1

    # --- the terminal's size --------------------------------------------------------------------------------

    def resize(self, rows: int, columns: int, child: int) -> None:
        """Give the terminal a size, and let liblxc pass it on."""
        self._size = (rows, columns)
        if self._tty and self._input >= 0:
            self._apply_size()
            if child:
                os.kill(child, _SIGWINCH)

    def _apply_size(self) -> None:
        if self._size != (0, 0):
            import fcntl
            import struct
            import termios

            fcntl.ioctl(self._input, termios.TIOCSWINSZ, struct.pack("HHHH", *self._size, 0, 0))


def _make_raw(terminal: int) -> None:
    """Pass everything through, and keep it so: the container's own terminal does the work.

    liblxc would switch this one to adding carriage returns (it takes it for a user's): its settings are locked.
    """
    import fcntl
    import struct
    import termios

    attributes = termios.tcgetattr(terminal)
    attributes[0] = attributes[1] = attributes[3] = 0
    attributes[6][termios.VMIN] = 1
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    locked = struct.pack("IIII20x", 0xFFFFFFFF, 0xFFFFFFFF, 0, 0xFFFFFFFF)  # struct termios: input, output, local
    fcntl.ioctl(terminal, _TIOCSLCKTRMIOS, locked)
