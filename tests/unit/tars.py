"""Tars for the tests of archives: made byte by byte, by Python's tarfile, and compared as trees."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path
from typing import Any


def member(
    name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: Any
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content)
    info.mode = fields.pop("mode", 0o755 if kind == tarfile.DIRTYPE else 0o644)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def snapshot(root: str | Path, *, times: bool = True) -> dict[str, tuple[Any, ...]]:
    """Everything that an archive should keep of a tree, by path."""
    found: dict[str, tuple[Any, ...]] = {}
    first: dict[tuple[int, int], str] = {}
    for folder, folders, files in sorted(os.walk(root)):
        for name in sorted(folders + files):
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root)
            found[relative] = _facts(path, relative, first, times)
    return found


def _facts(path: str, relative: str, first: dict[tuple[int, int], str], times: bool) -> tuple[Any, ...]:
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    content: Any = None
    if stat.S_ISREG(status.st_mode):
        content = Path(path).read_bytes()
        if status.st_nlink > 1:
            content = first.setdefault((status.st_dev, status.st_ino), relative), content
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        content = status.st_rdev
    attributes = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
        if name.startswith(("user.", "security.capability", "trusted."))
    }
    mtime = int(status.st_mtime) if times else 0
    return status.st_mode, status.st_uid, status.st_gid, mtime, content, attributes
