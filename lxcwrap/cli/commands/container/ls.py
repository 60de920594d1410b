"""``container ls`` is ``ps``."""

from __future__ import annotations

from lxcwrap.cli.commands.ps import command

__all__ = ["command"]
