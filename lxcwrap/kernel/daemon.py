"""A program in the background, found again by its pid file: its arguments say that it is the one.

Loaded into supervisors.
"""

from __future__ import annotations

import os
import signal

_END = 2.0  # seconds


def find(pid_file: str, argument: str = "") -> int:
    """A descriptor of the process that was started with ``--pid-file=`` (and ``argument``); -1 when it does not run."""
    try:
        with open(pid_file, encoding="ascii") as stream:
            pid = int(stream.read())
        descriptor = os.pidfd_open(pid)
    except (OSError, ValueError):
        return -1
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            words = stream.read().split(b"\0")
    except OSError:
        words = []
    if f"--pid-file={pid_file}".encode() in words and (not argument or argument.encode() in words):
        return descriptor
    os.close(descriptor)
    return -1


def tell(pid_file: str, number: int, argument: str = "") -> bool:
    """Send it a signal; whether it runs.  After SIGTERM it has ended."""
    descriptor = find(pid_file, argument)
    if descriptor < 0:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
        return number != signal.SIGTERM or _ended(descriptor)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def _ended(descriptor: int) -> bool:
    """Wait for its end: another may take its place and its port at once."""
    import select

    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    if not waiting.poll(_END * 1000):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        waiting.poll(_END * 1000)
    return True


def stop(pid_file: str) -> None:
    """End it, and forget it."""
    tell(pid_file, signal.SIGTERM)
    try:
        os.unlink(pid_file)
    except FileNotFoundError:
        pass
