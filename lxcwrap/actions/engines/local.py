"""This machine as a host: each command is a child that runs this same program."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, BinaryIO

from lxcwrap.deploy.host import USUAL, Pairs, Result
from lxcwrap.errors import Unreachable

_PIECE = 1 << 16


class LocalHost:
    """``before``: global options.  Children have a session of their own: a Ctrl-C is the caller's to understand."""

    labels: Pairs = ()

    def __init__(self, before: Sequence[str] = ()) -> None:
        self.name = os.uname().nodename.partition(".")[0] or "localhost"
        self._argv = [*program(), *before]
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.RLock()  # a signal may come while it is held

    def run(self, words: Sequence[str], stdin: bytes | BinaryIO = b"", timeout: float = USUAL) -> Result:
        child = self._start(words, subprocess.PIPE if isinstance(stdin, bytes) else stdin, subprocess.PIPE)
        try:
            out, err = child.communicate(stdin if isinstance(stdin, bytes) else None, timeout)
        except subprocess.TimeoutExpired:
            raise Unreachable(f"{self.name}: {' '.join(words[:2])} took more than {timeout:.0f} s") from None
        finally:
            self._end(child)
        return Result(child.returncode, out, err.decode(errors="replace"))

    def follow(self, words: Sequence[str], out: Callable[[bytes], None]) -> int:
        child = self._start(words, subprocess.DEVNULL, subprocess.STDOUT)
        try:
            assert child.stdout
            while piece := os.read(child.stdout.fileno(), _PIECE):
                out(piece)
            return child.wait()
        finally:
            self._end(child)

    def hold(self, words: Sequence[str], timeout: float = USUAL) -> Held:
        return Held(self._start(words, subprocess.PIPE, subprocess.DEVNULL))

    def close(self) -> None:
        """End what still runs."""
        with self._lock:
            for child in self._running:
                child.kill()

    def _start(self, words: Sequence[str], stdin: int | BinaryIO, stderr: int) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [*self._argv, *words],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment(),
            start_new_session=True,
        )
        with self._lock:
            self._running.add(child)
        return child

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.discard(child)
        if child.poll() is None:
            child.kill()
            child.wait()


class Held:
    """A command that goes on."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        assert child.stdout
        self._out: IO[bytes] = child.stdout
        self.line = self._out.readline().rstrip(b"\n")

    @property
    def is_alive(self) -> bool:
        return self._child.poll() is None

    def beat(self) -> None:
        assert self._child.stdin
        with suppress(OSError, ValueError):
            os.write(self._child.stdin.fileno(), b"\n")

    def close(self) -> None:
        assert self._child.stdin
        with suppress(OSError):
            self._child.stdin.close()
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._out.close()


def program() -> list[str]:
    """How this same program is started."""
    return [sys.executable, "-P", "-m", "lxcwrap.cli.main"] if sys.version_info >= (3, 11) else _older()


def _older() -> list[str]:
    return [sys.executable, "-m", "lxcwrap.cli.main"]


def environment() -> dict[str, str]:
    """This one's, and where it finds the same modules."""
    import lxcwrap

    place = os.path.dirname(os.path.dirname(os.path.abspath(lxcwrap.__file__)))
    kept = {key: value for key, value in os.environ.items() if key != "LXCWRAP_HOST"}
    return {**kept, "PYTHONPATH": place}
