"""``image rm`` is ``rmi``."""

from __future__ import annotations

from lxcwrap.cli.commands.rmi import command

__all__ = ["command"]
