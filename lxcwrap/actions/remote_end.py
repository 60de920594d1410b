"""The far side of ``actions.far``: runs one command line for a client on another machine.

The command is a child, on pipes or a terminal of its own.  When the client is gone it is killed, as any command may be.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from lxcwrap.actions.far import GREETING, File, Request
from lxcwrap.runtime import frames

_PIECE = 1 << 16
_MOST_WAITING = 1 << 20  # bytes for a client, or a command, that does not read

Run = Callable[[list[str]], int]


def serve(run: Run) -> int:
    """Greet, read a request, run it with ``run`` in a child, and pass its streams on; its exit code."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.write(1, GREETING)
    try:
        first = frames.read_one(0)
        if first is None:
            return 1
        request = Request.from_json(json.loads(first[1]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        _tell(frames.FAILED, {"message": f"the request was not understood ({error})"})
        return 1
    return _Command(request, run).serve()


def _tell(kind: bytes, message: dict[str, object]) -> None:
    frames.write(1, kind, json.dumps(message).encode())


class _Command:
    """The child and its streams: ``input`` is where it reads from, ``outputs`` tells what each descriptor is."""

    def __init__(self, request: Request, run: Run) -> None:
        self.pending = bytearray()  # input that it has not taken yet
        self.input_ended = False
        self.decoder = frames.Decoder()
        self.terminal = bool(request.terminal)
        if self.terminal:
            self.input, theirs = os.openpty()
            self.outputs, ends = {self.input: frames.OUTPUT}, (theirs, theirs, theirs)
            _resize(self.input, *request.size)
        else:
            (reads, self.input), (out, writes), (err, complains) = os.pipe(), os.pipe(), os.pipe()
            self.outputs, ends = {out: frames.OUTPUT, err: frames.ERROR}, (reads, writes, complains)
        self.pid = os.fork()
        if not self.pid:
            _become(request, run, ends)
        for descriptor in set(ends):
            os.close(descriptor)
        os.set_blocking(self.input, False)
        self.ended = os.pidfd_open(self.pid)

    def serve(self) -> int:
        """Until the command ended and said everything; its exit code."""
        try:
            while not self._step():
                pass
            return self._end()
        except OSError:  # the client is gone
            self._signal(signal.SIGKILL)
            return 1

    def _step(self) -> bool:
        """Wait and move what can be moved; true once the command has ended."""
        wanted = dict.fromkeys((self.ended, *self.outputs), select.POLLIN)
        if len(self.pending) < _MOST_WAITING:
            wanted[0] = select.POLLIN
        if self.pending:
            wanted[self.input] = wanted.get(self.input, 0) | select.POLLOUT
        poll = select.poll()
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        for descriptor, events in poll.poll():
            if descriptor == self.ended:
                return True
            if descriptor == 0:
                self._client_said()
                continue
            if descriptor == self.input and events & (select.POLLOUT | select.POLLERR):
                self._pass_on()
            if descriptor in self.outputs and events & (select.POLLIN | select.POLLHUP):
                self._command_said(descriptor)
        return False

    def _client_said(self) -> None:
        """Raises BrokenPipeError once it is gone."""
        received = os.read(0, _PIECE)
        if not received:
            raise BrokenPipeError
        for kind, payload in self.decoder.feed(received):
            if kind == frames.INPUT and self.input >= 0:
                self.pending += payload
            elif kind == frames.INPUT_END:
                self.input_ended = True
            elif kind == frames.SIGNAL:
                self._signal(int(payload))
            elif kind == frames.SIZE and self.terminal:
                rows, columns = payload.split()
                _resize(self.input, int(rows), int(columns))
        self._pass_on()

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def _pass_on(self) -> None:
        """Input, as far as the command takes it, and its end."""
        try:
            while self.pending:
                del self.pending[: os.write(self.input, self.pending[:_PIECE])]
        except BlockingIOError:
            return
        except OSError:  # it reads no more
            self.pending.clear()
            self.input_ended = True
        if self.input_ended and self.input >= 0 and not self.terminal:
            os.close(self.input)
            self.input = -1

    def _command_said(self, descriptor: int) -> None:
        try:
            said = os.read(descriptor, _PIECE)
        except BlockingIOError:
            raise
        except OSError:  # nobody has the terminal any more
            said = b""
        if said:
            frames.write(1, self.outputs[descriptor], said)
        else:
            del self.outputs[descriptor]

    def _end(self) -> int:
        """What the command said last, then its exit code.  What it left running may have its streams still."""
        for descriptor in list(self.outputs):
            os.set_blocking(descriptor, False)
            try:
                while descriptor in self.outputs:
                    self._command_said(descriptor)
            except BlockingIOError:
                continue
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        code = status if status >= 0 else 128 - status
        _tell(frames.EXITED, {"exit_code": code})
        return code


def _resize(terminal: int, rows: int, columns: int) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _become(request: Request, run: Run, ends: tuple[int, int, int]) -> NoReturn:
    """In the child: run the command on its streams, in a session of its own."""
    code = 125
    try:
        os.setsid()
        if request.terminal:
            import fcntl
            import termios

            os.environ["TERM"] = request.terminal
            fcntl.ioctl(ends[0], termios.TIOCSCTTY, 0)
        for number, descriptor in enumerate(ends):
            os.dup2(descriptor, number)
        os.closerange(3, 1 << 16)
        code = run([word if isinstance(word, str) else word.before + _placed(word) for word in request.words])
        sys.stdout.flush()
    except BrokenPipeError:
        code = 141
    finally:
        os._exit(code)


def _placed(file: File) -> str:
    """A path that leads to the file's content, for this process."""
    descriptor = os.memfd_create("lxcwrap", 0)
    os.write(descriptor, file.content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return f"/proc/self/fd/{descriptor}"
