"""Secrets that only the user knows: passphrases of keys, sudo's passwords."""

from __future__ import annotations

import getpass
import os
import threading


class Keyboard:
    """Asks for each secret once, one question at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, str | None] = {}

    def __call__(self, prompt: str) -> str | None:
        with self._lock:
            if prompt not in self._known:
                self._known[prompt] = self._ask(prompt)
            return self._known[prompt]

    def _ask(self, prompt: str) -> str | None:
        try:
            terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        os.close(terminal)
        try:
            return getpass.getpass(prompt)
        except EOFError:
            return None
