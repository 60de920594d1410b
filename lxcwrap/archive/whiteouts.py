"""How "this file of a lower layer is gone" is written down.

Source: OCI image spec, layer.md, "Whiteouts" (the form of tars, which is AUFS' own); kernel
Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories".
"""

from __future__ import annotations

import enum
import os
import stat

PREFIX = b".wh."
OPAQUE = b".wh..wh..opq"
META = b".wh..wh."  # AUFS' own files, such as .wh..wh.aufs and .wh..wh.plnk: never content
OPAQUE_XATTR = "trusted.overlay.opaque"


class Form(enum.Enum):
    """The form whiteouts have in a directory tree."""

    NONE = "none"  # an ordinary tree: nothing is a whiteout
    OVERLAY = "overlay"  # character device 0/0, trusted.overlay.opaque
    AUFS = "aufs"  # files named .wh.NAME, .wh..wh..opq
    APPLIED = "applied"  # none: on extraction what they name is removed from the tree


def is_overlay_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(descriptor: int) -> bool:
    """Whether an open directory of an overlay layer hides the one below it."""
    try:
        return os.getxattr(descriptor, OPAQUE_XATTR) in (b"y", b"x")
    except OSError:
        return False
