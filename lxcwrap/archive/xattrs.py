"""Extended attributes that travel: file capabilities and the user's own.  Everything else stays where it is.

``trusted.*`` above all: overlay believes what ``trusted.overlay.*`` says.
Source: xattr(7), capabilities(7), "File capability extended attribute versioning".
"""

from __future__ import annotations

import errno
import os
import struct

CAPABILITY = b"security.capability"
_V2, _V3, _REVISION = 0x02000000, 0x03000000, 0xFF000000
_REFUSED = (b"user.overlay.",)


def travels(name: bytes) -> bool:
    """Whether an attribute is stored in archives and taken from them.  No name can hold a NUL."""
    if b"\0" in name:
        return False
    return name == CAPABILITY or (name.startswith(b"user.") and not name.startswith(_REFUSED))


def plain_capability(value: bytes) -> bytes | None:
    """A file capability as it is without a user namespace (version 2); None when it is malformed."""
    if len(value) not in (20, 24):
        return None
    magic: int = struct.unpack_from("<I", value)[0]
    if magic & _REVISION == _V3 and len(value) == 24:
        return struct.pack("<I", (magic & ~_REVISION) | _V2) + value[4:20]
    return value if magic & _REVISION == _V2 and len(value) == 20 else None


def mapped_capability(value: bytes, root_id: int) -> bytes | None:
    """The same for a user namespace whose root is ``root_id`` on the host (version 3)."""
    plain = plain_capability(value)
    if plain is None or root_id == 0:
        return plain
    magic: int = struct.unpack_from("<I", plain)[0]
    return struct.pack("<I", (magic & ~_REVISION) | _V3) + plain[4:20] + struct.pack("<I", root_id)


def read(target: int | bytes) -> dict[bytes, bytes]:
    """The travelling attributes of an open file, or of a path (not followed), capabilities in plain form."""
    try:
        names = os.listxattr(target, follow_symlinks=isinstance(target, int))
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENOENT, errno.EPERM):
            return {}
        raise
    found: dict[bytes, bytes] = {}
    for name in names:
        encoded = os.fsencode(name)
        if not travels(encoded):
            continue
        value: bytes | None = os.getxattr(target, name, follow_symlinks=isinstance(target, int))
        if encoded == CAPABILITY and value is not None:
            value = plain_capability(value)
        if value is not None:
            found[encoded] = value
    return found


def write(target: int | bytes, attributes: dict[bytes, bytes], root_id: int = 0) -> None:
    """Set the travelling ones among ``attributes``; a file system without user attributes goes without them."""
    for name, value in attributes.items():
        if not travels(name):
            continue
        if name == CAPABILITY:
            mapped = mapped_capability(value, root_id)
            if mapped is None:
                continue
            value = mapped
        try:
            os.setxattr(target, name, value, follow_symlinks=isinstance(target, int))
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM):  # EPERM: user.* on links and devices
                raise
