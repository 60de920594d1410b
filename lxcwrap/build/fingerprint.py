"""The digest of what a COPY takes: names, kinds, modes and content, without times."""

from __future__ import annotations

import json
import os
import stat
import time

from lxcwrap.build.tree import Entry, Tree

REMEMBERED_SIZE = 64 * 1024  # bytes; smaller files are read faster than remembered
_BLOCK = 1024 * 1024
_SETTLED = 2.0  # seconds: a file changed just now may change again without its times showing it


class Fingerprints:
    """Digests of files, remembered by inode, size and times between builds in one small file."""

    def __init__(self, place: str) -> None:
        """``place``: the JSON file; it may be missing or damaged, which costs only time."""
        self._place = place
        self._known = _load(place)
        self._used: dict[str, str] = {}

    def of(self, tree: Tree, path: str, name: str) -> str:
        """SHA-256 over a source that is called ``name``, and all that is in it."""
        import hashlib  # with OpenSSL, which builds without COPY need not load

        total = hashlib.sha256()
        for entry in tree.walk(path):
            total.update(self._entry(tree, entry, name))
        return total.hexdigest()

    def save(self) -> None:
        """Keep what this build used; losing it is no error."""
        if self._used and self._used.items() - self._known.items():
            beside = f"{self._place}.{os.getpid()}.new"
            os.makedirs(os.path.dirname(self._place), mode=0o700, exist_ok=True)
            try:
                with open(beside, "w", encoding="utf-8") as stream:
                    json.dump(self._used, stream)
                os.rename(beside, self._place)
            except OSError:  # a full disk, say
                os.unlink(beside)

    def _entry(self, tree: Tree, entry: Entry, source: str) -> bytes:
        status = entry.status
        name = entry.name or source
        owner = "" if tree.is_context else f"{status.st_uid}:{status.st_gid}"
        content = ""
        if stat.S_ISREG(status.st_mode):
            content = self._file(tree, entry)
        elif stat.S_ISLNK(status.st_mode):
            content = read_link(tree, entry.path)
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            content = str(status.st_rdev)
        return os.fsencode(f"{name}\0{status.st_mode:o}\0{owner}\0{content}\n")

    def _file(self, tree: Tree, entry: Entry) -> str:
        status = entry.status
        if status.st_size < REMEMBERED_SIZE:
            return file_digest(tree, entry.path)
        key = f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"
        digest = self._known.get(key) or file_digest(tree, entry.path)
        if status.st_ctime < time.time() - _SETTLED:
            self._used[key] = digest
        return digest


def _load(place: str) -> dict[str, str]:
    try:
        with open(place, encoding="utf-8") as stream:
            known = json.load(stream)
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def file_digest(tree: Tree, path: str) -> str:
    """SHA-256 of a regular file's content."""
    import hashlib

    digest = hashlib.sha256()
    descriptor = tree.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        while block := os.read(descriptor, _BLOCK):
            digest.update(block)
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def read_link(tree: Tree, path: str) -> str:
    """Where a symbolic link of the tree points to."""
    descriptor = tree.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        return os.readlink("", dir_fd=descriptor)
    finally:
        os.close(descriptor)
