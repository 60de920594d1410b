"""Every exception that a user can meet.

Each carries one line that says what is wrong and where, an optional hint that says what to do,
and the exit code of the command.  They are printed in one place, ``cli/main.py``.
"""

from __future__ import annotations


class LxcwrapError(Exception):
    """What a user can meet.  ``exit_code`` is Docker's 1 for a failed command unless a class says otherwise."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code


class UsageError(LxcwrapError):
    """The words of the command are wrong: a value that does not parse, flags that exclude each other."""

    exit_code = 125


class NotFound(LxcwrapError):
    """No such image, container, volume, network, template or file."""


class Conflict(LxcwrapError):
    """A name, address, port or layer is taken or in use."""


class Unsupported(LxcwrapError):
    """This kernel, host or program cannot do what was asked."""


class NotPermitted(LxcwrapError):
    """The caller may not do this (not root, for example)."""


class Corrupt(LxcwrapError):
    """Content that does not match its digest or size, or state that cannot be read."""


class Unsafe(LxcwrapError):
    """Hostile content that was refused: a tar entry that climbs out, a control character in a name."""


class NoSpace(LxcwrapError):
    """The disk is full."""


class RegistryError(LxcwrapError):
    """A registry refused, failed or answered nonsense."""


class BuildError(LxcwrapError):
    """A Dockerfile is wrong or one of its steps failed."""


class RuntimeFailure(LxcwrapError):
    """A container could not be started or driven: 125, unless it is the command (126 not executable, 127 not found)."""

    exit_code = 125


class Unreachable(LxcwrapError):
    """Another host cannot be reached, is not who it was, or does not let us in: 255, as ssh has it."""

    exit_code = 255
