"""The small forms inside tar headers: numbers, PAX records and times.

Source: POSIX.1-2017 pax(1), "pax Extended Header"; base-256 numbers are GNU's and star's.
"""

from __future__ import annotations

from lxcwrap.errors import Corrupt

_SECOND = 1_000_000_000
_LATEST = 1 << 62  # ns that a file's time can hold in utimensat's Python form


def number(field: bytes, what: str) -> int:
    """Octal digits ended by a space or NUL, or base 256.  Raises Corrupt."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            value -= 1 << (8 * len(field) - 1)
        if value < 0 and what != "mtime":
            raise Corrupt(f"a tar header has a negative {what}")
        return value
    text = field.strip(b"\0 ").partition(b"\0")[0]
    try:
        value = int(text, 8) if text else 0
    except ValueError:
        raise Corrupt(f"a tar header's {what} is not a number") from None
    if value < 0:
        raise Corrupt(f"a tar header has a negative {what}")
    return value


def integer(text: bytes, what: str) -> int:
    """Decimal digits.  Raises Corrupt."""
    if not text.isdigit() or len(text) > 19:
        raise Corrupt(f"a PAX header's {what} is not a number")
    return int(text)


def nanoseconds(text: bytes) -> int:
    """A decimal number of seconds, with fraction and sign.  Raises Corrupt."""
    whole, _, fraction = text.lstrip(b"-").partition(b".")
    if not whole.isdigit() or (fraction and not fraction.isdigit()) or len(whole) > 18:
        raise Corrupt("a PAX header's mtime is not a number")
    value = int(whole) * _SECOND + int((fraction[:9] or b"0").ljust(9, b"0"))
    return clamped(-value if text.startswith(b"-") else value)


def clamped(time: int) -> int:
    """The nearest time, in ns, that can be given to a file."""
    return max(-_LATEST, min(_LATEST, time))


def records(payload: bytes) -> dict[bytes, bytes]:
    """``LENGTH KEY=VALUE\\n`` records; a later one wins.  Raises Corrupt."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(payload):
        space = payload.find(b" ", at, at + 20)
        digits = payload[at:space] if space > 0 else b""
        if not digits.isdigit():
            if not payload[at:].strip(b"\0"):
                break
            raise Corrupt("a PAX header is broken")
        end = at + int(digits)
        key, equals, value = payload[space + 1 : end - 1].partition(b"=")
        if end > len(payload) or end <= space + 1 or payload[end - 1 : end] != b"\n" or not equals:
            raise Corrupt("a PAX header is broken")
        _keep(found, key, value)
        at = end
    return found


def _keep(found: dict[bytes, bytes], key: bytes, value: bytes) -> None:
    """Store a record; version 0.0 of GNU's sparse maps repeats keys, which become version 0.1's list."""
    if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
        joined = found.get(b"GNU.sparse.map")
        found[b"GNU.sparse.map"] = value if joined is None else joined + b"," + value
    elif not value and not key.startswith(b"SCHILY.xattr."):
        found.pop(key, None)  # an empty value takes back a global one
    else:
        found[key] = value


def record(key: bytes, value: bytes) -> bytes:
    """One record; its length counts itself."""
    size = len(key) + len(value) + 3
    total = size + len(str(size))
    if len(str(total)) != len(str(size)):
        total = size + len(str(total))
    return str(total).encode() + b" " + key + b"=" + value + b"\n"
