"""``image ls`` is ``images``."""

from __future__ import annotations

from lxcwrap.cli.commands.images import command

__all__ = ["command"]
