"""Detach keys: ``ctrl-p,ctrl-q`` and what users say instead.  Pure."""

from __future__ import annotations

from lxcwrap.errors import UsageError

DEFAULT = "ctrl-p,ctrl-q"
_SPECIAL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse(text: str) -> bytes:
    """``ctrl-p,ctrl-q`` or ``ctrl-a,d`` as bytes.  Raises UsageError."""
    keys = bytearray()
    for word in text.split(","):
        letter = word.removeprefix("ctrl-") if word.startswith("ctrl-") else ""
        if len(letter) == 1 and letter.isascii() and letter.isalpha():
            keys.append(ord(letter.lower()) - 96)
        elif letter in _SPECIAL:
            keys.append(_SPECIAL[letter])
        elif len(word) == 1 and word.isascii():
            keys.append(ord(word))
        else:
            raise UsageError(f"detach keys {text!r:.60} are not understood", hint="for example ctrl-p,ctrl-q")
    return bytes(keys)


class Matcher:
    """Finds the keys in what is typed; a beginning of them is held back until the next key."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """(what to pass on, whether the keys are complete)."""
        if not self._keys:
            return typed, False
        passed = bytearray()
        for place in range(len(typed)):
            self._held += typed[place : place + 1]
            while self._held and not self._keys.startswith(self._held):
                passed += self._held[:1]
                self._held = self._held[1:]
            if self._held == self._keys:
                self._held = b""
                return bytes(passed), True
        return bytes(passed), False
