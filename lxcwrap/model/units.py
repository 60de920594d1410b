"""Sizes, durations and times as users write and read them."""

from __future__ import annotations

import re

from lxcwrap.errors import UsageError

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse_bytes(text: str, what: str = "size") -> int:
    """``64m``, ``1.5g``, ``1024``: powers of 1024, as Docker reads them.  -1 is kept.  Raises UsageError."""
    if text == "-1":
        return -1
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{what}: {text!r} is not a size", hint="write a number with b, k, m, g or t: 512m")
    return int(float(match[1]) * 1024 ** _POWERS[match[2].lower()])


def parse_duration(text: str, what: str = "duration") -> int:
    """Go's durations (``1m30s``, ``500ms``), in nanoseconds.  Raises UsageError."""
    parts = _DURATION.findall(text)
    if text == "0":
        return 0
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"{what}: {text!r} is not a duration", hint="write a number with ms, s, m or h: 1m30s")
    return int(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))


def show_bytes(count: float) -> str:
    """Docker's decimal form for image sizes: ``4.26MB``."""
    return _scaled(count, 1000, ("B", "kB", "MB", "GB", "TB", "PB"))


def show_memory(count: float) -> str:
    """Docker's binary form for memory: ``1.5MiB``."""
    return _scaled(count, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"))


def _scaled(count: float, base: int, names: tuple[str, ...]) -> str:
    for name in names:
        if count < base or name == names[-1]:
            break
        count /= base
    return f"{count:.4g}{name}" if base == 1024 else f"{count:.3g}{name}"


def show_duration(seconds: float) -> str:
    """Docker's human form: ``About a minute``, ``3 hours``."""
    seconds = int(seconds)
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    minutes = seconds // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = (seconds + 1800) // 3600
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    days = hours // 24
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    if days < 730:
        return f"{days // 30} months"
    return f"{days // 365} years"
