"""Whether the command can be executed in a rootfs, asked before the container starts.

liblxc says little when its exec fails; Docker's users expect 127 and 126 with the command's name.
Loaded into supervisors.
"""

from __future__ import annotations

import errno
import os
import stat

from lxcwrap.kernel.beneath import open_beneath


class CannotExecute(Exception):
    """``code`` is 127 for not found, 126 for what cannot be executed; the message is one line."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def check(root_fd: int, command: str, path: str, working_dir: str) -> str:
    """The path of ``command`` in the rootfs that ``root_fd`` is open on.

    Raises CannotExecute when it is no executable file there.
    """
    if not command:
        raise CannotExecute('exec: "": executable file not found in $PATH', 127)
    if "/" in command:
        found = _join(working_dir, command)
        _check_interpreter(root_fd, command, _examine(root_fd, command, found))
        return found
    refused = None
    for directory in path.split(":"):
        found = _join(working_dir, f"{directory or '.'}/{command}")
        try:
            beginning = _examine(root_fd, command, found)
        except CannotExecute as error:
            refused = refused or (error if error.code == 126 else None)
            continue
        _check_interpreter(root_fd, command, beginning)
        return found
    raise refused or CannotExecute(f'exec: "{command}": executable file not found in $PATH', 127)


def _join(working_dir: str, path: str) -> str:
    return path if path.startswith("/") else f"{working_dir}/{path}"


def _examine(root_fd: int, command: str, path: str) -> bytes:
    """The first bytes of the file.  Raises CannotExecute."""
    try:
        descriptor = open_beneath(root_fd, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise CannotExecute(f'exec: "{command}": stat {path}: no such file or directory', 127) from None
        raise CannotExecute(f'exec: "{command}": {os.strerror(error.errno or 0).lower()}', 126) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise CannotExecute(f'exec: "{command}": is a directory', 126)
        if not stat.S_ISREG(mode) or not mode & 0o111:
            raise CannotExecute(f'exec: "{command}": permission denied', 126)
        return os.read(descriptor, 256)
    finally:
        os.close(descriptor)


def _check_interpreter(root_fd: int, command: str, beginning: bytes) -> None:
    if not beginning.startswith(b"#!"):
        return
    words = beginning[2:].split(b"\n")[0].split()
    if not words:
        return
    interpreter = os.fsdecode(words[0])
    try:
        os.close(open_beneath(root_fd, interpreter, os.O_PATH))
    except OSError:
        message = f'exec: "{command}": its interpreter {interpreter} is not in the image'
        raise CannotExecute(message, 127) from None
