"""Tar headers as this program writes them: ustar, with a PAX header where ustar cannot say it.

Source: POSIX.1-2017 pax(1), "ustar Interchange Format".
"""

from __future__ import annotations

from lxcwrap.archive import pax

BLOCK = 512
END = bytes(2 * BLOCK)
_NAME = 100  # bytes of a name or link in a ustar header
_ID_LIMIT = 0o7777777
_NUMBER_LIMIT = 0o77777777777
_SPACES = b" " * 8
_TAIL = bytes(167)
_USTAR = b"ustar\x0000" + bytes(64)


def build(
    name: bytes,
    kind: bytes,
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    xattrs: dict[bytes, bytes] | None = None,
) -> bytes:
    """The header blocks of one entry.  ``mtime`` in seconds; the same arguments give the same bytes."""
    extended = [pax.record(b"path", name)] if len(name) > _NAME else []
    if len(link) > _NAME:
        extended.append(pax.record(b"linkpath", link))
    for key, value, limit in ((b"uid", uid, _ID_LIMIT), (b"gid", gid, _ID_LIMIT), (b"size", size, _NUMBER_LIMIT)):
        if value > limit:
            extended.append(pax.record(key, str(value).encode()))
    if not 0 <= mtime <= _NUMBER_LIMIT:
        extended.append(pax.record(b"mtime", str(mtime).encode()))
    for key in sorted(xattrs or ()):
        extended.append(pax.record(b"SCHILY.xattr." + key, (xattrs or {})[key]))
    block = _ustar(name, kind, mode, uid, gid, size, mtime, link, device)
    return _extended(name, b"".join(extended)) + block if extended else block


def _extended(name: bytes, records: bytes) -> bytes:
    base = b"PaxHeaders.0/" + name.rstrip(b"/").rpartition(b"/")[2]
    header = _ustar(base, b"x", 0o644, 0, 0, len(records), 0, b"", (0, 0))
    return header + records + bytes(-len(records) % BLOCK)


def _ustar(
    name: bytes, kind: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, link: bytes, device: tuple[int, int]
) -> bytes:
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        mode & 0o7777,
        uid if uid <= _ID_LIMIT else 0,
        gid if gid <= _ID_LIMIT else 0,
        size if size <= _NUMBER_LIMIT else 0,
        mtime if 0 <= mtime <= _NUMBER_LIMIT else 0,
    )
    before = name[:_NAME].ljust(_NAME, b"\0") + numbers
    after = kind + link[:_NAME].ljust(_NAME, b"\0") + _USTAR + b"%07o\0%07o\0" % device + _TAIL
    return before + b"%06o\0 " % sum(before + _SPACES + after) + after
